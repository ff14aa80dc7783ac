"""Check that no other system of a run is surely better than a release system by more than a margin."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.system_columns import RANKED_FROM, SystemColumns, SystemTable, align, scored_share
from evalkit.gate.findings import only_warns
from evalkit.gate.policy import Best
from evalkit.gate.words import SHOWN_CASES, calibrate_first, some, unproven_judges
from evalkit.results import OVERALL, Check, Estimate, Summary
from evalkit.stats.differences import NO_SPREAD, of_pairs, simultaneous
from evalkit.stats.intervals import cases_to_prove
from evalkit.stats.system_ranks import LEVEL, cases_to_find
from evalkit.text.numbers import bounds, difference, limit, style_of

_SHOWN = 3
"""Systems that a reason names."""
WIDEST = 0.1
"""Half-width of an interval, as a share of the scale, above which a worse result than shown cannot be excluded."""


@dataclass(frozen=True, eq=False)
class Standings:
    """The systems of a run, and how far each is surely ahead of each other one."""

    systems: tuple[SystemColumns, ...]
    seed: int
    """Seed of the draws."""

    @cached_property
    def table(self) -> SystemTable:
        """The systems case by case, in the order of their names, so that the order in the suite does not matter."""
        return align(sorted(self.systems, key=lambda each: each.name))

    @cached_property
    def ranked(self) -> tuple[str, ...]:
        """The systems that have a rank."""
        return tuple(each.name for each in self.table.systems if scored_share(each) >= RANKED_FROM)

    @cached_property
    def gaps(self) -> Mapping[tuple[str, str], Estimate]:
        """(one system, another) -> how much better the second is; the intervals of all pairs hold together."""
        table = self.table
        names = [each.name for each in table.systems]
        pairs = [(names.index(a), names.index(b)) for a, b in itertools.combinations(self.ranked, 2)]
        if not pairs:
            return {}
        found = of_pairs(table.sign * table.values, pairs, table.clusters)
        rng = np.random.default_rng([self.seed, 0])
        estimates = simultaneous(found, span=table.span, rng=rng, confidence_level=1 - LEVEL)
        gaps = {}
        for (a, b), seen in zip(pairs, estimates, strict=True):
            gaps[names[b], names[a]] = seen
            gaps[names[a], names[b]] = _turned(seen)
        return gaps


@dataclass(frozen=True)
class Contender:
    """One system of a run, among all of them."""

    name: str
    standings: Standings


def best_checks(frame: FrozenFrame, summary: Summary, policy: Best, contender: Contender | None) -> list[Check]:
    """Compare a release system with every other system of its run that has a rank.

    Args:
        frame: the run of the release system.
        summary: its summary.
        policy: the margin.
        contender: the systems of the run; `None` if they are not known.
    """
    if contender is None:
        reason = "not compared with the other systems of its run: only a run of several systems compares them"
        need = "no other system is better"
        blank = Check(name="best", metric="", cohort=OVERALL, outcome="insufficient evidence", need=need)
        return [replace(blank, reason=reason)]
    check = _check(frame, summary, policy, contender)
    return [only_warns(check)] if policy.on_fail == "warn" else [check]


def _check(frame: FrozenFrame, summary: Summary, policy: Best, contender: Contender) -> Check:
    name, standings = contender.name, contender.standings
    metric = standings.table.metric
    margin = limit(policy.within, style_of(metric.name, metric))
    blank = Check(
        name="best",
        metric=metric.name,
        cohort=OVERALL,
        outcome="no decision",
        need=f"no other system is surely better by more than {margin}",
    )
    judges = unproven_judges(frame, summary, metric.name, OVERALL)
    if judges and policy.on_fail == "block":
        return replace(blank, reason=calibrate_first(metric.name, OVERALL, judges))
    if name not in standings.ranked:
        few = f"fewer than {100 * RANKED_FROM:g} % of its cases have a value of {metric.name}"
        return replace(blank, reason=f"{name} has no rank, so it is not compared: {few}")
    gaps = {other: standings.gaps[name, other] for other in standings.ranked if other != name}
    known = {other: seen for other, seen in gaps.items() if seen.value is not None}
    ordered = sorted(known, key=lambda other: (-(known[other].value or 0.0), other))
    ahead = [other for other in ordered if _end(known[other]) > policy.within]
    if ahead:
        first = known[ahead[0]]
        also = f"; also than that of {some(ahead[1:], _SHOWN)}" if ahead[1:] else ""
        reason = f"{metric.name} is {_size(first, standings)} worse than that of {ahead[0]}, more than {margin}{also}"
        cases = _cases(standings.table, name, ahead[0])
        return replace(
            blank, outcome="block", observed=_own(standings.table, name), drop=first, reason=reason, case_ids=cases
        )
    unknown = [each.name for each in standings.table.systems if each.name != name and each.name not in known]
    if unknown:
        rank = "which has no rank" if len(unknown) == 1 else "which have no rank"
        reason = f"{metric.name}: not compared with {some(unknown, _SHOWN)}, {rank}"
        return replace(blank, outcome="insufficient evidence", observed=_own(standings.table, name), reason=reason)
    widest = max(policy.within, _tenth(standings.table, name))
    unsettled = [other for other in ordered if _is_unsettled(known[other], policy.within, widest)]
    if unsettled:
        first = known[unsettled[0]]
        needed = max((_needed(standings, name, other, policy.within, widest) or 0 for other in unsettled), default=0)
        about = f": about {needed:,} are needed" if needed > first.n else ""
        few = f"too few cases to show that no system is better{about}"
        reason = f"{metric.name}: {few} ({unsettled[0]}: {_size(first, standings)} better)"
        own = _own(standings.table, name)
        return replace(blank, outcome="insufficient evidence", observed=own, drop=first, reason=reason)
    closest = f" ({ordered[0]}: {_size(known[ordered[0]], standings)} better)" if ordered else ""
    reason = f"{metric.name}: {blank.need}{closest}"
    drop = known[ordered[0]] if ordered else None
    return replace(blank, outcome="pass", observed=_own(standings.table, name), drop=drop, reason=reason)


def _end(seen: Estimate) -> float:
    """Return by how much the other system is surely better; below any margin if that is unknown."""
    return -np.inf if seen.low is None else seen.low


def _tenth(table: SystemTable, name: str) -> float:
    """Return `WIDEST` of the metric's scale; of the system's own figure if the scale has no end."""
    scale = table.span if math.isfinite(table.span) else abs(_own(table, name).value or 0.0)
    return WIDEST * scale


def _is_unsettled(seen: Estimate, within: float, widest: float) -> bool:
    """Return whether the other system may be better by more than the margin, and the interval is too wide to say."""
    if seen.value is None or seen.high is None:
        return True
    return seen.high > within and seen.high - seen.value > widest


def _needed(standings: Standings, name: str, other: str, within: float, widest: float) -> int | None:
    """Return how many cases would tell two systems apart; `None` if that is not known."""
    seen, table = standings.gaps[name, other], standings.table
    if seen.value is None:
        return None
    names = [each.name for each in table.systems]
    pair = names.index(name), names.index(other)
    if seen.method == NO_SPREAD:
        level = LEVEL / math.comb(len(standings.ranked), 2)
        groups = cases_to_prove(1 - widest / (table.span - seen.value), confidence_level=1 - level)
        n_groups = int(of_pairs(table.values, [pair], table.clusters).n_clusters[0])
        return None if groups is None else math.ceil(groups * seen.n / n_groups)
    difference = max(abs(seen.value - within), widest)
    if difference <= 0:
        return None
    rng = np.random.default_rng([standings.seed, 0])
    return cases_to_find(difference, table.values, pair, table.clusters, rng=rng)


def _size(seen: Estimate, standings: Standings) -> str:
    metric = standings.table.metric
    style = style_of(metric.name, metric)
    return f"{difference(seen.value or 0.0, style, seen.n)} {bounds(seen, style)}".rstrip()


def _turned(seen: Estimate) -> Estimate:
    """Return the same difference, seen from the other system."""
    low, high = (None if end is None else -end for end in (seen.high, seen.low))
    return replace(seen, value=None if seen.value is None else -seen.value, low=low, high=high)


def _own(table: SystemTable, name: str) -> Estimate:
    from evalkit.aggregate.cells import mean

    number = [each.name for each in table.systems].index(name)
    values = table.values[:, number]
    known = ~np.isnan(values)
    return table.systems[number].primary or mean(values[known], table.clusters[known], table.metric)


def _cases(table: SystemTable, name: str, other: str) -> tuple[str, ...]:
    """Return the cases in which the other system is better, the largest difference first."""
    names: Sequence[str] = [each.name for each in table.systems]
    gap = table.sign * (table.values[:, names.index(other)] - table.values[:, names.index(name)])
    worse = np.flatnonzero(gap > 0).tolist()
    ranked = sorted(worse, key=lambda row: (-float(gap[row]), table.cases[row]))
    return tuple(table.cases[row][0] for row in ranked[:SHOWN_CASES])
