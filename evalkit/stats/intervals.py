"""Compute confidence intervals of a rate, a mean, a paired difference of rates, and a quantile.

Every function returns an `Estimate`. Undefined values are `None` with a reason: an empty sample has no value, one value
has no interval. Intervals are two-sided; a one-sided 95 % bound is one end of the interval at `confidence_level=0.90`.
Sums are exactly rounded (`math.fsum`), so results do not depend on the order of the cases.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.results import Estimate
from evalkit.stats.bootstrap import bootstrap as bootstrap
from evalkit.stats.bounds import newcombe_bounds, tango_upper, wilson_bounds
from evalkit.stats.clusters import cluster_codes
from evalkit.stats.quantiles import tail_probability, two_sided_t, two_sided_z

ROUNDING = 1e-9
"""Tolerance for n q, which may be rounded up: 100 x 0.07 is rank 7 although the floats give 7.000000000000001."""
_BLOCK_VALUES = 1 << 14


def wilson(successes: int, n: int, *, confidence_level: float = 0.95) -> Estimate:
    """Return the score interval of a rate: (p + z^2/2n ± z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).

    Args:
        successes: 0 .. n.
        n: Independent cases. With 0 the rate is undefined.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        `value` is successes / n; 0 <= low <= value <= high <= 1, and the interval has a width even at 0 and 1.

    Raises:
        ValueError: `successes` is not in 0 .. n.

    Source: Wilson 1927, JASA 22:209.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} cases; successes must lie in 0 .. n")
    z = two_sided_z(confidence_level)
    if n == 0:
        return _undefined("wilson", confidence_level)
    low, high = wilson_bounds(successes, n, z)
    return Estimate(value=successes / n, low=low, high=high, n=n, method="wilson", confidence_level=confidence_level)


def cases_to_prove(rate: float, *, confidence_level: float = 0.95) -> int | None:
    """Return the smallest number of cases that proves a rate if all pass: the least n with n / (n + z^2) >= rate.

    Args:
        rate: Rate to prove; the result for 1 is `None`, because no number of cases proves it.
        confidence_level: Two-sided, in (0, 1); 0.9 for a one-sided bound of 95 %.

    Source: the lower bound of Wilson 1927, JASA 22:209, at p = 1.
    """
    if rate >= 1:
        return None
    z = two_sided_z(confidence_level)
    return max(1, math.ceil(z * z * rate / (1 - rate) - 1e-9))


def mean_t(values: ArrayLike, *, confidence_level: float = 0.95) -> Estimate:
    """Return the mean of independent values with Student's interval: mean ± t(n - 1) s / sqrt(n).

    Args:
        values: Finite numbers, one per case (repeats are averaged before), shape (n,).
        confidence_level: Two-sided, in (0, 1).

    Returns:
        No value with n = 0; no interval with n = 1. If all values are equal the interval has no width, and `reason`
        says so. The interval is not cut at the ends of the metric's scale.

    Raises:
        ValueError: `values` is not one-dimensional, or holds NaN or infinity.
    """
    sample = _finite_vector(values)
    tail_probability(confidence_level)
    if sample.size == 0:
        return _undefined("t", confidence_level)
    mean = _exact_mean(sample)
    if sample.size == 1:
        reason = "no interval: one value shows no spread"
        return Estimate(value=mean, n=1, method="t", confidence_level=confidence_level, reason=reason)
    squares = _exact_sum((sample - mean) ** 2)
    error = math.sqrt(squares / (sample.size - 1) / sample.size)
    return _t_interval(sample, mean, error, sample.size - 1, confidence_level=confidence_level, method="t")


