"""Differences of several systems against brute force, other libraries and known distributions."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from evalkit.stats.differences import Differences, by_cluster, largest_t, of_pairs, simultaneous, two_sided_p
from evalkit.stats.intervals import cluster_robust
from evalkit.stats.paired import mcnemar, sign_flip_max_t
from evalkit.stats.quantiles import two_sided_t

Floats = NDArray[np.float64]


def rng(seed: int = 0) -> np.random.Generator:
    """A fresh, seeded source of draws."""
    return np.random.default_rng(seed)


def alone(n: int) -> NDArray[np.int64]:
    """Every case is a cluster of its own."""
    return np.arange(n)


def brute_force(rows: Floats) -> Floats:
    """Two-sided step-down max-T by its definition, over every sign pattern."""
    norms = np.sqrt((rows**2).sum(axis=0))
    patterns = np.array(list(itertools.product((1, -1), repeat=len(rows))))
    drawn, observed = np.abs(patterns @ rows) / norms, np.abs(rows.sum(axis=0)) / norms
    adjusted, floor = np.ones(rows.shape[1]), 0.0
    order = np.argsort(-observed)
    for place, column in enumerate(order):
        maxima = drawn[:, order[place:]].max(axis=1)
        floor = max(floor, float((maxima >= observed[column] - 1e-9).mean()))
        adjusted[column] = floor
    return adjusted


def test_adjusted_p_values_equal_the_definition() -> None:
    """All sign patterns of 9 rows and 5 columns."""
    rows = rng(3).normal(0.4, 1, (9, 5))
    found = Differences(rows, np.ones(rows.shape))
    assert two_sided_p(found, rng()) == pytest.approx(brute_force(rows))


@pytest.mark.parametrize(("b", "c"), [(7, 1), (1, 7), (9, 3), (5, 5), (0, 6), (13, 0)])
def test_two_systems_give_the_exact_mcnemar_test(b: int, c: int) -> None:
    """With two systems, p is that of the existing paired test, two-sided."""
    values = np.array([[1, 0]] * b + [[0, 1]] * c + [[1, 1]] * 30, dtype=float)
    found = of_pairs(values, [(0, 1)], alone(len(values)))
    assert two_sided_p(found, rng())[0] == pytest.approx(mcnemar(b, c, one_sided=False))


def test_two_systems_give_the_one_sided_test_of_both_directions() -> None:
    """With 200 rows and equal draws, p is the smaller of the two directions in one family."""
    values = rng(1).random((200, 2)) + np.array([0.05, 0.0])
    found = of_pairs(values, [(0, 1)], alone(200))
    both = np.hstack([found.rows, -found.rows])
    expected = sign_flip_max_t(both, families=[[0, 1]], rng=rng(4)).min()
    assert two_sided_p(found, rng(4))[0] == expected


def test_a_pair_uses_the_cases_that_both_answered() -> None:
    """A missing value removes its case from the pairs of that system alone."""
    values = np.array([[1.0, 0.0, 1.0], [np.nan, 1.0, 0.0], [1.0, np.nan, np.nan]])
    found = of_pairs(values, [(0, 1), (0, 2), (1, 2)], alone(3))
    assert found.n.tolist() == [1, 1, 2]
    assert found.means.tolist() == [1.0, 0.0, 0.0]


def test_clusters_are_summed() -> None:
    """Rows are clusters, whatever their numbers; sizes count the known cases."""
    differences = np.array([[1.0], [np.nan], [-1.0], [1.0]])
    found = by_cluster(differences, np.array([0, 0, 7, 0]))
    assert found.rows.tolist() == [[2.0], [-1.0]]
    assert found.sizes.tolist() == [[2.0], [1.0]]


def test_the_interval_of_one_difference_is_that_of_t() -> None:
    """With one column, the critical value is close to Student's t, and never below it; the error is cluster-robust."""
    d, clusters = rng(2).normal(0.1, 1, 300), np.arange(300) // 2
    found = simultaneous(by_cluster(d[:, None], clusters), span=math.inf, rng=rng())[0]
    theirs = cluster_robust(d, clusters.tolist())
    assert found.value == pytest.approx(theirs.value)
    assert found.low is not None and found.high is not None and theirs.low is not None and theirs.high is not None
    assert 1 <= (found.high - found.low) / (theirs.high - theirs.low) < 1.06


