"""Stream raw rows from JSON Lines and CSV files, with the position of every problem."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from evalkit.disk.files import LONG_BLOCK, Unfit, open_file, open_packed
from evalkit.errors import Problem

MAX_LINE_BYTES = 8 << 20
_LONGEST = 2 * MAX_LINE_BYTES
"""Lines up to this length are read, so that longer ones can be reported with their number."""
MAX_BLANK_LINES = 1_000_000
MAX_COLUMNS = 10_000
RawRow = tuple[int, dict[str, Any]]
"""Line number (from 1) and the row."""
Note = Callable[[Problem], None]


class _Refused(ValueError):
    """A JSON text that Python reads but that is not a valid row."""


def read_jsonl(path: Path, shown: str, note: Note) -> Iterator[RawRow]:
    """Yield the rows of a JSON Lines file, `.gz` included; lines end at a line feed only."""
    yield from _readable(_jsonl_rows(path, shown, note), shown, note)


def _readable(rows: Iterator[RawRow], shown: str, note: Note) -> Iterator[RawRow]:
    """Yield the rows, up to where the disk or the decompression fails."""
    try:
        yield from rows
    except Unfit as error:
        note(Problem(shown, str(error.strerror), "name a file of rows, one a line"))
    except OSError as error:
        note(Problem(shown, f"cannot be read: {error.strerror}", "check the file and its permissions"))


def _jsonl_rows(path: Path, shown: str, note: Note) -> Iterator[RawRow]:
    blank = 0
    with _open(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), 1):
            if len(line) > MAX_LINE_BYTES:
                note(
                    Problem(
                        f"{shown}:{number}", "a line longer than 8 MiB", "split the row, or keep the text elsewhere"
                    )
                )
                return
            if number == 1 and line.startswith(b"\xef\xbb\xbf"):
                line = line[3:]
            if not line.strip():
                blank += 1
                if blank > MAX_BLANK_LINES:
                    note(Problem(f"{shown}:{number}", f"more than {MAX_BLANK_LINES:,} blank lines", "remove them"))
                    return
                continue
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                note(Problem(f"{shown}:1", "UTF-16, not UTF-8", "save the file as UTF-8"))
                return
            if number == 1 and line.lstrip().startswith(b"["):
                note(
                    Problem(
                        f"{shown}:1", "a JSON array, not JSON Lines", "write one object a line, without [ ] and commas"
                    )
                )
                return
            row = parse_row(line, f"{shown}:{number}", note)
            if row is not None:
                yield number, row


def parse_row(line: bytes, place: str, note: Note) -> dict[str, Any] | None:
    """Parse one JSON object from one line; `None` after noting the problem."""
    try:
        row = json.loads(line.decode().rstrip("\r\n"), object_pairs_hook=_pairs, parse_constant=_constant, **_NUMBERS)
    except UnicodeDecodeError as error:
        note(Problem(place, f"not UTF-8 at byte {error.start} of the line", "save the file as UTF-8"))
    except json.JSONDecodeError as error:
        note(Problem(f"{place}:{error.colno}", f"not JSON: {error.msg}", _json_fix(line)))
    except RecursionError:
        note(Problem(place, "nested too deep", "flatten the row"))
    except _Refused as error:
        what, _, fix = str(error).partition("; ")
        note(Problem(place, what, fix))
    else:
        if isinstance(row, dict):
            return row
        note(Problem(place, "not a JSON object", 'write {"id": ..., "input": ...}'))
    return None


def read_csv(path: Path, shown: str, note: Note) -> Iterator[RawRow]:
    """Yield the rows of a CSV file; empty cells are absent, `cohorts.x` columns are gathered, lists are JSON."""
    yield from _readable(_csv_file(path, shown, note), shown, note)


def _csv_file(path: Path, shown: str, note: Note) -> Iterator[RawRow]:
    csv.field_size_limit(MAX_LINE_BYTES)
    with _open(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        lines = _RowLines(text)
        reader = csv.reader(lines, strict=True)
        try:
            header = next(reader, [])
            yield from _csv_rows(reader, header, lines, (shown, note))
        except _Refused as error:
            what, _, fix = str(error).partition("; ")
            note(Problem(f"{shown}:{lines.number}", what, fix))
        except UnicodeDecodeError as error:
            note(Problem(f"{shown}:{reader.line_num + 1}", f"not UTF-8 ({error.reason})", "save the file as UTF-8"))
        except csv.Error as error:
            note(Problem(f"{shown}:{reader.line_num}", f"not CSV: {error}", "close the quotes"))


class _RowLines:
    """The lines of a CSV file, up to a row that is too long or too many blank lines."""

    def __init__(self, text: Iterator[str]) -> None:
        self._text = text
        self.number = self._chars = self._blank = 0

    def __iter__(self) -> _RowLines:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self.number += 1
        self._chars += len(line)
        self._blank += len(line) <= 2 and not line.strip()
        if self._chars > MAX_LINE_BYTES:
            raise _Refused("a row longer than 8 MiB; split it, or close its quotes")
        if self._blank > MAX_BLANK_LINES:
            raise _Refused(f"more than {MAX_BLANK_LINES:,} blank lines; remove them")
        return line

    def begin(self) -> None:
        """Begin the next row."""
        self._chars = 0


def _csv_rows(reader: Any, header: list[str], lines: _RowLines, told: tuple[str, Note]) -> Iterator[RawRow]:
    shown, note = told
    if len(header) > MAX_COLUMNS:
        note(Problem(f"{shown}:1", f"{len(header):,} columns, at most {MAX_COLUMNS:,} are read", "remove columns"))
        return
    if len(set(header)) < len(header) or not all(header):
        note(Problem(f"{shown}:1", "the header has empty or repeated column names", "name each column once"))
        return
    for cells in reader:
        lines.begin()
        place = f"{shown}:{reader.line_num}"
        if not any(cells):
            continue
        if len(cells) != len(header):
            note(Problem(place, f"{len(cells)} cells, the header has {len(header)}", "quote cells that hold commas"))
            continue
        yield reader.line_num, _csv_row(dict(zip(header, cells, strict=True)), place, note)


def _csv_row(cells: dict[str, str], place: str, note: Note) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column, cell in cells.items():
        if cell == "":
            continue
        value = _csv_value(cell, f"{place} {column}", note)
        group, dot, name = column.partition(".")
        taken = row.get(group) if dot else row.get(column)
        if taken is not None and not (dot and isinstance(taken, dict)):
            held = "a text" if dot else "parts"
            note(Problem(f"{place} {column}", f"the column `{group}` holds {held} already", "keep one of the two"))
        elif dot:
            row.setdefault(group, {})[name] = value
        else:
            row[column] = value
    return row


def _csv_value(cell: str, place: str, note: Note) -> Any:
    """Return a list or mapping if the cell is JSON for one, else the text unchanged."""
    if not (cell.startswith(("[", "{")) and cell.endswith(("]", "}"))):
        return cell
    wrapped = parse_row(b'{"value":' + cell.encode("utf-8", "surrogatepass") + b"}", place, note)
    return cell if wrapped is None else wrapped["value"]


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return open_packed(path, "pack it again with gzip, or keep it unpacked", max_line_bytes=_LONGEST)
    return open_file(path, max_line_bytes=_LONGEST, block_bytes=LONG_BLOCK)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused(f"the key {twice!r} is duplicated; keep one of the two")
    return row


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not a JSON number; write null or leave the key out")


def _integer(digits: str) -> int:
    if len(digits) > 300:
        raise _Refused(f"an integer of {len(digits)} digits; write it as text")
    return int(digits)


def _decimal(digits: str) -> float:
    value = float(digits)
    if value in (math.inf, -math.inf):
        raise _Refused(f"{digits[:40]} is too large for a number; write it as text")
    return value


_NUMBERS: Mapping[str, Any] = {"parse_int": _integer, "parse_float": _decimal}


def _json_fix(line: bytes) -> str:
    text = line.strip()
    if not text.endswith(b"}"):
        return "the line is cut: close the object on the same line"
    if text.startswith(b"{'"):
        return "use double quotes"
    if b",}" in text.replace(b" ", b"") or b",]" in text.replace(b" ", b""):
        return "remove the comma before the closing bracket"
    return "write one JSON object a line"
