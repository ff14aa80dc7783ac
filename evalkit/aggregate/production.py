"""The pass rate that production would see, where the golden set has another mix of cases than it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from evalkit.aggregate.columns import Floats, Ints
from evalkit.aggregate.frame import SCORED
from evalkit.aggregate.frozen import PASS_RATE, FrozenFrame
from evalkit.results import OVERALL, Cell, Estimate
from evalkit.stats.bounds import wilson_bounds
from evalkit.stats.quantiles import ONE_SIDED_95, two_sided_z
from evalkit.stats.sampling import effective_n, post_stratified
from evalkit.types import Metric

PRODUCTION_RATE = Metric(name="pass_rate_production", binary=True)
SLACK = 1e-3


def check_mix(mix: Mapping[str, float], cohorts: Sequence[str]) -> None:
    """Refuse shares that are no mix of the values of one declared cohort.

    Raises:
        ValueError: `production: what; mend`.
    """
    if not mix:
        return
    names = {label.partition("=")[0] for label in mix}
    if len(names) > 1 or not all("=" in label for label in mix):
        raise ValueError("production: shares of several cohorts, or of none; write name=value of one: {topic=hours: 1}")
    if not names <= set(cohorts):
        raise ValueError(f"production: {min(names)!r} is no cohort of the suite; name it under `cohorts:` too")
    if min(mix.values()) < 0 or abs(sum(mix.values()) - 1) > SLACK:
        raise ValueError(
            f"production: the shares sum to {sum(mix.values()):g}; write shares of at least 0 that sum to 1"
        )


def production_cell(frame: FrozenFrame, mix: Mapping[str, float]) -> Cell | None:
    """The pass rate weighted to a mix.

    Cases of other values weigh nothing, and a value of the mix without cases leaves the rate unknown.

    Args:
        frame: the run.
        mix: cohort label -> share of production, summing to 1; nothing for no such figure.
    """
    if not mix or PASS_RATE.name not in frame.cases:
        return None
    column = frame.cases[PASS_RATE.name]
    labels = list(mix)
    strata = np.full(frame.n_cases, -1)
    for number, label in enumerate(labels):
        strata[frame.cohorts.get(label, np.array([], np.int64))] = number
    inside = strata >= 0
    chosen = inside & (column.status == SCORED)
    shares, clusters = [mix[label] for label in labels], frame.clusters[chosen]
    estimates = [
        _rate(column.values[chosen], strata[chosen], shares, clusters, level) for level in (0.95, ONE_SIDED_95)
    ]
    return Cell(
        metric=PRODUCTION_RATE.name,
        cohort=OVERALL,
        estimate=estimates[0],
        corrected_bounds=estimates[1],
        n_cases=int(inside.sum()),
        n_scored=int(chosen.sum()),
    )


def _rate(values: Floats, strata: Ints, shares: Sequence[float], clusters: Ints, level: float) -> Estimate:
    """The weighted rate with Wilson's interval on the number of independent cases that it is worth.

    That number is p (1 - p) / variance, never more than Kish's of the weights, and no more than the clusters.
    """
    found = post_stratified(values, strata.tolist(), shares, confidence_level=level)
    if found.value is None or found.low is None or found.high is None:
        return found
    sizes = np.bincount(strata, minlength=len(shares))
    weights = np.array(shares)[strata] / sizes[strata]
    worth = effective_n(weights) * len(np.unique(clusters)) / len(clusters)
    error = (found.high - found.low) / 2 / two_sided_z(level)
    if error > 0:
        worth = min(worth, found.value * (1 - found.value) / error**2)
    low, high = wilson_bounds(found.value * worth, worth, two_sided_z(level))
    return replace(found, low=low, high=high, method="post-stratified, wilson on the effective n")
