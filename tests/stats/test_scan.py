"""The scan of months of days: statistic by hand, thresholds and error rates by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evalkit.stats.scan import (
    WINDOWS,
    DailySums,
    Floats,
    Level,
    Streams,
    estimate_level,
    is_weekend,
    largest_statistic,
    scan,
    smallest_change,
    window_mean,
)
from evalkit.stats.scan_threshold import simulated_maxima, threshold


def sums(n: Floats, passed: Floats) -> DailySums:
    """Answers of weight 1."""
    weights = np.asarray(n, float)
    return DailySums(weights, weights, np.asarray(passed, float))


def one_rate(sign: int = 1) -> Streams:
    """A single stream, which is a rate."""
    return Streams(np.zeros(1, int), np.array([sign]), np.array([np.nan]), np.zeros(1))


def plain(mean: float, n: float, **other: float) -> Level:
    """What a reference would show of a single rate."""
    found = {"variance": mean * (1 - mean), "factor": 1.0, "day_sd": 0.0, "weekend": 0.0, "weekend_share": 2 / 7}
    values = {"mean": mean, "n": n} | found | other
    return Level(**{name: np.array([value]) for name, value in values.items()})


def test_the_statistic_is_that_of_the_formula() -> None:
    """40 of 50 against 900 of 1,000, one day: both angles with 3/8 and 3/4, f = 1."""
    found = scan(sums([[50]], [[40]]), np.array([False]), plain(0.9, 1000), one_rate())
    fall = math.asin(math.sqrt(900.375 / 1000.75)) - math.asin(math.sqrt(40.375 / 50.75))
    assert found.statistic[0, 0] == pytest.approx(fall / math.sqrt(1 / 200 + 1 / 4000))
    assert found.window[0, 0] == 1


def test_the_sign_says_which_way_is_bad() -> None:
    """A fall of a rate that may not rise is no alarm; where either is bad, both count."""
    day, weekend, level = sums([[50]], [[40]]), np.array([False]), plain(0.9, 1000)
    down, up, either = (scan(day, weekend, level, one_rate(sign)).statistic[0, 0] for sign in (1, -1, 0))
    assert down > 0
    assert (up, either) == pytest.approx((-down, down))


def test_other_scores_are_compared_by_their_variance() -> None:
    """Mean 3.5 of 100 against 4.0 of 400, variance 1.2: .5 / sqrt(1.2 (1/100 + 1/400))."""
    streams = Streams(np.zeros(1, int), np.ones(1, int), np.array([1.2]), np.zeros(1))
    found = scan(sums([[100]], [[350]]), np.array([False]), plain(4.0, 400, variance=1.2), streams)
    assert found.statistic[0, 0] == pytest.approx(0.5 / math.sqrt(1.2 * (1 / 100 + 1 / 400)))


def test_a_window_has_thirty_answers_and_no_day_before_the_first() -> None:
    """Ten answers a day: nothing before the third day, and then only windows that fit."""
    found = scan(sums([[10] * 8], [[5] * 8]), is_weekend(0, 8), plain(0.9, 1000), one_rate())
    assert np.isneginf(found.statistic[0, :2]).all()
    assert found.window[0].tolist() == [0, 0, 3, 3, 5, 5, 7, 7]


def test_a_score_that_never_varies_is_not_watched() -> None:
    """Without a variance there is nothing to measure a change by."""
    streams = Streams(np.zeros(1, int), np.ones(1, int), np.array([0.0]), np.zeros(1))
    found = scan(sums([[100]], [[99]]), np.array([False]), plain(1.0, 400, variance=0.0), streams)
    assert np.isneginf(found.statistic[0, 0])


def test_weights_count_by_their_effect() -> None:
    """Weights 1 (30 times) and 3 (30 times): Kish's n is 120^2 / 300 = 48, and the mean is weighted."""
    days = DailySums(np.array([[120.0]]), np.array([[300.0]]), np.array([[30.0]]))
    found = scan(days, np.array([False]), plain(0.5, 1000), one_rate())
    fall = math.asin(math.sqrt(500.375 / 1000.75)) - math.asin(math.sqrt((12 + 3 / 8) / 48.75))
    assert found.statistic[0, 0] == pytest.approx(fall / math.sqrt(1 / 192 + 1 / 4000))


