"""Build the tables of a report: metric by cohort, and latency and cost by cohort."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from evalkit.report.headline import ORDER
from evalkit.results import OVERALL, Cell, Check, CheckOutcome, Decision, Summary
from evalkit.text.numbers import RESOURCES, Style, bounds, difference, dropped, estimated, figure
from evalkit.types import Metric

Moved = Literal["worse", "better", "same"]
FEW_CASES = 30
"""Below this many cases a cell is hatched."""


@dataclass(frozen=True, slots=True)
class CohortCell:
    """One metric in one cohort, with the gate's result."""

    value: str
    interval: str
    n: int
    missing: str
    """Cases without a score in words, empty if there are none."""
    base: str
    base_value: float | None
    drop: str
    drop_interval: str
    change: str
    """Distance from the baseline, without a sign: `18 pts`; empty if nothing was compared."""
    moved: Moved | None
    outcome: CheckOutcome | None
    heat: int | None
    """Tint from 0 (best) to 5 (worst) over the metric's range; `None` if the metric has no direction or no value."""
    few: bool
    reason: str
    cell: Cell


@dataclass(frozen=True, slots=True)
class CohortRow:
    """All metrics of one cohort, in the order of `View.metrics`."""

    cohort: str
    coverage: str
    cells: tuple[CohortCell | None, ...]


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """Latency and cost of one cohort, in the order of `View.resource_metrics`."""

    cohort: str
    values: tuple[str, ...]


def quality_metrics(summary: Summary, styles: Mapping[str, Style]) -> tuple[Metric, ...]:
    """Return the columns of the cohort table: derived metrics (such as `pass_rate`), then every declared metric."""
    declared = {metric.name: metric for metric in summary.metrics}
    derived = dict.fromkeys(cell.metric for cell in summary.cells if cell.metric not in declared)
    metrics = [
        Metric(name, binary=True) if styles[name].unit == "rate" else Metric(name, high=float("inf"))
        for name in derived
    ]
    return tuple(metric for metric in [*metrics, *summary.metrics] if styles[metric.name].unit not in RESOURCES)


def cohort_rows(
    summary: Summary, decision: Decision, metrics: tuple[Metric, ...], styles: Mapping[str, Style]
) -> tuple[CohortRow, ...]:
    """Return the metrics by cohort: `overall` first, then the worst, with cohorts of one name together."""
    cells = {(cell.cohort, cell.metric): cell for cell in summary.cells}
    checks: dict[tuple[str, str], list[Check]] = {}
    for check in decision.checks:
        checks.setdefault((check.cohort, check.metric), []).append(check)
    shown = {metric.name for metric in metrics}
    names = dict.fromkeys(cell.cohort for cell in summary.cells if cell.metric in shown)
    ordered = _worst_first(names, cells, metrics[0]) if metrics else list(names)
    return tuple(
        CohortRow(
            cohort,
            share_of(*summary.coverage[cohort]) if cohort in summary.coverage else "",
            tuple(
                _cohort_cell(cell, metric, checks.get((cohort, metric.name), []), styles[metric.name])
                if (cell := cells.get((cohort, metric.name)))
                else None
                for metric in metrics
            ),
        )
        for cohort in ordered
    )


def standing(cell: Cell, metric: Metric) -> float:
    """Return the best plausible value, so that a certainly bad cohort comes before one with a single failed case.

    This is the better bound of the interval; without an interval the value; without a value infinity.
    """
    made = cell.estimate
    if made.value is None:
        return math.inf
    bound = made.high if metric.higher_is_better else made.low
    best = made.value if bound is None else bound
    return best if metric.higher_is_better else -best


def _worst_first(names: Iterable[str], cells: Mapping[tuple[str, str], Cell], metric: Metric) -> list[str]:
    """Sort by the first metric of the table; cohorts without a value come last."""

    def badness(name: str) -> float:
        return standing(cells[name, metric.name], metric) if (name, metric.name) in cells else math.inf

    groups: dict[str, float] = {}
    for name in names:
        group = name.partition("=")[0]
        groups[group] = min(groups.get(group, math.inf), badness(name))
    return sorted(
        names,
        key=lambda name: (name != OVERALL, groups[name.partition("=")[0]], name.partition("=")[0], badness(name), name),
    )


def _cohort_cell(cell: Cell, metric: Metric, checks: list[Check], style: Style) -> CohortCell:
    estimate = cell.estimate
    against = next((check for check in checks if check.baseline is not None), None)
    drop = against.drop.value if against and against.drop else None
    missing = [(cell.n_unscored, "unscored"), (cell.n_errored, "errored")]
    return CohortCell(
        value=figure(estimate.value, style, estimate.n) if estimate.value is not None else "undefined",
        interval=bounds(estimate, style),
        n=cell.n_scored,
        missing=", ".join(f"{count:,} {word}" for count, word in missing if count),
        base=figure(against.baseline, style, estimate.n) if against else "",
        base_value=against.baseline if against else None,
        drop=dropped(against.drop, style) if against else "",
        drop_interval=bounds(against.drop, style) if against and against.drop else "",
        change=difference(abs(drop), style, estimate.n) if drop is not None else "",
        moved=None if drop is None else "worse" if drop > 0 else "better" if drop < 0 else "same",
        outcome=min((check.outcome for check in checks), key=ORDER.index, default=None),
        heat=_heat(estimate.value, metric),
        few=cell.n_scored < FEW_CASES,
        reason=estimate.reason,
        cell=cell,
    )


def _heat(value: float | None, metric: Metric) -> int | None:
    """Return the tint of a value: 0 for the top twentieth of the range, up to 5 below half."""
    if value is None or metric.diagnostic or not metric.low < metric.high < float("inf"):
        return None
    share = (value - metric.low) / (metric.high - metric.low)
    good = share if metric.higher_is_better else 1 - share
    return sum(good < edge for edge in (0.95, 0.9, 0.8, 0.7, 0.5))


def known_overall_only(summary: Summary, names: Iterable[str]) -> tuple[str, ...]:
    """Return the metrics of latency and cost with no value in any cohort; they have no column."""
    apart = [cell for cell in summary.cells if cell.cohort != OVERALL]
    known = {cell.metric for cell in apart if cell.estimate.value is not None}
    return tuple(name for name in names if apart and name not in known)


def resource_rows(summary: Summary, names: tuple[str, ...], styles: Mapping[str, Style]) -> tuple[ResourceRow, ...]:
    """Return latency and cost by cohort, `overall` first."""
    cells = {(cell.cohort, cell.metric): cell for cell in summary.cells if cell.metric in names}
    cohorts = sorted(dict.fromkeys(cohort for cohort, _ in cells), key=lambda cohort: cohort != OVERALL)
    return tuple(
        ResourceRow(
            cohort,
            tuple(
                estimated(cell.estimate, styles[name]) if (cell := cells.get((cohort, name))) else "" for name in names
            ),
        )
        for cohort in cohorts
    )


def overall_coverage(summary: Summary) -> tuple[int, int]:
    """Return the scored and expected rows of the whole run."""
    return summary.coverage.get(OVERALL, (summary.states.get("scored", 0), summary.expected))


def share_of(scored: int, expected: int) -> str:
    """Format a share with its counts; without cases it is undefined."""
    if not expected:
        return "undefined: no case was expected"
    return f"{figure(scored / expected, Style('rate'), expected)} ({scored:,} of {expected:,})"
