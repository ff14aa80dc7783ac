"""An amount for each success: the ratio of two totals, with an interval over cases."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.results import Estimate
from evalkit.stats.ratios import total_per_success


def estimate(spent: list[float], won: list[float], clusters: list[int] | None = None, level: float = 0.95) -> Estimate:
    """Estimate with a fixed seed."""
    numbers = list(range(len(spent))) if clusters is None else clusters
    return total_per_success(spent, won, numbers, rng=np.random.default_rng(0), confidence_level=level)


def test_what_failures_cost_is_paid_by_the_successes() -> None:
    """0.1 and 0.3 spent on passes, 0.2 on a failure: 0.60 for two."""
    assert estimate([0.1, 0.2, 0.3], [1, 0, 1]).value == pytest.approx(0.30)


def test_nothing_passed() -> None:
    """Not infinity and not zero: no value."""
    found = estimate([0.1, 0.2], [0, 0])
    assert (found.value, found.low, found.high, found.reason) == (None, None, None, "no run passed")


def test_the_upper_bound_is_open_if_resamples_have_no_success() -> None:
    """One success among four cases is missed by a third of the resamples: (3/4)^4."""
    found = estimate([1.0, 1.0, 1.0, 1.0], [1, 0, 0, 0])
    assert found.value == 4.0
    assert found.low is not None
    assert found.high is None
    assert found.reason == "no upper bound: 31% of the resamples have no run that passed"


def test_the_interval_is_that_of_percentiles_of_resampled_totals() -> None:
    """Against a loop that draws cases one by one."""
    rng = np.random.default_rng(3)
    spent, won = rng.gamma(2.0, 1.0, 60), (rng.random(60) < 0.6).astype(float)
    draws = [rng.integers(60, size=60) for _ in range(10_000)]
    low, high = np.quantile([spent[each].sum() / won[each].sum() for each in draws], [0.025, 0.975])
    found = estimate(spent.tolist(), won.tolist())
    assert (found.low, found.high) == (pytest.approx(low, rel=0.03), pytest.approx(high, rel=0.03))


def test_the_same_rows_give_the_same_interval() -> None:
    """The draws are seeded."""
    assert estimate([1.0, 2.0, 4.0], [1, 1, 0]) == estimate([1.0, 2.0, 4.0], [1, 1, 0])


def test_whole_clusters_are_drawn() -> None:
    """Twenty copies of five cases say no more than the five."""
    spent, won = [1.0, 2.0, 3.0, 4.0, 5.0] * 20, [1.0, 1, 0, 1, 0] * 20
    alone, together = estimate(spent, won), estimate(spent, won, [0, 1, 2, 3, 4] * 20)
    assert alone.value == together.value
    assert None not in (alone.high, alone.low, together.high, together.low)
    assert together.high - together.low > 3 * (alone.high - alone.low)  # type: ignore[operator]


def test_one_cluster_has_no_interval() -> None:
    """Nothing shows how much another one would differ."""
    found = estimate([1.0, 2.0], [1, 1], [0, 0])
    assert (found.value, found.low, found.high) == (1.5, None, None)


def test_many_cases_are_linearised_and_agree_with_draws() -> None:
    """On either side of the limit, one rule continues the other."""
    rng = np.random.default_rng(5)
    spent, won = rng.gamma(2.0, 1.0, 2_000), (rng.random(2_000) < 0.5).astype(float)
    clusters = np.repeat(np.arange(1_000), 2)
    drawn = estimate(spent.tolist(), won.tolist(), clusters.tolist())
    linear = estimate(spent.tolist(), won.tolist())
    assert (drawn.method, linear.method) == ("ratio of totals, bootstrap", "ratio of totals, linearised")
    assert linear.low == pytest.approx(drawn.low, rel=0.01)
    assert linear.high == pytest.approx(drawn.high, rel=0.01)


def test_few_successes_among_many_cases_are_drawn() -> None:
    """A linear form would be far off where the denominator is a handful."""
    found = estimate([1.0] * 2_000, [1.0] * 3 + [0.0] * 1_997)
    assert found.method == "ratio of totals, bootstrap"
    assert found.high is None


def test_what_costs_nothing_costs_nothing() -> None:
    """Zero is an amount like any other."""
    found = estimate([0.0] * 2_000, [1.0] * 2_000)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_ninety_five_percent_intervals_cover_the_truth() -> None:
    """In 300 runs of 60 cases, 60 % of which pass and cost twice as much as the others."""
    rng, hits = np.random.default_rng(11), 0
    for _ in range(300):
        won = (rng.random(60) < 0.6).astype(float)
        spent = rng.gamma(2.0, 1 + won)
        found = total_per_success(spent, won, np.arange(60), rng=rng)
        hits += bool(found.low is not None and found.high is not None and found.low <= 3.2 / 0.6 <= found.high)
    assert 0.91 <= hits / 300 <= 0.98
