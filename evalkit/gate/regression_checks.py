"""Turn the results of a regression test into checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evalkit.aggregate.cells import mean
from evalkit.aggregate.frozen import PASS_RATE, FrozenFrame
from evalkit.gate.critical_cases import RUNS
from evalkit.gate.regression import MIN_PAIRED, Gate, Tested
from evalkit.gate.words import SHOWN_CASES, about, number, worst_first
from evalkit.results import OVERALL, Check, Estimate
from evalkit.stats import intervals
from evalkit.stats.power import chance_to_find, one_by_one, smallest_drop
from evalkit.text.numbers import change, difference, p_value, plural, style_of
from evalkit.types import Metric

SHOWN_DROPS = (0.05, 0.10)
"""Drops whose probability of being found is reported, as shares of the metric's range."""


def tested_check(frame: FrozenFrame, tested: Tested, improved: frozenset[str] = frozenset()) -> Check:
    """Describe one tested gate: levels, drop with interval, p value, smallest detectable drop, worst cases.

    Args:
        frame: the candidate.
        tested: the gate.
        improved: metrics that are better overall, so that a falling cohort may be the price of the others.
    """
    gate = tested.gate
    badness = np.zeros(frame.n_cases)
    badness[gate.cases] = gate.drops
    worse = gate.cases[gate.drops > 0].tolist() if tested.outcome != "pass" else ()
    return replace(
        _blank(gate, f"no drop at p <= {number(tested.alpha)}"),
        outcome=tested.outcome,
        observed=mean(gate.after, gate.clusters, gate.metric),
        drop=drop_of(gate),
        p_value=tested.p_value,
        smallest_drop=_smallest_drop(tested),
        reason=_sentence(tested) + _paid_for(tested, improved) + _alone(tested),
        case_ids=worst_first(frame, worse, badness)[:SHOWN_CASES],
    )


def untested_check(gate: Gate) -> Check:
    """Describe a gate that has too few paired cases for a test."""
    name = about(gate.metric.name, gate.cohort)
    reason = f"{name} has {plural(gate.n_independent, 'independent pair')}, {MIN_PAIRED} are needed to test it"
    return replace(_blank(gate, "no drop"), outcome="insufficient evidence", reason=reason)


def _blank(gate: Gate, need: str) -> Check:
    baseline = float(np.mean(gate.before)) if len(gate.before) else None
    return Check(
        name="no_regression",
        metric=gate.metric.name,
        cohort=gate.cohort,
        outcome="no decision",
        need=need,
        baseline=baseline,
    )


def drop_of(gate: Gate, confidence_level: float = 0.95) -> Estimate:
    """Return Newcombe's interval for single runs of independent pass/fail cases, else t on the differences."""
    before, after = (gate.before, gate.after) if gate.metric.higher_is_better else (gate.after, gate.before)
    if gate.metric.binary and _is_whole(gate) and gate.n_independent == len(gate.cases):
        first, second = before == 1, after == 1
        table = (first & second, first & ~second, ~first & second, ~first & ~second)
        both, only_first, only_second, neither = (int(part.sum()) for part in table)
        return intervals.newcombe_paired(both, only_first, only_second, neither, confidence_level=confidence_level)
    reach = _reach(gate)
    drop = Metric(name="drop", low=-reach, high=reach)
    return mean(gate.drops, gate.clusters, drop, confidence_level=confidence_level)


def sight(tested: Sequence[Tested]) -> str:
    """Describe the drops of `pass_rate` (else of the first metric) that this comparison could have found overall."""
    overall = _seen_overall(tested)
    if not overall:
        return ""
    first, what = overall[0], f"a drop of {overall[0].gate.metric.name} overall"
    if first.gate.n_independent < len(first.gate.cases):
        together, alone = (_in_words(first, _smallest_drop(first, together=whole)) for whole in (True, False))
        return f"{what} would be found 4 times in 5 {alone} where cases break one by one, {together} where clusters do"
    if _smallest_drop(first) is None and not any(_power(first, drop) >= 0.005 for drop in SHOWN_DROPS):
        return f"too few cases to find {what} of any size ({plural(len(first.gate.cases), 'case')})"
    chances = [
        f"one of {_sized(first, drop * _reach(first.gate))} in {_power(first, drop):.0%}" for drop in SHOWN_DROPS
    ]
    smallest = _in_words(first, _smallest_drop(first))
    return f"{what} would be found 4 times in 5 {smallest}, {' and '.join(chances)} of runs"


