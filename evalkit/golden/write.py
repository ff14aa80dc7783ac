"""Change rows of a golden set in JSON Lines; every other line stays as it is, byte for byte."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem, StoreError
from evalkit.golden.fields import row_of
from evalkit.golden.json_lines import parse_row
from evalkit.types import Case

_BOM = b"\xef\xbb\xbf"


def refuse_other_kinds(file: Path, shown: str) -> None:
    """Reject a set that cannot be changed line by line.

    Raises:
        InputError: it is not a JSON Lines file.
    """
    if file.suffix.lower() != ".jsonl":
        fix = "save it as JSON Lines (.jsonl), one row per line"
        raise InputError(Problem(shown, "only a JSON Lines set can be changed", fix))


def set_fields(file: Path, shown: str, changes: Mapping[int, Mapping[str, str]]) -> None:
    """Set fields of some rows.

    Args:
        file: the set, a JSON Lines file in UTF-8.
        shown: its name in messages.
        changes: line (from 1) -> the fields to set.

    Raises:
        InputError: a line to change is not a row; the file is unchanged.
        StoreError: the file cannot be written; it is unchanged.
    """
    refuse_other_kinds(file, shown)
    lines = _lines(file, shown)
    problems: list[Problem] = []
    for number, fields in changes.items():
        line = lines[number - 1] if number <= len(lines) else b""
        start = _BOM if line.startswith(_BOM) else b""
        row = parse_row(line.removeprefix(start), f"{shown}:{number}", problems.append)
        if row is not None:
            end = line[len(line.rstrip(b"\r\n")) :]
            lines[number - 1] = start + row_line({**row, **fields}) + end
    if problems:
        raise InputError(problems)
    _write(file, lines)


def add_row(file: Path, shown: str, row: Mapping[str, Any]) -> None:
    """Append a row; a set that does not exist yet is created.

    Raises:
        InputError: the set is not a JSON Lines file.
        StoreError: the file cannot be written; it is unchanged.
    """
    refuse_other_kinds(file, shown)
    lines = _lines(file, shown) if file.exists() else []
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    _write(file, [*lines, row_line(row) + b"\n"])


def put_first(file: Path, shown: str, row: Mapping[str, Any]) -> None:
    """Put a row in front of all others.

    Raises:
        InputError: the set is not a JSON Lines file.
        StoreError: the file cannot be written; it is unchanged.
    """
    refuse_other_kinds(file, shown)
    lines = _lines(file, shown)
    start = _BOM if lines and lines[0].startswith(_BOM) else b""
    rest = [lines[0].removeprefix(start), *lines[1:]] if lines else []
    _write(file, [start + row_line(row) + b"\n", *rest])


def put_apart(file: Path, shown: str, numbers: Collection[int], apart: Path) -> None:
    """Move lines into another file, which only its owner may read.

    Args:
        file: the set, a JSON Lines file.
        shown: its name in messages.
        numbers: the lines to move, from 1.
        apart: the new file.

    Raises:
        InputError: the set is not a JSON Lines file.
        StoreError: a file cannot be written. If only the set cannot be, both hold the rows.
    """
    refuse_other_kinds(file, shown)
    lines = _lines(file, shown)
    moved = [_ended(line) for number, line in enumerate(lines, 1) if number in numbers]
    try:
        with drafted(apart) as draft:
            os.fchmod(draft.fileno(), 0o600)
            draft.writelines(moved)
    except OSError as error:
        raise StoreError.of(apart, error, "then try again") from None
    drop_lines(file, shown, numbers)


def drop_lines(file: Path, shown: str, numbers: Collection[int]) -> None:
    """Remove lines of a set.

    Args:
        file: the set, a JSON Lines file.
        shown: its name in messages.
        numbers: the lines to remove, from 1.

    Raises:
        StoreError: the file cannot be written; it is unchanged.
    """
    _write(file, [line for number, line in enumerate(_lines(file, shown), 1) if number not in numbers])


def replace_lines(
    file: Path, shown: str, numbers: Collection[int], apart: Path, new: tuple[Path, Sequence[int]]
) -> None:
    """Move lines to the end of another file, and append lines of a third.

    A line that the other file has already, since a process died before it wrote the set, comes in once.

    Args:
        file: the set, a JSON Lines file.
        shown: its name in messages.
        numbers: the lines to move, from 1.
        apart: where they go; it need not exist.
        new: the third file and its lines, from 1, in the order in which they come; it stays as it is.

    Raises:
        InputError: the set is not a JSON Lines file.
        StoreError: a file cannot be written. If only the set cannot be, both hold the rows.
    """
    refuse_other_kinds(file, shown)
    lines, others = _lines(file, shown), _lines(new[0], str(new[0]))
    gone = [_ended(line) for number, line in enumerate(lines, 1) if number in numbers]
    kept = [line for number, line in enumerate(lines, 1) if number not in numbers]
    before = [_ended(line) for line in _lines(apart, str(apart))] if apart.exists() else []
    if kept:
        kept[-1] = kept[-1] if kept[-1].endswith(b"\n") else kept[-1] + b"\n"
    known = frozenset(before)
    _write(apart, [*before, *(line for line in gone if line not in known)])
    _write(file, [*kept, *(_ended(others[number - 1]) for number in new[1])])


def _ended(line: bytes) -> bytes:
    return line.removeprefix(_BOM) if line.endswith(b"\n") else line.removeprefix(_BOM) + b"\n"


def row_line(row: Mapping[str, Any]) -> bytes:
    """Return a row as a line of JSON without its end."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode()


def case_line(case: Case) -> bytes:
    """Return a case as a line of a golden set without its end."""
    return row_line(row_of(case))


def _lines(file: Path, shown: str) -> list[bytes]:
    try:
        return _split(file.read_bytes())
    except OSError as error:
        raise StoreError.of(shown, error, "then try again") from None


def _write(file: Path, lines: list[bytes]) -> None:
    try:
        with drafted(file) as draft:
            if file.exists():  # who may read the set stays as it is
                os.fchmod(draft.fileno(), stat.S_IMODE(file.stat().st_mode))
            draft.writelines(lines)
    except OSError as error:
        raise StoreError.of(file, error, "then try again") from None


def _split(content: bytes) -> list[bytes]:
    """Split at line feeds only, as the reader does."""
    *whole, rest = content.split(b"\n")
    return [*(line + b"\n" for line in whole), *([rest] if rest else [])]