def cluster_robust(values: ArrayLike, clusters: Sequence[Hashable], *, confidence_level: float = 0.95) -> Estimate:
    """Return the mean of values that depend on each other within clusters: mean ± t(G - 1) SE.

    SE = sqrt(G/(G - 1) * sum over clusters of (sum of value - mean)^2) / n, the CR1 form for a mean. With one value in
    every cluster this is `mean_t`. With few clusters of very unequal size it is still somewhat too narrow.

    Args:
        values: Finite numbers, one per case, shape (n,).
        clusters: The cluster of each case, shape (n,); each `None` is a cluster of its own.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        `value` is the mean over cases, `n` the number of cases. No value with n = 0; no interval with fewer than two
        clusters. If the clusters show no spread the interval has no width, and `reason` says so.

    Raises:
        ValueError: Lengths differ, `values` is not one-dimensional, or holds NaN or infinity.

    Source: Miller 2024, arXiv 2411.00640, section 2.2, with the usual small-sample factor and t(G - 1).
    """
    sample = _finite_vector(values)
    tail_probability(confidence_level)
    if sample.size != len(clusters):
        raise ValueError(f"{sample.size} values but {len(clusters)} clusters; give one cluster per value")
    if sample.size == 0:
        return _undefined("cluster-robust t", confidence_level)
    mean, codes = _exact_mean(sample), cluster_codes(clusters)
    count = int(codes.max()) + 1
    if count < 2:
        reason = "no interval: one cluster shows no spread between clusters"
        return Estimate(
            value=mean, n=sample.size, method="cluster-robust t", confidence_level=confidence_level, reason=reason
        )
    sums = np.asarray(np.bincount(codes, weights=sample - mean), np.float64)
    squares = _exact_sum(sums**2)
    error = math.sqrt(count / (count - 1) * squares) / sample.size
    return _t_interval(sample, mean, error, count - 1, confidence_level=confidence_level, method="cluster-robust t")


def newcombe_paired(
    both: int, only_first: int, only_second: int, neither: int, *, confidence_level: float = 0.95
) -> Estimate:
    """Return the difference of two rates on the same cases, p_first - p_second: Newcombe's method 10.

    The Wilson intervals of the two rates are joined by square-and-add with the correlation phi of the 2 x 2 table,
    whose numerator is lowered by n/2 (not below 0) if it is positive.

    Args:
        both: Cases that passed in both.
        only_first: Passed in the first only.
        only_second: Passed in the second only.
        neither: Passed in neither.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        Fractions, -1 <= low <= value <= high <= 1; no value with no cases.

    Raises:
        ValueError: A count is negative.

    Source: Newcombe 1998, Stat Med 17:2635; Fagerland et al. 2014, Stat Med 33:2850.
    """
    n = _paired_total(both, only_first, only_second, neither)
    z = two_sided_z(confidence_level)
    if n == 0:
        return _undefined("newcombe", confidence_level)
    low, high = newcombe_bounds((both, only_first, only_second, neither), z)
    return Estimate(
        value=(only_first - only_second) / n,
        low=low,
        high=high,
        n=n,
        method="newcombe",
        confidence_level=confidence_level,
    )


def independent_difference(first: Estimate, second: Estimate) -> Estimate:
    """Return the difference of two means of different cases, first - second, from their intervals: square-and-add.

    For rates with Wilson intervals it is Newcombe's method 10 for independent samples.

    Args:
        first: with an interval.
        second: with an interval of the same confidence level.

    Returns:
        `n` is the number of cases of both; no value if one of them has none, and no interval if one has none.

    Source: Newcombe 1998, Stat Med 17:873; Zou and Donner 2008, Stat Med 27:1693.
    """
    level, n = first.confidence_level, first.n + second.n
    if first.value is None or second.value is None:
        reason = first.reason or second.reason
        return Estimate(value=None, n=n, method="square-and-add", confidence_level=level, reason=reason)
    value = first.value - second.value
    blank = Estimate(value=value, n=n, method="square-and-add", confidence_level=level)
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return replace(blank, reason=first.reason or second.reason)
    low = value - math.hypot(first.value - first.low, second.high - second.value)
    high = value + math.hypot(first.high - first.value, second.value - second.low)
    return replace(blank, low=low, high=high)


def tango(both: int, only_first: int, only_second: int, neither: int, *, confidence_level: float = 0.95) -> Estimate:
    """Return the difference of two rates on the same cases, p_first - p_second: Tango's score interval.

    The ends solve (b - c - n d)^2 = z^2 n (2q + d(1 - d)), where b = `only_first`, c = `only_second` and q is the
    maximum-likelihood probability of `only_second` given the difference d. At d = 0 this is McNemar's score test.

    Args and result are those of `newcombe_paired`; the difference depends on `both` and `neither` only by their sum.

    Raises:
        ValueError: A count is negative.

    Source: Tango 1998, Stat Med 17:891; Fagerland et al. 2014, Stat Med 33:2850.
    """
    n = _paired_total(both, only_first, only_second, neither)
    z = two_sided_z(confidence_level)
    if n == 0:
        return _undefined("tango", confidence_level)
    return Estimate(
        value=(only_first - only_second) / n,
        low=-tango_upper(only_second, only_first, n, z),
        high=tango_upper(only_first, only_second, n, z),
        n=n,
        method="tango",
        confidence_level=confidence_level,
    )


