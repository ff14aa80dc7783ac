"""Intervals against published figures, other libraries, worked arithmetic and seeded coverage."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from evalkit.results import Estimate
from evalkit.stats.intervals import (
    cases_to_prove,
    cluster_robust,
    independent_difference,
    mean_t,
    newcombe_paired,
    quantile_bounds,
    tango,
    wilson,
)

seeded = settings(derandomize=True, deadline=None, max_examples=150)
counts = st.integers(0, 60)
levels = st.sampled_from([0.5, 0.9, 0.95, 0.999])
samples = st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=1, max_size=40)


def ordered(estimate: Estimate) -> bool:
    """Low <= value <= high wherever they are known."""
    known = [end for end in (estimate.low, estimate.value, estimate.high) if end is not None]
    return known == sorted(known)


@pytest.mark.parametrize(("successes", "n", "level"), [(0, 1, 0.95), (1, 1, 0.95), (8, 10, 0.9), (263, 500, 0.99)])
def test_wilson_equals_statsmodels_and_scipy(successes: int, n: int, level: float) -> None:
    """Wilson's ends are those of two other implementations."""
    ours = wilson(successes, n, confidence_level=level)
    theirs = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    scipy_ends = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx((scipy_ends.low, scipy_ends.high), abs=1e-12)
    assert (ours.value, ours.n, ours.method, ours.confidence_level) == (successes / n, n, "wilson", level)


def test_wilson_has_a_width_at_both_ends_and_reaches_them_exactly() -> None:
    """No failure in 10 still leaves z^2/(n + z^2) of doubt: 3.8415/13.8415 = 0.2775."""
    assert wilson(10, 10).high == 1.0
    assert wilson(10, 10).low == pytest.approx(1 - 0.2775, abs=1e-4)
    assert wilson(0, 10).low == 0.0
    assert wilson(0, 10).high == pytest.approx(0.2775, abs=1e-4)


@pytest.mark.parametrize(("n", "floor"), [(29, 0.90), (59, 0.95), (299, 0.99)])
def test_cases_without_failure_that_prove_a_threshold_are_near_the_exact_number(n: int, floor: float) -> None:
    """The lower one-sided 95 % Wilson bound n/(n + 2.7055) passes the floor at n, where the exact bound also does."""
    bound = wilson(n, n, confidence_level=0.9).low
    assert bound == pytest.approx(n / (n + 1.6448536**2), abs=1e-7)
    assert bound > floor


@seeded
@given(n=st.integers(1, 400), data=st.data(), level=levels)
def test_wilson_stays_in_range_and_mirrors(n: int, data: st.DataObject, level: float) -> None:
    """0 <= low <= value <= high <= 1, and failures give the mirrored interval."""
    successes = data.draw(st.integers(0, n))
    ours, mirrored = (wilson(k, n, confidence_level=level) for k in (successes, n - successes))
    assert ours.low is not None and ours.high is not None
    assert 0 <= ours.low <= ours.value <= ours.high <= 1
    assert (ours.low, ours.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-12)


@pytest.mark.parametrize(
    "undefined",
    [
        wilson(0, 0),
        mean_t([]),
        cluster_robust([], []),
        newcombe_paired(0, 0, 0, 0),
        tango(0, 0, 0, 0),
        quantile_bounds([], 0.95),
    ],
    ids=["wilson", "mean_t", "cluster_robust", "newcombe", "tango", "quantile"],
)
def test_no_cases_give_no_value_but_a_reason(undefined: Estimate) -> None:
    """An empty sample is undefined, never 0 and never NaN."""
    assert (undefined.value, undefined.low, undefined.high, undefined.n) == (None, None, None, 0)
    assert undefined.reason == "no values"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson(3, 2), "3 successes of 2"),
        (lambda: wilson(-1, 2), "-1 successes"),
        (lambda: wilson(1, 2, confidence_level=95), "confidence_level is 95"),
        (lambda: wilson(0, 0, confidence_level=0), "confidence_level is 0"),
        (lambda: mean_t([], confidence_level=1), "confidence_level is 1"),
        (lambda: mean_t([1.0, math.nan]), r"values\[1\] is nan"),
        (lambda: mean_t([[1.0]]), r"shape \(1, 1\)"),
        (lambda: cluster_robust([1.0, 2.0], ["a"]), "2 values but 1 clusters"),
        (lambda: cluster_robust([1.0, math.inf], ["a", "b"]), r"values\[1\] is inf"),
        (lambda: newcombe_paired(1, -1, 0, 0), "cannot be negative"),
        (lambda: tango(1, 0, 0, -2), "cannot be negative"),
        (lambda: quantile_bounds([1.0], 95), "q is 95"),
        (lambda: quantile_bounds([1.0], 1), "q is 1"),
        (lambda: quantile_bounds([math.nan], 0.5), r"values\[0\] is nan"),
    ],
)
def test_what_is_no_sample_is_refused_with_its_place(call, message: str) -> None:
    """Impossible counts, levels and values raise instead of giving a number."""
    with pytest.raises(ValueError, match=message):
        call()


