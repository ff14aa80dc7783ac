"""Stream raw rows from JSON Lines files, with the position of every problem."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from evalkit.disk.files import Unfit
from evalkit.errors import Problem, what_and_fix
from evalkit.golden.encoding import MAX_LINE_BYTES, OtherKind, Undecodable, is_unmarked_utf16, open_text
from evalkit.golden.index import RowPlaces
from evalkit.text.values import not_utf8

MAX_BLANK_LINES = 1_000_000
MAX_COLUMNS = 10_000
CANARY = "_canary"
"""Key of the only value of a line with the canary string of a set."""
_NOT_UTF8 = "not UTF-8"
SAVE_AS_UTF8 = "save the file as UTF-8"
MIXED = "lines above it are UTF-8, so save the whole file as UTF-8"
"""Fix for a file with two encodings, so that none fits the whole file."""
UNMARKED = "zero bytes, as in UTF-16 without a byte order mark", "save the file as UTF-8"


@dataclass(slots=True)
class LastRow:
    """The row that was read last."""

    offset: int = 0
    """Byte at which it begins; 0 in a file that must be read from its start."""


RawRow = tuple[int, dict[str, Any]]
"""Line number (from 1) and the row."""
Note = Callable[[Problem], None]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value of a table with an unsupported type; a problem only if its column is read."""

    what: str
    fix: str = "store it as text"


class Rejected(ValueError):
    """Raised with `what; fix` for text that is readable but not a valid row."""


def read_jsonl(  # noqa: PLR0913 - each is a fact about the reading
    path: Path,
    shown: str,
    note: Note,
    *,
    encoding: str | None = None,
    fix: str = SAVE_AS_UTF8,
    places: RowPlaces | None = None,
    cursor: LastRow | None = None,
) -> Iterator[RawRow]:
    """Yield the rows of a JSON Lines file, `.gz` included; lines end at a line feed only.

    Args:
        path: the file.
        shown: name of the file in messages.
        note: called for every problem.
        encoding: encoding of the file, if it is neither UTF-8 nor begins with a byte order mark.
        fix: fix to suggest for bytes that are not in this encoding.
        places: the rows to read, `None` for all.
        cursor: set to each row before it is yielded.
    """
    yield from readable(_jsonl_rows(path, shown, note, (encoding, fix), places, cursor or LastRow()), shown, note, fix)


def readable(rows: Iterator[RawRow], shown: str, note: Note, fix: str = SAVE_AS_UTF8) -> Iterator[RawRow]:
    """Yield the rows until the disk, the decompression or the declared encoding fails."""
    try:
        yield from rows
    except Undecodable as error:
        note(Problem(f"{shown}:{error.line}", str(error), fix))
    except OtherKind as error:
        note(Problem(f"{shown}:1", str(error), error.fix))
    except Unfit as error:
        note(Problem(shown, str(error.strerror), "name a file with one row per line"))
    except OSError as error:
        note(Problem(shown, f"cannot be read: {error.strerror}", "check the file and its permissions"))


def _jsonl_rows(
    path: Path,
    shown: str,
    note: Note,
    encoded: tuple[str | None, str],
    places: RowPlaces | None,
    cursor: LastRow,
) -> Iterator[RawRow]:
    encoding, fix = encoded
    blank, is_utf8 = 0, False
    note = _first_undecodable(note)
    with open_text(path, encoding) as file:
        for number, line in _all_lines(file, cursor) if places is None else _lines_at(file, places):
            if len(line) > MAX_LINE_BYTES:
                note(
                    Problem(
                        f"{shown}:{number}", "a line longer than 8 MiB", "split the row, or keep the text elsewhere"
                    )
                )
                return
            if line.isspace() or not line:
                blank += 1
                if blank > MAX_BLANK_LINES:
                    note(Problem(f"{shown}:{number}", f"more than {MAX_BLANK_LINES:,} blank lines", "remove them"))
                    return
                continue
            if number == 1 and is_unmarked_utf16(line):
                note(Problem(f"{shown}:1", *UNMARKED))
                return
            if number == 1 and line.lstrip().startswith(b"["):
                note(
                    Problem(
                        f"{shown}:1",
                        "a JSON array, not JSON Lines",
                        "write one object per line, without [ ] and commas, or call the file .json",
                    )
                )
                return
            row = parse_row(line, f"{shown}:{number}", note, MIXED if is_utf8 else fix)
            if row is not None:
                is_utf8 = is_utf8 or not line.isascii()
                yield number, row