def test_the_critical_value_is_that_of_dunnett() -> None:
    """Five independent systems and a shared reference: correlation 1/2 between their differences."""
    covariance = np.full((5, 5), 0.5) + np.eye(5) / 2
    draws = np.abs(rng(9).multivariate_normal(np.zeros(5), covariance, 200_000)).max(axis=1)
    values = rng(5).normal(0, 1, (800, 6))
    found = of_pairs(values, [(j, 0) for j in range(1, 6)], alone(800))
    assert largest_t(found, level=0.05, rng=rng()) == pytest.approx(np.quantile(draws, 0.95), abs=0.08)
    half = simultaneous(found, span=math.inf, rng=rng())[0]
    error = stats.sem(values[:, 1] - values[:, 0])
    assert half.high is not None and half.value is not None
    assert (half.high - half.value) / error == pytest.approx(np.quantile(draws, 0.95), abs=0.08)


def test_small_samples_get_wider_intervals_than_the_normal_ones() -> None:
    """With 8 cases the critical value of one column is at least Student's, 2.36."""
    values = rng(6).normal(0, 1, (8, 2))
    found = of_pairs(values, [(0, 1)], alone(8))
    estimate = simultaneous(found, span=math.inf, rng=rng())[0]
    assert estimate.high is not None and estimate.value is not None
    error = stats.sem(values[:, 0] - values[:, 1])
    assert (estimate.high - estimate.value) / error >= two_sided_t(0.95, 7) - 1e-9


@pytest.mark.slow
def test_simultaneous_intervals_cover_all_differences_together() -> None:
    """In 95 % of 400 samples of 60 cases, all five intervals hold their true difference, 0."""
    source = rng(7)
    covered = 0
    for _ in range(400):
        found = of_pairs(source.normal(0, 1, (60, 6)), [(j, 0) for j in range(1, 6)], alone(60))
        intervals = simultaneous(found, span=math.inf, rng=source)
        covered += all(each.low <= 0 <= each.high for each in intervals)  # type: ignore[operator]
    assert 0.92 <= covered / 400 <= 0.98


def test_equal_columns_prove_little() -> None:
    """Identical systems differ by 0, with an interval that shrinks with the number of cases and is never empty."""
    widths = []
    for n in (10, 1000):
        values = np.repeat(rng(1).integers(0, 2, (n, 1)).astype(float), 2, axis=1)
        found = of_pairs(values, [(0, 1)], alone(n))
        estimate = simultaneous(found, span=1.0, rng=rng())[0]
        assert estimate.value == 0
        assert two_sided_p(found, rng())[0] == 1
        assert estimate.low is not None and estimate.high is not None
        assert estimate.low == -estimate.high < 0
        widths.append(estimate.high)
    assert widths[1] < 0.01 < widths[0] < 0.5


def test_a_constant_difference_has_no_spread() -> None:
    """0.1 + 0.2 is not .3 in floats: rounding is not spread."""
    values = np.array([[0.1 * i + 0.3, 0.1 * i] for i in range(20)])
    estimate = simultaneous(of_pairs(values, [(0, 1)], alone(20)), span=10.0, rng=rng())[0]
    assert estimate.method == "wilson, no spread"
    open_end = simultaneous(of_pairs(values, [(0, 1)], alone(20)), span=math.inf, rng=rng())[0]
    assert open_end.reason == "zero width: no spread was observed"


def test_too_few_cases_have_no_interval() -> None:
    """No common case gives no value; one case or one cluster no interval, and p = 1; two a value."""
    values = np.array([[1.0, 0.0, np.nan]])
    found = of_pairs(values, [(0, 1), (0, 2)], alone(1))
    one, none = simultaneous(found, span=1.0, rng=rng())
    assert (one.value, one.low, one.reason) == (1.0, None, "no interval: one case or cluster shows no spread")
    assert (none.value, none.n, none.reason) == (None, 0, "no case has a value for both")
    assert two_sided_p(found, rng()).tolist() == [1.0, 1.0]
    single = simultaneous(by_cluster(np.array([[1.0], [0.0]]), np.array([4, 4])), span=1.0, rng=rng())[0]
    assert single.low is None
    two = simultaneous(by_cluster(np.array([[1.0], [0.2]]), alone(2)), span=1.0, rng=rng())[0]
    assert two.value == pytest.approx(0.6)
    assert "too few" in two.reason


def test_a_system_with_other_cases_does_not_widen_the_others() -> None:
    """A column without a case is left out of the maximum."""
    values = rng(8).normal(0, 1, (100, 3))
    values[:, 2] = np.nan
    alone_found = of_pairs(values, [(0, 1)], alone(100))
    with_empty = of_pairs(values, [(0, 1), (0, 2)], alone(100))
    expected = largest_t(alone_found, level=0.05, rng=rng())
    assert largest_t(with_empty, level=0.05, rng=rng()) == pytest.approx(expected)
