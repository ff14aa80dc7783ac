"""Compare two systems answer by answer, each pair shown in both orders."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.results import Estimate
from evalkit.stats.intervals import mean_t

POINTS = (0.0, 0.5, 1.0)


def win_rate(shown_first: ArrayLike, shown_second: ArrayLike, *, confidence_level: float = 0.95) -> Estimate:
    """Estimate the candidate's share of wins; ties, and winners that change with the order, count one half.

    Args:
        shown_first: The candidate's points when it was shown first, 1 win, 0.5 tie, 0 loss: shape (n,).
        shown_second: Its points when it was shown second, on the same pairs: shape (n,).
        confidence_level: Two-sided, in (0, 1).

    Returns:
        Mean with Student's interval, cut at 0 and 1; no value without pairs.

    Raises:
        ValueError: The shapes differ, or a point is not 0, 0.5 or 1.

    Source: statistics of paired preference with ties as half wins; both orders as in arXiv 2305.17926.
    """
    first, second = _points(shown_first), _points(shown_second)
    _check_pairs(first, second)
    found = mean_t(np.where(first == second, first, 0.5), confidence_level=confidence_level)
    return Estimate(
        value=found.value,
        low=None if found.low is None else max(0.0, found.low),
        high=None if found.high is None else min(1.0, found.high),
        n=found.n,
        method="win rate, both orders",
        confidence_level=confidence_level,
        reason=found.reason,
    )


def position_bias(shown_first: ArrayLike, shown_second: ArrayLike, *, confidence_level: float = 0.95) -> Estimate:
    """Return the advantage of being shown first: mean points shown first minus mean points shown second, -1 to 1.

    0 is a fair judge, 1 one that always prefers the first place, -1 the second. Arguments and errors as for `win_rate`.
    """
    first, second = _points(shown_first), _points(shown_second)
    _check_pairs(first, second)
    return mean_t(first - second, confidence_level=confidence_level)


def flip_rate(shown_first: ArrayLike, shown_second: ArrayLike) -> float | None:
    """Return the share of pairs whose winner changes with the order; `None` without pairs."""
    first, second = _points(shown_first), _points(shown_second)
    _check_pairs(first, second)
    return float((first != second).mean()) if len(first) else None


def _points(given: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(given, dtype=np.float64)
    if points.ndim != 1 or not np.isin(points, POINTS).all():
        raise ValueError("points are 1 for a win, 0.5 for a tie and 0 for a loss; leave out pairs without a verdict")
    return points


def _check_pairs(first: NDArray[np.float64], second: NDArray[np.float64]) -> None:
    if len(first) != len(second):
        raise ValueError(f"{len(first)} points shown first, {len(second)} shown second; give both orders of each pair")
