"""Compare JSON values: `1` equals `1.0`, but not `"1"` or `true`; the order of keys does not matter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def json_text(value: Any) -> str:
    """Return a text that is the same for equal JSON values only."""
    return json.dumps(_plain(value), sort_keys=True, default=str)


def equal_json(left: Any, right: Any) -> bool:
    """Return True for equal JSON values."""
    return json_text(left) == json_text(right)


def _plain(value: Any) -> Any:
    """Convert a whole float to an integer, and a tuple to a list."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
