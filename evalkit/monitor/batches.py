"""The journal of batches: a batch counts once its line is written, and everything else follows from it.

A batch is some calls with everything that was found out about them, or some feedback. Its observations and texts are
written first. Then one sealed line in `batches.jsonl` makes it count. Then its ids and figures are added. The next
process removes what a killed one wrote before that line, and does what was missing after it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evalkit.disk.files import MAX_LINE_BYTES, open_file
from evalkit.errors import StoreError
from evalkit.formats.line import body_of, seal

BATCHES = "batches.jsonl"
FORMAT = 1
AGAIN = "then run `evalkit monitor take` again"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one line of the journal says.

    Attributes:
        number: From 1.
        files: Date -> SHA-256 of the observations of that day.
        cursors: Name -> cursor of each log that it read from.
        values: [cohort, hash of a value, calls] of the values that are counted.
        sampled: Date -> bytes of the texts of that day, this batch's included.
        spent: Date -> US dollars that judges have cost for this batch.
        newest: Seconds since 1970 of the newest call.
        before: Seconds since 1970 of the newest call before the look at the logs; `None` if there was none.
        ends_look: Whether it is the last batch of its look.
        counts: Name -> rows: `scored`, `refused` and `double` of calls, `counted` and `double` of feedback.
    """

    number: int
    files: Mapping[str, str]
    cursors: Mapping[str, str] = field(default_factory=dict)
    values: tuple[tuple[str, str, int], ...] = ()
    sampled: Mapping[str, int] = field(default_factory=dict)
    spent: Mapping[str, float] = field(default_factory=dict)
    newest: float | None = None
    before: float | None = None
    ends_look: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)


class BatchJournal:
    """The file with the batches; one process at a time writes to it."""

    def __init__(self, folder: Path) -> None:
        """Open the journal in the folder of a monitor, and make it if there is none.

        Raises:
            StoreError: the journal cannot be opened.
        """
        self._file = folder / BATCHES
        try:
            self._fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise StoreError.of(self._file, error, AGAIN) from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def append(self, batch: Batch) -> int:
        """Write a batch, and return where its line ends.

        Raises:
            StoreError: the journal cannot be written.
        """
        record = {"format": FORMAT, **asdict(batch)}
        line = seal(json.dumps(record, sort_keys=True, allow_nan=False).encode())
        try:
            while line:
                line = line[os.write(self._fd, line) :]
            os.fsync(self._fd)
            return os.fstat(self._fd).st_size
        except OSError as error:
            raise StoreError.of(self._file, error, AGAIN) from error

    def after(self, offset: int) -> Iterator[tuple[Batch, int]]:
        """Yield the batches whose lines begin at or after a byte, each with the byte after its line.

        A line that a kill cut off at the end is removed.

        Raises:
            StoreError: a line was altered, or the journal is shorter than `offset`.
        """
        try:
            size = os.fstat(self._fd).st_size
            if size < offset:
                raise StoreError(f"{self._file}: shorter than it was; restore it from a copy")
            with open_file(self._file) as file:
                file.seek(offset)
                for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
                    if not line.endswith(b"\n"):
                        os.ftruncate(self._fd, offset)
                        return
                    batch = _decoded(line)
                    if batch is None:
                        what = f"{self._file}: the line at byte {offset:,} was altered, or another version wrote it"
                        raise StoreError(f"{what}; restore it from a copy")
                    offset += len(line)
                    yield batch, offset
        except OSError as error:
            raise StoreError.of(self._file, error, AGAIN) from error


def _decoded(line: bytes) -> Batch | None:
    body = body_of(line)
    try:
        record = json.loads(body) if body is not None else {}
        if record.pop("format", None) != FORMAT:
            return None
        values = tuple((cohort, value, n) for cohort, value, n in record.pop("values"))
        return Batch(**record, values=values)
    except (KeyError, TypeError, ValueError):
        return None
