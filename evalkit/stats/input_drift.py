"""Test whether the inputs of some days differ from those of a reference period, by permuting whole days.

Calls of one day depend on each other: an incident, a campaign, one user with many questions. Tests that treat calls as
independent find a drift in every week of a busy system. Days are therefore exchanged as a whole, weekends among
themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
DRAWS = 9_999
Statistic = Callable[[Floats, Floats], Floats]


def cohort_shift_p(counts: Floats, tested: Bools, weekend: Bools, *, rng: np.random.Generator) -> float:
    """Return the p value of a change in the shares of cohorts: chi-square of the two periods, by permuting days.

    Args:
        counts: Calls of each day and cohort, shape (days, K), >= 0.
        tested: True for the days that are compared with the others, shape (days,).
        weekend: True for a Saturday or Sunday, shape (days,).
        rng: Source of the draws.

    Returns:
        In (0, 1]; 1 / 10,000 at least.
    """
    return _permuted(chi_square, counts, tested, weekend, rng)


def mean_shift_p(sums: Floats, weights: Floats, tested: Bools, weekend: Bools, *, rng: np.random.Generator) -> float:
    """Return the p value of a change in the mean embedding: squared distance of the two means, by permuting days.

    This is the maximum mean discrepancy with a linear kernel.

    Args:
        sums: Weighted sum of the embeddings of each day, shape (days, E).
        weights: Sum of the weights of each day, shape (days,), >= 0.
        tested: True for the days that are compared with the others, shape (days,).
        weekend: True for a Saturday or Sunday, shape (days,).
        rng: Source of the draws.

    Source: Gretton et al. 2012, JMLR 13:723.
    """
    return _permuted(squared_distance, np.column_stack([sums, weights]), tested, weekend, rng)


def chi_square(first: Floats, second: Floats) -> Floats:
    """Return the chi-square statistic of 2 x K tables of counts, shape (..., K) each; empty cohorts do not count."""
    both = first + second
    share = first.sum(axis=-1, keepdims=True) / np.maximum(both.sum(axis=-1, keepdims=True), 1e-300)
    parts = []
    for found, own in ((first, share), (second, 1 - share)):
        expected = both * own
        parts.append(np.divide((found - expected) ** 2, expected, out=np.zeros_like(both), where=expected > 0))
    total: Floats = (parts[0] + parts[1]).sum(axis=-1)
    return total


def squared_distance(first: Floats, second: Floats) -> Floats:
    """Return the squared distance of two means; the last column holds weights, the others sums, (..., E + 1) each."""
    means = [each[..., :-1] / np.maximum(each[..., -1:], 1e-300) for each in (first, second)]
    total: Floats = ((means[0] - means[1]) ** 2).sum(axis=-1)
    return total


def psi(first: Floats, second: Floats) -> float:
    """Return the population stability index of two lists of counts, sum (a - b) ln(a / b) over shares; shape (K,) each.

    Half a call is added to every cohort, so that an empty one does not make it infinite. It has no error rate: with few
    calls it is large by chance alone.
    """
    a, b = ((each + 0.5) / (each + 0.5).sum() for each in (first, second))
    return float(((a - b) * np.log(a / b)).sum())


def _permuted(statistic: Statistic, by_day: Floats, tested: Bools, weekend: Bools, rng: np.random.Generator) -> float:
    if not tested.any() or tested.all():
        raise ValueError("both periods need at least one day")
    total = by_day.sum(axis=0)
    chosen = np.zeros((DRAWS, len(tested)), np.float64)
    for part in (weekend, ~weekend):
        places = np.flatnonzero(part)
        count = int(tested[places].sum())
        order = np.argsort(rng.random((DRAWS, len(places))), axis=1)[:, :count]
        np.put_along_axis(chosen, places[order], 1.0, axis=1)
    observed = by_day[tested].sum(axis=0)
    seen = float(statistic(observed, total - observed))
    drawn = chosen @ by_day
    # A draw of the same days differs by rounding only.
    return (1 + int((statistic(drawn, total - drawn) >= seen * (1 - 1e-9)).sum())) / (DRAWS + 1)
