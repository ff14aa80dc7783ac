"""Corrections for many tests."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from evalkit.stats.multiplicity import benjamini_hochberg, holm


def test_holm_by_hand() -> None:
    """.01, .04, .03 sorted: 3 * .01 = .03, 2 * .03 = .06, 1 * .04 = .04 raised to .06."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@pytest.mark.parametrize("size", [1, 2, 7, 30, 400])
def test_holm_equals_statsmodels(size: int) -> None:
    """Adjusted p values are those of statsmodels, with ties, 0 and 1 among them."""
    p_values = np.random.default_rng(size).beta(0.3, 1.5, size=size).round(2)
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_benjamini_hochberg_by_hand() -> None:
    """.01, .04, .03 of three: 3 * .01 / 1, 3 * .04 / 3, and 3 * .03 / 2 = .045 lowered to .04."""
    assert benjamini_hochberg([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.04, 0.04])


@pytest.mark.parametrize("size", [1, 2, 7, 30, 400])
def test_benjamini_hochberg_equals_statsmodels(size: int) -> None:
    """Adjusted p values are those of statsmodels, with ties, 0 and 1 among them."""
    p_values = np.random.default_rng(size).beta(0.3, 1.5, size=size).round(2)
    assert benjamini_hochberg(p_values) == pytest.approx(multipletests(p_values, method="fdr_bh")[1], abs=1e-12)


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_no_test_needs_no_correction(correct) -> None:
    """An empty list stays empty."""
    assert correct([]).tolist() == []


@pytest.mark.parametrize("bad", [[0.5, np.nan], [1.1], [-0.1], [[0.5]]], ids=["nan", "above", "below", "matrix"])
@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_what_is_no_p_value_is_refused(bad, correct) -> None:
    """A missing p value is never corrected as if it were one."""
    with pytest.raises(ValueError, match="p values must be"):
        correct(bad)
