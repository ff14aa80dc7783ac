"""Rank several systems by their differences, and correct the figure of the winner for having been chosen."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.differences import Differences, Floats, Ints, largest_t, of_pairs, two_sided_p
from evalkit.stats.quantiles import normal_quantile

LEVEL = 0.05
"""Probability of any false statement in a family."""


def surely_better(
    values: Floats, clusters: Ints, *, rng: np.random.Generator, level: float = LEVEL
) -> NDArray[np.bool_]:
    """Return which system surely beats which: all pairs, two-sided step-down max-T in one family.

    Args:
        values: Higher is better; shape (n, k), NaN for no value.
        clusters: Number of each case's cluster, shape (n,).
        rng: Source of the draws.
        level: Probability of any false statement, however many systems are equal.

    Returns:
        Shape (k, k); [a, b] is True if a beats b.
    """
    k = values.shape[1]
    better = np.zeros((k, k), dtype=np.bool_)
    pairs = list(itertools.combinations(range(k), 2))
    if not pairs:
        return better
    found = of_pairs(values, pairs, clusters)
    sure = (two_sided_p(found, rng) <= level) & (found.n > 0)
    for (a, b), is_sure, mean in zip(pairs, sure.tolist(), found.means.tolist(), strict=True):
        if is_sure and mean != 0:
            better[(a, b) if mean > 0 else (b, a)] = True
    return better


def rank_intervals(better: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the ranks that each system may have, 1 is best: [1 + surely better ones, k - surely worse ones].

    If all statements of `better` are true, all intervals hold the true rank; in a tie of true means, any order does.

    Args:
        better: `surely_better`.

    Source: Mogstad, Romano, Shaikh and Wilhelm 2024, doi 10.1093/restud/rdad006.
    """
    k = len(better)
    above, below = better.sum(axis=0).tolist(), better.sum(axis=1).tolist()
    return [(1 + up, k - down) for up, down in zip(above, below, strict=True)]


def covariance_of_means(values: Floats, clusters: Ints) -> Floats:
    """Return the cluster-robust covariance of the systems' means, each over its own cases; shape (k, k).

    Args:
        values: Shape (n, k), NaN for no value; every system has one.
        clusters: Number of each case's cluster, shape (n,).
    """
    known = ~np.isnan(values)
    deviations = np.where(known, values - np.nanmean(values, axis=0), 0.0) / known.sum(axis=0)
    sums = np.zeros((int(clusters.max()) + 1, values.shape[1]))
    np.add.at(sums, clusters, deviations)
    groups = len(np.unique(clusters))
    return sums.T @ sums * (groups / (groups - 1) if groups > 1 else math.nan)


def shrunken_winner(means: Floats, covariance: Floats) -> float | None:
    """Return the largest mean, shrunken towards the mean of all: m + s (x - m).

    s = max(0, 1 - (k - 3)/(k - 1) V/S^2), without the factor if k <= 3. V = (tr C - 1'C1/k)/(k - 1) is the share of the
    noise in S^2, the variance of the means.

    Args:
        means: Of each system, higher is better, shape (k,), k >= 2.
        covariance: Of the means, shape (k, k).

    Returns:
        Between the mean of all and the largest mean; `None` if the covariance is not known.

    Source: James and Stein 1961; Efron and Morris 1973, doi 10.1080/01621459.1973.10481350.
    """
    k = len(means)
    if not np.isfinite(covariance).all():
        return None
    centre, spread = float(means.mean()), float(means.var(ddof=1))
    noise = float(np.trace(covariance) - covariance.sum() / k) / (k - 1)
    factor = (k - 3) / (k - 1) if k > 3 else 1.0
    share = max(0.0, 1 - factor * max(0.0, noise) / spread) if spread > 0 else 0.0
    return centre + share * (float(means.max()) - centre)


def cases_to_part(values: Floats, first: int, second: int, clusters: Ints, *, rng: np.random.Generator) -> int | None:
    """Return how many cases would part two systems with 80 % power, if they differ as much as observed.

    Args:
        values: Higher is better; shape (n, k), NaN for no value.
        first: Column of the better system.
        second: Column of the other one.
        clusters: Number of each case's cluster, shape (n,).
        rng: Source of the draws.

    Returns:
        Cases in clusters of the observed size; `None` if the means are equal, or no number is finite.
    """
    observed = float(of_pairs(values, [(first, second)], clusters).means[0])
    if not observed > 0:
        return None
    return cases_to_find(observed, values, (first, second), clusters, rng=rng)


def cases_to_find(
    difference: float, values: Floats, pair: tuple[int, int], clusters: Ints, *, rng: np.random.Generator
) -> int | None:
    """Return how many cases would show a difference of two systems with 80 % power, at the observed spread.

    The test of all pairs finds T = sum d / sqrt(sum d^2) >= c, so n = ((c sqrt(s^2 + d^2) + z s) / d)^2 clusters, with
    the mean d and the variance s^2 of the clusters' differences, c the critical value of the family, z = .84.

    Args:
        difference: True difference of the means, above 0.
        values: Shape (n, k), NaN for no value.
        pair: Columns of the two systems.
        clusters: Number of each case's cluster, shape (n,).
        rng: Source of the draws.

    Returns:
        Cases in clusters of the observed size; `None` if no number is finite.
    """
    pairs = list(itertools.combinations(range(values.shape[1]), 2))
    critical = largest_t(of_pairs(values, pairs, clusters), level=LEVEL, rng=rng)
    found = of_pairs(values, [pair], clusters)
    groups, n = int(found.n_clusters[0]), int(found.n[0])
    if groups == 0 or not math.isfinite(critical):
        return None
    drop = difference * n / groups
    spread = _spread(found, float(found.rows.sum()) / groups)
    needed = ((critical * math.hypot(spread, drop) + normal_quantile(0.8) * spread) / drop) ** 2
    return math.ceil(needed * n / groups)


def _spread(found: Differences, mean: float) -> float:
    inside = found.rows[found.sizes > 0]
    return float(np.sqrt(((inside - mean) ** 2).sum() / max(1, len(inside) - 1)))
