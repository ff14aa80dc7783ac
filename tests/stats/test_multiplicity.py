"""Holm's correction."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from evalkit.stats.multiplicity import holm


def test_holm_by_hand() -> None:
    """.01, .04, .03 sorted: 3 * .01 = .03, 2 * .03 = .06, 1 * .04 = .04 raised to .06."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@pytest.mark.parametrize("size", [1, 2, 7, 30, 400])
def test_holm_equals_statsmodels(size: int) -> None:
    """Adjusted p values are those of statsmodels, with ties, 0 and 1 among them."""
    p_values = np.random.default_rng(size).beta(0.3, 1.5, size=size).round(2)
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_no_test_needs_no_correction() -> None:
    """An empty list stays empty."""
    assert holm([]).tolist() == []


@pytest.mark.parametrize("bad", [[0.5, np.nan], [1.1], [-0.1], [[0.5]]], ids=["nan", "above", "below", "matrix"])
def test_what_is_no_p_value_is_refused(bad) -> None:
    """A missing p value is never corrected as if it were one."""
    with pytest.raises(ValueError, match="p values must be"):
        holm(bad)
