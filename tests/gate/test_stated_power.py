"""The power that is stated is the power that the gate has: simulated runs, tested by the gate's own functions."""

from __future__ import annotations

import numpy as np
import pytest
from gate_rows import RULE, a_case, a_row, frozen
from numpy.typing import NDArray

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.comparison_plan import trial_of
from evalkit.gate.no_regression import regression_finding
from evalkit.gate.pairing import Baseline, pair
from evalkit.gate.policy import NoRegression, Policy
from evalkit.gate.power import ASSUMED_FLIPS, ComparisonDesign, Subject, design_of, flips_in, sights
from evalkit.gate.regression import SUSPECT_AT, confirmed
from evalkit.stats.power import Sight, chance_to_find, smallest_drop
from evalkit.types import Metric

PASSING, REST = 0.85, 100
"""Pass rate of the simulated systems; cases outside the cohort that breaks."""
POLICY = NoRegression(metrics=("pass_rate", "other"), by=("side",))
OTHER = Metric(name="other", low=0, high=1, binary=True)


def run_of(
    chances: NDArray[np.float64], n: int, repeats: int, rng: np.random.Generator, lost: NDArray[np.bool_]
) -> FrozenFrame:
    """One run: `n` cases in the cohort `small`, the others in `large`; what is lost fails in every repeat."""
    rows = []
    for i, chance in enumerate(chances.tolist()):
        case = a_case(f"c{i:03}", cohorts={"side": "small" if i < n else "large"})
        for repeat in range(repeats):
            values = {"rule": float(rng.random() < chance and not lost[i]), "other": float(rng.random() < chance)}
            rows.append(a_row(case, values, repeat=repeat))
    return frozen(rows, (RULE, OTHER), ("side",), ("other",))


def stated(n: int, design: ComparisonDesign) -> Sight:
    """What the package says of the cohort: the pass rate and another metric, each overall and in two cohorts."""
    subjects = [
        Subject(metric=metric, cohort=cohort, n_cases=size, n_independent=size, room=PASSING, flips=ASSUMED_FLIPS)
        for metric in ("pass_rate", "other")
        for cohort, size in (("overall", n + REST), ("side=small", n), ("side=large", REST))
    ]
    return sights(subjects, design)[1]


def found_by_the_gate(n: int, drop: float, stored: int, runs: int, *, seed: int) -> float:
    """Share of simulated runs in which the gate of the cohort blocks, by the tests that `decide` applies."""
    rng = np.random.default_rng(seed)
    trial = trial_of(POLICY, Policy((POLICY,)), frozenset(), 5, (stored, 1), stored)
    hits = 0
    for _ in range(runs):
        chances = rng.beta(0.425, 0.075, n + REST)
        lost = np.zeros(n + REST, bool)
        lost[:n] = rng.random(n) < drop / PASSING
        before = run_of(chances, n, stored, rng, np.zeros_like(lost))
        after = run_of(chances, n, 4 if trial.again == "candidate" else 1, rng, lost)
        gates = {"pass_rate": True, "other": True}
        _, tested = trial.tested(pair(after, before, repeats=trial.planned), gates)
        if trial.again == "candidate":
            _, pooled = trial.tested(pair(after, before), gates)
            tested = confirmed(tested, pooled, frozenset(range(n + REST)), "")
        hits += any(
            each.outcome == "block" and (each.gate.metric.name, each.gate.cohort) == ("pass_rate", "side=small")
            for each in tested
        )
    return hits / runs


@pytest.mark.parametrize("stored", [1, 4])
@pytest.mark.parametrize("n", [11, 30, 100])
@pytest.mark.slow
def test_the_smallest_drop_is_found_as_often_as_stated(n: int, stored: int) -> None:
    """Four times in five, give or take the noise of 60 seeded runs and what the approximation leaves."""
    trial = trial_of(POLICY, Policy((POLICY,)), frozenset(), 5, (stored, 1), stored)
    sight = stated(n, design_of(trial, (stored, 1)))
    drop = smallest_drop(sight)
    if drop is None:
        drop = PASSING
    expected = chance_to_find(drop, sight)
    assert found_by_the_gate(n, drop, stored, 60, seed=n + stored) == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("n", [5, 6, 8])
