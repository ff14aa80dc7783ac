"""Compute what a run takes in seconds, money, tokens and tool calls: per row, per case and per passed run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalkit.aggregate.columns import Column, Floats, Ints, narrow
from evalkit.aggregate.measured import CASE_AMOUNTS, COUNTED, MEASURED, PER_SUCCESS, USUAL
from evalkit.aggregate.repeats import fold
from evalkit.aggregate.statuses import (
    ABSENT,
    ERRORED,
    JUDGE_USAGE_BIT,
    REPLAYED_BIT,
    SCORED,
    STATES,
    UNSCORED,
    USER_USAGE_BIT,
)
from evalkit.results import Estimate
from evalkit.stats.ratios import total_per_success
from evalkit.text.numbers import plural
from evalkit.types import Metric

if TYPE_CHECKING:
    from evalkit.aggregate.frame import Frame

_UNITS = {"cost_usd": "USD", "tokens": "tokens", "tool_calls": "calls", "latency_s": "s"}


def amount_metric(name: str, amount: str, per: str) -> Metric:
    """Declare the metric of an amount.

    Args:
        name: name of the metric.
        amount: name of the amount, such as `tokens`.
        per: `case` or `success`.
    """
    unit = _UNITS[amount]
    return Metric(
        name=name,
        high=math.inf,
        higher_is_better=False,
        unit=unit if unit in ("s", "USD") else f"{unit} per {per}",
    )


@dataclass(frozen=True, eq=False)
class Amounts:
    """The amounts of the rows of a run."""

    rows: Mapping[str, Column] = field(default_factory=dict)
    """Amount -> its value per row; a replayed answer has no time of its own."""
    cases: Mapping[str, Column] = field(default_factory=dict)
    """Per case: `latency_s` and `ttft_s` (first measured repeat), `tokens_per_s`, `cost_usd`, `tokens`, `tool_calls`,
    `judge_cost_usd`, `user_cost_usd`."""


def measurements(frame: Frame, order: Ints) -> dict[str, Floats]:
    """Return the measurements of each row other than its scores, NaN where unknown."""
    found = {MEASURED[0]: np.frombuffer(frame.latencies, np.float64)[order]}
    found |= _sparse(MEASURED[1:], USUAL, frame.measured_rows, frame.measures, len(frame), order)
    return found | _sparse(COUNTED, (np.nan,) * len(COUNTED), frame.counted_rows, frame.counted, len(frame), order)


def _sparse(
    names: Sequence[str], usual: Sequence[float], rows: Any, table: Any, n_rows: int, order: Ints
) -> dict[str, Floats]:
    """Return measurements that are kept for some rows; one that is as usual in all of them takes no memory."""
    places, found = np.array(rows, np.int64), {}
    values = np.array(table, np.float64).reshape(-1, len(names)).T
    for name, common, given in zip(names, usual, values, strict=True):
        if np.array_equal(given, np.full(len(given), common), equal_nan=True):
            found[name] = np.broadcast_to(common, len(order))
        else:
            column = np.full(n_rows, common)
            column[places] = given
            found[name] = column[order]
    return found


def read_amounts(
    given: Mapping[str, Floats], flags: NDArray[np.uint8], states: NDArray[np.uint8], row_case: Ints
) -> Amounts:
    """Turn the measurements of rows into columns.

    Args:
        given: `MEASURED` and `COUNTED` per row, NaN where unknown.
        flags: per row, bits of `statuses`.
        states: per row, its index in `STATES`.
        row_case: per row, the position of its case.
    """
    n_cases = int(row_case.max()) + 1 if len(row_case) else 0
    errored, skipped = states == STATES.index("system_error"), states == STATES.index("skipped")
    replayed = flags & REPLAYED_BIT != 0
    latency, ttft, spoken = (given[name] for name in ("latency_s", "ttft_s", "output_tokens"))
    speed = np.divide(spoken, latency, out=np.full(len(latency), np.nan), where=latency > 0)

    def column(metric: Metric, values: Floats, applies: NDArray[np.bool_] | None = None) -> Column:
        if np.isnan(values).all():
            values = np.broadcast_to(np.nan, values.shape)  # takes no memory
        known = np.where(np.isnan(values), np.uint8(UNSCORED), np.uint8(SCORED))
        if applies is not None:
            return Column(metric, values, np.where(applies, known, np.uint8(ABSENT)))
        status = np.select([skipped, errored], [np.uint8(ABSENT), np.uint8(ERRORED)], known)
        return Column(metric, values, status)

    def timed(name: str, unit: str, values: Floats, *, higher: bool = False) -> Column:
        fresh = np.where(replayed, np.nan, values) if replayed.any() else values
        return column(Metric(name=name, high=np.inf, higher_is_better=higher, unit=unit), fresh)

    def paid(name: str, bit: int) -> Column:
        metric = Metric(name=name, high=np.inf, higher_is_better=False, unit="USD")
        return fold(column(metric, given[name], (flags & bit) != 0), row_case, n_cases)

    rows = {amount: column(amount_metric(name, amount, "case"), given[amount]) for name, amount in CASE_AMOUNTS.items()}
    rows["latency_s"] = timed("latency_s", "s", latency)
    cases = {
        "latency_s": _first(rows["latency_s"], row_case, n_cases),
        "ttft_s": _first(timed("ttft_s", "s", ttft), row_case, n_cases),
        "tokens_per_s": _first(timed("tokens_per_s", "tokens/s", speed, higher=True), row_case, n_cases),
        "judge_cost_usd": paid("judge_cost_usd", JUDGE_USAGE_BIT),
        "user_cost_usd": paid("user_cost_usd", USER_USAGE_BIT),
    }
    cases |= {amount: fold(rows[amount], row_case, n_cases) for amount in CASE_AMOUNTS.values()}
    return Amounts(rows, cases)


def _first(column: Column, row_case: Ints, n_cases: int) -> Column:
    """Take the first measured repeat of each case: a quantile of means over repeats would hide the tail."""
    folded = fold(column, row_case, n_cases)
    if folded is column:
        return column
    places = np.flatnonzero(column.status == SCORED)
    owners, first = np.unique(row_case[places], return_index=True)
    folded.held[owners] = column.at(places[first])
    return folded


@dataclass(frozen=True, eq=False)
class PerSuccess:
    """Per case: an amount, the number of passed runs, and the number of runs with an unknown amount."""

    column: Column
    """Sum over the runs of each case, in the order of the cases."""
    passes: Ints
    unknown: Ints

    def estimate(self, where: Ints, clusters: Ints, weights: Floats | None, confidence_level: float) -> Estimate:
        """Estimate the amount for each run that passed.

        Args:
            where: positions of the cases.
            clusters: cluster number of every case.
            weights: weights of every case of a sample, `None` if all were run.
            confidence_level: two-sided.
        """
        unknown = int(self.unknown[where].sum())
        if unknown:
            reason = f"unknown for {plural(unknown, 'run')}"
            return Estimate(value=None, confidence_level=confidence_level, reason=reason)
        where = where[self.column.status[where] == SCORED]
        weight = 1 if weights is None else weights[where]
        return total_per_success(
            self.column.at(where) * weight,
            self.passes[where] * weight,
            clusters[where],
            rng=np.random.default_rng(0),
            confidence_level=confidence_level,
        )


def per_success(name: str, amount: Column, passed: Column, row_case: Ints, counts: NDArray[np.bool_]) -> PerSuccess:
    """Sum an amount over the runs of each case.

    Args:
        name: name of the metric, one of `PER_SUCCESS`.
        amount: per row.
        passed: `pass_rate` per row.
        row_case: per row, the position of its case.
        counts: per row, whether it was planned; cases that were run again because they failed would raise the figure.
    """
    n_cases = int(row_case.max()) + 1 if len(row_case) else 0
    ran = counts & (amount.status != ABSENT)
    known = ran & (amount.status == SCORED)
    sums = np.bincount(row_case[known], amount.at(known), n_cases)
    unknown = narrow(np.bincount(row_case[ran & ~known], minlength=n_cases))
    did_pass = ran & (passed.status == SCORED) & (passed.values == 1)
    passes = narrow(np.bincount(row_case[did_pass], minlength=n_cases))
    status = np.where(np.bincount(row_case[ran], minlength=n_cases) > 0, np.uint8(SCORED), np.uint8(ABSENT))
    for code in (UNSCORED, ERRORED):
        status[row_case[ran & (amount.status == code)]] = code
    metric = amount_metric(name, PER_SUCCESS[name], "success")
    return PerSuccess(Column(metric, np.where(status == SCORED, sums, np.nan), status), passes, unknown)
