"""Keep the feedback that came before its call, in `waiting.jsonl`, until a look takes the call."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

from evalkit.disk.files import open_file
from evalkit.disk.writing import drafted
from evalkit.errors import StoreError
from evalkit.formats.line import body_of, seal
from evalkit.monitor.batches import AGAIN
from evalkit.monitor.feedback import CallFeedback

WAITING = "waiting.jsonl"
FORMAT = 1


def has_waiting(folder: Path) -> bool:
    """Return whether feedback waits in the folder of a monitor."""
    return (folder / WAITING).is_file()


def read_waiting(folder: Path) -> list[CallFeedback]:
    """Read the feedback that waits in the folder of a monitor; none without a file.

    Raises:
        StoreError: The file cannot be read, or was altered.
    """
    file = folder / WAITING
    if not has_waiting(folder):
        return []
    found = []
    try:
        with open_file(file) as lines:
            for line in lines:
                body = body_of(line)
                record = json.loads(body) if body is not None else {}
                if record.pop("format", None) != FORMAT:
                    raise ValueError(line)
                found.append(CallFeedback(**record))
    except OSError as error:
        raise StoreError.of(file, error, AGAIN) from error
    except (ValueError, TypeError) as error:
        what = f"{file}: a line was altered, or another version wrote it"
        raise StoreError(f"{what}; delete the file, and write the feedback that waited again") from error
    return found


def write_waiting(folder: Path, waiting: Collection[CallFeedback]) -> None:
    """Replace the file, atomically; without feedback that waits there is none.

    Raises:
        StoreError: It cannot be written.
    """
    file = folder / WAITING
    try:
        if not waiting:
            file.unlink(missing_ok=True)
            return
        with drafted(file) as draft:
            for each in waiting:
                draft.write(seal(json.dumps({"format": FORMAT, **asdict(each)}, sort_keys=True).encode()))
    except OSError as error:
        raise StoreError.of(file, error, AGAIN) from error