def four_stored(tested: Sequence[Tested], better: Sequence[Tested], command: str) -> str:
    """Compare the chance to find a small drop overall with that against a baseline of four runs; empty if it is equal.

    Args:
        tested: the gates.
        better: the same gates, as they would be against four runs.
        command: makes such a baseline.
    """
    now, then = _seen_overall(tested), _seen_overall(better)
    if not now or not then:
        return f"a baseline of {RUNS} runs of each case finds smaller drops: {command}"
    drop = SHOWN_DROPS[0]
    size = _sized(now[0], drop * _reach(now[0].gate))
    found, found_now = (f"{_power(each[0], drop):.0%}" for each in (then, now))
    if found == found_now:
        return ""
    chances = f"{found} of runs instead of {found_now}"
    return f"a baseline of {RUNS} runs of each case would show a drop of {size} in {chances}: {command}"


def _seen_overall(tested: Sequence[Tested]) -> list[Tested]:
    """Return the overall gates whose power is known, `pass_rate` first."""
    overall = [each for each in tested if each.gate.cohort == OVERALL and each.sight is not None]
    return sorted(overall, key=lambda each: each.gate.metric.name != PASS_RATE.name)


def _in_words(tested: Tested, smallest: float | None) -> str:
    if smallest is None:
        return "at no size"
    return f"from {_sized(tested, smallest)} on"


def _sized(tested: Tested, drop: float) -> str:
    metric = tested.gate.metric
    return difference(drop, style_of(metric.name, metric), len(tested.gate.cases))


def _smallest_drop(tested: Tested, *, together: bool = True) -> float | None:
    """Return the smallest drop that is found 4 times in 5, if clusters break as a whole or case by case."""
    if tested.sight is None:
        return None
    seen = tested.sight if together else one_by_one(tested.sight, len(tested.gate.cases))
    found = smallest_drop(seen)
    return None if found is None else found * _reach(tested.gate)


def _power(tested: Tested, drop: float) -> float:
    assert tested.sight is not None  # noqa: S101 - asked only of gates that have one
    return chance_to_find(min(drop, tested.sight.passing), tested.sight)


def _reach(gate: Gate) -> float:
    return gate.metric.high - gate.metric.low


def _alone(tested: Tested) -> str:
    return f"; {tested.unconfirmed}" if tested.unconfirmed else ""


def _paid_for(tested: Tested, improved: frozenset[str]) -> str:
    gate = tested.gate
    if tested.outcome == "pass" or gate.cohort == OVERALL or gate.metric.name not in improved:
        return ""
    return f", while {gate.metric.name} {'rose' if gate.metric.higher_is_better else 'fell'} overall"


_MOVES = {
    "verdict": (("newly fails", "newly fail"), ("newly passes", "newly pass")),
    "share": (("passes less often", "pass less often"), ("passes more often", "pass more often")),
    "value": (("is worse", "are worse"), ("is better", "are better")),
}
"""Words for cases that got worse and better (one, several), by the kind of value per case."""


def _measure(gate: Gate) -> str:
    if not gate.metric.binary or not gate.metric.higher_is_better:
        return "value"
    return "verdict" if _is_whole(gate) else "share"


def _is_whole(gate: Gate) -> bool:
    """Return True if every case has one verdict in each run, as from a single repeat."""
    return bool(np.isin(np.concatenate([gate.before, gate.after]), (0.0, 1.0)).all())


def _sentence(tested: Tested) -> str:
    gate = tested.gate
    before, after = float(np.mean(gate.before)), float(np.mean(gate.after))
    levels = change(before, after, style_of(gate.metric.name, gate.metric), len(gate.cases))
    worse, better = int((gate.drops > 0).sum()), int((gate.drops < 0).sum())
    fell, rose = _MOVES[_measure(gate)]
    moved = f"{worse} of {len(gate.cases)} cases {fell[worse != 1]}, {better} {rose[better != 1]}"
    counts = f"{moved}, {p_value(tested.p_value)}"
    start = about(gate.metric.name, gate.cohort)
    if tested.outcome == "pass":
        return f"{start} {levels}: no drop beyond noise ({counts})"
    verb = "fell" if gate.metric.higher_is_better else "rose"
    tail = "" if gate.may_block else "; its judge is not trusted, so it cannot block"
    return f"{start} {verb} {levels} ({counts}){tail}"
