"""A run of some cases of a golden set, drawn by stratum: each case stands for several."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evalkit.aggregate.columns import Floats, Ints
from evalkit.aggregate.frame import cohort_value
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.results import Estimate
from evalkit.stats.bounds import wilson_bounds
from evalkit.stats.quantiles import two_sided_z
from evalkit.stats.sampling import effective_n, weighted_mean
from evalkit.types import Case, Metric

CANARIES = "kind=canary"
"""The stratum of canaries: all of them are asked."""


def stratum_of(case: Case, by: str) -> str:
    """The stratum of a case: canaries, the value of a cohort, or its lack."""
    if case.kind == "canary":
        return CANARIES
    value = cohort_value(case, by)
    return _without(by) if value is None else f"{by}={value}"


def with_weights(frame: FrozenFrame, sample: Mapping[str, Any] | None) -> FrozenFrame:
    """The frame with the number of cases of the golden set that each case stands for.

    Args:
        frame: the run.
        sample: how it was drawn, as the manifest has it: `by`, and `strata`: label -> [cases of the set, cases drawn];
            `None` for a run of all cases.
    """
    if sample is None:
        return frame
    labels = np.full(frame.n_cases, _without(sample["by"]), dtype=object)
    for label, where in frame.cohorts.items():
        if label.startswith(f"{sample['by']}="):
            labels[where] = label
    labels[[kind == "canary" for kind in frame.kinds]] = CANARIES
    worth = {label: total / drawn for label, (total, drawn) in sample["strata"].items() if drawn}
    # A case of a stratum that was not drawn from has come in by another way, and stands for itself.
    return replace(frame, weights=np.array([worth.get(label, 1.0) for label in labels]))


def weighted(
    values: Floats, weights: Floats, strata: Ints, clusters: Ints, metric: Metric, *, confidence_level: float
) -> Estimate:
    """Weighted mean over cases: a rate has Wilson's interval on the number of independent cases that it is worth.

    That number is p (1 - p) / variance, never more than Kish's of the weights, and no more than the clusters.

    Args:
        values: one finite number per case, shape (n,), n >= 1.
        weights: what each case stands for, shape (n,), above 0.
        strata: number of the stratum of each case, shape (n,).
        clusters: cluster number per case, shape (n,).
        metric: gives the range, and whether the values are rates.
        confidence_level: two-sided.
    """
    found = weighted_mean(values, weights, strata, clusters, confidence_level=confidence_level)
    if found.value is None or found.low is None or found.high is None:
        return found
    reach = metric.high - metric.low
    if not metric.binary and (values.min() < values.max() or not math.isfinite(reach)):
        return replace(found, low=max(found.low, metric.low), high=min(found.high, metric.high))
    share = (found.value - metric.low) / reach
    worth = effective_n(weights) * len(np.unique(clusters)) / len(clusters)
    error = (found.high - found.low) / 2 / two_sided_z(confidence_level) / reach
    if error > 0:
        worth = min(worth, share * (1 - share) / error**2)
    low, high = wilson_bounds(share * worth, worth, two_sided_z(confidence_level))
    method = f"{found.method}, wilson on the effective n"
    return replace(found, low=metric.low + low * reach, high=metric.low + high * reach, method=method)


def _without(by: str) -> str:
    return f"no {by}"
