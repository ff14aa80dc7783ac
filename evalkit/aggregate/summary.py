"""Summarise the rows of a run: every metric by cohort, with intervals and counts of what could not be scored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from evalkit.aggregate.cells import Source, cell, outcome_cells, sources
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.node_table import too_many
from evalkit.aggregate.production import PRODUCTION_RATE, production_cell
from evalkit.aggregate.statuses import chosen_runs
from evalkit.results import OVERALL, Cell, Estimate, Summary
from evalkit.stats.sampling import effective_n
from evalkit.text.numbers import plural
from evalkit.types import Metric

SMALL_COHORT = 30
"""Number of cases below which a cohort is marked."""
MONTHLY_COST = Metric(name="monthly_cost_usd", high=math.inf, higher_is_better=False, unit="USD")
THROUGHPUT = Metric(name="throughput_per_s", high=math.inf, unit="cases/s")


def summarise(  # noqa: PLR0913 - what a summary depends on besides the rows, each with a default
    frame: FrozenFrame,
    *,
    suite: str,
    expected: int,
    repeats: int | None = None,
    production: Mapping[str, float] | None = None,
    traffic_per_month: int | None = None,
    wall_s: float | None = None,
    asked: Sequence[str] = (),
) -> Summary:
    """Estimate every metric overall and in each cohort, independent of the order of the rows.

    Judges' grades are used as they are; `judges.with_judges` adds their agreement with people.

    Args:
        frame: the frozen rows.
        suite: its name.
        expected: number of planned rows.
        repeats: planned repeats of every case, `None` to use all repeats.
        production: cohort label -> share of production, for `pass_rate_production`.
        traffic_per_month: calls a month, for `monthly_cost_usd`.
        wall_s: seconds that the run took, for `throughput_per_s`.
        asked: metrics that the gate names; metrics such as `pass_all_3` exist only if named.

    Returns:
        If a metric applies to no case of a cohort, it has no cell there. If it applies but has no value, its cell has
        no value either. Repeats of a case are averaged and never counted as cases.
    """
    found = sources(frame, asked)
    cells = [each for metric in found for each in _cells(frame, metric, asked)]
    mixed = production_cell(frame, production or {})
    extra = [*_monthly_cost(cells, traffic_per_month), *_throughput(frame, wall_s)]
    extra += [(PRODUCTION_RATE, mixed)] if mixed is not None else []
    metrics = [metric.metric for metric in found if any(each.metric == metric.metric.name for each in cells)]
    return Summary(
        suite=suite,
        n_cases=frame.n_cases,
        n_repeats=frame.n_repeats,
        expected=expected,
        states=frame.states,
        metrics=(*metrics, *(metric for metric, _ in extra)),
        cells=(*cells, *(each for _, each in extra)),
        coverage=coverage(frame, expected, repeats),
        unscored_kinds=frame.unscored_kinds,
        error_kinds=frame.error_kinds,
        notes=(*_notes(frame), *_too_few_runs(cells), *too_many(len(set(frame.nodes.codes.tolist())))),
        outcomes=tuple(outcome_cells(frame)),
        nodes=frame.nodes.figures(frame.is_planned),
    )


def coverage(frame: FrozenFrame, expected: int, repeats: int | None = None) -> Mapping[str, tuple[int, int]]:
    """Count scored and expected rows: overall against the plan, in a cohort against its rows seen.

    Repeats beyond the plan, from running cases again, do not count. A row is scored if the system answered and no
    metric is unscored, except metrics that are only shown.
    """
    planned = frame.repeats < (np.inf if repeats is None else repeats)
    scored = np.bincount(frame.row_case[frame.covered & planned], minlength=frame.n_cases)
    seen = np.bincount(frame.row_case[planned], minlength=frame.n_cases)
    counts = {name: (int(scored[where].sum()), int(seen[where].sum())) for name, where in frame.cohorts.items()}
    return {**counts, OVERALL: (counts[OVERALL][0], expected)}


def _cells(frame: FrozenFrame, metric: Source, asked: Sequence[str]) -> list[Cell]:
    # A bootstrap of every cohort would take longer than the rest of the summary.
    whole = metric.per_success is not None and metric.metric.name not in asked
    cells = [cell(frame, metric, cohort) for cohort in ((OVERALL,) if whole else frame.cohorts)]
    return [each for each in cells if each.n_cases]


def _monthly_cost(cells: Sequence[Cell], traffic: int | None) -> list[tuple[Metric, Cell]]:
    cost = next((each for each in cells if each.metric == "cost_per_case_usd" and each.cohort == OVERALL), None)
    if traffic is None or cost is None:
        return []

    def scaled(value: float | None) -> float | None:
        return None if value is None else value * traffic

    was = cost.estimate
    monthly = Estimate(
        value=scaled(was.value),
        low=scaled(was.low),
        high=scaled(was.high),
        n=was.n,
        method=f"cost per case x {traffic} calls a month",
        confidence_level=was.confidence_level,
        reason=was.reason,
    )
    return [(MONTHLY_COST, replace(cost, metric=MONTHLY_COST.name, estimate=monthly))]


def _throughput(frame: FrozenFrame, wall_s: float | None) -> list[tuple[Metric, Cell]]:
    if wall_s is None or wall_s <= 0 or not len(frame.row_case):
        return []
    rows = len(frame.row_case)
    estimate = Estimate(value=rows / wall_s, n=rows, method="rows / wall seconds", reason="one run has no interval")
    per_second = Cell(
        metric=THROUGHPUT.name,
        cohort=OVERALL,
        estimate=estimate,
        n_cases=frame.n_cases,
        n_scored=frame.n_cases,
    )
    return [(THROUGHPUT, per_second)]


def _weighting(frame: FrozenFrame) -> Iterator[str]:
    if frame.sample is not None:
        total, worth = round(float(frame.sample.weights.sum())), effective_n(frame.sample.weights)
        what = f"a sample: {frame.n_cases} cases represent {total}, with an effective size of {worth:.0f}"
        yield f"{what}; rates and means are weighted, quantiles and tests against the baseline are those of the sample"


def _too_few_runs(cells: Sequence[Cell]) -> Iterator[str]:
    """Count the cases that have too few scored runs for pass^k or pass@k."""
    for each in cells:
        chosen = chosen_runs(each.metric)
        if chosen and each.cohort == OVERALL and each.n_scored < each.n_cases:
            short = each.n_cases - each.n_scored
            have = f"{short:,} of {plural(each.n_cases, 'case')} {'has' if short == 1 else 'have'}"
            yield f"{each.metric}: {have} fewer than {plural(chosen[1], 'scored run')}, and no value"


def _notes(frame: FrozenFrame) -> tuple[str, ...]:
    notes = [*_weighting(frame)]
    small = [f"{name} ({len(where)})" for name, where in frame.cohorts.items() if len(where) < SMALL_COHORT]
    if small:
        notes.append(f"fewer than {SMALL_COHORT} cases, so wide intervals and weak tests: {', '.join(small)}")
    for name, gap in frame.cohort_gaps.items():
        notes.append(f"{plural(gap, 'case')} without `{name}`: counted overall, and in no cohort of that name")
    if frame.n_replayed:
        notes.append(f"{plural(frame.n_replayed, 'replayed answer')}: latency is left out, cost is the stored one")
    for reason, count in frame.skipped_reasons.items():
        notes.append(f"{plural(count, 'case')} skipped: {reason}")
    return tuple(notes)
