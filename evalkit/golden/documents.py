"""Read the rows of JSON and YAML files, which hold one list of rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.formats.yaml_text import parse_data
from evalkit.golden.encoding import Undecodable, is_unmarked_utf16, open_text
from evalkit.golden.header import RawTable
from evalkit.golden.json_lines import STRICT, UNMARKED, Note, RawRow, Rejected, readable
from evalkit.golden.names import field_of
from evalkit.text.values import not_utf8

_MAX_JSON_BYTES = 64 << 20
_MAX_YAML_BYTES = 4 << 20
_BLANKS = " \t\r\n"
_INSTEAD = "write one row a line in a file called .jsonl"
_LIST = 'write a list of rows: [{"id": ..., "input": ...}]'

Located = tuple[int, Any]
"""Offset of a value in its text, and the value."""


def read_json(text: Callable[[int], str], table: RawTable, note: Note, warn: Note) -> Iterator[RawRow]:
    """Yield the rows of a JSON file: a list of objects, or an object in which one key holds such a list.

    Args:
        text: function that reads the file up to a given size; see `text_of`.
        table: the file.
        note: called for every problem.
        warn: called for every warning.
    """
    yield from readable(_json_rows(text, table.shown, note, warn), table.shown, note)


def read_yaml(text: Callable[[int], str], table: RawTable, note: Note, warn: Note) -> Iterator[RawRow]:
    """Yield the rows of a YAML file: a list of mappings, or a mapping in which one key holds such a list.

    Args: see `read_json`.
    """
    yield from readable(_yaml_rows(text, table.shown, note, warn), table.shown, note)


def _json_rows(read: Callable[[int], str], shown: str, note: Note, warn: Note) -> Iterator[RawRow]:
    text = read(_MAX_JSON_BYTES)
    try:
        items = list(_located_rows(text, shown, warn))
    except JSONDecodeError as error:
        lines = ", or call the file .jsonl" if error.msg == "Extra data" else ""
        note(Problem(f"{shown}:{error.lineno}:{error.colno}", f"not JSON: {error.msg}", _LIST + lines))
        return
    except RecursionError:
        note(Problem(shown, "nested too deep", "flatten the rows"))
        return
    except Rejected as error:
        note(Problem(shown, *what_and_fix(error)))
        return
    line = at = 0
    for offset, row in items:
        line, at = line + text.count("\n", at, offset), offset
        yield from _checked(row, line + 1, shown, note)


def _yaml_rows(read: Callable[[int], str], shown: str, note: Note, warn: Note) -> Iterator[RawRow]:
    data = read(_MAX_YAML_BYTES).encode()
    value, marks = parse_data(data, shown, _MAX_YAML_BYTES)
    within: tuple[str, ...] = ()
    if isinstance(value, Mapping):
        try:
            name = _rows_key(value, shown, warn)
        except Rejected as error:
            note(Problem(f"{shown}:1", *what_and_fix(error)))
            return
        within, value = (name,), value[name]
    if value is not None and not isinstance(value, list):
        note(Problem(f"{shown}:1", "not a list of rows", "begin each row with `- id:`"))
        return
    for at, row in enumerate(value or ()):
        yield from _checked(row, marks[*within, at][0], shown, note)


def _checked(row: Any, line: int, shown: str, note: Note) -> Iterator[RawRow]:
    if isinstance(row, dict):
        yield line, row
    else:
        note(Problem(f"{shown}:{line}", "not a row with keys", 'write {"id": ..., "input": ...}'))


def text_of(path: Path, shown: str, encoding: str | None, fix: str, most: int) -> str:
    """Return the text of a file of at most `most` bytes.

    Raises:
        InputError: it is too large, or not in its encoding.
    """
    try:
        with open_text(path, encoding, max_line_bytes=2 * most) as file:  # a document may be one line
            data = file.read(most + 1)
    except Undecodable as error:
        raise InputError(Problem(f"{shown}:{error.line}", str(error), fix)) from None
    if len(data) > most:
        raise InputError(Problem(shown, f"more than {most >> 20} MiB", _INSTEAD))
    if is_unmarked_utf16(data):
        raise InputError(Problem(f"{shown}:1", *UNMARKED))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(Problem(f"{shown}:{line}", not_utf8(error), fix)) from None


def _located_rows(text: str, shown: str, warn: Note) -> Iterator[Located]:
    """Return the items of the list of rows with their offsets.

    Raises:
        JSONDecodeError: it is not JSON.
        Rejected: it holds no list of rows, or several.
    """
    start = _past_blanks(text, 0)
    if start == len(text):
        return iter(())
    if text[start] == "{":
        value = STRICT.decode(text)
        name = _rows_key(value, shown, warn)
        start = next(at for at, (key, _) in _members(text, start) if key == name)
    elif text[start] != "[":
        STRICT.decode(text)
        raise Rejected(f"not a list of rows; {_LIST}")
    else:
        STRICT.decode(text)
    return _items(text, start)


def rows_within(text: str, path: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """Yield the items of a list inside a valid JSON object, with their lines.

    Args:
        text: the file.
        path: keys that lead to the list.
    """
    start = _past_blanks(text, 0)
    for name in path:
        start = next(at for at, (key, _) in _members(text, start) if key == name)
    line = at = 0
    for offset, item in _items(text, start):
        line, at = line + text.count("\n", at, offset), offset
        yield line + 1, item


def _members(text: str, start: int) -> Iterator[tuple[int, tuple[str, Any]]]:
    """Yield the offset of each value of a valid object, with its key and the value."""
    at = _past_blanks(text, start + 1)
    while text[at] != "}":
        key, at = STRICT.raw_decode(text, at)
        at = _past_blanks(text, _past_blanks(text, at) + 1)
        value, end = STRICT.raw_decode(text, at)
        yield at, (key, value)
        at = _past_blanks(text, end)
        at = _past_blanks(text, at + 1) if text[at] == "," else at


def _items(text: str, start: int) -> Iterator[Located]:
    """Yield the items of a valid list with their offsets."""
    at = _past_blanks(text, start + 1)
    while text[at] != "]":
        value, end = STRICT.raw_decode(text, at)
        yield at, value
        at = _past_blanks(text, end)
        at = _past_blanks(text, at + 1) if text[at] == "," else at


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _rows_key(value: Mapping[str, Any], shown: str, warn: Note) -> str:
    """Return the only key that holds a list of rows.

    Raises:
        Rejected: no key or several keys hold rows, or the mapping is a row itself.
    """
    row = [key for key in value if key == "id" or field_of(key) == "input"]
    lists = [key for key, each in value.items() if isinstance(each, list) and each and isinstance(each[0], Mapping)]
    if row and all(not isinstance(value[key], list) or key == "messages" for key in row):
        raise Rejected(f"one row, not a list of rows; {_LIST}")
    lists = lists or [key for key, each in value.items() if each == []]
    if len(lists) > 1:
        raise Rejected(f"several keys hold rows: {', '.join(lists)}; keep one list of rows")
    if not lists:
        held = (
            "columns, not rows"
            if any(isinstance(each, list | Mapping) for each in value.values())
            else "no list of rows"
        )
        raise Rejected(f"{held}; {_LIST}")
    others = [key for key in value if key != lists[0]]
    if others:
        what = f"only the rows under `{lists[0]}` are read, not {', '.join(map(json.dumps, others))}"
        warn(Problem(f"{shown}:1", what, "move the needed values into the rows"))
    return lists[0]