def test_the_weekend_is_removed() -> None:
    """90 % on weekdays and 80 % at weekends, as in the reference: no day is worse than it."""
    weekend = is_weekend(0, 28)
    passed = np.where(weekend, 80, 90)[None]
    level = estimate_level(sums([[100] * 28], passed), weekend, one_rate())
    assert level.weekend[0] == pytest.approx(-0.1)
    assert level.weekend_share[0] == pytest.approx(2 / 7)
    assert level.day_sd[0] == 0
    later = scan(sums([[100] * 7], passed[:, :7]), weekend[:7], level, one_rate())
    # All days have the mean of the reference; what is left comes from 3/8 in 100 and in 2,800.
    assert np.abs(later.statistic).max() < 0.1


def test_the_weekend_effect_is_pooled_by_information() -> None:
    """Streams of 100 and 300 a day with effects of -.1 and -.2: sizes are 1 to 3, so the effect is -.175."""
    weekend = is_weekend(0, 7)
    n = np.array([[100.0] * 7, [300.0] * 7])
    means = np.array([np.where(weekend, 0.8, 0.9), np.where(weekend, 0.6, 0.8)])
    both = Streams(np.zeros(2, int), np.ones(2, int), np.full(2, np.nan), np.zeros(2))
    assert estimate_level(sums(n, n * means), weekend, both).weekend == pytest.approx([-0.175, -0.175])
    apart = Streams(np.arange(2), np.ones(2, int), np.full(2, np.nan), np.zeros(2))
    assert estimate_level(sums(n, n * means), weekend, apart).weekend == pytest.approx([-0.1, -0.2])


def test_the_variance_between_days_is_found_by_moments() -> None:
    """Weekdays at .9 and .7 in turn, by hand: s^2 = (Q - (D - 2) v) / (N - n)."""
    weekend = np.zeros(14, bool)
    weekend[[5, 6, 12, 13]] = True
    means = np.array([0.9, 0.7, 0.9, 0.7, 0.8, 0.9, 0.7] * 2)
    n = np.full((1, 14), 200.0)
    level = estimate_level(sums(n, n * means), weekend, one_rate())
    mean = means.mean()
    smooth = (2800 * mean + 3 / 8) / 2800.75
    assert level.weekend[0] == pytest.approx(0)
    squares = 200 * ((means - mean) ** 2).sum()
    expected = (squares - 12 * smooth * (1 - smooth)) / (2800 - 200)
    assert level.day_sd[0] ** 2 == pytest.approx(expected)
    assert level.factor[0] == pytest.approx(1 + expected * 200 / (smooth * (1 - smooth)))


def test_the_variance_between_days_is_recovered() -> None:
    """Many streams with a day-to-day deviation of 3 points: found within a tenth; without one, nearly 0."""
    rng, weekend = np.random.default_rng(3), is_weekend(0, 56)
    streams = Streams(np.zeros(40, int), np.ones(40, int), np.full(40, np.nan), np.zeros(40))
    n = np.full((40, 56), 300)
    for true in (0.03, 0.0):
        passed = rng.binomial(n, np.clip(0.8 + true * rng.standard_normal(n.shape), 0, 1))
        found = estimate_level(sums(n, passed), weekend, streams).day_sd[0]
        assert found == pytest.approx(true, abs=0.003 if true else 0.006)


