"""Count the decisions that have used a held-out split, in `.evalkit/looks.json` of the project."""

from __future__ import annotations

import getpass
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit.disk.json_files import read_json, to_json
from evalkit.disk.writing import drafted

LOOKS = ".evalkit/looks.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLook:
    """One run that showed figures of a held-out split."""

    set: str
    split: str
    """A hash over the digests of its cases."""
    run: str
    """Id of the run."""
    at: str
    """ISO 8601."""
    by: str
    """The user of the machine; empty if unknown."""


def user() -> str:
    """Return the name of the user, empty if the machine does not know it."""
    with suppress(KeyError, OSError, ImportError):
        return getpass.getuser()
    return ""


def add_look(root: Path, look: HeldLook) -> int | None:
    """Record a look once, and return how many its split has had; `None` if the file cannot be read or written."""
    file = root / LOOKS
    try:
        record: Any = read_json(file) if file.exists() else {"format": _FORMAT, "looks": []}
        looks = [HeldLook(**each) for each in record["looks"]]
        if all((each.split, each.run) != (look.split, look.run) for each in looks):
            looks.append(look)
            file.parent.mkdir(parents=True, exist_ok=True)
            ignored = file.with_name(".gitignore")
            if not ignored.exists():
                ignored.write_text("*\n", encoding="utf-8")
            with drafted(file) as draft:
                draft.write(to_json({"format": _FORMAT, "looks": [asdict(each) for each in looks]}).encode())
        return sum(each.split == look.split for each in looks)
    except (OSError, ValueError, KeyError, TypeError):
        return None
