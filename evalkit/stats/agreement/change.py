"""Compare two judges of the same answers: the categories they use, and their agreement with people."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.results import Estimate
from evalkit.stats.agreement.design import LabelDesign, LabelSample, sample_of
from evalkit.stats.agreement.kappa import Weights, agreement_weights, cohen_kappa, pairs_of

Counts = NDArray[np.float64]
SWAPS = 10_000
BATCH_CELLS = 20_000_000


def stuart_maxwell(table: Sequence[Sequence[int]]) -> float | None:
    """Return the p value of the Stuart-Maxwell test that two raters use the categories equally often.

    d' S^-1 d against chi squared, d the differences of the margins without the last category in use; with two
    categories it is McNemar's test without correction.

    Args:
        table: Counts of label pairs on the same cases, shape (k, k): rows the first rater, columns the second.

    Returns:
        In [0, 1]; 1 if the two never differ. `None` if the differences have no covariance to test them by.

    Source: Stuart 1955, 10.1093/biomet/42.3-4.412; Maxwell 1970, 10.1192/bjp.116.535.651.
    """
    from evalkit.stats.distributions import gammaincc

    counts = np.asarray(table, dtype=np.float64)
    moved = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts) > 0
    counts = counts[np.ix_(moved, moved)]
    if len(counts) < 2:
        return 1.0
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    covariance = np.diag(rows + columns) - counts - counts.T
    kept = slice(0, len(counts) - 1)
    difference = (rows - columns)[kept]
    try:
        statistic = float(difference @ np.linalg.solve(covariance[kept, kept], difference))
    except np.linalg.LinAlgError:
        return None
    return float(gammaincc((len(counts) - 1) / 2, statistic / 2))


@dataclass(frozen=True)
class KappaDifference:
    """Kappas of two judges with the same people, with a test that they are equal."""

    first: Estimate
    second: Estimate
    difference: float | None
    """Second minus first; `None` if one of the two is undefined."""
    p_value: float | None


def kappa_difference(
    people: Sequence[Hashable],
    judges: tuple[Sequence[Hashable], Sequence[Hashable]],
    *,
    categories: Sequence[Hashable],
    weights: Weights | None = None,
    design: LabelDesign | None = None,
    rng: np.random.Generator,
) -> KappaDifference:
    """Test whether two judges agree equally well with people on the same cases.

    If they do, swapping the two judges' labels of a question changes nothing. The p value is the share of 10,000 random
    swaps, including the observed one, whose kappas differ by at least as much. A question's answers are swapped
    together.

    Args:
        people: Labels of the reference, shape (n,).
        judges: Labels of one judge and of the other on the same cases, each of shape (n,).
        categories: Every label that may occur, in rank order.
        weights: As for `cohen_kappa`.
        design: As for `cohen_kappa`.
        rng: Source of the swaps.
    """
    kappas = [cohen_kappa(people, judge, categories=categories, weights=weights, design=design) for judge in judges]
    if kappas[0].value is None or kappas[1].value is None:
        return KappaDifference(kappas[0], kappas[1], None, None)
    sample = sample_of(design, len(people))
    before, after = (_cells(people, judge, categories, sample) for judge in judges)
    differ = np.flatnonzero((before != after).any(axis=1))
    change, base = (after - before)[differ], (before.sum(axis=0), after.sum(axis=0))
    agreement = agreement_weights(len(categories), weights)
    observed = float(_kappas(base[1][None], agreement)[0] - _kappas(base[0][None], agreement)[0])
    extreme, done = 1, 0
    batch = max(1, BATCH_CELLS // max(1, len(differ)))
    while done < SWAPS:
        size = min(batch, SWAPS - done)
        moved = rng.integers(0, 2, size=(size, len(differ))).astype(np.float64) @ change
        found = _kappas(base[1] - moved, agreement) - _kappas(base[0] + moved, agreement)
        extreme += int((np.abs(found) >= abs(observed) - 1e-12).sum())
        done += size
    return KappaDifference(kappas[0], kappas[1], observed, extreme / (SWAPS + 1))


def _cells(
    people: Sequence[Hashable], judge: Sequence[Hashable], categories: Sequence[Hashable], sample: LabelSample
) -> Counts:
    """Return the weight of each label pair, one row per cluster: shape (clusters, k * k)."""
    cells = np.zeros((sample.n_clusters, len(categories) ** 2))
    where = np.array([row * len(categories) + column for row, column in pairs_of(people, judge, categories)])
    np.add.at(cells, (sample.clusters, where), sample.weights)
    return cells


def _kappas(tables: Counts, agreement: Counts) -> Counts:
    """Return the kappa of each table, shape (draws, k * k); 0 if chance agreement is 1."""
    shares = tables.reshape(len(tables), *agreement.shape)
    shares = shares / shares.sum(axis=(1, 2), keepdims=True)
    observed = (shares * agreement).sum(axis=(1, 2))
    chance = np.einsum("di,ij,dj->d", shares.sum(axis=2), agreement, shares.sum(axis=1))
    apart = 1 - chance
    return np.where(apart > 0, (observed - chance) / np.where(apart > 0, apart, 1), 0.0)
