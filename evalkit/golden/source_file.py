"""Open a file of another tool as values with their places."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from evalkit.disk.files import open_file
from evalkit.errors import InputError, Problem, noting, what_and_fix
from evalkit.formats.yaml_text import Path as Keys
from evalkit.formats.yaml_text import dotted, parse_foreign
from evalkit.golden.documents import text_of
from evalkit.golden.encoding import OtherKind
from evalkit.golden.header import RawTable
from evalkit.golden.json_lines import SAVE_AS_UTF8, STRICT, RawRow, Rejected, parse_row, readable
from evalkit.golden.separated import read_separated
from evalkit.golden.source import GoldenSource

MAX_JSON_BYTES = 64 << 20
MAX_YAML_BYTES = 4 << 20
MAX_TABLE_CHARS = 64 << 20
MAX_ROWS = 100_000
MAX_VALUES = 5_000_000
"""Maximum number of values in a JSON text, counted by its commas and brackets; a value takes far more memory than
text."""
MAX_DEPTH = 100
"""Maximum depth of lists and mappings in a value."""
MAX_NAME = 1_000
"""Maximum length of a key."""
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of a zip file, and of an empty one."""


@dataclass(frozen=True)
class SourceFile:
    """The content of one file.

    Attributes:
        shown: The file in messages.
        kind: `document` (JSON or YAML), `rows` (JSON Lines), `table` (CSV) or `archive`.
        value: The value of a document, or the rows of another kind.
        path: The file.
        lines: Line of each row.
        marks: Positions of the parts of a YAML document.
        unknown: How many numbers are NaN or Infinity; they are read as null.
        columns: Column of a table -> its name in the header, in their order. They differ if two columns have one name.
    """

    shown: str
    kind: Literal["document", "rows", "table", "archive"]
    value: Any
    path: Path
    lines: tuple[int, ...] = ()
    marks: Mapping[Keys, tuple[int, int]] = field(default_factory=dict)
    unknown: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)

    def at(self, *keys: str | int) -> str:
        """Return the place of a value: file, line where it is known, and path."""
        if self.lines and keys and isinstance(keys[0], int):
            line, rest = f":{self.lines[keys[0]]}", keys[1:]
        else:
            known = keys
            while known and known not in self.marks:
                known = known[:-1]
            line = f":{self.marks[known][0]}" if known in self.marks else ""
            rest = keys
        return f"{self.shown}{line} {dotted(rest)}" if rest else f"{self.shown}{line}"

    @property
    def rows(self) -> list[Any]:
        """The rows of a file that is a list of them; empty for another document."""
        return self.value if isinstance(self.value, list) else []

    @property
    def first(self) -> Mapping[str, Any]:
        """The first row, or the document itself if it is a mapping; empty if it is neither."""
        value = self.value[0] if isinstance(self.value, list) and self.value else self.value
        return value if isinstance(value, Mapping) else {}


def open_source(path: Path, shown: str) -> SourceFile:
    """Read a file; its content says what it is, and its suffix only whether text is YAML or CSV.

    Raises:
        InputError: it cannot be read, or breaks a limit of size, rows, depth or length of keys.
    """
    name = path.name.lower().removesuffix(".gz")
    try:
        found = _opened(path, shown, name)
    except OtherKind as error:
        raise InputError(Problem(shown, str(error), error.fix)) from None
    except OSError as error:
        fix = "name a file; split one that is too large, or write JSON Lines"
        raise InputError(Problem(shown, f"cannot be read: {error.strerror}", fix)) from None
    check_value(found.value, found.at)
    return found


def _opened(path: Path, shown: str, name: str) -> SourceFile:
    if path.is_dir():
        raise InputError(Problem(shown, "a folder, not a file", "name the file in it"))
    if name.endswith((".js", ".cjs", ".mjs", ".ts", ".py")):
        fix = "write it as YAML or JSON, or import the results that the tool writes"
        raise InputError(Problem(shown, "a program: an import runs nothing", fix))
    with open_file(path) as file:
        head = file.read(len(ZIP[0]))
    if head in ZIP:
        return SourceFile(shown, "archive", None, path)
    if name.endswith((".csv", ".tsv")):
        table = RawTable(shown, "cells", by_position=True)
        return replace(_of_rows(path, shown, "table", partial(_table, path, table)), columns=table.names)
    text = text_of(path, shown, None, SAVE_AS_UTF8, MAX_JSON_BYTES)
    if name.endswith((".yaml", ".yml")):
        value, marks = parse_foreign(text.encode(), shown, MAX_YAML_BYTES)
        return SourceFile(shown, "document", value, path, marks=marks)
    if not name.endswith((".jsonl", ".ndjson")):
        value, unknown = _document(text, shown)
        if value is not _SEVERAL:
            return SourceFile(shown, "document", value, path, unknown=unknown)
    return _of_rows(path, shown, "rows", partial(_lines, text, shown))


