"""Read variants that people wrote, such as paraphrases and translations, from a file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from evalkit.errors import Problem
from evalkit.golden.fields import to_case
from evalkit.golden.json_lines import Note, read_jsonl
from evalkit.golden.lock import id_hash
from evalkit.golden.slots import filled, slots_in
from evalkit.text.escaping import cut
from evalkit.text.values import shown as as_text

_OTHERS = ("reference", "contexts", "required", "forbidden")
"""Fields that a line may have in place of those of the original."""
_FORM = '`{"of": "case-1", "input": "..."}`'


@dataclass(frozen=True, kw_only=True)
class File:
    """Your own variants, such as paraphrases or translations, one JSON object a line.

    Each line has `of`, the id of its original, and `input`, the other question. It may also have `reference`,
    `contexts`, `required` and `forbidden`; what it lacks is as in the original. The name of the file is the name of the
    transform: `paraphrases.jsonl` makes variants `paraphrases`.
    """

    shorthand: ClassVar[str] = "path"
    path: str
    """JSON Lines file."""

    @property
    def name(self) -> str:
        """Name of the transform."""
        return PurePosixPath(self.path).stem

    def __post_init__(self) -> None:
        """Reject a file whose name cannot be that of a transform."""
        if not self.path.endswith(".jsonl") or not re.fullmatch(r"[A-Za-z][\w-]*", self.name):
            raise ValueError(f"path: {self.path!r} does not fit; name a file such as paraphrases.jsonl")


@dataclass(frozen=True)
class WrittenVariants:
    """The lines of a file, by the id of their original."""

    file: Path
    shown: str
    """Name of the file in messages."""
    rows: Mapping[str, tuple[tuple[int, Mapping[str, Any]], ...]]
    """Id of the original -> line and its fields, in the order of the file."""
    slots: Mapping[str, str] = field(default_factory=dict)
    """Slot -> word of the first value, as in the cases of the set; without one, braces are plain text."""

    def filled(self, text: str) -> str:
        """Return a text of a line with its slots filled."""
        return filled(text, self.slots, self.slots)[0]

    @property
    def most(self) -> int:
        """The largest number of variants of one case."""
        return max(map(len, self.rows.values()), default=0)

    def place_of(self, id_: str, of: str) -> str:
        """Return file and line of a variant, whose id ends with its number among those of its original."""
        return f"{self.shown}:{self.rows[of][int(id_.rpartition('~')[2]) - 1][0]}"

    def problems(self, ids: Collection[str], held: Collection[str]) -> Iterator[Problem]:
        """Yield the lines whose original is not among the cases of the set, or is held out, and unknown slots.

        Args:
            ids: ids of the cases.
            held: hashes of the ids of held-out cases.
        """
        for line, row in (each for rows in self.rows.values() for each in rows if self.slots):
            for slot in sorted(slots_in(row) - self.slots.keys()):
                what, fix = f"no file of a swap fills {{{{{slot}}}}}", f"it fills {', '.join(sorted(self.slots))}"
                yield Problem(f"{self.shown}:{line}", what, fix)
        for id_, rows in self.rows.items():
            is_held = id_hash(id_) in held
            if not is_held and id_ in ids:
                continue
            what, fix = f"of: no case has the id {cut(repr(id_), 60)}", "write the id of a case of the set"
            if is_held:
                what = f"of: the case {cut(repr(id_), 60)} is held out"
                fix = "remove the line, as nobody may work on such a case"
            yield from (Problem(f"{self.shown}:{line}", what, fix) for line, _ in rows)


def read_written(file: Path, shown: str, note: Note) -> WrittenVariants:
    """Read a file of variants; lines that cannot be used are noted."""
    rows: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for line, row in read_jsonl(file, shown, note):
        faults = list(_faults(row)) or _unsound(row, f"{shown}:{line}")
        for what, fix in faults:
            note(Problem(f"{shown}:{line}", what, fix))
        if not faults:
            fields = {name: value for name, value in row.items() if name != "of"}
            rows.setdefault(row["of"], []).append((line, fields))
    return WrittenVariants(file, shown, {of: tuple(lines) for of, lines in rows.items()})


def _unsound(row: Mapping[str, Any], place: str) -> list[tuple[str, str]]:
    """Return what a golden set would refuse in a line."""
    found = list[tuple[str, str]]()
    fields = {name: value for name, value in row.items() if name != "of"}
    to_case({"id": "variant", **fields}, place, lambda what, fix: found.append((what, fix)))
    return found


def _faults(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("of", "input"):
        if name not in row:
            yield f"{name}: missing", f"write {_FORM}"
        elif not isinstance(row[name], str) or not row[name].strip():
            yield f"{name}: expected a text, got {as_text(row[name])}", f"write {_FORM}"
    for name in _OTHERS:
        if name in row and row[name] is None:
            yield f"{name}: null", "remove it for that of the original, or write [] for none"
    if unknown := sorted(row.keys() - {"of", "input", *_OTHERS}):
        yield f"{', '.join(unknown)}: unknown", f"choose from of, input, {', '.join(_OTHERS)}"
