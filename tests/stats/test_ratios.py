"""Slowdown and cost as paired ratios: values by hand, error rates and power by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evalkit.stats.ratios import tail_ratio, total_ratio, typical_ratio


def times(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two runs of one system: times that differ between cases and jitter between runs."""
    base = np.exp(rng.normal(0, 0.5, n))
    return base * np.exp(rng.normal(0, 0.3, n)), base * np.exp(rng.normal(0, 0.3, n))


def test_the_typical_ratio_is_a_t_test_of_the_logs() -> None:
    """Value, interval and p are scipy's."""
    rng = np.random.default_rng(1)
    before, after = times(60, rng)
    found, p = typical_ratio(before, after, margin=1.1)
    logs = np.log(after / before)
    assert found.value == pytest.approx(math.exp(logs.mean()))
    low, high = stats.t.interval(0.95, 59, logs.mean(), stats.sem(logs))
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert p == pytest.approx(stats.ttest_1samp(logs, math.log(1.1), alternative="greater").pvalue)


def test_the_total_is_what_the_bill_shows() -> None:
    """One dear case counts for its price, not as one of many."""
    before, after = np.array([1.0] * 9 + [91.0]), np.array([2.0] * 9 + [91.0])
    found, p = total_ratio(before, after, margin=1.05, rng=np.random.default_rng(0))
    assert found.value == pytest.approx(109 / 100)
    assert 0 < p < 1


def test_the_tail_is_that_of_the_slowest() -> None:
    """Twice as slow in the slowest tenth moves the tail and hardly the middle."""
    rng = np.random.default_rng(2)
    before, after = times(800, rng)
    slow = np.argsort(before)[-80:]
    after[slow] *= 3
    found, p = tail_ratio(before, after, rng=rng)
    assert found.value is not None
    assert found.value > 1.5
    assert p < 0.001


def test_an_unchanged_system_is_hardly_ever_slower() -> None:
    """At the margins of the gate the false alarms are below its level; the tail keeps its own."""
    rng = np.random.default_rng(60)
    slower = dearer = tail = 0
    for _ in range(60):
        before, after = times(60, rng)
        slower += typical_ratio(before, after, margin=1.10)[1] <= 0.02
        dearer += total_ratio(before, after, margin=1.05, rng=rng)[1] <= 0.02
        tail += tail_ratio(before, after, rng=rng)[1] <= 0.02
    assert slower <= 1
    assert dearer <= 4
    assert tail <= 5


def test_a_slowdown_of_a_third_is_found() -> None:
    """200 cases see 30 %."""
    rng = np.random.default_rng(9)
    found = [typical_ratio(b, a * 1.3, margin=1.10)[1] <= 0.02 for b, a in (times(200, rng) for _ in range(50))]
    assert np.mean(found) > 0.95


def test_too_few_pairs_say_nothing() -> None:
    """No value, and nothing that could block."""
    rng = np.random.default_rng(0)
    for found, p in (
        typical_ratio([1.0] * 4, [2.0] * 4, margin=1.1),
        total_ratio([1.0] * 4, [2.0] * 4, margin=1.1, rng=rng),
        tail_ratio([1.0] * 4, [2.0] * 4, rng=rng),
    ):
        assert (found.value, p) == (None, 1.0)


def test_equal_runs_are_no_slowdown_and_a_constant_one_is() -> None:
    """Without any spread the mean alone decides."""
    assert typical_ratio([1.0] * 9, [1.0] * 9, margin=1.1)[1] == 1.0
    assert typical_ratio([1.0] * 9, [1.2] * 9, margin=1.1)[1] < 1e-6


@pytest.mark.parametrize(("before", "after"), [([1.0, 0.0], [1.0, 1.0]), ([1.0], [1.0, 2.0]), ([math.nan], [1.0])])
def test_what_is_no_pair_of_times_is_refused(before: list[float], after: list[float]) -> None:
    """Zero, nothing, and runs of different cases."""
    with pytest.raises(ValueError):
        typical_ratio(before, after, margin=1.1)
