"""Split the differences of a full matrix of systems into what each value of a factor adds, and what only pairs do."""

from __future__ import annotations

import itertools

import numpy as np

from evalkit.results import Estimate
from evalkit.stats.differences import ROUNDING, Floats, Ints, by_cluster, simultaneous, two_sided_p


def main_effects(
    values: Floats, levels: Ints, clusters: Ints, *, span: float, rng: np.random.Generator
) -> tuple[Estimate, ...]:
    """Return the mean of each level minus the mean of all, over the cases with a value of every system.

    Args:
        values: Shape (n, k), NaN for no value; the k systems are a full matrix.
        levels: Level of each system, 0, 1 ..., shape (k,).
        clusters: Number of each case's cluster, shape (n,).
        span: Width of the metric's scale.
        rng: Source of the draws.

    Returns:
        One for each level, with simultaneous intervals over the levels of this factor.
    """
    complete = ~np.isnan(values).any(axis=1)
    found = by_cluster(_centred_levels(values[complete], levels), clusters[complete])
    return simultaneous(found, span=span, rng=rng)


def interaction_p(values: Floats, levels: Ints, clusters: Ints, *, rng: np.random.Generator) -> float | None:
    """Return the adjusted p value of the largest interaction of two factors: double-centred cells, two-sided max-T.

    A cell is y_ab - y_a. - y_.b + y_.., averaged over the levels of the other factors. All cells of all pairs of
    factors are one family.

    Args:
        values: Shape (n, k), NaN for no value; the k systems are a full matrix.
        levels: Level of each system in each factor, shape (k, factors), factors >= 2.
        clusters: Number of each case's cluster, shape (n,).
        rng: Source of the draws.

    Returns:
        In (0, 1]; `None` without a case that has a value of every system.
    """
    complete = ~np.isnan(values).any(axis=1)
    if not complete.any():
        return None
    inside = values[complete]
    cells = []
    for first, second in itertools.combinations(range(levels.shape[1]), 2):
        a, b = levels[:, first], levels[:, second]
        joint = _centred_levels(inside, a * (int(b.max()) + 1) + b)
        joint -= np.repeat(_centred_levels(inside, a), int(b.max()) + 1, axis=1)
        joint -= np.tile(_centred_levels(inside, b), int(a.max()) + 1)
        cells.append(joint)
    found = np.hstack(cells)
    found[np.abs(found) < ROUNDING * np.abs(inside).max(initial=0.0)] = 0.0
    return float(two_sided_p(by_cluster(found, clusters[complete]), rng).min())


def _centred_levels(values: Floats, levels: Ints) -> Floats:
    """Return per case the mean of the systems of each level minus the mean of all, shape (n, levels)."""
    count = int(levels.max()) + 1
    means = np.stack([values[:, levels == level].mean(axis=1) for level in range(count)], axis=1)
    centred: Floats = means - values.mean(axis=1, keepdims=True)
    centred[np.abs(centred) < ROUNDING * np.abs(values).max(initial=0.0)] = 0.0
    return centred
