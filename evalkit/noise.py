"""What a suite can see: how much one system differs from itself, and which drops that lets the gate find."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.aggregate.columns import Ints
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import ABSENT, SCORED
from evalkit.gate.baseline import Pairing
from evalkit.gate.policy import NoRegression, within
from evalkit.gate.regression import ALPHA, gates_of, run_tests
from evalkit.results import OVERALL, Estimate
from evalkit.stats.intervals import wilson
from evalkit.stats.paired import critical_value, minimum_detectable_drop

ASSUMED_FLIPS = 0.085
"""Share of cases that flip between two runs where nothing is known: that of the case model of the benchmark."""
WANTED_DROP = 0.10
"""The drop that `cases_needed` is for."""
MORE_REPEATS = 3
MOST_CASES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Detectable:
    """What one gate can see.

    Attributes:
        metric: of the gate.
        cohort: `overall` or `name=value`.
        n: cases.
        flips: mean squared difference between two runs of one system, in shares of the metric's range: for pass/fail
            the share of cases that flip; `None` where no case has two scored runs.
        smallest_drop: that the gate finds 4 times in 5, in shares of the range; `None` where it finds none.
        with_repeats: the same with 3 runs of every case.
        cases_needed: for a drop of a tenth of the range.
    """

    metric: str
    cohort: str
    n: int
    flips: float | None
    smallest_drop: float | None
    with_repeats: float | None
    cases_needed: int | None


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What several runs of one system show: every gate, and how often the gate blocks a system for being itself."""

    repeats: int
    gates: tuple[Detectable, ...]
    false_blocks: Estimate


def noise_of(
    frame: FrozenFrame,
    policy: NoRegression,
    metrics: Sequence[str],
    *,
    critical: frozenset[str],
    trials: int,
    seed: int,
) -> Noise:
    """Compare the repeats of one run with each other.

    Args:
        frame: a run whose cases have two repeats or more.
        policy: which cohorts.
        metrics: that the gate compares.
        critical: cohorts that are tested in a family of their own.
        trials: comparisons of two runs that are put together from the repeats, each case's drawn at random.
        seed: of the draws.

    Raises:
        ValueError: no case has two repeats.
    """
    if frame.n_repeats < 2:
        raise ValueError("no case has two repeats; run the suite with repeats")
    rng = np.random.default_rng(seed)
    cohorts = within(frame.cohorts, policy.by)
    counts = {name: {cohort: cases_in(frame, name, cohort) for cohort in cohorts} for name in metrics}
    flips = {(name, cohort): flips_in(frame, name, cohort) for name in metrics for cohort in cohorts}
    blocked = sum(_blocks_itself(frame, policy, metrics, critical, rng) for _ in range(trials))
    return Noise(
        repeats=frame.n_repeats,
        gates=detectable(counts, flips, critical=critical, alpha=policy.alpha or ALPHA),
        false_blocks=wilson(blocked, trials),
    )


def detectable(
    counts: Mapping[str, Mapping[str, int]],
    flips: Mapping[tuple[str, str], float | None],
    *,
    critical: frozenset[str],
    alpha: float,
    metrics: int = 1,
) -> tuple[Detectable, ...]:
    """What each metric can see in each cohort.

    Args:
        counts: metric -> cohort -> cases that it applies to; a gate without cases is none.
        flips: (metric, cohort) -> what is known of the noise; where it is `None`, 8.5 % is assumed.
        critical: cohorts that are tested in a family of their own.
        alpha: chance that any gate blocks an unchanged system.
        metrics: that the gate compares for each one of `counts`, where not all of them are known yet.
    """
    gates = [(metric, cohort) for metric, by_cohort in counts.items() for cohort, n in by_cohort.items() if n]
    sizes = {family: metrics * sum((cohort in critical) is family for _, cohort in gates) for family in (True, False)}
    share = alpha / 2 if sizes[True] else alpha
    found = []
    for metric, by_cohort in counts.items():
        for cohort, n in ((cohort, n) for cohort, n in by_cohort.items() if n):
            known = flips.get((metric, cohort))
            least = critical_value(max(1, sizes[cohort in critical]), share)
            noise = ASSUMED_FLIPS if known is None else known
            found.append(
                Detectable(
                    metric=metric,
                    cohort=cohort,
                    n=n,
                    flips=known,
                    smallest_drop=minimum_detectable_drop(n, noise, critical_value=least),
                    with_repeats=minimum_detectable_drop(n, noise / MORE_REPEATS, critical_value=least),
                    cases_needed=_cases_needed(noise, least),
                )
            )
    return tuple(found)


