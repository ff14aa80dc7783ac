"""Sums of weighted samples: the mean and variance by hand, merging, the effective number, and coverage."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from evalkit.stats.weighted_sums import WeightedSums, finite_average, weighted_average, weighted_rate


def test_the_mean_and_its_variance_are_those_worked_by_hand() -> None:
    """Weights 1, 2, 3 of values 1, 0, 1: m = 4 / 6, and squares of w (y - m) are 1/9, 16/9 and 1."""
    sums = WeightedSums.of([1, 0, 1], [1, 2, 3], [0, 1, 2])
    assert sums.mean == pytest.approx(4 / 6)
    assert sums.variance == pytest.approx(3 / 2 * (1 / 9 + 16 / 9 + 1) / 36)
    assert sums.spread == pytest.approx(2 / 9)


def test_values_of_one_cluster_count_by_their_sum() -> None:
    """Two clusters of (1, 1) and (0, 0): sums of w (y - m) are 1 and -1, so the variance is 2 (1 + 1) / 16."""
    sums = WeightedSums.of([1, 1, 0, 0], np.ones(4), [0, 0, 1, 1])
    assert sums.variance == pytest.approx(2 * 2 / 16)
    assert sums.n_eff == pytest.approx(1.0)  # 4 values, a design effect of 4: the variance is 1/4, and p (1 - p) too


def test_independent_values_count_fully() -> None:
    """With equal weights and clusters of one, n_eff is n, but for the factor n / (n - 1) of the variance."""
    values = [1.0] * 80 + [0.0] * 20
    sums = WeightedSums.of(values, np.ones(100), range(100))
    assert sums.n_eff == pytest.approx(99)
    low, high = proportion_confint(80 * 0.99, 99, method="wilson")
    found = weighted_rate(sums)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, low, high))


def test_equal_values_count_once_a_cluster() -> None:
    """All 30 calls of 10 sessions passed: nothing says that they are independent, so the interval is that of 10."""
    sums = WeightedSums.of(np.ones(30), np.ones(30), np.repeat(range(10), 3))
    assert sums.n_eff == pytest.approx(10)
    found = weighted_rate(sums)
    assert found.value == 1.0
    assert found.low == pytest.approx(proportion_confint(10, 10, method="wilson")[0])


def test_no_values_are_no_figure() -> None:
    """Neither a rate nor a mean is made up."""
    assert weighted_rate(WeightedSums()).value is None
    assert weighted_average(WeightedSums()).value is None
    assert weighted_average(WeightedSums.of([1.0], [1.0], [0])).reason == "1 independent values"
    assert finite_average([], [], []).value is None
    with pytest.raises(ValueError, match="probabilities"):
        finite_average([1.0], [0.0], [0])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(1, 50), st.integers(0, 5)), min_size=1, max_size=30), st.data())
def test_parts_without_a_common_cluster_add_to_the_whole(
    rows: list[tuple[float, float, int]], data: st.DataObject
) -> None:
    """Hours and cohorts merge by adding."""
    cut = data.draw(st.integers(0, 5))

    def of(some: list[tuple[float, float, int]]) -> WeightedSums:
        return WeightedSums.of(*zip(*some, strict=True)) if some else WeightedSums()

    whole, left, right = of(rows), of([r for r in rows if r[2] < cut]), of([r for r in rows if r[2] >= cut])
    assert dataclasses.astuple(left + right) == pytest.approx(dataclasses.astuple(whole))


@pytest.mark.parametrize("per_session", [1, 4])
def test_intervals_cover_in_95_of_100_draws(per_session: int) -> None:
    """400 Poisson samples of 20,000 calls, cohorts with pi of 0.02 to 0.5: both intervals cover .93 to .97."""
    rng = np.random.default_rng(7)
    sessions = 20_000 // per_session
    pi = np.repeat(rng.choice([0.02, 0.05, 0.5], sessions, p=[0.6, 0.3, 0.1]), per_session)
    own = np.repeat(rng.beta(8, 2, sessions), per_session)
    covered = [0, 0]
    for _ in range(400):
        y = (rng.random(len(own)) < own).astype(float)
        drawn = np.repeat(rng.random(sessions), per_session) < pi
        clusters = np.repeat(np.arange(sessions), per_session)[drawn]
        rate = weighted_rate(WeightedSums.of(y[drawn], 1 / pi[drawn], clusters))
        mean = finite_average(y[drawn], pi[drawn], clusters)
        truth = float(y.mean())
        covered[0] += bool(rate.low <= truth <= rate.high)  # type: ignore[operator]
        covered[1] += bool(mean.low <= truth <= mean.high)  # type: ignore[operator]
    assert 0.93 <= covered[1] / 400 <= 0.97
    assert 0.93 <= covered[0] / 400 <= 0.985  # without the factor (1 - pi), so slightly wider


def test_a_mean_has_a_normal_interval() -> None:
    """Equal weights: m +- 1.96 s / sqrt(n)."""
    values = np.arange(50, dtype=float)
    found = weighted_average(WeightedSums.of(values, np.ones(50), range(50)))
    half = 1.959964 * float(values.std(ddof=1)) / math.sqrt(50)
    assert (found.low, found.high) == pytest.approx((24.5 - half, 24.5 + half))
