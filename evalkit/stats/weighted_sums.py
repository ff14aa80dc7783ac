"""Estimate means and rates from sums over a weighted sample, so that hours and cohorts merge by adding.

Every value y of the sample has the weight w = 1 / pi, where pi is the probability that it was drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from operator import add, attrgetter
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from evalkit.results import Estimate
from evalkit.stats.bounds import wilson_bounds
from evalkit.stats.quantiles import two_sided_z

METHOD = "weighted by inclusion probability"
ENOUGH_KISH = 300
"""Effective values from which a design effect below 1 counts."""


@dataclass(frozen=True, slots=True)
class WeightedSums:
    """Sums over a sample; those of two samples without a common cluster are the sums of their union.

    Attributes:
        n: Values.
        clusters: Clusters of values that depend on each other, such as the sessions.
        w: sum w.
        w2: sum w^2.
        wy: sum w y.
        wy2: sum w y^2.
        c2: Sum over clusters of (sum w)^2.
        c2y: Sum over clusters of (sum w) (sum w y).
        c2y2: Sum over clusters of (sum w y)^2.
    """

    n: int = 0
    clusters: int = 0
    w: float = 0.0
    w2: float = 0.0
    wy: float = 0.0
    wy2: float = 0.0
    c2: float = 0.0
    c2y: float = 0.0
    c2y2: float = 0.0

    @classmethod
    def of(cls, values: ArrayLike, weights: ArrayLike, clusters: ArrayLike) -> Self:
        """Sum a sample.

        Args:
            values: Shape (n,), finite.
            weights: 1 / pi, at least 1, shape (n,).
            clusters: Number of each value's cluster, shape (n,).
        """
        y, w = np.asarray(values, np.float64), np.asarray(weights, np.float64)
        _, groups = np.unique(np.asarray(clusters), return_inverse=True)
        whole, sums = np.bincount(groups, w), np.bincount(groups, w * y)
        return cls(
            len(y),
            len(whole),
            float(w.sum()),
            float((w * w).sum()),
            float((w * y).sum()),
            float((w * y * y).sum()),
            float((whole * whole).sum()),
            float((whole * sums).sum()),
            float((sums * sums).sum()),
        )

    def __add__(self, other: WeightedSums) -> WeightedSums:
        """Return the sums of both samples."""
        return WeightedSums(*map(add, _values(self), _values(other)))

    @property
    def mean(self) -> float | None:
        """Hajek's mean sum(w y) / sum(w); `None` of no values."""
        return self.wy / self.w if self.w > 0 else None

    @property
    def spread(self) -> float | None:
        """Weighted variance of the values, sum w (y - m)^2 / sum w; `None` of no values."""
        if self.mean is None:
            return None
        return _not_negative(self.wy2 / self.w - self.mean**2, self.wy2 / self.w)

    @property
    def variance(self) -> float | None:
        """Squared standard error of the mean; `None` of fewer than 2 clusters.

        It is c / (c - 1) sum over the c clusters of (sum w (y - m))^2 / (sum w)^2, without a factor for a finite
        population: the calls of a period are themselves a sample.

        Source: Saerndal, Swensson and Wretman 1992, Model Assisted Survey Sampling, sections 5.7 and 8.
        """
        if self.mean is None or self.clusters < 2:
            return None
        squares = _not_negative(self.c2y2 - 2 * self.mean * self.c2y + self.mean**2 * self.c2, self.c2y2)
        return self.clusters / (self.clusters - 1) * squares / self.w**2

    @property
    def n_eff(self) -> float:
        """Number of equally weighted independent values with the same information; 0 of no values.

        It is Kish's (sum w)^2 / sum w^2, divided by the design effect of the clusters: their variance over the variance
        that independent values would have. The effect counts only if it is above 1, or if Kish's number is at least
        300: a draw by suspicion makes it smaller than 1, but few values do not show that well enough. The number never
        exceeds n. Where no value differs from the others, the variance says nothing, and every cluster counts once:
        (sum w)^2 / sum over clusters of (sum w)^2.

        Source: Kish 1965, Survey Sampling, sections 5.4 and 11.7.
        """
        if self.w <= 0:
            return 0.0
        least, kish = self.w**2 / self.c2, self.w**2 / self.w2
        if self.spread is None or self.variance is None or self.spread <= 0 or self.variance <= 0:
            return least
        found = self.spread / self.variance
        return min(float(self.n), found if kish >= ENOUGH_KISH else min(kish, found))


