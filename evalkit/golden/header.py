"""Read the header of a table, and rows under its names."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evalkit.errors import Problem
from evalkit.golden.json_lines import MAX_COLUMNS, Note
from evalkit.golden.names import KNOWN_FIELDS, plain_name, trimmed

NAMELESS = "column"
"""Start of the name of an unnamed column in messages."""
_MOST_NAME = 1_000
"""Maximum length of a column's name; the header of a longer one may be a whole prompt."""
_NO_NAME, _RENAME = "it has no name", "give it a name of its own"
Kind = Literal["cells", "typed", "records"]
"""`cells`: a header and cells of text; `typed`: columns with types of their own; `records`: keys in each row."""


@dataclass
class RawTable:
    """State of a file of rows while it is read."""

    shown: str
    """Name in messages."""
    kind: Kind
    header_line: int = 1
    separator: str = ""
    """What separates the cells of a CSV file; empty for other files, and until it is known."""
    left_out: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """Column that is left out -> line of its first value, the reason, and the fix if the column is needed."""
    by_position: bool = False
    """Whether a column without a name of its own is read under its position, `column 5`, and not left out."""
    names: dict[str, str] = field(default_factory=dict)
    """Column -> its name in the header, in their order."""

    def leave_out(self, column: str, line: int, why: str, fix: str) -> None:
        """Record once that a column is left out."""
        self.left_out.setdefault(column, (line, why, fix))


Columns = Sequence[tuple[str, str]]
"""Name of each column up to the last named one, and why it is left out; empty for columns that are read."""


def named_columns(cells: Sequence[str], table: RawTable, note: Note) -> Columns:
    """Return the columns of a header; none, after reporting the problem, if it cannot be used."""
    names = [trimmed(cell) for cell in cells]
    while names and not names[-1]:
        names.pop()
    place = f"{table.shown}:{table.header_line}"
    if len(cells) > MAX_COLUMNS:
        note(Problem(place, f"{len(cells):,} columns, at most {MAX_COLUMNS:,} are read", "remove columns"))
        return ()
    if cells and not names:
        note(Problem(place, "the header is empty", "name each column"))
    counts = Counter(name for name in names if name)
    known = [name for name, n in counts.items() if n > 1 and plain_name(name) in KNOWN_FIELDS]
    if known:
        note(Problem(place, f"the header has {counts[known[0]]} columns called {known[0]!r}", "name each column once"))
        return ()
    if table.by_position:
        own = [name and counts[name] == 1 and len(name) <= _MOST_NAME for name in names]
        keys = [name if own[at] else _positional(at + 1, counts) for at, name in enumerate(names)]
        table.names = dict(zip(keys, names, strict=True))
        return [(key, "") for key in keys]
    return [(name or f"{NAMELESS} {at}", _unusable(name, counts)) for at, name in enumerate(names, 1)]


def _positional(number: int, taken: Mapping[str, int]) -> str:
    """Return the name of a column by its position, with more blanks if a column is called so."""
    return next(name for n in itertools.count(1) if (name := f"{NAMELESS}{' ' * n}{number}") not in taken)


def _unusable(name: str, counts: Mapping[str, int]) -> str:
    if not name:
        return _NO_NAME
    return f"{counts[name]} columns have its name" if counts[name] > 1 else ""


def named_row(columns: Columns, cells: Sequence[Any], table: RawTable, line: int) -> dict[str, Any]:
    """Return the cells of a row by column; an unnamed or repeated column is left out with a warning."""
    row = {}
    for at, (name, why) in enumerate(columns):
        if not why:
            row[name] = cells[at]
        elif str(cells[at] if cells[at] is not None else "").strip():
            table.leave_out(name, line, why, _RENAME)
    for at in range(len(columns), len(cells)):
        if str(cells[at] if cells[at] is not None else "").strip():
            table.leave_out(f"{NAMELESS} {at + 1}", line, _NO_NAME, _RENAME)
    return row
