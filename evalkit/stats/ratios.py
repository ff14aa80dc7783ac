"""Compute ratios of totals: an amount for each success, and paired tests for a slower or costlier candidate.

Times and costs are positive and skewed, so they are compared as ratios: candidate by baseline, above 1 is worse.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.results import Estimate
from evalkit.stats.quantiles import two_sided_t

DRAWS = 10_000
BLOCK_CELLS = 2**21
MIN_PAIRS = 5
MOST_DRAWN = 1_000
"""Number of clusters above which a ratio of totals is linearised."""
MANY_SUCCESSES = 100


def typical_ratio(
    before: ArrayLike, after: ArrayLike, *, margin: float, confidence_level: float = 0.95
) -> tuple[Estimate, float]:
    """Return the geometric mean of the paired ratios, and the one-sided p value that it is above `margin`.

    l_i = log(after_i / before_i); t test of mean l against log(margin), t interval taken back by exp.

    Args:
        before: Baseline, shape (n,), above 0.
        after: Candidate, the same cases in the same order.
        margin: Largest ratio that is not a regression, such as 1.10.
        confidence_level: Of the interval, in (0, 1).

    Returns:
        The ratio, and p; no value and p = 1 with fewer than 5 pairs.
    """
    first, second = _pairs(before, after)
    logs = np.log(second / first)
    if len(logs) < MIN_PAIRS:
        reason = f"{len(logs)} pairs, {MIN_PAIRS} are needed"
        return Estimate(value=None, n=len(logs), confidence_level=confidence_level, reason=reason), 1.0
    center, error = float(logs.mean()), float(logs.std(ddof=1)) / math.sqrt(len(logs))
    spread = two_sided_t(confidence_level, len(logs) - 1) * error
    estimate = Estimate(
        value=math.exp(center),
        low=math.exp(center - spread),
        high=math.exp(center + spread),
        n=len(logs),
        method="paired log ratio, t",
        confidence_level=confidence_level,
    )
    return estimate, _upper_p(center - math.log(margin), error, len(logs) - 1)


def total_ratio(
    before: ArrayLike,
    after: ArrayLike,
    *,
    margin: float,
    rng: np.random.Generator,
    confidence_level: float = 0.95,
) -> tuple[Estimate, float]:
    """Return the ratio of the totals, as on a bill, by a paired bootstrap over the cases.

    Args:
        before: Baseline, shape (n,), above 0.
        after: Candidate, the same cases in the same order.
        margin: Largest ratio that is not a regression, such as 1.05.
        rng: Source of the draws.
        confidence_level: Of the percentile interval, in (0, 1).

    Returns:
        The ratio, and the share of draws at or below `margin`; no value and 1 with fewer than 5 pairs.

    Source: Efron and Tibshirani 1993, section 13.3.
    """
    first, second = _pairs(before, after)
    n = len(first)
    if n < MIN_PAIRS:
        return Estimate(
            value=None, n=n, confidence_level=confidence_level, reason=f"{n} pairs, {MIN_PAIRS} are needed"
        ), 1.0
    drawn = np.concatenate([_bootstrap(first, second, count, rng) for count in _blocks(n)])
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    value = float(second.sum() / first.sum())
    estimate = Estimate(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        n=n,
        method="ratio of totals, paired bootstrap",
        confidence_level=confidence_level,
    )
    return estimate, float((1 + (drawn <= margin).sum()) / (1 + len(drawn)))


def total_per_success(
    amounts: ArrayLike,
    successes: ArrayLike,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    confidence_level: float = 0.95,
) -> Estimate:
    """Return the sum of an amount over all cases, by the number of successes, with a percentile interval.

    Whole clusters are drawn with replacement. A draw without a success is infinite, so that the upper bound is open
    (`None`) if there are too many of them. With more than 1,000 clusters, 100 of them with a success, the interval is
    that of the linearised logarithm of the ratio, which agrees with the draws and is much faster.

    Args:
        amounts: amounts of each case, shape (n,), 0 or more.
        successes: successes of each case, shape (n,), 0 or more; runs that passed, weighted in a sample.
        clusters: number of each case's cluster, shape (n,).
        rng: source of the draws.
        confidence_level: two-sided, in (0, 1).

    Returns:
        `n` is the number of cases. No value without a success; no interval with fewer than two clusters.

    Source: Efron and Tibshirani 1993, section 13.3; Cochran 1977, section 6.4, for the linearised form.
    """
    spent, won = np.asarray(amounts, np.float64), np.asarray(successes, np.float64)
    n, method = len(spent), "ratio of totals, bootstrap"
    if not won.sum() > 0:
        return Estimate(value=None, n=n, method=method, confidence_level=confidence_level, reason="no run passed")
    value = float(spent.sum() / won.sum())
    of_case = np.asarray(clusters)
    if not (of_case[1:] > of_case[:-1]).all():
        _, codes = np.unique(of_case, return_inverse=True)
        spent, won = np.bincount(codes, spent).astype(np.float64), np.bincount(codes, won).astype(np.float64)
    blank = Estimate(value=value, n=n, method=method, confidence_level=confidence_level)
    if len(spent) < 2:
        return replace(blank, reason="no interval: one cluster shows no spread")
    if len(spent) > MOST_DRAWN and np.count_nonzero(won) >= MANY_SUCCESSES and value > 0:
        return _linearised(blank, spent, won)
    sums = np.stack([spent, won])
    drawn = np.concatenate([_per_success(sums, count, rng) for count in _blocks(sums.shape[1])])
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], method="inverted_cdf")
    if np.isinf(high):
        without = np.isinf(drawn).mean()
        reason = f"no upper bound: {without:.0%} of the resamples have no run that passed"
        return replace(blank, low=min(float(low), value), reason=reason)
    return replace(blank, low=min(float(low), value), high=max(float(high), value))


def _per_success(sums: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    drawn = rng.integers(sums.shape[1], size=(count, sums.shape[1]))
    spent, won = (np.take(each, drawn).sum(axis=1) for each in sums)
    ratios: NDArray[np.float64] = np.divide(spent, won, out=np.full(count, np.inf), where=won > 0)
    return ratios


def _linearised(blank: Estimate, spent: NDArray[np.float64], won: NDArray[np.float64]) -> Estimate:
    value, count = blank.value or 0.0, len(spent)
    errors = value * won
    np.subtract(spent, errors, out=errors)
    np.square(errors, out=errors)
    error = math.sqrt(count / (count - 1) * float(errors.sum())) / float(spent.sum())
    spread = math.exp(two_sided_t(blank.confidence_level, count - 1) * error)
    return replace(blank, low=value / spread, high=value * spread, method="ratio of totals, linearised")


def tail_ratio(
    before: ArrayLike, after: ArrayLike, *, rng: np.random.Generator, quantile: float = 0.95
) -> tuple[Estimate, float]:
    """Return the ratio of two tail quantiles, and its p value when pairs are swapped at random.

    If nothing changed, each pair may as well have come in the other order; p is the share of swapped data whose
    ratio is at least the observed one, itself included.

    Args:
        before: Baseline, shape (n,), above 0.
        after: Candidate, the same cases in the same order.
        rng: Source of the swaps.
        quantile: In (0, 1).
    """
    first, second = _pairs(before, after)
    n = len(first)
    if n < MIN_PAIRS:
        return Estimate(value=None, n=n, reason=f"{n} pairs, {MIN_PAIRS} are needed"), 1.0
    observed = _log_quantile_ratio(first[None], second[None], quantile)[0]
    hits = tried = 0
    for count in _blocks(n):
        swapped = rng.random((count, n)) < 0.5
        ratios = _log_quantile_ratio(np.where(swapped, second, first), np.where(swapped, first, second), quantile)
        hits += int((ratios >= observed - 1e-12).sum())
        tried += count
    estimate = Estimate(value=math.exp(observed), n=n, method=f"ratio of the {quantile:.0%} quantiles, swaps")
    return estimate, (1 + hits) / (1 + tried)


def _upper_p(excess: float, error: float, degrees: int) -> float:
    from evalkit.stats.distributions import stdtr

    if error == 0:
        return 0.0 if excess > 0 else 1.0
    return float(stdtr(degrees, -excess / error))


def _bootstrap(
    first: NDArray[np.float64], second: NDArray[np.float64], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    drawn = rng.integers(len(first), size=(count, len(first)))
    ratios: NDArray[np.float64] = np.take(second, drawn).sum(axis=1) / np.take(first, drawn).sum(axis=1)
    return ratios


def _log_quantile_ratio(
    first: NDArray[np.float64], second: NDArray[np.float64], quantile: float
) -> NDArray[np.float64]:
    place = min(first.shape[1] - 1, math.ceil(quantile * first.shape[1]) - 1)
    tops = [np.partition(each, place, axis=1)[:, place] for each in (second, first)]
    ratios: NDArray[np.float64] = np.log(tops[0] / tops[1])
    return ratios


def _blocks(n: int) -> list[int]:
    """Yield the draws in blocks that fit into memory."""
    size = max(1, BLOCK_CELLS // n)
    return [min(size, DRAWS - start) for start in range(0, DRAWS, size)]


def _pairs(before: ArrayLike, after: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"shapes {first.shape} and {second.shape}; give one number of each run for every case")
    if not (np.isfinite(first).all() and np.isfinite(second).all() and (first > 0).all() and (second > 0).all()):
        raise ValueError("a time or cost is not above 0; leave out pairs without one")
    return first, second
