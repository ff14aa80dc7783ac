"""Add up the usage of calls."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from evalkit.types import Usage


def add_usage(first: Usage | None, second: Usage) -> Usage:
    """Sum two usages; a value that is unknown in one is unknown in the sum.

    A cached usage adds nothing to a fresh one.
    """
    if first is None:
        return second
    if first.cached != second.cached:
        return second if first.cached else first
    return Usage(
        input_tokens=_sum(first.input_tokens, second.input_tokens),
        output_tokens=_sum(first.output_tokens, second.output_tokens),
        cost_usd=_sum(first.cost_usd, second.cost_usd),
        model=second.model,
        cached=first.cached,
    )


def _sum(first: Any, second: Any) -> Any:
    return None if first is None or second is None else first + second


def total(values: Sequence[float | None]) -> float | None:
    """Add up values; `None` if one of them is unknown, or there is none."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def sum_usages(usages: Sequence[Usage | None]) -> Usage | None:
    """Add up the usage of several calls; `None` if one of them reports none, or there is no call."""
    known = [usage for usage in usages if usage is not None]
    return reduce(add_usage, known) if known and len(known) == len(usages) else None
