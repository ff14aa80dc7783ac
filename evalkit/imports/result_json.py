"""Find the list of results inside the JSON file of another tool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.disk.files import Unfit
from evalkit.errors import InputError, Problem
from evalkit.golden.documents import rows_within, text_of
from evalkit.golden.encoding import OtherKind, Undecodable
from evalkit.golden.json_lines import STRICT, RawRow

LIST_NAMES = ("results", "rows", "data", "items", "examples", "samples", "test_cases", "testCases")
_MAX_BYTES = 64 << 20


def nested_rows(file: Path, shown: str, encoding: str | None) -> list[RawRow] | None:
    """Return the rows of the only list with a known name, in the outer object or in one inside it, with their lines.

    Returns:
        `None` for a file of any other form, which the reader of plain lists reads or refuses.

    Raises:
        InputError: several lists have such a name.
    """
    try:
        text = text_of(file, shown, encoding, "save the file as UTF-8", _MAX_BYTES)
        value = STRICT.decode(text)
    except (InputError, Unfit, OSError, Undecodable, OtherKind, ValueError, RecursionError):
        return None
    if not isinstance(value, Mapping):
        return None
    if (columns := _columns_of(value)) is not None:
        return [(line, dict(zip(columns, cells, strict=True))) for line, cells in rows_within(text, ("data",))]
    found = list(_lists(value))
    if len(found) > 1:
        listed = " and ".join(f"`{'.'.join(path)}`" for path in found)
        raise InputError(Problem(f"{shown}:1", f"several lists hold rows: {listed}", "keep one list of rows"))
    return list(rows_within(text, found[0])) if found else None


def _columns_of(value: Mapping[str, Any]) -> list[str] | None:
    """Return the columns of a table that pandas wrote with `orient="split"`; `None` for another object."""
    columns, data = value.get("columns"), value.get("data")
    if (
        not isinstance(columns, list)
        or not isinstance(data, list)
        or not data
        or len({*map(str, columns)}) < len(columns)
    ):
        return None
    named = all(isinstance(name, str) for name in columns)
    return columns if named and all(isinstance(row, list) and len(row) == len(columns) for row in data) else None


def _lists(value: Mapping[str, Any], depth: int = 1) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items():
        if key in LIST_NAMES and isinstance(inner, list) and inner and all(isinstance(row, dict) for row in inner):
            yield (key,)
        elif depth and isinstance(inner, Mapping):
            yield from ((key, *path) for path in _lists(inner, depth - 1))
