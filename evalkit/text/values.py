"""Describe a value in a message: its type, its beginning, the text of an exception."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MESSAGE_CHARS = 500
MAX_DIGITS = 24


def shown(value: object) -> str:
    """Describe a value in an error: its type, and its beginning if that is short."""
    if value is None:
        return "None"
    if isinstance(value, int) and (digits := int.bit_length(value) * math.log10(2)) > MAX_DIGITS:
        return f"{type(value).__name__} of about {int(digits) + 1:,} digits"
    if isinstance(value, bool | int | float | str):
        return f"{type(value).__name__} {one_line(repr(value), 60)}"
    if isinstance(value, Mapping):
        return f"a mapping with {key_names(value)}"
    return type(value).__name__


def one_line(value: object, limit: int = MESSAGE_CHARS) -> str:
    """Show a value as one printable line of at most `limit` characters."""
    try:
        text = str.__str__(str(value))  # a plain copy: a subclass may say anything of itself
    except BaseException:  # an exception of the system's own may fail to print
        return f"(a {type(value).__name__} that cannot be shown)"
    line = " ".join(text[: limit * 4].split())
    line = "".join(char if char.isprintable() else "\ufffd" for char in line)
    whole = len(line) <= limit and len(text) <= limit * 4
    return line if whole else line[: limit - 1] + "…"


def not_utf8(error: UnicodeDecodeError) -> str:
    """Name the byte that is not UTF-8, and its position in its line, counted from 1."""
    before = error.object[: error.start]
    at, line = error.start - before.rfind(b"\n"), before.count(b"\n") + 1
    within = f" of line {line:,}" if line > 1 else ""
    return f"not UTF-8 (byte {error.object[error.start]:#04x} at {at:,}{within})"


def key_names(value: Mapping[Any, Any]) -> str:
    """List the first ten keys of a mapping."""
    return ", ".join(one_line(str(key), 40) for key in list(value)[:10]) or "no keys"