def test_mean_t_by_hand() -> None:
    """2, 4, 9: mean 5, s^2 = (9 + 1 + 16)/2 = 13, SE = sqrt(13/3) = 2.0817, t(2) = 4.3027, half width 8.957."""
    ours = mean_t([2, 4, 9])
    assert ours.value == 5
    assert (ours.low, ours.high) == pytest.approx((5 - 8.957, 5 + 8.957), abs=1e-3)
    assert (ours.n, ours.method, ours.reason) == (3, "t", "")


def test_mean_t_equals_scipy() -> None:
    """Student's interval is that of scipy's one-sample t test."""
    values = np.random.default_rng(3).normal(size=37)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    ours = mean_t(values, confidence_level=0.9)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_one_value_has_no_interval() -> None:
    """A single value is shown without an interval, and why."""
    ours = mean_t([0.25])
    assert (ours.value, ours.low, ours.high, ours.n) == (0.25, None, None, 1)
    assert ours.reason.startswith("no interval")


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3])
def test_equal_values_state_their_zero_width(value: float) -> None:
    """Where nothing varies the interval is the value itself and says so, whatever the rounding."""
    for ours in (mean_t([value] * 7), cluster_robust([value] * 7, range(7))):
        assert (ours.value, ours.low, ours.high) == (value, value, value)
        assert ours.reason.startswith("zero width")


def test_cluster_robust_equals_statsmodels() -> None:
    """The interval is that of a regression on a constant with cluster-robust errors and t(G - 1)."""
    rng = np.random.default_rng(4)
    clusters = rng.integers(0, 9, size=60)
    values = rng.normal(size=60) + rng.normal(size=9)[clusters]
    fit = OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    ours = cluster_robust(values, clusters.tolist())
    assert (ours.low, ours.high) == pytest.approx(tuple(fit.conf_int(0.05)[0]), abs=1e-10)
    assert (ours.value, ours.n) == (pytest.approx(values.mean()), 60)


def test_cluster_robust_by_hand() -> None:
    """Deviations from 0.5 sum to 1, -1, 0 in three clusters: SE = sqrt(3/2 * 2)/6 = 0.28868, t(2) = 4.30265."""
    ours = cluster_robust([1, 1, 0, 0, 1, 0], ["a", "a", "b", "b", "c", "c"])
    assert ours.value == 0.5
    assert ours.high == pytest.approx(0.5 + 4.30265 * 0.28868, abs=1e-4)


@pytest.mark.parametrize("clusters", [["a", "b", "c", "d"], [None] * 4, ["a", None, "b", None]])
def test_cases_that_share_no_cluster_are_independent(clusters: list[str | None]) -> None:
    """One case per cluster, or no cluster at all, gives Student's interval."""
    values = [0.1, 0.5, 0.7, 0.2]
    ours, plain = cluster_robust(values, clusters), mean_t(values)
    assert (ours.low, ours.high) == pytest.approx((plain.low, plain.high), abs=1e-12)


def test_one_cluster_has_no_interval() -> None:
    """A single cluster shows nothing of the spread between clusters."""
    ours = cluster_robust([1.0, 0.0, 1.0], ["a", "a", "a"])
    assert (ours.value, ours.low, ours.high) == (pytest.approx(2 / 3), None, None)
    assert "one cluster" in ours.reason


def test_clusters_with_equal_means_state_their_zero_width() -> None:
    """Clusters that do not differ leave no spread, even where their cases do."""
    ours = cluster_robust([1, 0, 1, 0], ["a", "a", "b", "b"])
    assert (ours.value, ours.low, ours.high) == (0.5, 0.5, 0.5)
    assert ours.reason.startswith("zero width")


@seeded
@given(values=samples, data=st.data(), level=levels)
def test_the_order_of_the_cases_changes_no_digit(values: list[float], data: st.DataObject, level: float) -> None:
    """Shuffled values give the very same estimate, with ordered ends."""
    shuffled = data.draw(st.permutations(values))
    for estimate in (mean_t, lambda x, confidence_level: quantile_bounds(x, 0.8, confidence_level=confidence_level)):
        ours = estimate(values, confidence_level=level)
        assert ours == estimate(shuffled, confidence_level=level)
        assert ordered(ours)


