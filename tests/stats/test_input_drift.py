"""Inputs of a week against those of a reference, by permuting whole days."""

import itertools

import numpy as np
import pytest
from scipy import stats

from evalkit.stats.input_drift import chi_square, cohort_shift_p, mean_shift_p, psi, squared_distance
from evalkit.stats.scan import is_weekend

LAST_WEEK = np.arange(35) >= 28
WEEKEND = is_weekend(0, 35)


def test_chi_square_is_that_of_scipy() -> None:
    """A table of two rows, and a cohort that neither row has."""
    first, second = np.array([30.0, 20.0, 0.0, 5.0]), np.array([100.0, 120.0, 0.0, 11.0])
    expected = stats.chi2_contingency(np.array([first, second])[:, [0, 1, 3]], correction=False).statistic
    assert float(chi_square(first, second)) == pytest.approx(expected)


def test_the_distance_of_two_means_by_hand() -> None:
    """Means (1, 2) and (1, 0)."""
    assert float(squared_distance(np.array([2.0, 4.0, 2.0]), np.array([5.0, 0.0, 5.0]))) == 4.0


def test_psi_by_hand() -> None:
    """Shares .5 / .5 and .25 / .75 of many calls: .25 ln 2 - .25 ln(2/3)."""
    assert psi(np.array([5e6, 5e6]), np.array([2.5e6, 7.5e6])) == pytest.approx(0.25 * np.log(2) - 0.25 * np.log(2 / 3))
    assert np.isfinite(psi(np.array([10.0, 0.0]), np.array([0.0, 10.0])))


def test_p_is_the_share_of_exchanged_days() -> None:
    """Six days, two of them tested, no weekend: against the enumeration of all 15 choices."""
    counts = np.array([[9, 1], [8, 2], [10, 0], [4, 6], [9, 1], [5, 5]], float)
    tested = np.array([False, False, False, True, False, True])
    found = cohort_shift_p(counts, tested, np.zeros(6, bool), rng=np.random.default_rng(1))
    total = counts.sum(axis=0)
    values = [
        float(chi_square(counts[list(pair)].sum(axis=0), total - counts[list(pair)].sum(axis=0)))
        for pair in itertools.combinations(range(6), 2)
    ]
    own = float(chi_square(counts[tested].sum(axis=0), counts[~tested].sum(axis=0)))
    assert found == pytest.approx(sum(value >= own - 1e-9 for value in values) / 15, abs=0.015)


def test_weekends_are_exchanged_with_weekends() -> None:
    """Weekends that differ from weekdays are no drift; another week is."""
    counts = np.where(WEEKEND[:, None], [300.0, 700.0], [500.0, 500.0]) + np.arange(35)[:, None] % 3
    assert cohort_shift_p(counts, LAST_WEEK, WEEKEND, rng=np.random.default_rng(1)) > 0.05
    counts[LAST_WEEK] += [60, -60]
    assert cohort_shift_p(counts, LAST_WEEK, WEEKEND, rng=np.random.default_rng(1)) < 0.001


def test_days_that_differ_by_themselves_are_no_drift() -> None:
    """Shares that move from day to day: p <= .05 in at most 10 % of 100 unchanged weeks; independent calls: in most."""
    rng, found, naive = np.random.default_rng(2), 0, 0
    for _ in range(100):
        shares = np.clip(0.5 + 0.05 * rng.standard_normal(35), 0, 1)
        first = rng.binomial(5000, shares).astype(float)
        counts = np.column_stack([first, 5000 - first])
        found += cohort_shift_p(counts, LAST_WEEK, WEEKEND, rng=rng) <= 0.05
        naive += chi_square(counts[LAST_WEEK].sum(axis=0), counts[~LAST_WEEK].sum(axis=0)) > 3.84
    assert found / 100 <= 0.10
    assert naive / 100 > 0.5


def test_a_new_topic_moves_the_mean() -> None:
    """Embeddings of a topic of 10 %, in a direction of its own, are found; the same topics are not."""
    rng = np.random.default_rng(3)
    sums = rng.standard_normal((35, 16)) * 8 + 70 * np.eye(16)[0]
    weights = np.full(35, 70.0)
    assert mean_shift_p(sums, weights, LAST_WEEK, WEEKEND, rng=rng) > 0.02
    sums[LAST_WEEK] += 7 * 2 * np.eye(16)[1]
    assert mean_shift_p(sums, weights, LAST_WEEK, WEEKEND, rng=rng) <= 0.001


def test_both_periods_need_a_day() -> None:
    """Nothing is compared with nothing."""
    with pytest.raises(ValueError, match="at least one day"):
        cohort_shift_p(np.ones((3, 2)), np.ones(3, bool), np.zeros(3, bool), rng=np.random.default_rng(1))
