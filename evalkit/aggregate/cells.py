"""Estimate one metric over some cases, with an interval for its kind of values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.amounts import PerSuccess, per_success
from evalkit.aggregate.columns import Column, Floats, Ints
from evalkit.aggregate.frozen import PASS_RATE, FrozenFrame
from evalkit.aggregate.measured import PER_SUCCESS
from evalkit.aggregate.outcome_groups import by_case
from evalkit.aggregate.repeats import fold, of_chosen_runs
from evalkit.aggregate.statuses import ERRORED, SCORED, UNSCORED, chosen_runs, node_amount
from evalkit.aggregate.weighted import weighted
from evalkit.results import OVERALL, Cell, Estimate
from evalkit.stats import intervals
from evalkit.text.numbers import plural
from evalkit.types import Metric


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric measured by the run itself, without a scorer."""

    metric: Metric
    column: str
    """Key of `Amounts.cases`."""
    quantile: float | None = None
    """`None` for a mean."""
    optional: bool = True
    """Whether the metric is left out if the run has no value; other metrics are then shown as unknown."""


MEASURES: tuple[Measure, ...] = tuple(
    Measure(Metric(name=name, high=math.inf, higher_is_better=higher, unit=unit), column, quantile, optional)
    for name, column, quantile, unit, higher, optional in (
        ("latency_p50_s", "latency_s", 0.50, "s", False, False),
        ("latency_p95_s", "latency_s", 0.95, "s", False, False),
        ("latency_p99_s", "latency_s", 0.99, "s", False, False),
        ("ttft_p50_s", "ttft_s", 0.50, "s", False, True),
        ("ttft_p95_s", "ttft_s", 0.95, "s", False, True),
        ("ttft_p99_s", "ttft_s", 0.99, "s", False, True),
        ("tokens_per_s", "tokens_per_s", None, "tokens/s", True, True),
        ("cost_per_case_usd", "cost_usd", None, "USD", False, False),
        ("judge_cost_usd_per_case", "judge_cost_usd", None, "USD", False, True),
        ("tokens_per_case", "tokens", None, "tokens per case", False, True),
        ("tool_calls_per_case", "tool_calls", None, "calls per case", False, True),
        ("user_cost_usd_per_case", "user_cost_usd", None, "USD", False, True),
    )
)
_BY_NAME = {measure.metric.name: measure for measure in MEASURES}


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a metric's values."""

    metric: Metric
    column: Column
    quantile: float | None = None
    per_success: PerSuccess | None = None


def sources(frame: FrozenFrame, asked: Sequence[str] = ()) -> tuple[Source, ...]:
    """Return every metric of a run: `pass_rate` and the scorers' first, then the measured ones.

    Args:
        frame: the run.
        asked: metrics that the gate names; some are shown only if they are named.
    """
    quality = [Source(column.metric, column) for column in frame.cases.values()]
    quality += [found for name in asked if chosen_runs(name) and (found := source(frame, name))]
    measured = [
        Source(measure.metric, frame.amounts.cases[measure.column], measure.quantile)
        for measure in MEASURES
        if not measure.optional or _has_any(frame.amounts.cases[measure.column], measure.column)
    ]
    measured += [found for name in asked if node_amount(name) and (found := source(frame, name))]
    passing = [found for name in PER_SUCCESS if (found := source(frame, name)) and (name in asked or _is_known(found))]
    return tuple(quality + measured + passing)


def source(frame: FrozenFrame, name: str) -> Source | None:
    """Find one metric, `None` if the run does not have it."""
    if name in frame.cases:
        return Source(frame.cases[name].metric, frame.cases[name])
    if chosen_runs(name) and PASS_RATE.name in frame.rows:
        column = of_chosen_runs(frame.rows[PASS_RATE.name], frame.row_case, frame.n_cases, name)
        return Source(column.metric, column)
    if name in PER_SUCCESS:
        return _per_success(frame, name)
    if node_amount(name):
        per_row = frame.compared(name)
        return Source(per_row.metric, fold(per_row, frame.row_case, frame.n_cases)) if per_row else None
    measure = _BY_NAME.get(name)
    return Source(measure.metric, frame.amounts.cases[measure.column], measure.quantile) if measure else None


def _per_success(frame: FrozenFrame, name: str) -> Source | None:
    if PASS_RATE.name not in frame.rows:
        return None
    amount = frame.amounts.rows[PER_SUCCESS[name]]
    made = per_success(name, amount, frame.rows[PASS_RATE.name], frame.row_case, frame.is_planned)
    return Source(made.column.metric, made.column, per_success=made)


def _is_known(found: Source) -> bool:
    return bool((found.column.status == SCORED).any())