_values = attrgetter(*(each.name for each in fields(WeightedSums)))


def weighted_rate(sums: WeightedSums, *, confidence_level: float = 0.95) -> Estimate:
    """Return a rate of values that are 0 or 1, with Wilson's interval at the effective number of values.

    Args:
        sums: Of the sample.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        Undefined of no values.
    """
    method = f"{METHOD}, Wilson"
    if sums.mean is None:
        return Estimate(value=None, method=method, confidence_level=confidence_level, reason="no values")
    rate = min(1.0, max(0.0, sums.mean))
    n = max(1.0, sums.n_eff)
    low, high = wilson_bounds(rate * n, n, two_sided_z(confidence_level))
    low, high = min(low, rate), max(high, rate)
    return Estimate(value=rate, low=low, high=high, n=sums.n, method=method, confidence_level=confidence_level)


def weighted_average(sums: WeightedSums, *, confidence_level: float = 0.95) -> Estimate:
    """Return a mean of values on any scale, with a normal interval from the variance between clusters.

    Args:
        sums: Of the sample.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        Undefined of fewer than 2 clusters.
    """
    if sums.mean is None or sums.variance is None:
        reason = f"{sums.clusters} independent values"
        return Estimate(value=None, n=sums.n, method=METHOD, confidence_level=confidence_level, reason=reason)
    half = two_sided_z(confidence_level) * math.sqrt(sums.variance)
    low, high = sums.mean - half, sums.mean + half
    return Estimate(value=sums.mean, low=low, high=high, n=sums.n, method=METHOD, confidence_level=confidence_level)


def finite_average(
    values: ArrayLike, probabilities: ArrayLike, clusters: ArrayLike, *, confidence_level: float = 0.95
) -> Estimate:
    """Return the mean over the calls that there were, of which those of a Poisson sample are known.

    With w = 1 / pi and m = sum w y / sum w, SE^2 = sum over clusters of (1 - pi) (sum w (y - m))^2 / (sum w)^2, where
    pi is the mean probability of the cluster's values: a cluster that was drawn for certain adds no error.

    Args:
        values: Shape (n,), finite.
        probabilities: pi of each value, in (0, 1], shape (n,).
        clusters: Number of each value's cluster, shape (n,); a cluster is drawn as one.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        Undefined of no values.

    Raises:
        ValueError: A probability is not in (0, 1].

    Source: Hajek 1971; Saerndal, Swensson and Wretman 1992, sections 3.5 and 5.7.
    """
    y, pi = np.asarray(values, np.float64), np.asarray(probabilities, np.float64)
    if len(pi) and not ((pi > 0) & (pi <= 1)).all():
        raise ValueError("probabilities: each must be above 0 and at most 1")
    if not len(y):
        return Estimate(value=None, method=METHOD, confidence_level=confidence_level, reason="no values")
    w = 1 / pi
    mean = float((w * y).sum() / w.sum())
    _, groups = np.unique(np.asarray(clusters), return_inverse=True)
    rest = 1 - np.bincount(groups, pi) / np.bincount(groups)
    squares = float((rest * np.bincount(groups, w * (y - mean)) ** 2).sum())
    half = two_sided_z(confidence_level) * math.sqrt(squares) / float(w.sum())
    return Estimate(
        value=mean, low=mean - half, high=mean + half, n=len(y), method=METHOD, confidence_level=confidence_level
    )


def _not_negative(value: float, scale: float) -> float:
    """Return a difference of sums that is at least 0; what rounding leaves of equal values is 0."""
    return value if value > 1e-12 * abs(scale) else 0.0
