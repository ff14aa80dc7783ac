"""Show one metric over the stored runs of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.results import Summary
from evalkit.store.history import PastRun, break_between
from evalkit.text.numbers import Style, figure

_MOST_LINES = 6


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
    return tuple(trend_of(past, metric, styles[metric], own=metric in declared) for metric in shown[:_MOST_LINES])


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
