"""Find the systems that no other system beats in quality, cost and latency together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.paired import TIE_TOLERANCE

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
DRAWS, FEWEST_DRAWS = 2_000, 500
MOST_DRAWN = 2e7
"""Number of cases in all draws, above which fewer are made: some seconds for ten systems."""
BLOCK_CELLS = 2**20


@dataclass(frozen=True, eq=False)
class Frontier:
    """How often each system is on the frontier."""

    on: Floats
    """Share of the draws in which no other system dominates it, shape (k,)."""
    by: Floats
    """[i, j]: share of the draws in which j dominates i, shape (k, k)."""


def frontier(
    means: Floats, medians: Floats, clusters: Ints, *, rng: np.random.Generator, draws: int | None = None
) -> Frontier:
    """Draw whole clusters with replacement, the same ones for all systems and figures, and compare in each draw.

    A system dominates another if it is at least as good in every figure and better in one.

    Args:
        means: Per case the values whose means are compared, higher is better: shape (figures, n, k); NaN for no value.
        medians: Those whose medians are compared, higher is better, in the same form; may have no figures.
        clusters: Number of each case's cluster, shape (n,).
        rng: Source of the draws.
        draws: Resamples, >= 1; by default 2,000, fewer above 10,000 cases, but at least 500.

    Source: Efron 1979, doi 10.1214/aos/1176344552.
    """
    n, k = means.shape[1:]
    draws = draws or int(np.clip(MOST_DRAWN / n, FEWEST_DRAWS, DRAWS))
    _, codes = np.unique(clusters, return_inverse=True)
    groups = int(codes.max()) + 1
    order = np.argsort(medians, axis=1, kind="stable")
    beaten = np.zeros((k, k))
    on = np.zeros(k)
    block = max(1, BLOCK_CELLS // max(n, k * k))
    for start in range(0, draws, block):
        count = min(block, draws - start)
        weights = rng.multinomial(groups, np.full(groups, 1 / groups), size=count)[:, codes].astype(np.float64)
        figures = [_means(each, weights) for each in means]
        figures += [_medians(each, places, weights) for each, places in zip(medians, order, strict=True)]
        dominated = _dominated(np.stack(figures))
        beaten += dominated.sum(axis=0)
        on += (~dominated.any(axis=2)).sum(axis=0)
    return Frontier(on / draws, beaten / draws)


def _means(values: Floats, weights: Floats) -> Floats:
    known = ~np.isnan(values)
    totals, counts = weights @ np.where(known, values, 0.0), weights @ known.astype(np.float64)
    found: Floats = np.divide(totals, counts, out=np.full(totals.shape, np.nan), where=counts > 0)
    return found


def _medians(values: Floats, order: Ints, weights: Floats) -> Floats:
    """Return the weighted lower median of each column, shape (draws, k)."""
    found = np.full((len(weights), values.shape[1]), np.nan)
    for column in range(values.shape[1]):
        places = order[:, column]
        places = places[~np.isnan(values[places, column])]
        if not len(places):
            continue
        sums = np.cumsum(weights[:, places], axis=1)
        reached = (sums < (sums[:, -1:] / 2)).sum(axis=1)
        some = sums[:, -1] > 0
        found[some, column] = values[places[reached[some]], column]
    return found


def _dominated(figures: Floats) -> NDArray[np.bool_]:
    """Return [draw, i, j]: whether j dominates i, from figures of shape (figures, draws, k)."""
    own, other = figures[:, :, :, None], figures[:, :, None, :]
    slack = TIE_TOLERANCE * np.abs(own)
    as_good, better = other >= own - slack, other > own + slack
    dominated: NDArray[np.bool_] = np.all(as_good, axis=0) & np.any(better, axis=0)
    return dominated
