"""The bootstrap's shortcuts draw from the distribution that resampling cases gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evalkit.stats.bootstrap import _means, _resampled, bootstrap


@pytest.mark.parametrize(
    "values",
    [
        np.r_[np.ones(70), np.zeros(30)],
        np.repeat([1, 2, 3, 4, 5], [5, 10, 20, 40, 25]).astype(float),
        np.random.default_rng(3).normal(size=120),
    ],
    ids=["pass/fail", "levels", "continuous"],
)
def test_shortcuts_are_the_same_distribution(values: np.ndarray) -> None:
    """Two-sample Kolmogorov-Smirnov against plain resampling; the interval is scipy's."""
    short = _means(values, 4000, np.random.default_rng(1))
    plain = _resampled(values, 4000, np.random.default_rng(2))
    assert abs(short.mean() - plain.mean()) < 4 * plain.std() / math.sqrt(4000)
    assert short.std() == pytest.approx(plain.std(), rel=0.06)
    found = bootstrap(values, rng=np.random.default_rng(0), draws=20_000)
    oracle = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(5), batch=500
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=0.03 * plain.std() * 4)
    assert found.value == pytest.approx(values.mean())


def test_equal_values_have_no_width_and_none_have_no_value() -> None:
    """Nothing is made up."""
    flat = bootstrap([2.0] * 5, rng=np.random.default_rng(0))
    assert (flat.value, flat.low, flat.high) == (2.0, 2.0, 2.0)
    empty = bootstrap([], rng=np.random.default_rng(0))
    assert empty.value is None
    assert empty.reason


def test_the_same_seed_gives_the_same_interval() -> None:
    """Reproducible."""
    values = np.random.default_rng(1).normal(size=300)
    assert bootstrap(values, rng=np.random.default_rng(4)) == bootstrap(values, rng=np.random.default_rng(4))


@pytest.mark.parametrize(("values", "draws"), [([math.nan], 10), ([math.inf], 10), ([[1.0]], 10), ([1.0], 0)])
def test_what_cannot_be_resampled_is_refused(values: list[float], draws: int) -> None:
    """Unknown values, tables, and no draws."""
    with pytest.raises(ValueError):
        bootstrap(values, rng=np.random.default_rng(0), draws=draws)