@pytest.mark.slow
def test_where_no_drop_is_stated_the_gate_does_not_block(n: int) -> None:
    """Every case breaks, and the share of blocks is the one that is stated beside `none`."""
    sight = stated(n, ComparisonDesign((((1, 1), 0.01),)))
    assert smallest_drop(sight) is None
    at_most = chance_to_find(PASSING, sight)
    assert found_by_the_gate(n, PASSING, 1, 60, seed=n) == pytest.approx(at_most, abs=0.13)
    if n < 7:  # all sign patterns of 6 cases are 64, more than one in a hundred
        assert at_most == 0


@pytest.mark.parametrize(("n", "blocks"), [(6, False), (7, True), (8, True), (11, True)])
def test_a_steady_system_that_breaks_as_a_whole_is_stated_as_the_gate_decides_it(n: int, blocks: bool) -> None:
    """No flips: p = 2^-n. The figure is never `none` where the gate blocks."""
    cases = [a_case(f"c{i:03}", cohorts={"side": "small" if i < n else "large"}) for i in range(n + 40)]
    before, after = (
        frozen(
            [a_row(case, {"rule": float(i >= broken)}, repeat=k) for i, case in enumerate(cases) for k in range(2)],
            cohorts=("side",),
        )
        for broken in (0, n)
    )
    policy = NoRegression(metrics=("pass_rate",), by=("side",))
    from evalkit.aggregate.summary import summarise

    trial = trial_of(policy, Policy((policy,)), frozenset(), 5, (2, 2), 2)
    summary = summarise(after, suite="s", expected=2 * len(cases))
    found = regression_finding(after, summary, Baseline("main", before, {}, {}), trial)
    (check,) = [each for each in found.checks if (each.name, each.cohort) == ("no_regression", "side=small")]
    assert (check.outcome == "block") is blocks
    assert (check.smallest_drop is not None) is blocks


def test_critical_cohorts_and_a_second_look_are_part_of_the_figure() -> None:
    """Half of alpha asks for a larger drop; four stored runs find a smaller one."""

    def drop(critical: bool, design: ComparisonDesign) -> float:
        subjects = [
            Subject(
                metric="pass_rate", cohort=cohort, n_cases=size, n_independent=size, critical=critical and size == 60
            )
            for cohort, size in (("overall", 200), ("domain=aml", 60))
        ]
        found = smallest_drop(sights(subjects, design)[1])
        assert found is not None
        return found

    single = ComparisonDesign((((1, 1), 0.01),))
    assert drop(True, single) > drop(False, single)
    assert drop(False, ComparisonDesign((((4, 1), SUSPECT_AT), ((4, 4), 0.02)))) < 0.8 * drop(False, single)


def test_a_metric_that_is_the_pass_rate_does_not_count_as_another_gate() -> None:
    """With one voter its own metric and the pass rate are one test."""
    subjects = [
        Subject(metric=metric, cohort="overall", n_cases=60, n_independent=60) for metric in ("pass_rate", "rule")
    ]
    design = ComparisonDesign((((1, 1), 0.01),))
    alone = sights(subjects[:1], design)[0]
    assert [each.rivals for each in sights(subjects, design, twin="rule")] == [(), ()]
    assert sights(subjects, design, twin="rule")[0] == alone


def test_flips_are_those_between_repeats() -> None:
    """Two repeats that differ in one case of four flip in a quarter of the cases."""
    cases = [a_case(f"c{i}") for i in range(4)]
    frame = frozen(
        [a_row(case, {"rule": float(i > 0 or k > 0)}, repeat=k) for i, case in enumerate(cases) for k in (0, 1)]
    )
    assert flips_in(frame, "rule", "overall") == pytest.approx(0.25)


@pytest.mark.parametrize("looks", [(), (((1, 1), 0.1),) * 3])
def test_a_comparison_has_one_look_or_two(looks: tuple[tuple[tuple[int, int], float], ...]) -> None:
    """Anything else is not a design of the gate."""
    with pytest.raises(ValueError, match="one or two"):
        ComparisonDesign(looks)
