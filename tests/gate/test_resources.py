"""Slowdown and cost against the baseline, on the same cases."""

from __future__ import annotations

import numpy as np
import pytest
from gate_rows import a_case, a_decision, a_row, frozen

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.pairing import Baseline
from evalkit.gate.policy import NoRegression
from evalkit.results import Check, Decision

POLICY = NoRegression(metrics=("pass_rate",), max_slowdown=1.10, max_cost_ratio=1.05)


def run_of(n: int, *, slower: float = 1.0, dearer: float = 1.0, seed: int = 0, measured: bool = True) -> FrozenFrame:
    """Cases with times and costs of their own, and jitter."""
    base = np.exp(np.random.default_rng(7).normal(0, 0.5, n))
    jitter = np.exp(np.random.default_rng(seed).normal(0, 0.1, n))
    rows = [
        a_row(
            a_case(f"c{i:03}"),
            {"rule": 1.0},
            latency_s=float(base[i] * jitter[i] * slower) if measured else None,
            cost_usd=float(0.001 * base[i] * dearer) if measured else None,
        )
        for i in range(n)
    ]
    return frozen(rows)


def timed(frame: FrozenFrame) -> Baseline:
    """A baseline whose system was called by turns with the candidate."""
    return Baseline("main", frame, {}, {}, alternated=frame)


def the(decision: Decision, name: str) -> Check:
    """One check by its name."""
    (found,) = [check for check in decision.checks if check.name == name]
    return found


def test_the_same_system_is_neither_slower_nor_dearer() -> None:
    """Jitter is not a slowdown."""
    decision = a_decision(run_of(250, seed=1), POLICY, baseline=timed(run_of(250, seed=2)))
    outcomes = {check.name: check.outcome for check in decision.checks}
    assert decision.outcome == "approved"
    assert {outcomes[name] for name in ("slowdown", "slowdown of the slowest", "cost increase")} == {"pass"}


def test_a_slower_system_blocks_and_says_by_how_much() -> None:
    """Ratio with its interval, in the reason and in the check."""
    decision = a_decision(run_of(250, seed=1, slower=1.3), POLICY, baseline=timed(run_of(250, seed=2)))
    check = the(decision, "slowdown")
    assert decision.outcome == "blocked"
    assert check.observed is not None
    assert check.observed.low is not None
    assert check.observed.low > 1.1
    assert "times the baseline (250 cases" in check.reason
    assert check.case_ids
    assert the(decision, "slowdown of the slowest").outcome == "block"


def test_times_of_another_day_only_warn() -> None:
    """That day's load is not a change of the system; the sentence says what to do."""
    decision = a_decision(run_of(250, seed=1, slower=1.3), POLICY, baseline=run_of(250, seed=2))
    assert decision.outcome == "approved with conditions"
    for name in ("slowdown", "slowdown of the slowest"):
        assert the(decision, name).outcome == "warn"
        assert "timed on another occasion: name the old system" in the(decision, name).reason


def test_what_costs_more_blocks_on_any_day() -> None:
    """Tokens and prices do not depend on the hour."""
    decision = a_decision(run_of(60, dearer=1.2), POLICY, baseline=run_of(60))
    assert decision.outcome == "blocked"


def test_a_small_run_warns_of_its_tail() -> None:
    """Below 200 pairs the tail alone never blocks."""
    decision = a_decision(run_of(60, seed=1, slower=1.6), POLICY, baseline=timed(run_of(60, seed=2)))
    assert the(decision, "slowdown").outcome == "block"
    assert the(decision, "slowdown of the slowest").outcome == "warn"


def test_a_dearer_system_blocks() -> None:
    """The total counts."""
    decision = a_decision(run_of(60, dearer=1.2), POLICY, baseline=timed(run_of(60)))
    assert the(decision, "cost increase").outcome == "block"


def test_what_was_not_measured_says_so() -> None:
    """Replayed or unpriced runs are insufficient evidence, not a pass."""
    decision = a_decision(run_of(60, measured=False), POLICY, baseline=timed(run_of(60)))
    assert the(decision, "slowdown").outcome == "insufficient evidence"
    assert the(decision, "cost increase").reason.startswith("cost increase: 0 cases were measured in both runs")


def test_margins_are_opt_in() -> None:
    """Times of another day are no fair comparison unless somebody says so."""
    policy = NoRegression(metrics=("pass_rate",))
    decision = a_decision(run_of(60, slower=3.0), policy, baseline=timed(run_of(60)))
    assert decision.outcome == "approved"


@pytest.mark.parametrize("name", ["max_slowdown", "max_cost_ratio"])
@pytest.mark.parametrize("ratio", [0.9, float("inf"), float("nan")])
def test_a_margin_is_at_least_one(name: str, ratio: float) -> None:
    """A ratio below 1 would demand an improvement."""
    with pytest.raises(ValueError, match=name):
        NoRegression(**{name: ratio})  # type: ignore[arg-type]