def cases_in(frame: FrozenFrame, metric: str, cohort: str) -> int:
    """Cases of a cohort that a metric applies to."""
    column = frame.cases[metric]
    return int((column.status[frame.cohorts[cohort]] != ABSENT).sum())


def _cases_needed(noise: float, least: float) -> int | None:
    """Fewest cases whose smallest drop is a tenth."""

    def enough(n: int) -> bool:
        drop = minimum_detectable_drop(n, noise, critical_value=least)
        return drop is not None and drop <= WANTED_DROP

    low, high = 1, MOST_CASES
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def flips_in(frame: FrozenFrame, metric: str, cohort: str) -> float | None:
    """Mean over the cases of a cohort of the squared difference between two of its repeats."""
    column = frame.rows[metric]
    reach = column.metric.high - column.metric.low
    known = column.status == SCORED
    inside = np.isin(frame.row_case, frame.cohorts[cohort]) & known
    if not math.isfinite(reach) or reach <= 0 or not inside.any():
        return None
    cases, values = frame.row_case[inside], column.values[inside] / reach
    counts = np.bincount(cases, minlength=frame.n_cases)
    sums = np.bincount(cases, values, frame.n_cases)
    squares = np.bincount(cases, values**2, frame.n_cases)
    several = counts >= 2
    if not several.any():
        return None
    variances = (squares[several] - sums[several] ** 2 / counts[several]) / (counts[several] - 1)
    return float(np.mean(2 * np.clip(variances, 0.0, None)))


def _blocks_itself(
    frame: FrozenFrame,
    policy: NoRegression,
    metrics: Sequence[str],
    critical: frozenset[str],
    rng: np.random.Generator,
) -> bool:
    """Whether one half of a system's repeats blocks the other."""
    first, second = _two_repeats(frame, rng)
    pairing = Pairing(frame, frame, np.arange(frame.n_cases), second, first)
    gates = gates_of(pairing, policy, dict.fromkeys(metrics, True), critical)
    tested = run_tests(frame, gates, alpha=policy.alpha or ALPHA, seed=int(rng.integers(2**31)))
    return any(each.outcome == "block" for each in tested)


def _two_repeats(frame: FrozenFrame, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Rows of two different repeats of each case that has them, drawn at random."""
    order = np.lexsort((rng.random(len(frame.row_case)), frame.row_case))
    cases = frame.row_case[order]
    starts = np.flatnonzero(np.r_[True, cases[1:] != cases[:-1]])
    lengths = np.diff(np.r_[starts, len(cases)])
    starts = starts[lengths >= 2]
    return order[starts], order[starts + 1]


def advice_on(gates: Sequence[Detectable]) -> list[str]:
    """Where more cases, or more repeats, would help most: a sentence for each cohort that sees no drop of 20 points."""
    lines = []
    for each in gates:
        if each.smallest_drop is not None and each.smallest_drop <= 2 * WANTED_DROP:
            continue
        where = "overall" if each.cohort == OVERALL else each.cohort
        start = f"{each.metric} in {where}: {each.n} cases"
        if each.cases_needed is not None:
            start += f"; {each.cases_needed:,} would find a drop of 10 points"
        if each.with_repeats is not None and (each.smallest_drop or 1.0) - each.with_repeats >= 0.05:
            start += f"; 3 repeats bring {_points(each.smallest_drop)} down to {_points(each.with_repeats)}"
        lines.append(start)
    return lines


def _points(drop: float | None) -> str:
    return "no drop at all" if drop is None else f"{100 * drop:.0f} points"
