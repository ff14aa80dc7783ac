"""A run of 300 cases from rows to a decision, and how often an unchanged system is blocked."""

import random

import pytest
from gate_rows import GRADE, RULE, a_case, a_decision, a_row, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import ExitCode
from evalkit.gate.decide import exit_code
from evalkit.gate.policy import NoRegression, Threshold
from evalkit.types import Row

DOMAINS = ("aml", "privacy", "tax", "labour", "trade", "other")
METRICS = (RULE, GRADE)
COHORTS = ("domain", "language")


def synthetic(seed: int, *, n: int = 300, broken: int = 0, noise_seed: int | None = None) -> list[Row]:
    """Rows of a noisy system; the first `broken` of the 44 aml cases answer wrongly whatever the noise."""
    traits, noise = random.Random(seed), random.Random(seed if noise_seed is None else noise_seed)
    rows = []
    for i in range(n):
        domain = "aml" if i < 44 else traits.choice(DOMAINS[1:])
        case = a_case(f"case-{i:04}", cohorts={"domain": domain, "language": traits.choice(("en", "de", "fr"))})
        ability = traits.betavariate(0.425, 0.075)
        ok = noise.random() < ability and i >= broken
        grade = min(5.0, max(1.0, round(1 + 4 * ability * (0.2 if i < broken else 1) + noise.gauss(0, 0.4))))
        rows.append(a_row(case, {"rule": float(ok), "grade": grade}, latency_s=noise.lognormvariate(-1, 0.4)))
    return rows


def test_an_unchanged_system_is_approved_without_a_blocking_check():
    """A second run of the same system is approved, at most with conditions."""
    decision = a_decision(
        frozen(synthetic(1, noise_seed=11), METRICS, COHORTS),
        NoRegression(),
        Threshold(metric="pass_rate", min=0.75),
        baseline=frozen(synthetic(1, noise_seed=10), METRICS, COHORTS),
    )
    assert exit_code(decision) == ExitCode.APPROVED
    assert all(check.outcome != "block" for check in decision.checks)


@pytest.mark.parametrize("seed", range(8))
def test_a_broken_cohort_is_named_first_and_alone(seed: int):
    """When 18 of 44 cases of one cohort break, the first reason names that cohort and no other cohort is named."""
    decision = a_decision(
        frozen(synthetic(seed, broken=18, noise_seed=100 + seed), METRICS, COHORTS),
        NoRegression(),
        baseline=frozen(synthetic(seed, noise_seed=200 + seed), METRICS, COHORTS),
    )
    assert decision.outcome == "blocked"
    assert decision.reasons[0].startswith("domain=aml: ")
    blocking = [reason for reason in decision.reasons if "fell" in reason and "p = 0.00" in reason]
    assert all("domain=aml" in reason for reason in blocking), decision.reasons


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(60)))
def test_the_order_of_completion_changes_nothing(order: list[int]):
    """Any permutation of the rows gives an equal decision, to the last digit."""
    candidate, baseline = synthetic(3, n=60, broken=9, noise_seed=4), synthetic(3, n=60, noise_seed=5)
    checks = (NoRegression(), Threshold(metric="pass_rate", min=0.8, by=("domain",), critical=("aml",)))
    straight = a_decision(frozen(candidate, METRICS, COHORTS), *checks, baseline=frozen(baseline, METRICS, COHORTS))
    shuffled = a_decision(
        frozen([candidate[i] for i in order], METRICS, COHORTS),
        *checks,
        baseline=frozen([baseline[i] for i in reversed(order)], METRICS, COHORTS),
    )
    assert shuffled == straight


@pytest.mark.long
def test_unchanged_systems_are_blocked_in_under_two_percent_of_runs():
    """Of 200 seeded pairs of identical systems fewer than 4 are blocked, over 2 metrics x 9 cohorts and overall."""
    blocked = 0
    for seed in range(200):
        runs = [frozen(synthetic(seed, noise_seed=1000 * side + seed), METRICS, COHORTS) for side in (1, 2)]
        blocked += a_decision(runs[0], NoRegression(), baseline=runs[1]).outcome == "blocked"
    assert blocked < 4
