"""Copy values as plain JSON types."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from evalkit.text.values import shown

MAX_DEPTH = 50
_MAX_PLACE = 100
"""Maximum length of a text, in characters."""
_MAX_INT_BITS = 13_000
"""Largest integer: about 3,900 digits; Python reads and writes at most 4,300."""
MAX_VALUES = 1_000_000
"""Maximum number of values in the arguments of one tool call, or in one step."""


def plain(place: str, value: object) -> Any:
    """Copy a value in types that JSON can hold: None, bool, int, finite float, string, list, mapping with string keys.

    Raises:
        ValueError: Names the place that JSON cannot hold, or says that there are too many values; a list that holds
            one list twice, and so on for 24 levels, has 16 million.
    """
    return _plain(place, value, 0, itertools.count(1))


def _plain(place: str, value: object, depth: int, counter: Iterator[int]) -> Any:
    if next(counter) > MAX_VALUES:
        raise ValueError(f"{place.partition('.')[0]}: more than {MAX_VALUES:,} values")
    if value is None or isinstance(value, bool):
        return value
    # A subclass may misreport itself, so only the plain value is kept.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and int.bit_length(value) <= _MAX_INT_BITS:
        return int.__int__(value)
    if isinstance(value, float) and math.isfinite(value):
        return float.__float__(value)
    if depth > MAX_DEPTH:
        raise ValueError(f"{place}: nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        return {
            _key(place, key): _plain(_inside(place, f".{key}"), item, depth + 1, counter) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(_inside(place, f"[{i}]"), item, depth + 1, counter) for i, item in enumerate(value)]
    raise ValueError(f"{place}: JSON cannot hold {shown(value)}")


def _inside(place: str, step: str) -> str:
    """Return the path of a part, shortened to leave room for the reason."""
    return place if place.endswith("…") else f"{place}{step}" if len(place) + len(step) <= _MAX_PLACE else f"{place}…"


def _key(place: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{place} key: expected a string, got {shown(value)}")
    return str.__str__(value)