def _all_lines(file: BinaryIO, cursor: LastRow) -> Iterator[tuple[int, bytes]]:
    """Yield every line with its number."""
    seekable = file.seekable()
    offset = file.tell() if seekable else 0
    for number, line in enumerate(iter(partial(file.readline, MAX_LINE_BYTES + 1), b""), 1):
        cursor.offset = offset
        yield number, line
        offset += len(line) if seekable else 0


def _lines_at(file: BinaryIO, places: RowPlaces) -> Iterator[tuple[int, bytes]]:
    """Yield some of the lines with their numbers, and pass over the others if the file can."""
    if file.seekable():
        for number, offset in places:
            file.seek(offset)
            yield number, file.readline(MAX_LINE_BYTES + 1)
        return
    lines = _all_lines(file, LastRow())
    for wanted, _ in places:
        yield from islice((each for each in lines if each[0] == wanted), 1)


def _first_undecodable(note: Note) -> Note:
    """Report only the first line in another encoding, because the whole file is likely to have it."""
    told = False

    def once(problem: Problem) -> None:
        nonlocal told
        foreign = problem.what.startswith(_NOT_UTF8)
        if not (foreign and told):
            note(problem)
        told = told or foreign

    return once


def parse_row(line: bytes, place: str, note: Note, fix: str = SAVE_AS_UTF8) -> dict[str, Any] | None:
    """Parse one JSON object from one line; `None` after reporting the problem."""
    try:
        row = _decoded(line.decode())
    except UnicodeDecodeError as error:
        note(Problem(place, not_utf8(error), fix))
    except json.JSONDecodeError as error:
        note(Problem(f"{place}:{error.colno}", f"not JSON: {error.msg}", _json_fix(line)))
    except RecursionError:
        note(Problem(place, "nested too deep", "flatten the row"))
    except Rejected as error:
        note(Problem(place, *what_and_fix(error)))
    else:
        if isinstance(row, dict):
            return row
        note(Problem(place, "not a JSON object", 'write {"id": ..., "input": ...}'))
    return None


def _decoded(text: str) -> Any:
    """Decode a line, at its first character if it begins with an object, as almost every line does."""
    if text.startswith("{"):
        with suppress(StopIteration, json.JSONDecodeError):
            value, end = _scan(text, 0)
            if not text[end:].strip(" \t\r\n"):
                return value
    return STRICT.decode(text.rstrip("\r\n"))


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Rejected(f"the key {twice!r} is duplicated; keep one of the two")
    return row


def _constant(name: str) -> Any:
    raise Rejected(f"{name} is not a JSON number; write null or leave the key out")


def _integer(digits: str) -> int:
    if len(digits) > 300:
        raise Rejected(f"an integer of {len(digits)} digits; write it as text")
    return int(digits)


def _decimal(digits: str) -> float:
    value = float(digits)
    if value in (math.inf, -math.inf):
        raise Rejected(f"{digits[:40]} is too large for a number; write it as text")
    return value


STRICT = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_integer, parse_float=_decimal)
"""Decodes JSON, and rejects values that a row may not hold."""
_scan = STRICT.scan_once  # type: ignore[attr-defined]


def _json_fix(line: bytes) -> str:
    text = line.strip()
    if not text.endswith(b"}"):
        return "the line is cut: close the object on the same line"
    if text.startswith(b"{'"):
        return "use double quotes"
    if b",}" in text.replace(b" ", b"") or b",]" in text.replace(b" ", b""):
        return "remove the comma before the closing bracket"
    return "write one JSON object per line"
