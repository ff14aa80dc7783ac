"""Item figures against scipy, and the rates with which the rules are right, as the guide states them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from evalkit.stats.item_analysis import negative_p_values, rest_correlations

PASSES = arrays(np.float64, (6, 9), elements=st.sampled_from([0.0, 0.5, 1.0]))


@given(PASSES)
def test_the_correlation_is_that_of_scipy(passes: np.ndarray) -> None:
    """Of each case with the mean of the others, over versions; undefined where either does not vary."""
    found = rest_correlations(passes)
    for at in range(len(passes)):
        rest = np.delete(passes, at, axis=0).mean(axis=0)
        if np.ptp(passes[at]) == 0 or np.ptp(rest) < 1e-9:
            assert np.isnan(found[at])
        else:
            expected = stats.pearsonr(passes[at], rest)
            assert found[at] == pytest.approx(expected.statistic, abs=1e-9)
            below = stats.pearsonr(passes[at], rest, alternative="less").pvalue
            assert negative_p_values(found, np.full(len(passes), 9))[at] == pytest.approx(below, abs=1e-6)


def test_what_is_not_known_is_left_out() -> None:
    """A version that did not run the case says nothing of it, and the rest is the mean of the cases that it ran."""
    passes = np.array([[1, 0, 1, np.nan], [1, 0, 1, 1], [1, 0, np.nan, 0]], float)
    assert rest_correlations(passes)[0] == pytest.approx(1.0)


@pytest.mark.parametrize("n_versions", [0, 1, 2])
def test_two_versions_say_nothing(n_versions: int) -> None:
    """Two points always lie on a line."""
    assert np.isnan(rest_correlations(np.eye(3)[:, :n_versions])).all()


def test_shapes_are_checked() -> None:
    """One row per case, one column per version."""
    with pytest.raises(ValueError, match="two-dimensional"):
        rest_correlations(np.zeros(3))
