"""List the measurements of a run other than scores, and read them from an output, without numerical libraries."""

from __future__ import annotations

import math
from collections.abc import Mapping

from evalkit.types import Output, Usage

MEASURED = ("latency_s", "ttft_s", "output_tokens", "cost_usd", "judge_cost_usd", "user_cost_usd")
"""Measurements of every row other than its scores, in the order of the columns."""
USUAL = (math.nan, math.nan, math.nan, 0.0, 0.0)
"""The values of `MEASURED` besides the latency where no model reports anything, which are not kept for each row."""
COUNTED = ("tokens", "tool_calls")
"""Measurements that are kept only for rows that report them."""
CASE_AMOUNTS: Mapping[str, str] = {
    "cost_per_case_usd": "cost_usd",
    "tokens_per_case": "tokens",
    "tool_calls_per_case": "tool_calls",
}
"""Mean of an amount over cases, which `no_regression` can compare -> the amount."""
PER_SUCCESS: Mapping[str, str] = {
    "cost_usd_per_success": "cost_usd",
    "tokens_per_success": "tokens",
    "tool_calls_per_success": "tool_calls",
    "seconds_per_success": "latency_s",
}
"""Sum of an amount over all runs by the number of runs that passed -> the amount."""


def measured(output: Output) -> tuple[float, ...]:
    """Return the values of `MEASURED` in an output, without the cost of judges and the user; NaN is unknown."""
    usage = output.usage
    tokens, cost = (usage.output_tokens, usage.cost_usd) if usage is not None else (None, None)
    return tuple(map(known_or_nan, (output.latency_s, output.ttft_s, tokens, cost)))


def counted_in(output: Output) -> tuple[int | None, int | None]:
    """Return the values of `COUNTED` in an output: input plus output tokens, and tool calls."""
    calls = None if output.tool_calls is None else len(output.tool_calls)
    return tokens_of(output.usage), calls


def tokens_of(usage: Usage | None) -> int | None:
    """Return the sum of input and output tokens; `None` unless both are known."""
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    return usage.input_tokens + usage.output_tokens


def known_or_nan(value: float | None) -> float:
    """Convert unknown to NaN, which is only used inside the columns."""
    return math.nan if value is None or not 0 <= value < math.inf else value
