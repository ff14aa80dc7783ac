"""Show one metric over the stored runs of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.results import Summary
from evalkit.store.history import PastRun, break_between
from evalkit.text.numbers import Style, difference, figure

_MOST_LINES = 6
AGAINST = "pass rate against the reference system"


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One run."""

    run_id: str
    date: str
    outcome: str
    value: float | None
    shown: str
    break_before: str
    """Why the value cannot be compared with the previous one; empty if it can."""
    interval: tuple[float, float] | None = None
    """95 % interval of the value, `None` if it has none."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One metric over the runs, the oldest first."""

    metric: str
    points: tuple[TrendPoint, ...]
    lowest: str
    highest: str


def trends(
    past: Sequence[PastRun], summary: Summary, gated: Sequence[str], styles: Mapping[str, Style]
) -> tuple[Trend, ...]:
    """Return the trends of the metrics that the gate uses; none if fewer than two runs are stored.

    Args:
        past: the oldest first, including this run.
        summary: summary of this run.
        gated: metrics that the gate uses, in the order of the table.
        styles: style of each metric.
    """
    if len(past) < 2:
        return ()
    declared = {metric.name for metric in summary.metrics}
    shown = [metric for metric in gated if sum(metric in run.values for run in past) > 1]
    lines = [trend_of(past, metric, styles[metric], own=metric in declared) for metric in shown[:_MOST_LINES]]
    compared = reference_trend(past)
    return (*lines, *([compared] if compared is not None else []))


def trend_of(past: Sequence[PastRun], metric: str, style: Style, *, own: bool) -> Trend:
    """Return the trend of one metric.

    Args:
        past: the oldest first; at least one of them has the metric.
        metric: its name.
        style: its style.
        own: whether the metric is one scorer's.
    """
    points = tuple(_points(past, metric, style, own=own))
    known = sorted((point for point in points if point.value is not None), key=lambda point: point.value or 0.0)
    return Trend(metric, points, known[0].shown, known[-1].shown)


def reference_trend(past: Sequence[PastRun]) -> Trend | None:
    """Return the trend of the pass rate against the reference system; `None` if fewer than two runs have it.

    Each difference is of one set, on which both were run, so the line goes on where the set changes.
    """
    runs = [run for run in past if run.reference is not None]
    if len(runs) < 2:
        return None
    points, before = [], None
    for run in runs:
        rate = run.reference
        assert rate is not None  # noqa: S101 - chosen above
        points.append(
            TrendPoint(
                run_id=run.run_id,
                date=run.finished_at[:16].replace("T", " "),
                outcome=run.outcome,
                value=rate.value,
                shown=difference(rate.value, Style("rate"), rate.n),
                break_before=_other_reference(before, run) if before is not None else "",
                interval=(rate.low, rate.high) if rate.low is not None and rate.high is not None else None,
            )
        )
        before = run
    known = sorted(points, key=lambda point: point.value or 0.0)
    return Trend(AGAINST, tuple(points), known[0].shown, known[-1].shown)


def _other_reference(before: PastRun, run: PastRun) -> str:
    if before.reference_system != run.reference_system:
        return "another reference system"
    return break_between(before, run, "pass_rate", own=False, one_set=False)


def _points(past: Sequence[PastRun], metric: str, style: Style, *, own: bool) -> list[TrendPoint]:
    points, before = [], None
    for run in past:
        value = run.values.get(metric)
        points.append(
            TrendPoint(
                run_id=run.run_id,
                date=run.finished_at[:16].replace("T", " "),
                outcome=run.outcome,
                value=value,
                shown=figure(value, style, run.counts.get(metric, 0)),
                break_before=break_between(before, run, metric, own=own) if before else "",
                interval=run.intervals.get(metric) if value is not None else None,
            )
        )
        before = run
    return points
