"""Adjust p values for multiple tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return Holm-adjusted p values: max over j <= i of min(1, (m - j + 1) p_(j)), in the order of the input.

    Rejecting if the adjusted value is <= alpha keeps P(any false rejection) <= alpha, however the tests depend on
    each other.

    Args:
        p_values: Each in [0, 1], shape (m,); may be empty.

    Returns:
        Shape (m,), each in [0, 1] and not below its p value.

    Raises:
        ValueError: Not one-dimensional, or a value is outside [0, 1] or NaN.

    Source: Holm 1979, Scand J Stat 6:65.
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    factors = np.arange(p.size, 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p values adjusted for the false discovery rate: with p sorted, min over j >= i of m p_(j) / j.

    Use them in reports that list many comparisons: of those below 0.05, about one in twenty is a false alarm. It does
    not bound the chance of any false alarm, so no gate uses it.

    Args:
        p_values: In [0, 1], shape (m,).

    Returns:
        Shape (m,), in the order of the input; empty for none.

    Raises:
        ValueError: A value is outside [0, 1].

    Source: Benjamini and Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x.
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return adjusted


def _checked(p_values: ArrayLike) -> NDArray[np.float64]:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not bool(np.all((p >= 0) & (p <= 1))):
        raise ValueError("p values must be a flat list of numbers in [0, 1]; leave out tests that have none")
    return p
