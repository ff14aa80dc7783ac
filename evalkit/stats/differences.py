"""Compare several systems on the same cases: differences of pairs, with simultaneous intervals and p values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.results import Estimate
from evalkit.stats.intervals import wilson
from evalkit.stats.paired import flipped_sums, sign_flip_max_t
from evalkit.stats.quantiles import two_sided_t

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
TEST_DRAWS, INTERVAL_DRAWS = 10_000, 4_000
FEWEST_DRAWS = 2_000
MOST_PRODUCTS = 2e10
"""Number of multiplications in a test, above which fewer signs are drawn: some seconds."""
NO_SPREAD = "wilson, no spread"
"""Method of an interval of differences that are all equal."""
ROUNDING = 1e-12
"""Share of the largest value below which a difference of two means is 0."""


@dataclass(frozen=True, eq=False)
class Differences:
    """Differences over cases, summed by cluster; a column for each pair of systems, or for each effect."""

    rows: Floats
    """Shape (clusters, columns); 0 if no case of the cluster has both values."""
    sizes: Floats
    """Cases with both values, in the same shape."""

    @property
    def n(self) -> Ints:
        """Cases with both values, shape (columns,)."""
        n: Ints = self.sizes.sum(axis=0).astype(np.int64)
        return n

    @property
    def means(self) -> Floats:
        """Mean difference, shape (columns,); NaN without a case."""
        n = self.sizes.sum(axis=0)
        means: Floats = np.divide(self.rows.sum(axis=0), n, out=np.full(len(n), np.nan), where=n > 0)
        return means

    @property
    def n_clusters(self) -> Ints:
        """Clusters with a case that has both values, shape (columns,)."""
        count: Ints = (self.sizes > 0).sum(axis=0).astype(np.int64)
        return count

    @property
    def errors(self) -> Floats:
        """Deviations of the clusters from the mean, in the shape of `rows`; exactly 0 in a column without spread."""
        means = np.nan_to_num(self.means)
        centred: Floats = self.rows - means * self.sizes
        spread = np.sqrt((centred**2).sum(axis=0))
        return np.where(spread > ROUNDING * np.abs(self.rows).max(axis=0, initial=0.0), centred, 0.0)


def by_cluster(differences: Floats, clusters: Ints) -> Differences:
    """Sum differences by cluster.

    Args:
        differences: Shape (n, columns); NaN if a case lacks one of the two values.
        clusters: Number of each case's cluster, shape (n,).
    """
    known = ~np.isnan(differences)
    rows, sizes = np.where(known, differences, 0.0), known.astype(np.float64)
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    if len(starts) == len(clusters):
        return Differences(rows[order], sizes[order])
    return Differences(*(np.add.reduceat(each[order], starts, axis=0) for each in (rows, sizes)))


def of_pairs(values: Floats, pairs: Sequence[tuple[int, int]], clusters: Ints) -> Differences:
    """Return first minus second system for each pair, over the cases with a value for both.

    Args:
        values: Mean over the repeats of each case, shape (n, systems); NaN for no value.
        pairs: Column numbers of the two systems.
        clusters: Number of each case's cluster, shape (n,).
    """
    chosen = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return by_cluster(values[:, chosen[:, 0]] - values[:, chosen[:, 1]], clusters)


def two_sided_p(found: Differences, rng: np.random.Generator) -> Floats:
    """Return the p value of each difference, adjusted in one family: see `sign_flip_max_t`.

    10,000 sign patterns are drawn; fewer in large tests, but at least 2,000.
    """
    families = [list(range(found.rows.shape[1]))]
    return sign_flip_max_t(found.rows, families=families, draws=draws_for(found), rng=rng, two_sided=True)


def draws_for(found: Differences) -> int:
    """Return the number of sign patterns of a test: 10,000; fewer in large tests, but at least 2,000."""
    return int(np.clip(MOST_PRODUCTS / max(1, found.rows.size), FEWEST_DRAWS, TEST_DRAWS))


def largest_t(found: Differences, *, level: float, rng: np.random.Generator) -> float:
    """Return the quantile 1 - `level` of the largest |t| of all columns, if every true difference is the observed one.

    The signs of the clusters' deviations from the mean are flipped, all columns together, and each column is
    studentised again: t* = T sqrt((G - 1) / (G - T^2)), T = sum e / sqrt(sum e^2).

    Returns:
        Above 0; infinite if a flip leaves a column without spread too often; NaN if no column has a spread.

    Source: Mammen 1993, doi 10.1214/aos/1176349025 (wild bootstrap); Westfall and Young 1993 (max-T).
    """
    errors = found.errors
    norms = np.sqrt((errors**2).sum(axis=0))
    live = norms > 0
    if not live.any():
        return math.nan
    scaled, counts = errors[:, live] / norms[live], found.n_clusters[live].astype(np.float64)
    scaled = scaled[scaled.any(axis=1)]
    draws = int(np.clip(MOST_PRODUCTS / scaled.size, FEWEST_DRAWS, INTERVAL_DRAWS))
    maxima = [_studentised(sums, counts).max(axis=1) for sums in flipped_sums(scaled, draws, rng)]
    return float(np.quantile(np.concatenate(maxima), 1 - level, method="higher"))


def _studentised(sums: Floats, counts: Floats) -> Floats:
    rest = np.maximum(counts - sums**2, 0.0)
    # A pattern that gives all deviations one sign leaves no spread, but for rounding.
    rest[rest < ROUNDING * counts] = 0.0
    with np.errstate(divide="ignore"):
        return np.abs(sums) * np.sqrt((counts - 1) / rest)


def simultaneous(
    found: Differences, *, span: float, rng: np.random.Generator, confidence_level: float = 0.95
) -> tuple[Estimate, ...]:
    """Return all mean differences with intervals that hold together with the given probability.

    mean ± c SE, where SE is cluster-robust (CR1) and c the larger of `largest_t` and Student's t for one difference. A
    column without spread has an interval as wide as Wilson's for 0 of its clusters differing, over the metric's range,
    at a level divided by the number of columns.

    Args:
        found: The differences.
        span: Largest possible difference, the width of the metric's scale; may be infinite.
        rng: Source of the draws.
        confidence_level: Two-sided and simultaneous, in (0, 1).

    Returns:
        One for each column. No value without a case, no interval with fewer than two clusters.
    """
    critical = largest_t(found, level=1 - confidence_level, rng=rng)
    squares = (found.errors**2).sum(axis=0)
    columns = zip(found.means.tolist(), found.n.tolist(), found.n_clusters.tolist(), squares.tolist(), strict=True)
    estimates = []
    for mean, n, groups, square in columns:
        blank = Estimate(value=mean if n else None, n=n, method="max-|t|", confidence_level=confidence_level)
        if n == 0:
            estimates.append(replace(blank, reason="no case has a value for both"))
        elif square == 0 and groups > 1:
            estimates.append(_flat(blank, mean, groups, span, len(squares)))
        else:
            error = math.sqrt(groups / (groups - 1) * square) / n if groups > 1 else math.nan
            estimates.append(_interval(blank, mean, error, groups, critical, span))
    return tuple(estimates)


def _flat(blank: Estimate, mean: float, groups: int, span: float, count: int) -> Estimate:
    if not math.isfinite(span):
        return replace(blank, low=mean, high=mean, reason="zero width: no spread was observed")
    level = (1 - blank.confidence_level) / count
    unseen = wilson(0, groups, confidence_level=1 - level).high or 0.0
    return replace(blank, low=mean - (mean + span) * unseen, high=mean + (span - mean) * unseen, method=NO_SPREAD)


def _interval(blank: Estimate, mean: float, error: float, groups: int, critical: float, span: float) -> Estimate:
    if groups < 2:
        return replace(blank, reason="no interval: one case or cluster shows no spread")
    times = max(critical, two_sided_t(blank.confidence_level, groups - 1))
    if not math.isfinite(times):
        return replace(blank, reason=f"no interval: {groups} independent cases are too few")
    return replace(blank, low=max(-span, mean - times * error), high=min(span, mean + times * error))