@pytest.mark.parametrize(
    ("function", "table", "low", "high"),
    [
        pytest.param(newcombe_paired, (36, 12, 2, 0), 0.0569, 0.3404, id="newcombe-1998"),
        pytest.param(newcombe_paired, (1, 1, 7, 12), -0.507, -0.026, id="newcombe-airways"),
        pytest.param(tango, (1, 1, 7, 12), -0.517, -0.026, id="tango-airways"),
    ],
)
def test_paired_differences_equal_published_intervals(function, table, low: float, high: float) -> None:
    """Newcombe 1998 (36, 12, 2, 0) and Fagerland 2014 (airway data: 1, 1, 7, 12) print these ends."""
    ours = function(*table)
    digits = 4 if low > 0 else 3
    assert (round(ours.low, digits), round(ours.high, digits)) == (low, high)
    assert ours.value == pytest.approx((table[1] - table[2]) / sum(table))


def test_newcombe_by_hand_with_a_positive_association() -> None:
    """40, 5, 10, 45: phi = (1750 - 50)/sqrt(45 * 55 * 50 * 50) = 0.68343, after lowering 1750 by n/2 = 50.

    Wilson 45/100 = (.35614, .54756) and 50/100 = (.40383, .59617), so dl = .09386/.09617, du = .09756/.09617 and
    low = -.05 - sqrt(.09386^2 - 2 * .68343 * .09386 * .09617 + .09617^2) = -.05 - .07564 = -.12564,
    high = -.05 + sqrt(.09756^2 - 2 * .68343 * .09756 * .09617 + .09617^2) = -.05 + .07709 = .02709.
    """
    ours = newcombe_paired(40, 5, 10, 45)
    assert (ours.low, ours.high) == pytest.approx((-0.12564, 0.02709), abs=2e-5)


@pytest.mark.parametrize(("function"), [newcombe_paired, tango])
def test_a_set_without_any_flip_still_has_an_interval(function) -> None:
    """Identical runs bound the difference on both sides: Tango's ends are ± z^2/(n + z^2) = ± 0.0713 at n = 50."""
    ours = function(40, 0, 0, 10)
    assert ours.value == 0
    assert ours.low == pytest.approx(-ours.high)
    assert 0.03 < ours.high < 0.2
    assert tango(40, 0, 0, 10).high == pytest.approx(3.841459 / 53.841459, abs=1e-6)


@seeded
@given(table=st.tuples(counts, counts, counts, counts).filter(any), level=levels)
def test_paired_intervals_stay_in_range_and_mirror(table: tuple[int, int, int, int], level: float) -> None:
    """-1 <= low <= value <= high <= 1; exchanging first and second mirrors the interval."""
    both, first, second, neither = table
    for function in (newcombe_paired, tango):
        ours = function(*table, confidence_level=level)
        mirrored = function(both, second, first, neither, confidence_level=level)
        assert -1 <= ours.low <= ours.value <= ours.high <= 1
        assert (ours.low, ours.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-9)


@seeded
@given(table=st.tuples(counts, counts, counts, counts).filter(lambda t: t[1] != t[2]))
def test_tango_excludes_zero_where_mcnemar_score_is_significant(table: tuple[int, int, int, int]) -> None:
    """The interval and the score test (b - c)/sqrt(b + c) agree on whether there is a difference."""
    _, b, c, _ = table
    ours = tango(*table)
    significant = abs(b - c) / math.sqrt(b + c) > 1.9599639845
    assert (ours.low > 0 or ours.high < 0) == significant


@pytest.mark.parametrize("table", [(30, 9, 3, 8), (5, 0, 4, 2), (70, 12, 11, 7)])
def test_tango_ends_solve_the_score_equation(table: tuple[int, int, int, int]) -> None:
    """At each end, the score with a numerically maximised likelihood is ± z."""
    both, b, c, neither = table
    n = sum(table)
    ours = tango(*table)
    for end, sign in ((ours.low, 1), (ours.high, -1)):

        def loss(q: float, end: float = end) -> float:
            cells = ((b, q + end), (c, q), (both + neither, 1 - 2 * q - end))
            return -sum(k * math.log(max(p, 1e-300)) for k, p in cells if k)

        best = optimize.minimize_scalar(
            loss, bounds=(max(0, -end), (1 - end) / 2), method="bounded", options={"xatol": 1e-10}
        )
        score = (b - c - n * end) / math.sqrt(n * (2 * best.x + end - end**2))
        assert score == pytest.approx(sign * 1.959964, abs=1e-3)


@pytest.mark.parametrize(("function"), [newcombe_paired, tango])
def test_paired_intervals_cover_the_true_difference(function) -> None:
    """With 60 cases and a true difference of .05, 95 % intervals cover it in 93 to 98 % of 2,000 seeded runs."""
    tables = np.random.default_rng(5).multinomial(60, [0.75, 0.10, 0.05, 0.10], size=2000)
    ends = [function(*table) for table in tables.tolist()]
    assert 0.93 <= np.mean([e.low <= 0.05 <= e.high for e in ends]) <= 0.98


