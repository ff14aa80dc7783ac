"""Simulate how large the scan statistic becomes in years in which nothing changes."""

from __future__ import annotations

import math

import numpy as np

from evalkit.stats.scan import (
    LEAST_SKEW,
    Bools,
    DailySums,
    Floats,
    Level,
    Streams,
    estimate_level,
    largest_statistic,
    smoothed_rate,
)

YEARS = 200
DAYS = 365
MOST_CELLS = 500_000
"""Days of streams that are simulated at once: some 40 MB."""


def simulated_maxima(
    level: Level, days: DailySums, weekend: Bools, streams: Streams, *, rng: np.random.Generator, years: int = YEARS
) -> Floats:
    """Return the largest statistic of each simulated year without a change, shape (years,).

    Every year has a reference period of its own, from which mean, weekend effect and day-to-day variance are estimated
    anew: the error of the reference is part of what the threshold has to allow for. Days have the numbers of answers of
    the real reference period, repeated. Streams are simulated independently, so if they are correlated the threshold is
    somewhat too high, never too low.

    Args:
        level: Of the real reference period.
        days: The reference period.
        weekend: True for a Saturday or Sunday, shape (days,).
        streams: What the streams are.
        rng: Source of the draws.
        years: Number of years.
    """
    best = np.full(years, -np.inf)
    for group in range(int(streams.groups.max(initial=-1)) + 1):
        which = streams.groups == group
        own, part = streams.chosen(which), _part(level, which)
        sizes = days.n[which]
        at_once = max(1, MOST_CELLS // (sizes.shape[0] * (sizes.shape[1] + DAYS)))
        for first in range(0, years, at_once):
            count = min(at_once, years - first)
            found = _histories(part, sizes, weekend, own, rng=rng, count=count)
            best[first : first + count] = np.maximum(best[first : first + count], found)
    return best


def threshold(maxima: Floats, per_year: float) -> float:
    """Return the threshold that some stream exceeds `per_year` times a year on average: P(any) = 1 - exp(-per_year).

    Args:
        maxima: Largest statistic of each simulated year, shape (years,).
        per_year: Above 0.

    Raises:
        ValueError: `per_year` is not above 0, or there is no year.
    """
    if not per_year > 0 or len(maxima) == 0:
        raise ValueError(f"per_year is {per_year!r} with {len(maxima)} years; a rate above 0 and some years are needed")
    return float(np.quantile(maxima, math.exp(-per_year), method="higher"))


def _histories(
    level: Level, sizes: Floats, weekend: Bools, streams: Streams, *, rng: np.random.Generator, count: int
) -> Floats:
    """Simulate `count` reference periods with a year each, and return the largest statistic of each."""
    first = len(weekend)
    length = first + DAYS
    repeated = np.resize(np.arange(first), length)
    at_weekend = weekend[repeated]
    n = np.floor(sizes[:, repeated] + rng.random((len(sizes), length)))
    # A reference without a failure does not show that there are none.
    certain = streams.rates & ((level.mean <= 0) | (level.mean >= 1))
    mean = np.where(certain, smoothed_rate(level.mean, level.n), level.mean)
    centre = mean[:, None] + level.weekend[:, None] * (at_weekend - level.weekend_share[:, None])
    shape = (count, *n.shape)
    moved = level.day_sd > 0
    means = np.broadcast_to(centre, shape)
    if moved.any():
        means = means + level.day_sd[:, None] * rng.standard_normal(shape)
    totals = _totals(means, n, level, streams, rng)
    weights = np.broadcast_to(n, shape)
    history = DailySums(weights, weights, totals)
    reference = estimate_level(history.between(0, first), weekend, streams)
    return largest_statistic(history.between(first, None), at_weekend[first:], reference, streams)


def _totals(means: Floats, n: Floats, level: Level, streams: Streams, rng: np.random.Generator) -> Floats:
    """Draw the sum of the scores of every day; the streams of a pool are all rates, or none is."""
    if streams.rates.all():
        return rng.binomial(n.astype(np.int64), np.clip(means, 0.0, 1.0)).astype(np.float64)
    spread, skew = np.sqrt(level.variance)[:, None], streams.skews[:, None]
    normal = np.abs(skew) <= LEAST_SKEW
    noise = np.sqrt(n) * rng.standard_normal(means.shape) if normal.any() else np.zeros(means.shape)
    if not normal.all():
        # Sums of scores with a skewed (Pearson III) distribution have one of the same kind.
        shape = n * 4 / np.where(normal, 1.0, skew) ** 2
        drawn = rng.standard_gamma(np.broadcast_to(shape, means.shape)) - shape
        noise = np.where(normal, noise, skew / 2 * drawn)
    return means * n + spread * noise


def _part(level: Level, which: Bools) -> Level:
    return Level(
        level.mean[which],
        level.n[which],
        level.variance[which],
        level.factor[which],
        level.day_sd[which],
        level.weekend[which],
        level.weekend_share[which],
    )
