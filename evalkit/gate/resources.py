"""Test whether latency or cost rose by more than a margin on the same cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from evalkit.aggregate.columns import Floats, Ints
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.gate.findings import only_warns
from evalkit.gate.pairing import Baseline
from evalkit.gate.policy import NoRegression
from evalkit.gate.words import number, worst_first
from evalkit.results import OVERALL, Check, CheckOutcome, Estimate
from evalkit.stats.ratios import tail_ratio, total_ratio, typical_ratio

ALPHA = 0.02
TAIL_ALPHA = 0.002
"""Level at which, with the other checks, an unchanged system is blocked in less than 2 % of its runs."""
MIN_TAIL_PAIRS = 200
"""Minimum number of pairs for a slower tail to block instead of warn."""
MIN_PAIRS = 20
BLAMED = 20
"""Number of cases that a check lists."""


def resource_checks(frame: FrozenFrame, baseline: Baseline, policy: NoRegression, seed: int) -> Iterator[Check]:
    """Test typical latency and its tail against `max_slowdown`, and the total cost against `max_cost_ratio`.

    Args:
        frame: the candidate.
        baseline: the baseline; times that were not measured alternately only warn, because load differs between days.
        policy: policy with the margins; without one there is no check.
        seed: seed of swaps and bootstrap.
    """
    if policy.max_slowdown is not None:
        margin, timed = policy.max_slowdown, baseline.alternated
        cases, before, after = _measured(frame, timed or baseline.frame, "latency_s")
        typical, p_value = typical_ratio(before, after, margin=margin)
        checks = [_judged(_blank("slowdown", "latency_ratio", margin), typical, p_value, worse=p_value <= ALPHA)]
        tail, p_value = tail_ratio(before, after, rng=np.random.default_rng(seed))
        slower = p_value <= TAIL_ALPHA and (tail.value or 0.0) > margin
        check = _judged(_blank("slowdown of the slowest", "latency_p95_ratio", margin), tail, p_value, worse=slower)
        checks.append(only_warns(check) if tail.n < MIN_TAIL_PAIRS else check)
        checks = [_told(each, timed) if timed else _another_day(each) for each in checks]
        yield from (_blamed(each, frame, cases, after / before) for each in checks)
    if policy.max_cost_ratio is not None:
        cases, before, after = _measured(frame, baseline.frame, "cost_usd")
        margin, rng = policy.max_cost_ratio, np.random.default_rng(seed)
        total, p_value = total_ratio(before, after, margin=margin, rng=rng)
        check = _judged(_blank("cost increase", "cost_ratio", margin), total, p_value, worse=p_value <= ALPHA)
        yield _blamed(check, frame, cases, after - before)


def _told(check: Check, timed: FrozenFrame) -> Check:
    """Add to the reason how many pairs were lost to failures of the old system."""
    failed = timed.states["system_error"]
    if not failed:
        return check
    why = ", ".join(timed.error_kinds)
    return replace(check, reason=f"{check.reason}; the old system failed in {failed} of {len(timed.row_case)} ({why})")


def _another_day(check: Check) -> Check:
    """Reduce a block to a warning if the baseline was timed on another occasion, when load may have differed."""
    if check.outcome != "block":
        return check
    fix = "name the old system beside the baseline to have both timed by turns"
    return replace(check, outcome="warn", reason=f"{check.reason}; the baseline was timed on another occasion: {fix}")


def _measured(ours: FrozenFrame, theirs: FrozenFrame, measure: str) -> tuple[Ints, Floats, Floats]:
    """Return the positions of the cases measured in both runs, with both measurements."""
    first, second = theirs.amounts.cases[measure], ours.amounts.cases[measure]
    others = theirs.keys.places_of(ours.keys)
    cases = np.flatnonzero(others >= 0)
    for column, places in ((second, np.arange(len(others))), (first, others)):
        cases = cases[column.status[places[cases]] == SCORED]
        cases = cases[column.at(places[cases]) > 0]
    return cases, first.at(others[cases]), second.at(cases)


def _blank(name: str, metric: str, margin: float) -> Check:
    need = f"<= {number(margin)}"
    return Check(name=name, metric=metric, cohort=OVERALL, outcome="insufficient evidence", need=need)


def _judged(blank: Check, estimate: Estimate, p_value: float, *, worse: bool) -> Check:
    if estimate.value is None or estimate.n < MIN_PAIRS:
        reason = f"{blank.name}: {estimate.n} cases were measured in both runs, {MIN_PAIRS} are needed"
        return replace(blank, reason=reason)
    what = f"{blank.name}: {number(estimate.value)} times the baseline ({estimate.n} cases, p = {p_value:.4f})"
    outcome: CheckOutcome = "block" if worse else "pass"
    need = f"need {blank.need}" if worse else f"allowed {blank.need}"
    return replace(blank, outcome=outcome, observed=estimate, p_value=p_value, reason=f"{what}, {need}")


def _blamed(check: Check, frame: FrozenFrame, cases: Ints, badness: Floats) -> Check:
    """Add the worst cases to a check that does not pass."""
    if check.outcome not in ("block", "warn"):
        return check
    whole = np.zeros(frame.n_cases)
    whole[cases] = badness
    return replace(check, case_ids=worst_first(frame, cases.tolist(), whole)[:BLAMED])
