"""Show one metric over the stored runs of a suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.results import Summary
from evalkit.store.history import CohortRate, PastRun, break_between
from evalkit.text.numbers import Style, difference, figure

_MOST_LINES = 6
AGAINST = "pass rate against the reference system"
GAP = "pass rate open minus held-out"
_RATE = "pass_rate"


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
    return (*lines, *(each for each in (reference_trend(past), held_trend(past)) if each is not None))


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
    return _differences(AGAINST, past, lambda run: run.reference, _other_reference)


def held_trend(past: Sequence[PastRun]) -> Trend | None:
    """Return the trend of the gap between open and held-out cases; `None` if fewer than two runs have it."""
    return _differences(GAP, past, lambda run: run.held_gap, lambda was, run: break_between(was, run, _RATE, own=False))


def _differences(
    name: str,
    past: Sequence[PastRun],
    rate_of: Callable[[PastRun], CohortRate | None],
    breaks: Callable[[PastRun, PastRun], str],
) -> Trend | None:
    runs = [(run, rate) for run in past if (rate := rate_of(run)) is not None]
    if len(runs) < 2:
        return None
    before = [None, *(run for run, _ in runs)]
    points = [
        TrendPoint(
            run_id=run.run_id,
            date=_date(run),
            outcome=run.outcome,
            value=rate.value,
            shown=difference(rate.value, Style("rate"), rate.n),
            break_before=breaks(was, run) if was is not None else "",
            interval=(rate.low, rate.high) if rate.low is not None and rate.high is not None else None,
        )
        for was, (run, rate) in zip(before, runs, strict=False)
    ]
    known = sorted(points, key=lambda point: point.value or 0.0)
    return Trend(name, tuple(points), known[0].shown, known[-1].shown)


def _date(run: PastRun) -> str:
    return run.finished_at[:16].replace("T", " ")


def _other_reference(before: PastRun, run: PastRun) -> str:
    if before.reference_system != run.reference_system:
        return "another reference system"
    return break_between(before, run, _RATE, own=False, one_set=False)


def _points(past: Sequence[PastRun], metric: str, style: Style, *, own: bool) -> list[TrendPoint]:
    points, before = [], None
    for run in past:
        value = run.values.get(metric)
        points.append(
            TrendPoint(
                run_id=run.run_id,
                date=_date(run),
                outcome=run.outcome,
                value=value,
                shown=figure(value, style, run.counts.get(metric, 0)),
                break_before=break_between(before, run, metric, own=own) if before else "",
                interval=run.intervals.get(metric) if value is not None else None,
            )
        )
        before = run
    return points
