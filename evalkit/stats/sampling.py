"""Allocate a sample to cohorts, and estimate production figures from a sample.

A stratum is a cohort, or a cell of several; `weights` are its shares of production.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.results import Estimate
from evalkit.stats.quantiles import two_sided_t, two_sided_z

TINY = 1e-300
ENOUGH_CASES = 30
"""Number of cases from which a stratum counts as covered."""


def allocate_proportional(n: int, weights: ArrayLike) -> NDArray[np.int64]:
    """Split `n` in proportion to `weights`, largest remainders first; ties go to the earlier stratum.

    Args:
        n: Cases to split, >= 0.
        weights: Shape (K,), >= 0, not all 0; they are scaled to sum to 1.

    Returns:
        Shape (K,), sums to `n`.

    Raises:
        ValueError: An argument is out of range.
    """
    shares = _shares(weights)
    if n < 0:
        raise ValueError(f"n is {n}; at least 0 is needed")
    exact = shares * n
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: n - int(counts.sum())]] += 1
    return counts


def allocate_equal(n: int, strata: int) -> NDArray[np.int64]:
    """Split `n` evenly over `strata` strata."""
    return allocate_proportional(n, np.ones(strata))


def allocate_neyman(n: int, weights: ArrayLike, deviations: ArrayLike) -> NDArray[np.int64]:
    """Split `n` to minimise the variance of the weighted mean: in proportion to weight times standard deviation.

    Args:
        n: Cases to split.
        weights: Shares of production, shape (K,).
        deviations: Standard deviation within each stratum, shape (K,), >= 0, not all 0.

    Source: Neyman 1934, doi 10.2307/2342192.
    """
    return allocate_proportional(n, _shares(weights) * np.asarray(deviations, dtype=np.float64))


def allocate_floor(n: int, weights: ArrayLike, *, floor: int = 50) -> NDArray[np.int64]:
    """Give every stratum of positive weight at least `floor` cases, and split the rest close to proportion.

    Strata whose proportional share is above the floor divide the remaining cases. If `n` is too small for a floor in
    every stratum, it is split evenly.

    Args:
        n: Cases to split.
        weights: Shares of production, shape (K,); a stratum of weight 0 gets none.
        floor: Minimum number of cases of a stratum.
    """
    shares = _shares(weights)
    live = shares > 0
    counts = np.zeros(len(shares), np.int64)
    if n <= floor * int(live.sum()):
        counts[live] = allocate_equal(n, int(live.sum()))
        return counts
    fixed = np.zeros(len(shares), bool)
    while True:
        open_ = live & ~fixed
        counts[fixed] = floor
        counts[open_] = allocate_proportional(n - floor * int(fixed.sum()), shares[open_])
        below = open_ & (counts < floor)
        if not below.any():
            return counts
        fixed |= below


def post_stratified(
    values: ArrayLike, strata: Sequence[int], weights: ArrayLike, *, confidence_level: float = 0.95
) -> Estimate:
    """Estimate the mean of production: each stratum's mean weighted by its share, sum_k w_k m_k, with a t interval.

    SE^2 = sum_k w_k^2 s_k^2 / n_k over the strata, with Satterthwaite's degrees of freedom. If a stratum of positive
    weight has fewer than 2 cases, the mean is undefined, because that part of production is not represented.

    Args:
        values: Shape (n,), finite.
        strata: Number of each value's stratum, 0 to K - 1.
        weights: Shares of production, shape (K,).
        confidence_level: In (0, 1).

    Source: Cochran 1977, Sampling Techniques, section 5A.9.
    """
    found, codes, shares = np.asarray(values, np.float64), np.asarray(strata, np.int64), _shares(weights)
    counts = np.bincount(codes, minlength=len(shares))
    reason = _too_few(counts, shares)
    if reason:
        return Estimate(
            value=None, n=len(found), method="post-stratified", confidence_level=confidence_level, reason=reason
        )
    live = shares > 0
    sums = np.bincount(codes, found, len(shares))
    means = np.divide(sums, counts, out=np.zeros(len(shares)), where=counts > 0)
    squares = np.bincount(codes, (found - means[codes]) ** 2, len(shares))
    variances = np.divide(squares, counts - 1, out=np.zeros(len(shares)), where=counts > 1)
    value = float((shares * means)[live].sum())
    parts = shares[live] ** 2 * variances[live] / counts[live]
    freedom = float(parts.sum()) ** 2 / max(float((parts**2 / (counts[live] - 1)).sum()), TINY)
    spread = two_sided_t(confidence_level, max(1.0, freedom)) * math.sqrt(float(parts.sum()))
    return Estimate(
        value=value,
        low=value - spread,
        high=value + spread,
        n=len(found),
        method="post-stratified",
        confidence_level=confidence_level,
    )


def weighted_mean(
    values: ArrayLike,
    weights: ArrayLike,
    strata: ArrayLike,
    clusters: ArrayLike,
    *,
    sizes: ArrayLike,
    confidence_level: float = 0.95,
) -> Estimate:
    """Return the weighted mean m = sum w x / sum w, with a t interval from the linearised variance.

    With u = w (x - m) / sum w, and u = 0 for cases of the sample that are not among the values (another cohort, no
    score), SE^2 = sum over strata of n_k / (n_k - 1) (sum u^2 - (sum u)^2 / n_k), with Satterthwaite's degrees of
    freedom. If every stratum is flat, the differences between strata replace those within. If clusters hold
    several cases, it is c / (c - 1) sum (sum of u in the cluster)^2 over the c clusters, without regard to strata. The
    golden set itself is treated as a sample, so there is no correction for a finite population.

    Args:
        values: Shape (n,), finite.
        weights: The weight of each case, shape (n,), above 0.
        strata: Number of each case's stratum, 0 to K - 1, shape (n,).
        clusters: Number of each case's cluster, shape (n,).
        sizes: Cases drawn from each stratum, n_k, shape (K,); at least as many as are among the values.
        confidence_level: In (0, 1).

    Returns:
        Undefined for fewer than 2 independent cases.

    Source: Saerndal, Swensson and Wretman 1992, Model Assisted Survey Sampling, sections 5.7, 5.8 and 10.3.
    """
    found, weight = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    _, groups = np.unique(np.asarray(clusters), return_inverse=True)
    independent = int(groups.max()) + 1 if len(groups) else 0
    if independent < 2:
        reason = f"{independent} independent cases"
        return Estimate(value=None, n=len(found), method="weighted", confidence_level=confidence_level, reason=reason)
    value = float((weight * found).sum() / weight.sum())
    parts = weight * (found - value) / weight.sum()
    sums, freedom = np.bincount(groups, parts), float(independent - 1)
    variance = independent / freedom * float((sums**2).sum())
    if independent == len(found):
        by_stratum = _within(parts, np.asarray(strata, np.int64), np.asarray(sizes, np.int64))
        if by_stratum.sum() > 0:
            variance = float(by_stratum.sum())
            degrees = np.maximum(1, np.asarray(sizes, np.float64) - 1)
            freedom = max(1.0, variance**2 / float((by_stratum**2 / degrees).sum()))
    spread = two_sided_t(confidence_level, freedom) * math.sqrt(variance)
    low, high = value - spread, value + spread
    return Estimate(value=value, low=low, high=high, n=len(found), method="weighted", confidence_level=confidence_level)


def effective_n(weights_of_cases: ArrayLike) -> float:
    """Return Kish's effective sample size (sum w)^2 / sum w^2: equally weighted cases with the same information.

    Args:
        weights_of_cases: Weight of every case, shape (n,), >= 0; 0 for an empty sample.

    Source: Kish 1965, Survey Sampling, section 11.7.
    """
    weights = np.asarray(weights_of_cases, dtype=np.float64)
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def production_coverage(
    counts: ArrayLike,
    production: ArrayLike,
    *,
    sampled: bool,
    enough: int = ENOUGH_CASES,
    confidence_level: float = 0.95,
) -> Estimate:
    """Return the share of production that a golden set covers: sum_k p_k min(1, n_k / enough), less the unseen part.

    p_k are observed shares of production calls. Kinds never seen make up about f1 / N of the calls (f1: kinds seen
    once; N: calls; Good-Turing), and no case covers them. The interval is normal, from the multinomial variance of the
    shares; use it one-sided, by comparing `low` with a goal.

    Args:
        counts: Golden cases of each stratum, shape (K,).
        production: Production calls of each stratum as whole numbers, or declared shares; shape (K,).
        sampled: True for calls; declared shares have no sampling error.
        enough: Number of cases from which a stratum counts as covered.
        confidence_level: Of the two-sided interval.

    Source: Good 1953, doi 10.1093/biomet/40.3-4.237.
    """
    calls = np.asarray(production, dtype=np.float64)
    shares, total = _shares(calls), float(calls.sum())
    covered = np.minimum(1.0, np.asarray(counts, dtype=np.float64) / enough)
    unseen = float((calls == 1).sum()) / total if sampled else 0.0
    value = float((shares * covered).sum()) * (1 - unseen)
    low = high = value
    if sampled:
        variance = float((shares * covered**2).sum()) - float((shares * covered).sum()) ** 2
        spread = two_sided_z(confidence_level) * math.sqrt(max(0.0, variance) / total)
        low, high = max(0.0, value - spread), min(1.0, value + spread)
    n = int(total) if sampled else 0
    return Estimate(
        value=value, low=low, high=high, n=n, method="covered mass, Good-Turing", confidence_level=confidence_level
    )


def _within(parts: NDArray[np.float64], strata: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the variance of each stratum's sum; drawn cases that are not among the values count as 0."""
    squares, sums = np.bincount(strata, parts**2, len(sizes)), np.bincount(strata, parts, len(sizes))
    several = sizes > 1
    spread = squares - np.divide(sums**2, sizes, out=np.zeros(len(sizes)), where=several)
    found: NDArray[np.float64] = np.where(several, sizes / np.maximum(1, sizes - 1), 1.0) * np.maximum(0.0, spread)
    # Rounding leaves a small variance even if all cases are equal.
    return np.where(found > 1e-15 * squares, found, 0.0)


def _too_few(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> str:
    short = [str(k) for k in np.flatnonzero((shares > 0) & (counts < 2))]
    return f"fewer than 2 cases in stratum {', '.join(short)}" if short else ""


def _shares(weights: ArrayLike) -> NDArray[np.float64]:
    shares = np.asarray(weights, dtype=np.float64)
    if shares.ndim != 1 or not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() <= 0:
        raise ValueError("weights: give one finite number of at least 0 for each stratum, not all of them 0")
    scaled: NDArray[np.float64] = shares / shares.sum()
    return scaled
