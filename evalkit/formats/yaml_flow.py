"""Write values as YAML on one line, so that evalkit's strict reader gives them back unchanged."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLAIN = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)
"""Words that YAML reads as themselves."""
_NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}


def flow(value: object) -> str:
    """Return a value as YAML on one line: text, numbers, truth values, null, lists and mappings."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _number(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT else f'"{"".join(map(_escaped, text))}"'


def _number(value: int | float) -> str:
    text = repr(value)
    # YAML 1.1 reads 1e-07 as text: it wants a point before the exponent.
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable() or char == " ":
        return char
    return {"\n": "\\n", "\t": "\\t"}.get(char) or (
        f"\\u{ord(char):04x}" if ord(char) < 1 << 16 else f"\\U{ord(char):08x}"
    )