def quantile_bounds(values: ArrayLike, q: float, *, confidence_level: float = 0.95) -> Estimate:
    """Return the quantile with distribution-free bounds: two order statistics at exact binomial ranks.

    `value` is the smallest x with at least n q values <= x (the inverted empirical distribution, never interpolated).
    `low` is the r-th smallest value for the largest r with P(Bin(n, q) <= r - 1) <= tail, `high` the s-th for the
    smallest s with P(Bin(n, q) >= s) <= tail, where tail = (1 - confidence_level) / 2. They hold for any distribution.

    Args:
        values: Finite numbers, shape (n,).
        q: The quantile, strictly between 0 and 1; 0.95 for p95.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        low <= value <= high. A side that no order statistic reaches at this n is `None`, and `reason` says how many
        values it needs (an upper one-sided 95 % bound of p95 needs 59). No value with n = 0.

    Raises:
        ValueError: `q` is outside (0, 1), `values` is not one-dimensional, or holds NaN or infinity.

    Source: David and Nagaraja, Order Statistics, section 7.1.
    """
    from evalkit.stats.distributions import bdtr, bdtrc

    if not 0 < q < 1:
        raise ValueError(f"q is {q!r}; a quantile must lie strictly between 0 and 1, such as 0.95")
    tail = tail_probability(confidence_level)
    ordered = np.sort(_finite_vector(values))
    n = ordered.size
    if n == 0:
        return _undefined("order statistics", confidence_level)
    rank = max(1, math.ceil(n * q - ROUNDING))
    ranks = np.arange(n)
    below = int(np.count_nonzero(bdtr(ranks, n, q) <= tail))
    above = int(np.count_nonzero(bdtrc(ranks, n, q) > tail))
    return Estimate(
        value=float(ordered[rank - 1]),
        low=float(ordered[below - 1]) if below > 0 else None,
        high=float(ordered[above]) if above < n else None,
        n=n,
        method="order statistics",
        confidence_level=confidence_level,
        reason=_missing_sides(n, lower=None if below else 1 - q, upper=q if above == n else None, tail=tail),
    )


def _undefined(method: str, confidence_level: float) -> Estimate:
    return Estimate(value=None, method=method, confidence_level=confidence_level, reason="no values")


def _finite_vector(values: ArrayLike) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1:
        raise ValueError(f"values have shape {sample.shape}; give one number per case")
    bad = np.flatnonzero(~np.isfinite(sample))
    if bad.size:
        raise ValueError(f"values[{bad[0]}] is {sample[bad[0]]}; count values without a score instead")
    return sample


def _exact_sum(values: NDArray[np.float64]) -> float:
    """Return the sum, rounded once, without a list of the values."""
    blocks = (values[start : start + _BLOCK_VALUES].tolist() for start in range(0, len(values), _BLOCK_VALUES))
    return math.fsum(chain.from_iterable(blocks))


def _exact_mean(sample: NDArray[np.float64]) -> float:
    mean = _exact_sum(sample) / sample.size
    return min(max(mean, float(sample.min())), float(sample.max()))


def _t_interval(
    sample: NDArray[np.float64], mean: float, error: float, degrees: int, *, confidence_level: float, method: str
) -> Estimate:
    """Return the interval, and state a zero width; rounding noise in `error` does not count as spread."""
    flat = error <= 1e-12 * float(np.abs(sample).max())
    half = 0.0 if flat else two_sided_t(confidence_level, degrees) * error
    return Estimate(
        value=mean,
        low=mean - half,
        high=mean + half,
        n=sample.size,
        method=method,
        confidence_level=confidence_level,
        reason="zero width: no spread was observed" if flat else "",
    )


def _paired_total(*counts: int) -> int:
    if min(counts) < 0:
        raise ValueError(f"counts are {counts}; a count of cases cannot be negative")
    return sum(counts)


def _missing_sides(n: int, *, tail: float, **shares: float | None) -> str:
    """Describe how many values each absent bound needs: the extreme value is a bound from share^n <= tail."""
    needs = {side: math.ceil(math.log(tail) / math.log(share)) for side, share in shares.items() if share is not None}
    return "; ".join(f"no {side} bound with {n} values: {max(need, n + 1)} are needed" for side, need in needs.items())