_SEVERAL = object()
"""Stands for a text of several JSON values, one a line."""


def count_values(text: str) -> int:
    """Return about how many values a JSON text has: its commas and opening brackets, also those inside of texts."""
    return sum(map(text.count, "[{,"))


def decode_document(text: str) -> tuple[Any, int]:
    """Return the value of a JSON text, and how many NaN or Infinity it has, which are read as null.

    Raises:
        ValueError, RecursionError: as the decoder of golden rows.
    """
    if (n_values := count_values(text)) > MAX_VALUES:
        raise Rejected(f"about {n_values:,} values, more than {MAX_VALUES:,}; split the file")
    unknown: list[str] = []
    decoder = json.JSONDecoder(
        object_pairs_hook=STRICT.object_pairs_hook,
        parse_int=STRICT.parse_int,
        parse_float=STRICT.parse_float,
        parse_constant=unknown.append,
    )
    return decoder.decode(text), len(unknown)


def _document(text: str, shown: str) -> tuple[Any, int]:
    try:
        return decode_document(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1:
            return _SEVERAL, 0
        what = f"not JSON: {error.msg}"
        fix = "name a whole JSON, JSON Lines, YAML or CSV file as the tool writes it"
        raise InputError(Problem(f"{shown}:{error.lineno}:{error.colno}", what, fix)) from None
    except RecursionError:
        raise InputError(_too_deep(shown)) from None
    except Rejected as error:
        raise InputError(Problem(shown, *what_and_fix(error))) from None


def _lines(text: str, shown: str, note: Callable[[Problem], None]) -> Iterator[RawRow]:
    if (n_values := count_values(text)) > MAX_VALUES:
        note(Problem(shown, f"about {n_values:,} values, more than {MAX_VALUES:,}", "split the file"))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            row = parse_row(line.encode(), f"{shown}:{number}", note)
            if row is not None:
                yield number, row


def _table(path: Path, table: RawTable, note: Callable[[Problem], None]) -> Iterator[RawRow]:
    return read_separated(path, table, GoldenSource(path=path.name), note, SAVE_AS_UTF8)


def _of_rows(
    path: Path,
    shown: str,
    kind: Literal["rows", "table"],
    read: Callable[[Callable[[Problem], None]], Iterator[RawRow]],
) -> SourceFile:
    problems: list[Problem] = []
    lines: list[int] = []
    rows: list[Any] = []
    note = noting(problems)
    n_chars = 0
    for line, row in readable(read(note), shown, note):
        n_chars += sum(len(cell) for cell in row.values() if isinstance(cell, str)) if kind == "table" else 0
        if len(rows) == MAX_ROWS or n_chars > MAX_TABLE_CHARS:
            what = f"more than {MAX_ROWS:,} rows, or {MAX_TABLE_CHARS >> 20} MiB of text"
            note(Problem(f"{shown}:{line}", what, "split the file"))
            break
        lines.append(line)
        rows.append(row)
    if problems:
        raise InputError(problems)
    return SourceFile(shown, kind, rows, path, lines=tuple(lines))


def check_value(value: Any, at: Callable[..., str]) -> None:
    """Refuse a value that is nested too deeply, has a key that is too long, or holds more rows than a file may have.

    Args:
        value: decoded JSON or YAML.
        at: names the place of a path.

    Raises:
        InputError: with the place.
    """
    keys: list[str | int] = []
    levels = [_items(value)]
    if _has_too_many_rows(value):
        raise InputError(_too_many(at(), value))
    while levels:
        if (item := next(levels[-1], None)) is None:
            levels.pop()
            del keys[-1:]
            continue
        key, inner = item
        if isinstance(key, str) and len(key) > MAX_NAME:
            what = f"a key of {len(key):,} characters"
            raise InputError(Problem(at(*keys[:3]), what, f"shorten it to {MAX_NAME:,}"))
        if isinstance(inner, Mapping | list):
            if len(levels) > MAX_DEPTH:
                raise InputError(_too_deep(at(*keys[:3])))
            keys.append(key)
            if _has_too_many_rows(inner):
                raise InputError(_too_many(at(*keys[:3]), inner))
            levels.append(_items(inner))


def _has_too_many_rows(value: Any) -> bool:
    return isinstance(value, list) and len(value) > MAX_ROWS and isinstance(value[0], Mapping)


def _too_many(place: str, rows: Sized) -> Problem:
    return Problem(place, f"{len(rows):,} rows, more than {MAX_ROWS:,}", "split the file")


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        return iter(value.items())
    return iter(enumerate(value)) if isinstance(value, list) else iter(())


def _too_deep(place: str) -> Problem:
    return Problem(place, f"nested deeper than {MAX_DEPTH} levels", "flatten it")
