"""Read single fields of a mapping; errors name the place and the expected value."""

from __future__ import annotations

import difflib
import json
import math
import numbers
import operator
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from evalkit.text.values import not_utf8, one_line, shown
from evalkit.types import MOST, Usage

USAGE_KEYS = ("input_tokens", "output_tokens", "cost_usd", "model")


class TooLarge(ValueError):
    """A list has more items than an answer may have."""


def check_keys(place: str, value: Mapping[Any, Any], known: Sequence[str]) -> None:
    """Reject an unknown key.

    Args:
        place: beginning of the message, such as `usage: `.
        value: the mapping.
        known: its keys.
    """
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            fix = f"did you mean `{near[0]}`?" if near else f"the keys are {', '.join(known)}"
            raise ValueError(f"{place}unknown key {shown(key)}; {fix}")


def read_text(place: str, value: object) -> str:
    """Return a string."""
    if not isinstance(value, str):
        raise ValueError(f"{place}: expected a string, got {shown(value)}")
    return str.__str__(value)


def read_id(place: str, value: object) -> str:
    """Return an id: a string, or a whole number as a string; empty if there is none."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST**2:
        return str(int(value))
    return "" if value is None else read_text(place, value)


def read_mapping(place: str, value: object) -> Mapping[str, Any] | None:
    """Return a mapping, or `None` if there is none."""
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{place}: expected a mapping, got {shown(value)}")
    return value


def read_list(place: str, value: object, most: int | None = None) -> list[Any] | tuple[Any, ...]:
    """Return a list.

    Raises:
        TooLarge: The list has more than `most` items.
    """
    if not isinstance(value, list | tuple):
        raise ValueError(f"{place}: expected a list, got {shown(value)}")
    if most is not None and len(value) > most:
        raise TooLarge(f"{place}: {len(value):,} items, at most {most:,} are read")
    return value


def read_amount(place: str, value: object) -> float | None:
    """Return seconds or dollars: a finite number of at least 0."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{place}: expected a number, got {shown(value)}")
    amount = _below_most(place, value)
    if not (0 <= amount < math.inf):
        raise ValueError(f"{place}: expected a finite number of at least 0, got {shown(value)}")
    return amount


def read_count(place: str, value: object, least: int = 0) -> int | None:
    """Return a whole number of at least `least`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{place}: expected a whole number of at least {least}, got {shown(value)}")
    _below_most(place, value)
    return operator.index(value)


def _below_most(place: str, value: numbers.Real) -> float:
    with suppress(OverflowError):
        amount = float(value)
        if not MOST <= amount < math.inf:
            return amount
    raise ValueError(f"{place}: {shown(value)} is too large; no call has {MOST:.0e}")


def read_times(place: str, value: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return `started_s` and `ended_s`; the second must not be before the first."""
    started = read_amount(f"{place}.started_s", value.get("started_s"))
    ended = read_amount(f"{place}.ended_s", value.get("ended_s"))
    if started is not None and ended is not None and ended < started:
        raise ValueError(f"{place}.ended_s: {ended:g} is before `started_s`, {started:g}")
    return started, ended


def read_error(place: str, value: object) -> str | None:
    """Return the text of an error, or `None` if there was none."""
    if value is None:
        return None
    if not (text := read_text(place, value)).strip():
        raise ValueError(f"{place}: empty; write null if it succeeded, or what went wrong")
    return text


def read_usage(place: str, value: object) -> Usage | None:
    """Return the tokens and cost of a call."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"{place}: expected {{{', '.join(USAGE_KEYS)}}}, got {shown(value)}")
    check_keys(f"{place}: ", value, USAGE_KEYS)
    model = value.get("model")
    return Usage(
        input_tokens=read_count(f"{place}.input_tokens", value.get("input_tokens")),
        output_tokens=read_count(f"{place}.output_tokens", value.get("output_tokens")),
        cost_usd=read_amount(f"{place}.cost_usd", value.get("cost_usd")),
        model=None if model is None else read_text(f"{place}.model", model),
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a duplicate key")
    return row


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_STRICT_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats)


def parse_json(text: str | bytes, place: str = "", *, strict: bool = False) -> Any:
    """Parse JSON text, or its bytes in UTF-8; NaN and Infinity are refused, and if `strict`, duplicate keys too.

    Raises:
        ValueError: Describes the fault and shows the beginning of the text.
    """
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        return (_STRICT_DECODER if strict else _DECODER).decode(decoded.removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{place}: {not_utf8(error)}" if place else not_utf8(error)) from None
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else one_line(error, 120)
        prefix = f"{place}: " if place else ""
        raise ValueError(f"{prefix}not JSON ({what}): {one_line(decoded, 120) or 'empty'}") from None
