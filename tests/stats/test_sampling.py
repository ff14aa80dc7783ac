"""Allocation, post-stratification, effective size and coverage, against worked figures and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from evalkit.stats.sampling import (
    allocate_equal,
    allocate_floor,
    allocate_neyman,
    allocate_proportional,
    effective_n,
    post_stratified,
    production_coverage,
    weighted_mean,
)

SHARES = np.array([0.60, 0.20, 0.12, 0.06, 0.02])
RATES = np.array([0.92, 0.85, 0.80, 0.70, 0.60])


@given(
    n=st.integers(0, 5000), weights=st.lists(st.floats(0, 100), min_size=1, max_size=12).filter(lambda w: sum(w) > 0)
)
def test_every_case_is_given_away_and_nobody_is_off_by_more_than_one(n: int, weights: list[float]) -> None:
    """Largest remainders: the counts sum to n, each within one of its exact share."""
    counts = allocate_proportional(n, weights)
    assert counts.sum() == n
    exact = np.array(weights) / sum(weights) * n
    assert (np.abs(counts - exact) < 1 + 1e-6).all()


def test_known_allocations() -> None:
    """500 cases over 60/20/12/6/2 %: by hand."""
    assert allocate_proportional(500, SHARES).tolist() == [300, 100, 60, 30, 10]
    assert allocate_equal(500, 5).tolist() == [100] * 5
    # 50 for the two small ones; 400 left, of which 60, 20 and 12 of 92 parts: 260.9, 87.0, 52.2.
    assert allocate_floor(500, SHARES).tolist() == [261, 87, 52, 50, 50]
    assert allocate_floor(100, SHARES).tolist() == [20] * 5
    assert allocate_floor(500, [0.5, 0.5, 0.0]).tolist() == [250, 250, 0]
    # Weight times standard deviation: equal shares, the second stratum varies three times as much.
    assert allocate_neyman(400, [0.5, 0.5], [0.1, 0.3]).tolist() == [100, 300]


@given(n=st.integers(0, 3000), floor=st.integers(1, 80), weights=st.lists(st.floats(0.001, 10), min_size=1, max_size=8))
def test_the_floor_holds_wherever_it_can(n: int, floor: int, weights: list[float]) -> None:
    """All cases are given away, and no stratum is below the floor while n is large enough."""
    counts = allocate_floor(n, weights, floor=floor)
    assert counts.sum() == n
    if n >= floor * len(weights):
        assert counts.min() >= floor


def se(counts: np.ndarray) -> float:
    """Standard error of the post-stratified pass rate."""
    return math.sqrt((SHARES**2 * RATES * (1 - RATES) / counts).sum())


def test_neyman_is_best_and_equal_is_worst() -> None:
    """The allocations rank as theory says."""
    neyman = se(allocate_neyman(500, SHARES, np.sqrt(RATES * (1 - RATES))))
    proportional, floored, equal = (
        se(each) for each in (allocate_proportional(500, SHARES), allocate_floor(500, SHARES), allocate_equal(500, 5))
    )
    assert neyman <= proportional <= floored * 1.02
    assert floored < equal


def test_post_stratification_undoes_an_equal_draw() -> None:
    """The plain mean of an equal draw is off by points; the weighted one is not, and its interval holds."""
    rng = np.random.default_rng(4)
    truth, inside, plain = float((SHARES * RATES).sum()), 0, []
    strata = np.repeat(np.arange(5), 100)
    for _ in range(400):
        values = (rng.random(500) < RATES[strata]).astype(float)
        found = post_stratified(values, strata.tolist(), SHARES)
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= truth <= found.high
        plain.append(values.mean())
    assert abs(np.mean(plain) - truth) > 0.05
    assert inside / 400 > 0.91


def test_post_stratified_by_hand() -> None:
    """Means .5 and 1 with weights 3 to 1: .625; SE^2 = .75^2 * (1/3) / 4, 3 degrees of freedom."""
    found = post_stratified([0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1], [3, 1])
    assert found.value == pytest.approx(0.625)
    assert found.low is not None
    assert 0.625 - found.low == pytest.approx(t.ppf(0.975, 3) * 0.75 * math.sqrt((1 / 3) / 4), rel=1e-6)


def test_a_part_of_production_without_cases_leaves_it_undefined() -> None:
    """No number is made up for a cohort that the set does not hold."""
    found = post_stratified([1, 1, 1], [0, 0, 0], [0.9, 0.1])
    assert found.value is None
    assert "stratum 1" in found.reason
    assert post_stratified([1, 1], [0, 0], [1.0, 0.0]).value == 1.0


def test_effective_n() -> None:
    """Equal weights keep their size; 500 equal draws of unequal strata are worth 100 / (sum of squared shares)."""
    assert effective_n(np.ones(40)) == pytest.approx(40)
    assert effective_n(np.repeat(SHARES, 100)) == pytest.approx(100 / (SHARES**2).sum(), rel=1e-9)
    assert effective_n([]) == 0


def test_coverage_by_hand() -> None:
    """30 cases cover a stratum, 15 cover half of it, none cover nothing."""
    declared = production_coverage([30, 15, 0], [0.5, 0.3, 0.2], sampled=False)
    assert declared.value == pytest.approx(0.5 + 0.15)
    assert declared.low == declared.high == declared.value
    sampled = production_coverage([100, 100, 0, 0], [600, 390, 9, 1], sampled=True)
    assert sampled.value == pytest.approx(0.99 * (1 - 1 / 1000))
    assert sampled.low is not None
    assert sampled.low < 0.99


def test_coverage_interval_holds() -> None:
    """Over many samples of production the interval holds the true covered share."""
    rng = np.random.default_rng(8)
    counts, truth = [40, 20, 10, 0], np.array([0.5, 0.3, 0.15, 0.05])
    covered = float((truth * np.minimum(1, np.array(counts) / 30)).sum())
    hits = 0
    for _ in range(500):
        found = production_coverage(counts, rng.multinomial(800, truth), sampled=True)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= covered <= found.high
    assert hits / 500 > 0.92


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [-1.0, 2.0], [math.nan]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    """Nothing can be split by them."""
    with pytest.raises(ValueError, match="weights"):
        allocate_proportional(10, weights)


def test_a_weighted_mean_of_strata_is_the_post_stratified_one() -> None:
    """Weights share / n_k give the same mean and interval."""
    rng = np.random.default_rng(5)
    strata = np.repeat([0, 1, 2], [40, 30, 10])
    shares = np.array([0.2, 0.3, 0.5])
    values = rng.normal(strata, 1.0 + strata)
    weights = (shares / np.bincount(strata))[strata]
    ours = weighted_mean(values, weights, strata, np.arange(80), sizes=[40, 30, 10])
    theirs = post_stratified(values, strata.tolist(), shares)
    assert ours.value == pytest.approx(theirs.value)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_a_weighted_mean_of_clusters_is_linearised() -> None:
    """By hand: x = 1, 0, 1, w = 1, 1, 2, clusters a, a, b. m = 3/4; u = 1/16, -3/16, 2/16; sums -1/8 and 1/8.

    SE^2 = 2 / 1 * (1/64 + 1/64) = 1/16, t(.975, 1) = 12.706.
    """
    found = weighted_mean([1, 0, 1], [1, 1, 2], [0, 0, 0], [7, 7, 9], sizes=[3])
    assert found.value == pytest.approx(0.75)
    assert found.high - found.value == pytest.approx(12.7062 / 4, rel=1e-4)


def test_a_weighted_mean_of_one_cluster_is_undefined() -> None:
    """Its spread is unknown, and so is the mean's; with nothing as well."""
    assert weighted_mean([1, 0], [1, 1], [0, 0], [3, 3], sizes=[2]).value is None
    assert weighted_mean([], [], [], [], sizes=[]).value is None