def test_the_mean_of_a_window_has_no_weekend_in_it() -> None:
    """A weekend of 80 % in a reference with an effect of -.1 counts as .8 + .1 x 5/7."""
    weekend = is_weekend(0, 7)
    passed = np.where(weekend, 80, 90)[None]
    level = plain(0.87, 1000, weekend=-0.1)
    found = window_mean(sums([[100] * 7], passed), weekend, level, 0, 6, 2)
    assert found.mean == pytest.approx(0.8 + 0.1 * 5 / 7)
    assert found.n == 200


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    counts=st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1)), min_size=1, max_size=60),
    first=st.integers(0, 6),
)
def test_the_scan_is_the_largest_of_all_windows(counts: list[tuple[int, float]], first: int) -> None:
    """Against a loop over days and windows; and `largest_statistic` is its maximum."""
    n = np.array([[float(count) for count, _ in counts]])
    passed = np.array([[math.floor(count * share) for count, share in counts]], float)
    weekend = is_weekend(first, len(counts))
    level = plain(0.8, 500, weekend=-0.05, factor=1.3)
    found = scan(sums(n, passed), weekend, level, one_rate())
    cleared = passed - n * -0.05 * (weekend - 2 / 7)
    reference = math.asin(math.sqrt(400.375 / 500.75))
    for day in range(len(counts)):
        best = -math.inf
        for window in (each for each in WINDOWS if each <= day + 1):
            size = n[0, day + 1 - window : day + 1].sum()
            if size < 30:
                continue
            share = (cleared[0, day + 1 - window : day + 1].sum() + 3 / 8) / (size + 3 / 4)
            fall = reference - math.asin(math.sqrt(min(1, max(0, share))))
            best = max(best, fall / math.sqrt(1.3 * (1 / (4 * size) + 1 / 2000)))
        assert found.statistic[0, day] == pytest.approx(best, abs=1e-7)
    assert largest_statistic(sums(n, passed), weekend, level, one_rate()) == found.statistic.max()


def test_a_change_as_large_as_stated_is_found_in_half_of_the_cases() -> None:
    """The change that is said to be found within 7 days is found by then in 40 to 65 % of 400 histories."""
    rng, level, limit = np.random.default_rng(5), plain(0.85, 28 * 350), 4.5
    change = smallest_change(level, one_rate(), np.array([350.0]), limit, 7)[0]
    assert 0.03 < change < 0.06
    passed = rng.binomial(350, 0.85 - change, (400, 1, 7))
    reference = rng.binomial(28 * 350, 0.85, 400) / (28 * 350)
    levels = Level(*(np.full((400, 1), getattr(level, name)[0]) for name in Level.__dataclass_fields__))
    levels = Level(reference[:, None], *(getattr(levels, name) for name in list(Level.__dataclass_fields__)[1:]))
    found = largest_statistic(sums(np.full(passed.shape, 350.0), passed), is_weekend(0, 7), levels, one_rate())
    assert 0.40 <= (found > limit).mean() <= 0.65


def test_too_few_answers_find_nothing() -> None:
    """Four answers a day do not make a window in 7 days; rates near the edge have no room to fall further."""
    assert math.isnan(smallest_change(plain(0.85, 1000), one_rate(), np.array([4.0]), 4.5, 7)[0])
    assert math.isnan(smallest_change(plain(0.02, 1000), one_rate(), np.array([10.0]), 4.5, 7)[0])
    rise = smallest_change(plain(0.02, 10_000), one_rate(-1), np.array([100.0]), 4.5, 7)[0]
    angle = math.asin(math.sqrt(200.375 / 10_000.75)) + 4.5 * math.sqrt(0.25 * (1 / 700 + 1 / 10_000))
    assert rise == pytest.approx(math.sin(angle) ** 2 - 200.375 / 10_000.75)


def six_cohorts(a_day: float) -> tuple[Streams, Level, Floats]:
    """One metric at .85 in six cohorts."""
    n = np.round(a_day * np.array([0.35, 0.25, 0.15, 0.12, 0.08, 0.05]))
    streams = Streams(np.zeros(6, int), np.ones(6, int), np.full(6, np.nan), np.zeros(6))
    ones = np.ones(6)
    level = Level(0.85 * ones, 28 * n, 0.1275 * ones, ones, 0 * ones, 0 * ones, 2 / 7 * ones)
    return streams, level, n[:, None] * np.ones(28)


def test_thresholds_are_those_of_years_without_a_change() -> None:
    """One a year means some exceedance in 1 - 1/e of years; the order statistics are numpy's."""
    maxima = np.arange(100.0)
    assert threshold(maxima, 1.0) == np.quantile(maxima, math.exp(-1), method="higher")
    assert threshold(maxima, 0.05) > threshold(maxima, 1.0)
    with pytest.raises(ValueError, match="per_year"):
        threshold(maxima, 0)


