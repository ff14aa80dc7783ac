"""Many tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm-adjusted p values: max over j <= i of min(1, (m - j + 1) p_(j)), in the order of the input.

    Rejecting where the adjusted value is <= alpha keeps P(any false rejection) <= alpha, however the tests depend on
    each other.

    Args:
        p_values: Each in [0, 1], shape (m,); may be empty.

    Returns:
        Shape (m,), each in [0, 1] and not below its p value.

    Raises:
        ValueError: Not one-dimensional, or a value is outside [0, 1] or NaN.

    Source: Holm 1979, Scand J Stat 6:65.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not bool(np.all((p >= 0) & (p <= 1))):
        raise ValueError("p values must be a flat list of numbers in [0, 1]; leave out tests that have none")
    order = np.argsort(p, kind="stable")
    factors = np.arange(p.size, 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted
