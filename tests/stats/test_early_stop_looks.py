"""Looks at a comparison that is under way, and the chance that a drop would still be found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evalkit.stats.early_stop import (
    LEAST_CASES,
    LEAST_VARIANCE,
    GateProgress,
    critical_statistic,
    looks_of,
    remaining_power,
)


def test_looks_are_at_quarters_of_at_least_a_hundred_cases() -> None:
    """A small run has fewer looks, and one of a hundred cases none."""
    assert looks_of(500) == (125, 250, 375)
    assert looks_of(398) == (100, 199, 299)
    assert looks_of(396) == (198, 297)
    assert looks_of(100) == ()
    assert looks_of(0) == ()


@given(st.integers(0, 10**6))
def test_looks_are_inside_the_run(n: int) -> None:
    """In rising order, before the last case, and never at a handful."""
    looks = looks_of(n)
    assert list(looks) == sorted(set(looks))
    assert all(LEAST_CASES <= at < n for at in looks)


@pytest.mark.parametrize("level", [0.005, 0.01, 0.1])
@pytest.mark.parametrize("n_gates", [1, 4, 20])
def test_the_critical_statistic_is_that_of_the_largest_of_independent_normals(level: float, n_gates: int) -> None:
    """By scipy's normal distribution."""
    chance = 1 - stats.norm.cdf(critical_statistic(level, n_gates)) ** n_gates
    assert chance == pytest.approx(level, rel=1e-6)


@pytest.mark.parametrize("n", [1_000, 3_000])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("statistic", [-1.0, 0.0, 1.5, 2.5])
@pytest.mark.parametrize("flips", [0.01, 0.05, 0.2])
def test_the_remaining_power_is_that_of_simulated_cases(n: int, share: float, statistic: float, flips: float) -> None:
    """The cases to come flip in both directions, and one in twenty breaks; 8,000 seeded ends of the run."""
    drop, critical, rng = 0.05, 3.0, np.random.default_rng(5)
    done, left = int(n * share), n - int(n * share)
    squares = done * flips
    worse, better, _ = rng.multinomial(left, [flips / 2 + drop, flips / 2, 1 - flips - drop], size=8_000).T
    end = (statistic * math.sqrt(squares) + worse - better) / np.sqrt(squares + worse + better + 1e-9)
    said = remaining_power(GateProgress(statistic, share, n, flips), critical, drop)
    assert said == pytest.approx(float((end >= critical).mean()), abs=0.12)


@given(
    st.floats(-5, 5), st.floats(0, 1), st.integers(1, 10**5), st.floats(0, 1), st.floats(0.5, 5), st.floats(0.01, 0.3)
)
def test_the_remaining_power_is_a_probability_that_rises_with_the_statistic(
    statistic: float, share: float, n: int, variance: float, critical: float, drop: float
) -> None:
    """More cases that are worse so far never make a drop less likely to be found."""
    powers = [
        remaining_power(GateProgress(each, share, n, variance), critical, drop) for each in (statistic, statistic + 1)
    ]
    assert all(0 <= each <= 1 for each in powers)
    assert powers[0] <= powers[1] + 1e-12


def test_a_gate_whose_cases_are_all_done_is_decided() -> None:
    """By its statistic alone."""
    assert remaining_power(GateProgress(3.0, 1.0, 50, 0.1), 2.9, 0.05) == 1
    assert remaining_power(GateProgress(2.8, 1.0, 50, 0.1), 2.9, 0.05) == 0


def test_a_steady_gate_is_not_taken_for_one_without_noise() -> None:
    """Cases that never differed may differ later, so its power is not that of a drop without noise."""
    steady = remaining_power(GateProgress(0.0, 0.5, 200, 0.0), 2.5, 0.05)
    noisy = stats.norm.cdf((100 * 0.05 - 2.5 * math.sqrt(100 * (LEAST_VARIANCE + 0.05))) / math.sqrt(100 * 0.0575))
    assert steady == pytest.approx(noisy)
