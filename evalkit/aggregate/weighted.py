"""Estimate weighted means, for samples and production mixes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from evalkit.aggregate.columns import Floats, Ints, Sampled
from evalkit.results import Estimate
from evalkit.stats.bounds import wilson_bounds
from evalkit.stats.quantiles import two_sided_z
from evalkit.stats.sampling import effective_n, weighted_mean
from evalkit.types import Metric


def weighted(values: Floats, sample: Sampled, clusters: Ints, metric: Metric, *, confidence_level: float) -> Estimate:
    """Estimate a weighted mean; the Wilson interval of a rate uses the effective number of independent cases.

    That number is p (1 - p) / variance, at most Kish's number for the weights, and at most the number of clusters.

    Args:
        values: one finite number per case, shape (n,), n >= 1.
        sample: the weight of each case, with the sizes of the strata.
        clusters: cluster number per case, shape (n,).
        metric: metric, for the range and the kind of values.
        confidence_level: two-sided.
    """
    weights = sample.weights
    found = weighted_mean(
        values, weights, sample.strata, clusters, sizes=sample.sizes, confidence_level=confidence_level
    )
    if found.value is None or found.low is None or found.high is None:
        return found
    reach = metric.high - metric.low
    if not metric.binary and (values.min() < values.max() or not math.isfinite(reach)):
        return replace(found, low=max(found.low, metric.low), high=min(found.high, metric.high))
    share = (found.value - metric.low) / reach
    worth = effective_n(weights) * len(np.unique(clusters)) / len(clusters)
    error = (found.high - found.low) / 2 / two_sided_z(confidence_level) / reach
    if variance := error**2:  # 0 also of the rounding error in a huge range
        worth = min(worth, share * (1 - share) / variance)
    low, high = wilson_bounds(share * worth, worth, two_sided_z(confidence_level))
    method = f"{found.method}, wilson on the effective n"
    return replace(found, low=metric.low + low * reach, high=metric.low + high * reach, method=method)
