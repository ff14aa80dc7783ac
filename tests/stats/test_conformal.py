"""Tests for thresholds from labels: ranks against scipy, hand-worked sets, and the rates that they promise."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from evalkit.stats.conformal import (
    block_rank,
    block_threshold,
    block_thresholds,
    labels_to_block,
    labels_to_pass,
    pass_threshold,
)

scores = st.lists(st.floats(0, 1), max_size=60)
rates = st.sampled_from([0.01, 0.02, 0.05, 0.1, 0.3])


@pytest.mark.parametrize(("rate", "sure", "on_average"), [(0.05, 59, 19), (0.02, 149, 49), (0.01, 299, 99)])
def test_the_labels_that_a_rate_needs(rate: float, sure: int, on_average: int) -> None:
    """(1 - a)^n <= .05, and a (n + 1) >= 1."""
    assert (labels_to_block(rate, 0.95), labels_to_block(rate, None)) == (sure, on_average)
    assert labels_to_pass(rate) == on_average
    for needed, confidence in ((sure, 0.95), (on_average, None)):
        assert block_rank(needed - 1, rate, confidence) == 0
        assert block_rank(needed, rate, confidence) == 1


@given(st.integers(0, 400), rates, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_rank_is_the_largest_that_keeps_its_confidence(n: int, rate: float, confidence: float) -> None:
    """P(Beta(k, n - k + 1) > a) <= 1 - confidence holds for k and not for k + 1."""
    k = block_rank(n, rate, confidence)
    if k:
        assert scipy_stats.beta.sf(rate, k, n - k + 1) <= 1 - confidence + 1e-9
    if k < n:
        assert scipy_stats.beta.sf(rate, k + 1, n - k) > 1 - confidence - 1e-9


def test_the_rank_on_average_is_floor_of_a_times_n_plus_1() -> None:
    """.05 x 20 is 1, although the product of the floats may be less."""
    assert [block_rank(n, 0.05, None) for n in (18, 19, 39, 40, 99)] == [0, 1, 2, 2, 5]
    assert block_rank(299, 0.01, None) == 3


def test_a_block_threshold_worked_by_hand() -> None:
    """19 good scores at .05 on average: the lowest. One label fewer: nothing is blocked, and one is missing."""
    good = [0.1 * k for k in range(1, 20)]
    assert block_threshold(good, 0.05, None).value == pytest.approx(0.1)
    short = block_threshold(good[:18], 0.05, None)
    assert (short.value, short.n_good, short.n_missing) == (None, 18, 1)
    sure = block_threshold(good, 0.05)
    assert (sure.value, sure.n_missing) == (None, 40)


def test_a_pass_threshold_worked_by_hand() -> None:
    """Of 19 answers at b = .1, one bad one may pass: (1 + 1) / 20 = .1. So the threshold is above the second."""
    good = [0.9] * 10 + [0.75, 0.65, 0.3]
    bad = [0.8, 0.7, 0.5, 0.4, 0.2, 0.1]
    assert pass_threshold(good, bad, 0.1).value == 0.75
    assert pass_threshold(good, bad, 0.05).value == 0.9
    nothing = pass_threshold(good, bad, 0.02)
    assert (nothing.value, nothing.n, nothing.n_missing) == (None, 19, 30)


def test_bad_answers_with_the_best_scores_let_nothing_pass() -> None:
    """Labels are enough, but no threshold keeps the rate: that is not a lack of labels."""
    found = pass_threshold([0.9] * 90, [1.0] * 10, 0.05)
    assert (found.value, found.n_missing) == (None, 0)


@given(scores, scores, rates)
def test_the_pass_threshold_is_the_lowest_labelled_score_that_keeps_the_rate(
    good: list[float], bad: list[float], rate: float
) -> None:
    """By brute force over every labelled score."""
    every = sorted({*good, *bad})
    fits = [t for t in every if (sum(s >= t for s in bad) + 1) / (len(good) + len(bad) + 1) <= rate + 1e-9]
    assert pass_threshold(good, bad, rate).value == (fits[0] if fits else None)


@given(scores, rates, st.sampled_from([None, 0.95]))
def test_fewer_good_answers_are_blocked_than_the_rank(good: list[float], rate: float, confidence: float | None) -> None:
    """However scores tie, the labelled good answers below the threshold are fewer than k."""
    found = block_threshold(good, rate, confidence)
    k = block_rank(len(good), rate, confidence)
    assert (found.value is None) == (k == 0)
    assert found.value is None or sum(score < found.value for score in good) < k
    assert (found.n_missing > 0) == (k == 0)


def test_a_cohort_with_too_few_labels_blocks_nothing() -> None:
    """It says how many it lacks; the others keep their own thresholds."""
    found = block_thresholds({"b": [0.5] * 10, "a": [0.8] * 100}, 0.05)
    assert list(found) == ["a", "b"]
    assert found["a"].value == 0.8
    assert (found["b"].value, found["b"].n_missing) == (None, 49)


@given(st.integers(1, 400), rates)
def test_the_threshold_of_all_cannot_help_a_cohort_with_too_few_labels(n: int, rate: float) -> None:
    """The exact bound on a cohort's own rate, even with none of its labels blocked, is above the rate."""
    if n < labels_to_block(rate, 0.95):
        assert scipy_stats.beta.ppf(0.95, 1, n) > rate
    else:
        assert scipy_stats.beta.ppf(0.95, 1, n) <= rate + 1e-12


@pytest.mark.parametrize("rate", [0, 1, -0.1, math.nan])
def test_a_rate_that_is_not_a_share_is_refused(rate: float) -> None:
    """So is a confidence."""
    with pytest.raises(ValueError, match="rate"):
        block_threshold([0.5], rate)
    with pytest.raises(ValueError, match="rate"):
        pass_threshold([0.5], [], rate)
    with pytest.raises(ValueError, match="confidence"):
        block_threshold([0.5], 0.05, rate)


def test_a_score_that_is_not_a_number_is_refused() -> None:
    """An unknown score has no place in the order."""
    with pytest.raises(ValueError, match="finite"):
        block_threshold([0.5, math.nan], 0.05)
    with pytest.raises(ValueError, match="finite"):
        pass_threshold([0.5], [math.inf], 0.05)


def test_most_calibrations_keep_the_promise_and_half_do_so_on_average() -> None:
    """500 good answers from Beta(8, 2), a = .05: the true rate below the threshold is known exactly."""
    rng = np.random.default_rng(7)
    sure, average = [], []
    for _ in range(1_000):
        good = rng.beta(8, 2, 500).tolist()
        sure.append(scipy_stats.beta.cdf(block_threshold(good, 0.05).value, 8, 2))
        average.append(scipy_stats.beta.cdf(block_threshold(good, 0.05, None).value, 8, 2))
    assert np.mean(np.array(sure) > 0.05) <= 0.05
    assert np.mean(average) == pytest.approx(0.05, abs=0.002)
    assert 0.3 < np.mean(np.array(average) > 0.05) < 0.6


def test_the_benchmark_gives_the_rates_of_the_guide() -> None:
    """Seeded, with fewer draws: each mean rate lies within .01 of the figure in docs/hallucinations.md."""
    found = _rates().figures(400)
    expected = {
        "average, n = 10: mean": 0.0,
        "average, n = 100: mean": 0.05,
        "average, n = 500: mean": 0.05,
        "int(a (n - 1)), n = 10: mean": 0.09,
        "int(a (n - 1)), n = 30: mean": 0.065,
        "quantile, n = 10: mean": 0.119,
        "quantile, n = 30: mean": 0.076,
        "confidence .95, n = 100: mean": 0.02,
        "confidence .95, n = 500: mean": 0.034,
        "confidence .95, n = 2000: mean": 0.042,
        "risk control, n = 200: bad and passed": 0.019,
        "plain share, n = 200: bad and passed": 0.024,
        "after a shift: mean": 0.12,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=0.01)
    assert found["one for all, cohort 2"] > 0.15 > 0.06 > found["by cohort, cohort 2"]
    assert all(found[f"confidence .95, n = {n}: above .05"] <= 0.06 for n in (100, 500, 2_000))
    assert 0.35 < found["average, n = 100: above .05"] < 0.5  # exactly .436 by the binomial distribution


def _rates() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "conformal_rates.py"
    spec = importlib.util.spec_from_file_location("conformal_rates", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
