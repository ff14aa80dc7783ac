"""Ranks, the winner's figure and the cases that part two systems."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evalkit.stats.system_ranks import (
    cases_to_part,
    covariance_of_means,
    rank_intervals,
    shrunken_winner,
    surely_better,
)


def rng(seed: int = 0) -> np.random.Generator:
    """A fresh, seeded source of draws."""
    return np.random.default_rng(seed)


def passes(n: int, rates: list[float], seed: int = 0) -> NDArray[np.float64]:
    """Draw pass/fail values of systems that share the difficulty of each case."""
    source = rng(seed)
    hard = source.beta(0.425, 0.075, (n, 1))
    return (source.random((n, len(rates))) < hard * np.array(rates)).astype(float)


def test_an_order_that_is_plain_is_found() -> None:
    """Three systems far apart: each has one rank."""
    better = surely_better(passes(400, [1.0, 0.7, 0.4]), np.arange(400), rng=rng())
    assert better.tolist() == [[False, True, True], [False, False, True], [False, False, False]]
    assert rank_intervals(better) == [(1, 1), (2, 2), (3, 3)]


def test_equal_systems_share_all_ranks() -> None:
    """Identical columns are tied, and any of them may be the best."""
    values = np.repeat(passes(100, [1.0]), 5, axis=1)
    assert rank_intervals(surely_better(values, np.arange(100), rng=rng())) == [(1, 5)] * 5


def test_one_system_has_the_first_rank() -> None:
    """There is nothing to be worse than."""
    assert rank_intervals(surely_better(passes(10, [1.0]), np.arange(10), rng=rng())) == [(1, 1)]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(groups=st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_rank_intervals_are_those_of_all_possible_orders(groups: list[int]) -> None:
    """Against enumeration: the ranks over all orders in which nobody stands above a system that beats it."""
    better = np.array([[a < b for b in groups] for a in groups])
    k = len(groups)
    ranks = [
        [order.index(system) + 1 for system in range(k)]
        for order in itertools.permutations(range(k))
        if not any(better[order[j], order[i]] for i in range(k) for j in range(i + 1, k))
    ]
    expected = [(min(own), max(own)) for own in zip(*ranks, strict=True)]
    assert rank_intervals(better) == expected


@pytest.mark.slow
def test_equal_systems_are_rarely_ordered() -> None:
    """Any false statement about six equal systems in at most 7 % of 400 runs with 200 cases."""
    false = sum(
        bool(surely_better(passes(200, [1.0] * 6, seed), np.arange(200), rng=rng(seed)).any()) for seed in range(400)
    )
    assert false / 400 <= 0.07


def test_the_covariance_of_means_is_that_of_numpy() -> None:
    """Without clusters and missing values it is the sample covariance by n; a repeated case adds nothing."""
    values = passes(80, [1.0, 0.9, 0.5])
    found = covariance_of_means(values, np.arange(80))
    assert found == pytest.approx(np.cov(values.T) / 80)
    doubled = covariance_of_means(np.repeat(values, 2, axis=0), np.repeat(np.arange(80), 2))
    assert doubled == pytest.approx(found)


def test_the_winner_is_shrunken_by_hand() -> None:
    """Means .9 .8 .7 .6, each with variance .0025: S2 = .0167, s = 1 - (1/3) .0025/.0167 = .95, figure .8925."""
    assert shrunken_winner(np.array([0.9, 0.8, 0.7, 0.6]), 0.0025 * np.eye(4)) == pytest.approx(0.75 + 0.95 * 0.15)
    assert shrunken_winner(np.array([0.9, 0.7]), 0.0025 * np.eye(2)) == pytest.approx(0.8 + (1 - 0.0025 / 0.02) * 0.1)
    # Noise that all systems share does not make one look better than another.
    assert shrunken_winner(np.array([0.9, 0.7]), np.full((2, 2), 0.01)) == pytest.approx(0.9)


def test_equal_figures_are_not_shrunken() -> None:
    """Neither a spread of 0 nor noise above the spread takes the figure below the mean of all."""
    assert shrunken_winner(np.array([0.8, 0.8]), np.zeros((2, 2))) == 0.8
    assert shrunken_winner(np.array([0.81, 0.79]), 0.01 * np.eye(2)) == pytest.approx(0.8)
    assert shrunken_winner(np.array([0.9, 0.8]), np.full((2, 2), np.nan)) is None


def test_the_shrunken_figure_is_less_too_good() -> None:
    """Twelve equal systems of 85 %, 100 cases, 300 runs: the naive figure is some 3 points too good."""
    naive, shrunken = [], []
    for seed in range(300):
        values = passes(100, [1.0] * 12, seed)
        means = values.mean(axis=0)
        naive.append(means.max() - 0.85)
        shrunken.append((shrunken_winner(means, covariance_of_means(values, np.arange(100))) or 0) - 0.85)
    assert np.mean(naive) > 0.02
    assert abs(np.mean(shrunken)) < 0.012


def test_the_cases_asked_for_part_the_systems_in_four_of_five_runs() -> None:
    """Resampled to that many cases, the test finds the difference with 80 % power."""
    values = passes(150, [1.0, 0.94], seed=5)
    needed = cases_to_part(values, 0, 1, np.arange(150), rng=rng())
    assert needed is not None
    assert needed > 150
    source, found = rng(1), 0
    for _ in range(300):
        drawn = values[source.integers(150, size=needed)]
        found += bool(surely_better(drawn, np.arange(needed), rng=source)[0, 1])
    assert 0.73 <= found / 300 <= 0.87


def test_cases_are_counted_and_not_clusters() -> None:
    """Cases in pairs that always agree: twice as many are needed."""
    values = passes(150, [1.0, 0.9], seed=5)
    single = cases_to_part(values, 0, 1, np.arange(150), rng=rng())
    double = cases_to_part(np.repeat(values, 2, axis=0), 0, 1, np.repeat(np.arange(150), 2), rng=rng())
    assert single is not None
    assert double == pytest.approx(2 * single, abs=2)


def test_equal_systems_cannot_be_parted() -> None:
    """No number of cases parts two systems with one mean."""
    assert cases_to_part(np.ones((20, 2)), 0, 1, np.arange(20), rng=rng()) is None
    crossed = np.array([[1.0, 0.0], [0.0, 1.0]] * 10)
    assert cases_to_part(crossed, 0, 1, np.arange(20), rng=rng()) is None
