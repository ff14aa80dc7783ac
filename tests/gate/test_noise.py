"""What a suite can see: flips between repeats, the gate against itself, drops that would be found."""

from __future__ import annotations

import numpy as np
import pytest
from gate_rows import a_case, a_row, frozen

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.policy import NoRegression
from evalkit.gate.power import ASSUMED_FLIPS
from evalkit.operations.noise import advice_on, detectable, noise_of

POLICY = NoRegression(metrics=("pass_rate",))


def flaky(n: int, repeats: int, chance: float, seed: int = 1) -> FrozenFrame:
    """Cases of which one in five passes with a chance, the others always; a tenth of all in the cohort `small`."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        case = a_case(f"c{i:03}", cohorts={"domain": "small" if i % 10 == 0 else "large"})
        for repeat in range(repeats):
            passed = rng.random() < chance if i % 5 == 1 else True
            rows.append(a_row(case, {"rule": float(passed)}, repeat=repeat))
    return frozen(rows)


def test_flips_are_the_share_of_cases_that_differ_between_two_runs() -> None:
    """One case in five passes half of the time: a tenth of the cases flips, none of them in the small cohort."""
    found = noise_of(flaky(500, 6, 0.5), POLICY, ["pass_rate"], critical=frozenset({"domain=small"}), trials=10, seed=0)
    flips = {each.cohort: each.flips for each in found.gates}
    assert flips["overall"] == pytest.approx(0.1, abs=0.02)
    assert flips["domain=small"] == 0
    assert found.repeats == 6


def test_the_gate_hardly_blocks_a_system_for_being_itself() -> None:
    """Two different repeats of each case are two runs of the same system."""
    found = noise_of(
        flaky(200, 4, 0.5), POLICY, ["pass_rate"], critical=frozenset({"domain=small"}), trials=150, seed=3
    )
    assert found.false_blocks.n == 150
    assert found.false_blocks.value is not None
    assert found.false_blocks.value <= 0.03


def test_more_cases_and_less_noise_find_smaller_drops() -> None:
    """A drop is found by so many cases as are said to be needed, and not by one fewer."""
    counts = {"overall": 500, "domain=small": 30}
    known = {("pass_rate", "overall"): 0.02, ("pass_rate", "domain=small"): None}
    overall, small = detectable({"pass_rate": counts}, known, critical=frozenset({"domain=small"}), alpha=0.01)
    assert overall.smallest_drop is not None
    assert small.smallest_drop is not None
    assert overall.smallest_drop < 0.05 < 0.3 < small.smallest_drop
    assert small.flips is None
    for n, finds in ((small.cases_needed, True), (small.cases_needed - 1, False)):  # type: ignore[operator]
        flips = {("pass_rate", "x"): ASSUMED_FLIPS}
        one = {"overall": 1, "x": n}
        _, again = detectable({"pass_rate": one}, flips, critical=frozenset({"x"}), alpha=0.01)  # type: ignore[arg-type]
        assert (again.smallest_drop is not None and again.smallest_drop <= 0.10) is finds


def test_advice_names_what_is_too_small_to_see_anything() -> None:
    """Cases that would do, and what repeats would bring; nothing of what sees enough."""
    gates = detectable(
        {"pass_rate": {"overall": 800, "domain=small": 30}}, {}, critical=frozenset({"domain=small"}), alpha=0.01
    )
    (line,) = advice_on(gates)
    assert line.startswith("pass_rate in domain=small: 30 cases; ")
    assert "would find a drop of 10 points" in line


def test_one_run_says_nothing_of_noise() -> None:
    """No share of false alarms is made up where nothing was compared."""
    with pytest.raises(ValueError, match="two repeats"):
        noise_of(flaky(40, 1, 0.5), POLICY, ["pass_rate"], critical=frozenset({"domain=small"}), trials=10, seed=0)
