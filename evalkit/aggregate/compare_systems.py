"""Compare several systems that were asked the same cases: differences, ranks, the best one, frontier and factors.

Differences to the reference are one family of tests, all pairs another, both two-sided at .05. Cohorts are described.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from evalkit.aggregate.cells import mean
from evalkit.aggregate.columns import Floats
from evalkit.aggregate.system_columns import (
    RANKED_FROM,
    Bools,
    SystemColumns,
    SystemTable,
    align,
    known_amount,
    scored_share,
)
from evalkit.aggregate.system_comparison import (
    CohortDifference,
    RankInterval,
    SystemComparison,
    SystemFigures,
)
from evalkit.aggregate.system_factors import effects_of, matrix_of
from evalkit.aggregate.system_frontier import FrontierPlace, places_of
from evalkit.aggregate.system_notes import notes_of
from evalkit.results import Estimate
from evalkit.stats import system_ranks
from evalkit.stats.differences import of_pairs, simultaneous, two_sided_p
from evalkit.stats.intervals import quantile_bounds
from evalkit.types import Metric

LEAST_IN_COHORT = 5
"""Cases with a value below which a cohort is not shown."""
_PARTS = ("intervals", "reference", "ranks", "cases", "frontier", "effects", "interaction")


@dataclass(frozen=True)
class _Ranks:
    """Ranks, candidates and the winner, among the systems that have enough values."""

    intervals: Mapping[str, RankInterval] = field(default_factory=dict)
    candidates: tuple[str, ...] = ()
    winner_shrunken: float | None = None
    cases_to_part: int | None = None


def compare_systems(  # noqa: PLR0913 - what a comparison depends on besides the systems
    systems: Sequence[SystemColumns],
    *,
    suite: str,
    primary: str,
    reference: str,
    release: Sequence[str] = (),
    seed: int,
    interleaved: bool = True,
) -> SystemComparison:
    """Compare systems case by case, independent of the order of their rows.

    Args:
        systems: in the order of the suite.
        suite: its name.
        primary: name of the metric that the columns hold.
        reference: name of the system that the others are compared with.
        release: names of the systems whose gates give the exit code.
        seed: seed of all draws.
        interleaved: whether the systems were called in turn, so that their latencies can be compared.

    Raises:
        ValueError: no such reference or release system, or the columns do not fit together (see `align`).
    """
    table = align(systems)
    names = [each.name for each in systems]
    for name in (reference, *release):
        if name not in names:
            raise ValueError(f"systems: none is named {name!r}; name one of {', '.join(names)}")
    ranked = [scored_share(each) >= RANKED_FROM for each in systems]
    ranks = _ranks(table, ranked, seed)
    places = places_of(table, ranked, _rng(seed, "frontier"), interleaved=interleaved)
    contrasts = _contrasts(table, names.index(reference), seed)
    matrix = matrix_of(table, ranked)
    effects, interaction = effects_of(table, matrix, partial(_rng, seed)) if matrix else ((), None)
    return SystemComparison(
        suite=suite,
        primary=primary,
        higher_is_better=table.metric.higher_is_better,
        metric=table.metric,
        reference=reference,
        release=tuple(release),
        systems=tuple(
            _figures(table, number, contrasts.get(number), ranks.intervals.get(name), places[number])
            for number, name in enumerate(names)
        ),
        candidates=ranks.candidates,
        winner_shrunken=ranks.winner_shrunken,
        cases_to_part=ranks.cases_to_part,
        false_mark_rate=system_ranks.LEVEL if len(systems) > 1 else None,
        effects=effects,
        interaction_p=interaction,
        cohorts=tuple(_cohort_differences(table, names.index(reference))),
        disagreements=_disagreements(table),
        notes=tuple(notes_of(table, ranked, matrix, interleaved=interleaved)),
        interleaved=interleaved,
    )


def _rng(seed: int, part: str) -> np.random.Generator:
    return np.random.default_rng([seed, _PARTS.index(part)])


def _ranks(table: SystemTable, ranked: Sequence[bool], seed: int) -> _Ranks:
    chosen = [number for number, has_rank in enumerate(ranked) if has_rank]
    if not chosen:
        return _Ranks()
    names = [table.systems[number].name for number in chosen]
    values, clusters = table.sign * table.values[:, chosen], table.clusters
    better = system_ranks.surely_better(values, clusters, rng=_rng(seed, "ranks"))
    intervals = [RankInterval(best=best, worst=worst) for best, worst in system_ranks.rank_intervals(better)]
    candidates = tuple(name for name, interval in zip(names, intervals, strict=True) if interval.best == 1)
    if len(chosen) == 1:
        return _Ranks(dict(zip(names, intervals, strict=True)), candidates)
    means = np.nanmean(values, axis=0)
    first, second = sorted(range(len(chosen)), key=lambda at: (-means[at], names[at]))[:2]
    shrunken = system_ranks.shrunken_winner(means, system_ranks.covariance_of_means(values, clusters))
    needed = None
    if not better[first, second]:
        needed = system_ranks.cases_to_part(values, first, second, clusters, rng=_rng(seed, "cases"))
    return _Ranks(
        intervals=dict(zip(names, intervals, strict=True)),
        candidates=candidates,
        winner_shrunken=None if shrunken is None else table.sign * shrunken,
        cases_to_part=needed,
    )


def _contrasts(table: SystemTable, reference: int, seed: int) -> Mapping[int, tuple[Estimate, float | None]]:
    others = [number for number in range(len(table.systems)) if number != reference]
    if not others:
        return {}
    found = of_pairs(table.values, [(number, reference) for number in others], table.clusters)
    estimates = simultaneous(found, span=table.span, rng=_rng(seed, "intervals"))
    p_values = two_sided_p(found, _rng(seed, "reference")).tolist()
    return {
        number: (estimate, p if estimate.n else None)
        for number, estimate, p in zip(others, estimates, p_values, strict=True)
    }


def _figures(
    table: SystemTable,
    number: int,
    contrast: tuple[Estimate, float | None] | None,
    rank: RankInterval | None,
    place: FrontierPlace,
) -> SystemFigures:
    system = table.systems[number]
    known = ~np.isnan(table.values[:, number])
    worst = _worst_cohort(table, number)
    return SystemFigures(
        name=system.name,
        factors=system.factors,
        folder=system.folder,
        n_cases=len(system.cases),
        n_scored=int(known.sum()),
        n_errors=int(system.errored.sum()) if system.errored is not None else 0,
        primary=system.primary or _mean(table, table.values[:, number], known, table.metric),
        difference=contrast[0] if contrast else None,
        p_value=contrast[1] if contrast else None,
        rank=rank,
        worst_cohort=worst[0] if worst else "",
        worst_cohort_value=worst[1] if worst else None,
        cost_usd_per_case=_average(known_amount(system, system.cost_usd)),
        tokens_per_case=_average(known_amount(system, system.tokens)),
        latency_p50_s=_quantile(known_amount(system, system.latency_s), 0.50),
        latency_p95_s=_quantile(known_amount(system, system.latency_s), 0.95),
        frontier=place.label,
        on_frontier=place.on,
        dominated_by=place.dominated_by,
        outcome=system.outcome,
    )


def _average(amounts: Floats | None) -> float | None:
    # An exactly rounded sum does not depend on the order of the rows.
    return None if amounts is None or not len(amounts) else math.fsum(amounts.tolist()) / len(amounts)


def _quantile(amounts: Floats | None, q: float) -> float | None:
    return None if amounts is None else quantile_bounds(amounts, q).value


def _mean(table: SystemTable, values: Floats, known: Bools, metric: Metric) -> Estimate:
    if not known.any():
        return Estimate(value=None, reason="no case has a value")
    return mean(values[known], table.clusters[known], metric)


def _worst_cohort(table: SystemTable, number: int) -> tuple[str, float] | None:
    found = []
    for label, rows in table.cohorts.items():
        values = table.values[rows, number]
        known = values[~np.isnan(values)]
        if len(known) >= LEAST_IN_COHORT:
            found.append((label, float(known.mean())))
    return min(found, key=lambda each: (table.sign * each[1], each[0])) if found else None


def _cohort_differences(table: SystemTable, reference: int) -> Iterator[CohortDifference]:
    """Yield system minus reference for each cohort of at least 5 cases with both values."""
    metric = replace(table.metric, binary=False, low=-table.span, high=table.span)
    for number, system in enumerate(table.systems):
        if number == reference:
            continue
        differences = table.values[:, number] - table.values[:, reference]
        for label, rows in table.cohorts.items():
            inside = rows[~np.isnan(differences[rows])]
            if len(inside) >= LEAST_IN_COHORT:
                estimate = mean(differences[inside], table.clusters[inside], metric)
                yield CohortDifference(system=system.name, cohort=label, n_cases=len(inside), difference=estimate)


def _disagreements(table: SystemTable) -> tuple[str, ...]:
    passed = table.column("passed")
    divided = np.minimum((passed == 1).sum(axis=1), (passed == 0).sum(axis=1))
    rows = np.flatnonzero(divided).tolist()
    return tuple(table.cases[row][0] for row in sorted(rows, key=lambda row: (-divided[row], table.cases[row])))
