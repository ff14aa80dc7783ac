"""Read a cell of text as the field of its column, never by the form of the text."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from evalkit.golden.json_lines import STRICT, Note, parse_row
from evalkit.golden.names import KNOWN_FIELDS, RECORD_LISTS, TEXT_LISTS, TRUTH_FIELDS, WRAPPERS, field_of
from evalkit.types import ROLES

_TRUTHS = {"true": True, "false": False}
_MAPPINGS = WRAPPERS | {"cohorts", "cohort", "rubrics", "expected_state"}


@dataclass(frozen=True, slots=True)
class Reread:
    """A text whose content counts as the JSON value in it, as in the digests of earlier versions."""

    text: str
    content: Any


def cell_value(name: str, inner: str | None, cell: str | bool, place: str, note: Note) -> Any:
    """Return the value of a cell that is not empty; `None` if it is blank and its field needs a text.

    A list in JSON is a list if the field holds a list, and in columns of the user's own. JSON text of an object is
    read as an object if the field holds objects. Everything else stays text.

    Args:
        name: field, or column of the user's own.
        inner: name within the field, as in `cohorts.topic`.
        cell: text, or true or false of a workbook.
        place: location of the cell, for messages.
        note: called for JSON that the field needs but that cannot be read.
    """
    if isinstance(cell, bool):
        is_own = name not in KNOWN_FIELDS or name in TRUTH_FIELDS
        return cell if is_own and inner is None else str(cell).lower()
    known = field_of(name)
    if known in KNOWN_FIELDS and known != "output" and not cell.strip():
        return None
    if name in TRUTH_FIELDS:
        return _TRUTHS.get(cell.strip().lower(), cell)
    if inner is not None or not _looks_like_json(cell):
        return cell
    if name in RECORD_LISTS or name in _MAPPINGS:
        wrapped = parse_row(b'{"value":' + cell.encode("utf-8", "surrogatepass") + b"}", place, note)
        return cell if wrapped is None else wrapped["value"]
    value = _parsed(cell)
    if known == "input":
        return value if _is_chat(value) or (name == "messages" and isinstance(value, list)) else cell
    if known == "output":
        return value if isinstance(value, dict) and ("text" in value or "messages" in value) else cell
    if name == "state" and isinstance(value, dict):
        return value
    if known in TEXT_LISTS:
        return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else cell
    if known in KNOWN_FIELDS or value is None:
        return cell
    return value if isinstance(value, list) else Reread(cell, value)


def number_text(value: int | float) -> str:
    """Write a number with a point, in full and without trailing zeros."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _looks_like_json(cell: str) -> bool:
    return cell.startswith(("[", "{")) and cell.endswith(("]", "}"))


def _parsed(cell: str) -> Any:
    """Return the list or mapping in a cell, `None` if it is not JSON."""
    try:
        return STRICT.decode(cell)
    except (ValueError, RecursionError):
        return None


def _is_chat(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and item.get("role") in ROLES for item in value)
    )
