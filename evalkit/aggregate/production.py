"""Estimate the pass rate for the production mix of cases."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evalkit.aggregate.columns import Floats, Ints, Sampled
from evalkit.aggregate.frozen import PASS_RATE, FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.aggregate.weighted import weighted
from evalkit.results import OVERALL, Cell, Estimate
from evalkit.stats.quantiles import ONE_SIDED_95
from evalkit.types import Metric

PRODUCTION_RATE = Metric(name="pass_rate_production", binary=True)
MIN_CASES = 2
"""Minimum number of cases of a value for an estimate of that part of the mix."""


def production_cell(frame: FrozenFrame, mix: Mapping[str, float]) -> Cell | None:
    """Estimate the pass rate weighted to a mix.

    Cases of other values have no weight, and a value of the mix without cases leaves the rate unknown.

    Args:
        frame: the run.
        mix: cohort label -> share of production, summing to 1; empty for no such figure.
    """
    if not mix or PASS_RATE.name not in frame.cases:
        return None
    column = frame.cases[PASS_RATE.name]
    strata = np.full(frame.n_cases, -1)
    for number, label in enumerate(mix):
        strata[frame.cohorts.get(label, np.array([], np.int64))] = number
    inside = strata >= 0
    chosen = np.flatnonzero(inside & (column.status == SCORED))
    estimates = [_rate(frame, column.values, chosen, strata[chosen], mix, level) for level in (0.95, ONE_SIDED_95)]
    return Cell(
        metric=PRODUCTION_RATE.name,
        cohort=OVERALL,
        estimate=estimates[0],
        corrected_bounds=estimates[1],
        n_cases=int(inside.sum()),
        n_scored=len(chosen),
    )


def _rate(
    frame: FrozenFrame, values: Floats, chosen: Ints, strata: Ints, mix: Mapping[str, float], level: float
) -> Estimate:
    """Return the rate with cases weighted to the shares of the mix."""
    counts = np.bincount(strata, minlength=len(mix))
    few = [label for label, count in zip(mix, counts, strict=True) if mix[label] > 0 and count < MIN_CASES]
    if few:
        reason = f"fewer than {MIN_CASES} cases of {', '.join(few)}"
        return Estimate(value=None, n=len(chosen), method="weighted", confidence_level=level, reason=reason)
    own = np.ones(len(chosen)) if frame.sample is None else frame.sample.weights[chosen]
    weights = own / np.bincount(strata, own, len(mix))[strata] * np.array(list(mix.values()))[strata]
    live = weights > 0
    return weighted(
        values[chosen][live],
        Sampled(weights[live], strata[live], counts),
        frame.clusters[chosen][live],
        PRODUCTION_RATE,
        confidence_level=level,
    )
