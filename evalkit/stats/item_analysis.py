"""Item analysis: how the result of one case correlates with the results of the others, over versions of a system."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.distributions import stdtr

_LEAST_VERSIONS = 3
"""Two points always lie on a line."""
_NO_SPREAD = 1e-12
"""Sum of squares below which values are equal but for rounding."""


def rest_correlations(passes: ArrayLike) -> NDArray[np.float64]:
    """Return the correlation of each case with the mean of the other cases, over versions.

    With single runs it is the corrected point-biserial discrimination of the item.

    Args:
        passes: Share of passed runs by case and version, in [0, 1], NaN where a version did not run the case; shape
            (cases, versions).

    Returns:
        Shape (cases,), each in [-1, 1]; NaN with fewer than 3 versions, or if the case or the rest does not vary.

    Raises:
        ValueError: Not two-dimensional.

    Source: Henrysson 1963, Psychometrika 28:211, doi 10.1007/BF02289618.
    """
    x = np.asarray(passes, np.float64)
    if x.ndim != 2:
        raise ValueError("passes must be two-dimensional: one row per case, one column per version")
    known = ~np.isnan(x)
    filled = np.where(known, x, 0.0)
    n_others = known.sum(axis=0) - known
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = (filled.sum(axis=0) - filled) / n_others
    both = known & (n_others > 0)
    return np.array([_correlation(x[at, both[at]], rest[at, both[at]]) for at in range(len(x))], np.float64)


def negative_p_values(correlations: ArrayLike, n_versions: ArrayLike) -> NDArray[np.float64]:
    """Return the one-sided p values of correlations that are negative: Student's t with n - 2 degrees of freedom.

    Args:
        correlations: In [-1, 1] or NaN, shape (cases,).
        n_versions: Number of versions behind each, shape (cases,).

    Returns:
        Shape (cases,), each in [0, 1]; NaN where there is no correlation, or fewer than 3 versions.
    """
    r, n = np.asarray(correlations, np.float64), np.asarray(n_versions, np.float64)
    freedom = np.where(n >= _LEAST_VERSIONS, n - 2, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = r * np.sqrt(freedom / (1 - r * r))
    found: NDArray[np.float64] = np.where(np.isnan(r) | np.isnan(freedom), np.nan, stdtr(freedom, t))
    return found


def _correlation(own: NDArray[np.float64], rest: NDArray[np.float64]) -> float:
    if len(own) < _LEAST_VERSIONS:
        return np.nan
    a, b = own - own.mean(), rest - rest.mean()
    squares = float(a @ a), float(b @ b)
    if min(squares) < _NO_SPREAD:
        return np.nan
    return float(np.clip(a @ b / np.sqrt(squares[0] * squares[1]), -1.0, 1.0))
