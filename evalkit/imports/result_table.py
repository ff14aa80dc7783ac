"""Read a file of results, of any tool, as a table: one row a case, its cells as they are."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evalkit.disk.files import open_file, sha256_of
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem, noting
from evalkit.golden.cells import number_text
from evalkit.golden.header import RawTable
from evalkit.golden.json_lines import MAX_COLUMNS, RawRow, Unreadable
from evalkit.golden.names import trimmed
from evalkit.golden.rows import open_rows
from evalkit.golden.source import GoldenSource
from evalkit.imports.result_json import nested_rows
from evalkit.imports.result_tools import ToolResults, tool_results
from evalkit.text.values import one_line

MAX_ROWS = 100_000
MAX_BYTES = 512 << 20
"""Maximum size of a file; both tables are held in memory."""
_SHOWN_VALUES = 10
_HUMP = re.compile("(?<=[a-z0-9])(?=[A-Z])")
"""Where a word begins in `caseId`."""
_DEPTH = 2
"""Levels of objects inside a row whose keys become columns: `scores.tone`."""
Cells = Mapping[str, Any]
"""Folded name of a column -> cell; a row of JSON may lack some."""


@dataclass(frozen=True, kw_only=True)
class ResultSource(GoldenSource):
    """Where a file of results is, and the flags that say how to read it."""

    def line(self, **changes: object) -> str:
        """Return the flags that state changed settings: text to copy."""
        given = (f"--{name} {quoted(str(value))}" for name, value in changes.items() if name in _FLAGS)
        return " ".join(given)


_FLAGS = ("sheet", "separator", "encoding")
WORKBOOKS = frozenset({"xlsx", "xlsm"})
SEPARATED = frozenset({"csv", "tsv"})
BINARY = WORKBOOKS | {"parquet", "arrow", "feather"}


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One row of a file."""

    line: int
    cells: Cells
    place: str = ""
    """Where it is, in a file that lines do not divide."""


@dataclass(frozen=True, eq=False)
class ResultTable:
    """The rows of a file under the folded names of its columns."""

    shown: str
    """Name in messages."""
    kind: str
    """`csv`, `jsonl`, `parquet` ..."""
    sha256: str
    names: Mapping[str, str]
    """Folded name of each column -> its name in the file, in file order."""
    rows: tuple[ResultRow, ...]
    left_out: tuple[Problem, ...] = ()
    """ResultColumns and cells that were not read."""
    decimal_comma: bool = False
    """Whether `0,85` is a number."""

    system: str = ""
    """The system that gave the rows, if the file holds several."""
    judged: frozenset[str] = frozenset()
    """Columns that a model graded, as the file says."""
    higher: frozenset[str] = frozenset()
    """Columns of which more is better, as the format says."""

    @property
    def name(self) -> str:
        """The name of the file without its folder, and the system."""
        return f"{Path(self.shown).name} {self.system}".rstrip()

    def place(self, row: ResultRow, column: str = "") -> str:
        """Return file and line of a row, and the column's own name."""
        return f"{row.place or f'{self.shown}:{row.line}'} {self.names.get(column, column)}".rstrip()

    def column(self, name: str) -> list[Any]:
        """Return the cells of a column, `None` where a row has none."""
        return [row.cells.get(name) for row in self.rows]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the cells of a column as texts."""
        if name not in self._texts:
            self._texts[name] = tuple(cell_text(cell) for cell in self.column(name))
        return self._texts[name]

    @cached_property
    def _texts(self) -> dict[str, tuple[str, ...]]:
        return {}

    def is_complete(self, name: str) -> bool:
        """Tell whether every row has a value in a column."""
        return name in self.names and all(self.texts(name))

    def listed(self, most: int = 20) -> str:
        """List the columns for a message."""
        shown = [name if len(name) <= 60 else f"{name[:59]}…" for name in list(self.names.values())[:most]]
        more = f" and {len(self.names) - most} more" if len(self.names) > most else ""
        return ", ".join(shown) + more

    def values(self, column: str) -> list[str]:
        """Return the different texts of a column that a user names, in file order.

        Raises:
            InputError: there is no such column.
        """
        if fold(column) not in self.names:
            what = f"no column {one_line(column, 60)!r} in {self.shown}"
            raise InputError(Problem("--system", what, f"its columns are {self.listed()}"))
        return list(dict.fromkeys(text for text in self.texts(fold(column)) if text))

    def of_system(self, column: str, value: str) -> ResultTable:
        """Return the rows of one system.

        Raises:
            InputError: there is no such column, or none of its rows holds the value.
        """
        values = self.values(column)
        rows = tuple(row for row, text in zip(self.rows, self.texts(fold(column)), strict=True) if text == value)
        if not rows:
            listed = ", ".join(repr(one_line(text, 40)) for text in values[:_SHOWN_VALUES])
            more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
            what = f"no row of {self.shown} has {one_line(value, 60)!r} under {column!r}"
            raise InputError(Problem("--system", what, f"it holds {listed}{more}"))
        return replace(self, rows=rows, system=value)


def fold(name: str) -> str:
    """Return a column name as names are compared: in lower case, with `_` for blanks, hyphens, points and humps."""
    plain = _HUMP.sub("_", trimmed(name)).casefold()
    return re.sub(r"[\s_.-]+", "_", plain).strip("_") or plain


def cell_text(cell: Any) -> str:
    """Return a cell as one text, empty if it holds nothing; 3.0 and 3 are the same."""
    if cell is None or isinstance(cell, Unreadable):
        return ""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, int):
        return str(cell)
    if isinstance(cell, float):
        return number_text(cell)
    return json.dumps(cell, ensure_ascii=False, sort_keys=True)


def read_results(
    file: Path, *, shown: str = "", sheet: str | None = None, separator: str | None = None, encoding: str | None = None
) -> ResultTable:
    """Read a file of results.

    Args:
        file: CSV, TSV, JSON Lines, JSON, YAML, Excel, Parquet or Arrow, or a file of another eval tool.
        shown: its name in messages; its path if not given.
        sheet: of a workbook.
        separator: of a CSV file whose header does not show it.
        encoding: of a text file that is not UTF-8.

    Raises:
        InputError: with every problem found.
    """
    shown = shown or shown_path(file)
    source = _source(file, shown, sheet, separator, encoding)
    problems: list[Problem] = []
    warnings: list[Problem] = []
    _refuse_odd(file, shown)
    if file.stat().st_size > MAX_BYTES:
        raise InputError(Problem(shown, f"more than {MAX_BYTES >> 20} MiB", "compare a part of it"))
    if (of_tool := tool_results(file, shown)) is not None:
        return _of_tool(of_tool, file, shown)
    raw, rows = _opened(source, file, shown, problems, warnings)
    found: list[ResultRow] = []
    names: dict[str, str] = {}
    for line, row in rows:
        if len(found) >= MAX_ROWS:
            problems.append(Problem(f"{shown}:{line}", f"more than {MAX_ROWS:,} rows", "compare a part of them"))
            break
        cells = dict(_flat(row)) if raw.kind != "cells" else row
        found.append(ResultRow(line, _folded(cells, names, shown, line)))
        if len(names) > MAX_COLUMNS:
            raise InputError(Problem(f"{shown}:{line}", f"more than {MAX_COLUMNS:,} columns", "remove keys"))
    for column, (line, why, fix) in raw.left_out.items():
        warnings.append(Problem(f"{shown}:{line} {column}", f"left out: {why}", fix))
    if not found and not problems:
        problems.append(Problem(f"{shown}:1", "no row in it", "write a header and one row a case"))
    if problems:
        raise InputError(problems)
    return ResultTable(
        shown=shown,
        kind=_kind(file),
        sha256=sha256_of(file),
        names=names,
        rows=tuple(found),
        left_out=tuple(warnings),
        decimal_comma=raw.separator == ";",
    )


def _refuse_odd(file: Path, shown: str) -> None:
    """Refuse what is not a file, such as a pipe, which nobody waits for."""
    try:
        with open_file(file):
            pass
    except OSError as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise InputError(Problem(shown, what, "name a file of results or a run folder")) from None


def _of_tool(results: ToolResults, file: Path, shown: str) -> ResultTable:
    names: dict[str, str] = {}
    rows = [
        ResultRow(number, _folded(cells, names, shown, number), place)
        for number, (place, cells) in enumerate(results.rows, 1)
    ]
    if not rows:
        raise InputError(
            Problem(shown, f"no result in this {results.kind}", "run the eval again, and save its results")
        )
    return ResultTable(
        shown=shown,
        kind=results.kind,
        sha256=sha256_of(file),
        names=names,
        rows=tuple(rows),
        left_out=results.left_out,
        judged=frozenset(map(fold, results.judged)),
        higher=frozenset(map(fold, results.higher)),
    )


def _opened(
    source: ResultSource, file: Path, shown: str, problems: list[Problem], warnings: list[Problem]
) -> tuple[RawTable, Iterator[RawRow]]:
    nested = nested_rows(file, shown, source.encoding) if _kind(file) == "json" else None
    if nested is not None:
        return RawTable(shown, "records"), iter(nested)
    return open_rows(source, file, shown, noting(problems), warnings.append)


def _source(file: Path, shown: str, sheet: str | None, separator: str | None, encoding: str | None) -> ResultSource:
    kind = _kind(file)
    try:
        return ResultSource(  # two files of different kinds share the flags, so each takes those that it can have
            path=file.name or shown,
            sheet=sheet if kind in WORKBOOKS else None,
            separator=separator if kind in SEPARATED else None,
            encoding=encoding if kind not in BINARY else None,
        )
    except ValueError as error:
        key, _, rest = str(error).partition(": ")
        what, _, fix = rest.partition("; ")
        raise InputError(Problem(f"--{key}", what, fix.replace("write `lists", "name").replace("`", "'"))) from None


def _kind(file: Path) -> str:
    return file.name.lower().removesuffix(".gz").rpartition(".")[2]


def _flat(row: Mapping[str, Any], prefix: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, Any]]:
    """Yield the values of a row; the keys of an object inside it follow its own name and a point."""
    for key, value in row.items():
        if isinstance(value, Mapping) and value and depth:
            yield from _flat(value, f"{prefix}{key}.", depth - 1)
        else:
            yield f"{prefix}{key}", value


def _folded(cells: Cells, names: dict[str, str], shown: str, line: int) -> Cells:
    """Return the cells of a row under folded names, and remember the names.

    Raises:
        InputError: two columns have names that differ only in case, blanks or points.
    """
    found = {}
    for name, value in cells.items():
        folded = fold(name)
        first = names.setdefault(folded, name)
        if folded in found or (first != name and first in cells):
            what = f"the columns {first!r} and {name!r} have the same name except for case, blanks and points"
            raise InputError(Problem(f"{shown}:{line}", what, "rename one of them"))
        found[folded] = value
    return found


def quoted(text: str) -> str:
    """Quote a text so that a shell takes it as one word."""
    return shlex.quote(text)


def columns_of_both(before: ResultTable, after: ResultTable) -> Sequence[str]:
    """Return the folded names of the columns that both tables have, in the order of the later one."""
    return [name for name in after.names if name in before.names]