def test_simulated_thresholds_are_seeded_and_in_the_known_range() -> None:
    """Six streams of 1,000 a day: lower than the 4.5 to 4.7 of 24 streams, and the same for the same seed."""
    streams, level, n = six_cohorts(1000)
    found = [
        simulated_maxima(level, sums(n, n * 0.85), is_weekend(0, 28), streams, rng=np.random.default_rng(1), years=60)
        for _ in range(2)
    ]
    assert found[0].tolist() == found[1].tolist()
    assert 3.7 < threshold(found[0], 0.05) < 4.8
    assert 2.9 < threshold(found[0], 1) < 3.8


def test_more_streams_need_a_higher_threshold() -> None:
    """Each pool is simulated by itself, and the year's largest statistic is that of all pools."""
    streams, level, n = six_cohorts(200)
    apart = Streams(np.arange(6), streams.signs, streams.variances, streams.skews)
    rng = np.random.default_rng(2)
    one = Streams(np.zeros(1, int), np.ones(1, int), np.full(1, np.nan), np.zeros(1))
    first = Level(*(getattr(level, name)[:1] for name in Level.__dataclass_fields__))
    few = simulated_maxima(first, sums(n[:1], n[:1] * 0.85), is_weekend(0, 28), one, rng=rng, years=60)
    many = simulated_maxima(level, sums(n, n * 0.85), is_weekend(0, 28), apart, rng=rng, years=60)
    assert threshold(many, 1) > threshold(few, 1)


@pytest.mark.parametrize("skew", [0.0, 2.0, -2.0])
def test_graded_scores_are_simulated_too(skew: float) -> None:
    """Steps per call, variance 4: the threshold is in the same range, however skewed they are."""
    streams = Streams(np.zeros(1, int), np.full(1, -1), np.array([4.0]), np.array([skew]))
    n = np.full((1, 28), 200.0)
    level = estimate_level(sums(n, n * 5.0), is_weekend(0, 28), streams)
    maxima = simulated_maxima(
        level, sums(n, n * 5.0), is_weekend(0, 28), streams, rng=np.random.default_rng(1), years=60
    )
    assert 3.0 < threshold(maxima, 0.05) < 5.0


def test_the_mean_of_skewed_scores_has_a_normal_deviate() -> None:
    """Exponential scores, 40 in the window: the deviate of the gamma's 1 - 1e-6 quantile is that of the normal."""
    streams = Streams(np.zeros(1, int), np.full(1, -1), np.array([1.0]), np.array([2.0]))
    total = stats.gamma(40).isf(1e-6)
    found = scan(sums([[40]], [[total]]), np.array([False]), plain(1.0, 1e9, variance=1.0), streams)
    assert found.statistic[0, 0] == pytest.approx(stats.norm.isf(1e-6), abs=0.02)
    assert (total - 40) / math.sqrt(40) > 5.9


def test_a_stated_change_of_skewed_scores_has_the_threshold_as_its_statistic() -> None:
    """A mean that is higher by the stated change gives T = 4.5 exactly; so does a lower one where a fall is bad."""
    for sign in (1, -1):
        streams = Streams(np.zeros(1, int), np.full(1, sign), np.array([1.0]), np.array([2.0]))
        level = plain(1.0, 2800, variance=1.0)
        change = smallest_change(level, streams, np.array([100.0]), 4.5, 7)[0]
        found = scan(sums([[700]], [[700 * (1 - sign * change)]]), np.array([False]), level, streams)
        assert found.statistic[0, 0] == pytest.approx(4.5)


def test_a_reference_without_a_failure_does_not_show_that_there_are_none() -> None:
    """One failure among 150 answers a day later is no alarm: a rate of 0.01 % has a reference without any as often."""
    n = np.full((1, 28), 150.0)
    streams, weekend = one_rate(), is_weekend(0, 29)
    spotless = estimate_level(sums(n, n), weekend[:28], streams)
    maxima = simulated_maxima(spotless, sums(n, n), weekend[:28], streams, rng=np.random.default_rng(1), years=60)
    day = np.full((1, 1, 1), 150.0)
    one_failure = largest_statistic(sums(day, day - 1), weekend[28:], spotless, streams)
    assert one_failure[0] < threshold(maxima, 0.05)