def cell(frame: FrozenFrame, metric: Source, cohort: str, *, confidence_level: float = 0.95) -> Cell:
    """Estimate a metric in a cohort, and count the cases that it applies to.

    Args:
        frame: the run.
        metric: metric from `source` or `sources`.
        cohort: a key of `frame.cohorts`.
        confidence_level: two-sided; 0.90 gives one-sided 95 % bounds.
    """
    where = frame.cohorts[cohort]
    counts = np.bincount(metric.column.status[where], minlength=4).tolist()
    return Cell(
        metric=metric.metric.name,
        cohort=cohort,
        estimate=_estimate(frame, metric, where, confidence_level),
        n_cases=counts[SCORED] + counts[UNSCORED] + counts[ERRORED],
        n_scored=counts[SCORED],
        n_unscored=counts[UNSCORED],
        n_errored=counts[ERRORED],
    )


def outcome_cells(frame: FrozenFrame) -> list[Cell]:
    """Estimate `pass_rate` and the scorers' metrics by outcome and by turn."""
    found = []
    for label, rows in frame.outcomes.groups():
        for name, column in frame.rows.items():
            rule = frame.repeat_rule if name == PASS_RATE.name else None
            values = by_case(column, rows, frame.row_case, frame.n_cases, rule)
            found.append(replace(cell(frame, Source(column.metric, values), OVERALL), cohort=label))
    for label, column in frame.turns.groups(frame.metrics, frame.row_case, frame.n_cases):
        found.append(replace(cell(frame, Source(column.metric, column), OVERALL), cohort=label))
    return [each for each in found if each.n_cases]


def _has_any(column: Column, name: str) -> bool:
    codes = (SCORED, UNSCORED) if name in ("judge_cost_usd", "user_cost_usd") else (SCORED,)
    return bool(np.isin(column.status, codes).any())


def _estimate(frame: FrozenFrame, metric: Source, where: Ints, confidence_level: float) -> Estimate:
    if metric.per_success is not None:
        weights = None if frame.sample is None else frame.sample.weights
        return metric.per_success.estimate(where, frame.clusters, weights, confidence_level)
    scored = where[metric.column.status[where] == SCORED]
    values = metric.column.at(scored)
    if not len(values):
        return Estimate(value=None, confidence_level=confidence_level, reason=_why_none(metric, where))
    if metric.quantile is not None:
        return intervals.quantile_bounds(values, metric.quantile, confidence_level=confidence_level)
    sample = frame.sample
    if sample is not None and len(np.unique(sample.weights[scored])) > 1:
        inside = replace(sample, weights=sample.weights[scored], strata=sample.strata[scored])
        return weighted(values, inside, frame.clusters[scored], metric.metric, confidence_level=confidence_level)
    return mean(values, frame.clusters[scored], metric.metric, confidence_level=confidence_level)


def mean(values: Floats, clusters: Ints, metric: Metric, *, confidence_level: float = 0.95) -> Estimate:
    """Estimate a mean over cases: Wilson for a rate, else t; cluster-robust if a cluster holds two cases.

    Equal values do not prove that the metric has no spread, so their interval is as wide as Wilson's for 0 of n
    differing cases, over the metric's range.

    Args:
        values: one finite number per case, shape (n,), n >= 1.
        clusters: cluster number per case, shape (n,).
        metric: source of the range, and of whether the values are rates.
        confidence_level: two-sided.
    """
    n_clusters = len(np.unique(clusters))
    independent = n_clusters == len(values)
    if independent and metric.binary and bool(((values == 0) | (values == 1)).all()):
        return intervals.wilson(int(values.sum()), len(values), confidence_level=confidence_level)
    if math.isfinite(metric.high - metric.low) and values.min() == values.max():
        return _flat(float(values[0]), len(values), n_clusters, metric, confidence_level)
    if independent:
        estimate = intervals.mean_t(values, confidence_level=confidence_level)
    else:
        estimate = intervals.cluster_robust(values, clusters.tolist(), confidence_level=confidence_level)
    return _inside(estimate, metric)


def _flat(value: float, n: int, n_clusters: int, metric: Metric, confidence_level: float) -> Estimate:
    unseen = intervals.wilson(0, n_clusters, confidence_level=confidence_level).high or 0.0
    return Estimate(
        value=value,
        low=value - (value - metric.low) * unseen,
        high=value + (metric.high - value) * unseen,
        n=n,
        method="wilson, no spread" if n_clusters == n else "wilson over clusters, no spread",
        confidence_level=confidence_level,
    )


def _inside(estimate: Estimate, metric: Metric) -> Estimate:
    """Clip the interval of a mean to the range of the scale."""
    if estimate.low is None or estimate.high is None:
        return estimate
    return replace(estimate, low=max(estimate.low, metric.low), high=min(estimate.high, metric.high))


def _why_none(metric: Source, where: Ints) -> str:
    status = metric.column.status[where]
    unscored, errored = int((status == UNSCORED).sum()), int((status == ERRORED).sum())
    if unscored + errored == 0:
        return "applies to no case"
    if chosen := chosen_runs(metric.metric.name):
        return f"no case has {plural(chosen[1], 'scored run')}"
    word = "unscored" if metric.metric.name not in _BY_NAME else "unknown"
    missing = [(unscored, word), (errored, "without an answer")]
    return "no case has a value: " + ", ".join(f"{count:,} {why}" for count, why in missing if count)