@pytest.mark.parametrize("q", [0.05, 0.07, 0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 2, 20, 100, 300])
def test_the_quantile_is_an_observed_value_at_the_exact_rank(q: float, n: int) -> None:
    """The value is the ceil(n q)-th smallest, computed without rounding, and is never interpolated."""
    assert quantile_bounds(range(1, n + 1), q).value == math.ceil(Fraction(str(q)) * n)


def test_the_upper_bound_of_p95_needs_59_values() -> None:
    """0.95^59 = 0.0485 <= 0.05 < 0.95^58 = 0.0510, so the maximum of 59 is a one-sided 95 % bound and of 58 is not."""
    enough, short = (quantile_bounds(range(n), 0.95, confidence_level=0.9) for n in (59, 58))
    assert (enough.high, enough.reason) == (58.0, "")
    assert (short.high, short.reason) == (None, "no upper bound with 58 values: 59 are needed")
    assert short.low is not None


def test_both_bounds_may_be_missing() -> None:
    """One value bounds no median on either side: 0.5^6 = 0.016 <= 0.025 < 0.5^5, so 6 are needed."""
    ours = quantile_bounds([7.0], 0.5)
    assert (ours.value, ours.low, ours.high) == (7.0, None, None)
    assert ours.reason == "no lower bound with 1 values: 6 are needed; no upper bound with 1 values: 6 are needed"


@seeded
@given(n=st.integers(1, 150), q=st.sampled_from([0.05, 0.1, 0.5, 0.9, 0.95, 0.99]), level=levels)
def test_quantile_ranks_are_the_tightest_that_hold_the_level(n: int, q: float, level: float) -> None:
    """Ranks r and s satisfy the binomial inequalities, and r + 1 and s - 1 do not."""
    ours = quantile_bounds(range(1, n + 1), q, confidence_level=level)
    tail, count = (1 - level) / 2, stats.binom(n, q)
    r, s = int(ours.low or 0), int(ours.high or n + 1)
    assert ordered(ours)
    assert count.cdf(r - 1) <= tail < count.cdf(r)
    assert count.sf(s - 1) <= tail * (1 + 1e-9)
    assert count.sf(s - 2) > tail
    assert (ours.low is None or ours.high is None) == bool(ours.reason)


def test_quantile_bounds_cover_the_true_quantile() -> None:
    """Bounds of p95 of 200 exponential times cover it in at least 94 % of 2,000 seeded runs."""
    runs = np.random.default_rng(6).exponential(size=(2000, 200))
    ends = [quantile_bounds(run, 0.95) for run in runs]
    assert np.mean([e.low <= math.log(20) <= e.high for e in ends]) >= 0.94


def test_cluster_robust_covers_where_a_plain_interval_does_not() -> None:
    """40 clusters of 5 strongly alike cases: the robust interval covers 92 to 98 %, Student's less than 75 %."""
    rng = np.random.default_rng(7)
    clusters = np.repeat(np.arange(40), 5)
    robust = plain = 0
    for _ in range(600):
        values = rng.normal(size=40)[clusters] + 0.3 * rng.normal(size=200)
        wide, narrow = cluster_robust(values, clusters.tolist()), mean_t(values)
        robust += wide.low <= 0 <= wide.high
        plain += narrow.low <= 0 <= narrow.high
    assert 0.92 <= robust / 600 <= 0.98
    assert plain / 600 < 0.75


@pytest.mark.parametrize("rate", [0.01, 0.5, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("confidence_level", [0.9, 0.95])
def test_cases_to_prove_is_the_least_number_whose_wilson_bound_holds(rate: float, confidence_level: float) -> None:
    """One case fewer does not prove the rate, this number does."""
    n = cases_to_prove(rate, confidence_level=confidence_level)
    assert n is not None
    low = wilson(n, n, confidence_level=confidence_level).low
    assert low is not None
    assert low >= rate - 1e-9
    if n > 1:
        fewer = wilson(n - 1, n - 1, confidence_level=confidence_level).low
        assert fewer is not None
        assert fewer < rate


def test_no_number_of_cases_proves_certainty() -> None:
    """A rate of 1 has no proof."""
    assert cases_to_prove(1.0) is None
    assert cases_to_prove(0.8, confidence_level=0.9) == 11


def test_the_difference_of_independent_rates_is_newcombes() -> None:
    """56/70 against 48/80: 0.20, 0.0524 to 0.3339 (Newcombe 1998, Stat Med 17:873, table II, method 10)."""
    found = independent_difference(wilson(56, 70), wilson(48, 80))
    assert found.value == pytest.approx(0.20)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    assert found.n == 150
    assert independent_difference(wilson(0, 0), wilson(1, 2)).value is None
