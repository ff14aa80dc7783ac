"""Effects of factors against their definition, enumeration and scipy."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from evalkit.stats.factors import interaction_p, main_effects

LEVELS = np.array(list(itertools.product(range(3), range(2))))


def rng(seed: int = 0) -> np.random.Generator:
    """A fresh, seeded source of draws."""
    return np.random.default_rng(seed)


def drawn(n: int, effects: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Draw values of a 3 x 2 matrix of systems."""
    source = rng(seed)
    return np.asarray(source.normal(0, 1, (n, 1)) + source.normal(0, 0.5, (n, 6)) + effects)


def test_an_effect_is_the_mean_of_a_level_minus_the_mean_of_all() -> None:
    """The effects of a factor sum to 0."""
    values = drawn(200, np.zeros(6))
    found = main_effects(values, LEVELS[:, 0], np.arange(200), span=math.inf, rng=rng())
    expected = [values[:, LEVELS[:, 0] == level].mean() - values.mean() for level in range(3)]
    assert [each.value for each in found] == pytest.approx(expected)
    assert sum(expected) == pytest.approx(0)


def test_two_levels_are_a_paired_t_test() -> None:
    """With two levels, an effect is half the difference, with the interval of Student's t."""
    values = drawn(300, 0.1 * LEVELS[:, 1])
    found = main_effects(values, LEVELS[:, 1], np.arange(300), span=math.inf, rng=rng())[1]
    d = (values[:, 1::2].mean(axis=1) - values[:, ::2].mean(axis=1)) / 2
    theirs = stats.ttest_1samp(d, 0).confidence_interval()
    assert found.value == pytest.approx(d.mean())
    assert found.low == pytest.approx(theirs.low, abs=0.004)
    assert found.high == pytest.approx(theirs.high, abs=0.004)


def test_cases_with_a_missing_value_are_left_out() -> None:
    """One missing value takes its case from all levels."""
    values = drawn(100, np.zeros(6))
    holed = values.copy()
    holed[7, 2] = np.nan
    kept = np.delete(values, 7, axis=0)
    found = main_effects(holed, LEVELS[:, 0], np.arange(100), span=math.inf, rng=rng())
    assert found[0].n == 99
    assert found == main_effects(kept, LEVELS[:, 0], np.arange(99), span=math.inf, rng=rng())


def test_exactly_additive_systems_have_no_interaction() -> None:
    """Rounding is not an interaction."""
    values = 0.1 * LEVELS[:, 0] + 0.7 * LEVELS[:, 1] + rng(2).random((50, 1))
    assert interaction_p(values, LEVELS, np.arange(50), rng=rng()) == 1.0


def test_the_interaction_of_two_by_two_is_a_sign_flip_of_one_contrast() -> None:
    """Against all sign patterns of the double difference, which all four cells share."""
    levels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    values = rng(4).normal(0, 1, (10, 4)) + np.array([0, 0, 0, 1.2])
    contrast = values @ np.array([1, -1, -1, 1])
    patterns = np.array(list(itertools.product((1, -1), repeat=10)))
    expected = (np.abs(patterns @ contrast) >= abs(contrast.sum()) - 1e-9).mean()
    assert interaction_p(values, levels, np.arange(10), rng=rng()) == pytest.approx(expected)


def test_a_broken_cell_is_an_interaction_and_additive_effects_are_none() -> None:
    """200 cases: a cell off by half a standard deviation is found, additive effects in 5 % of 200 samples."""
    broken = np.where((LEVELS == [1, 1]).all(axis=1), 0.5, 0.0)
    found = interaction_p(drawn(200, broken), LEVELS, np.arange(200), rng=rng())
    assert found is not None
    assert found < 0.01
    additive = 0.3 * LEVELS[:, 0] + 0.2 * LEVELS[:, 1]
    p_values = [interaction_p(drawn(40, additive, seed), LEVELS, np.arange(40), rng=rng(seed)) for seed in range(200)]
    assert sum(p is not None and p <= 0.05 for p in p_values) / 200 <= 0.09


def test_three_factors_have_pairs_of_interactions() -> None:
    """A cell effect of two of three factors is found; without a complete case there is no p value."""
    levels = np.array(list(itertools.product(range(2), repeat=3)))
    source = rng(1)
    values = source.normal(0, 0.5, (150, 8)) + 0.6 * levels[:, 0] * levels[:, 2]
    found = interaction_p(values, levels, np.arange(150), rng=rng())
    assert found is not None
    assert found < 0.01
    assert interaction_p(np.full((3, 8), np.nan), levels, np.arange(3), rng=rng()) is None
