"""Compute Krippendorff's alpha: agreement of any number of raters, with gaps."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.results import Estimate
from evalkit.stats.clusters import cluster_codes
from evalkit.stats.quantiles import tail_probability

Level = Literal["nominal", "ordinal"]
Counts = NDArray[np.float64]
DRAWS = 1000
"""Number of bootstrap samples for the percentile interval."""


def krippendorff_alpha(
    ratings: Sequence[Sequence[Hashable | None]],
    *,
    categories: Sequence[Hashable],
    level: Level = "nominal",
    clusters: Sequence[Hashable] | None = None,
    rng: np.random.Generator,
    confidence_level: float = 0.95,
) -> Estimate:
    """Return Krippendorff's alpha: 1 - observed / expected disagreement over all pairs of ratings of one unit.

    Args:
        ratings: One row for each unit (an answer), one label for each rater, `None` if a rater has none: shape (units,
            raters). Units with fewer than two labels say nothing about agreement.
        categories: Every label that may occur, in rank order.
        level: "ordinal" counts how many labels lie between two ranks.
        clusters: The question of each unit, shape (units,); whole questions are drawn. With `None`, every unit is its
            own question.
        rng: Source of the samples.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        At most 1; `n` is the number of units with two labels or more. No value without such a unit, or if only one
        label is used, since nothing could disagree.

    Raises:
        ValueError: A label is not among the categories.

    Source: Krippendorff 2011, Computing Krippendorff's alpha-reliability; bootstrap of units: Hayes and Krippendorff
    2007, 10.1080/19312450709336664.
    """
    tail = tail_probability(confidence_level)
    pairs = _pairs_by_unit(ratings, categories)
    method = f"Krippendorff alpha, {level}"
    value = _alpha(pairs.sum(axis=0), level)
    if value is None:
        reason = "no answer has two labels" if not len(pairs) else "one label only is used"
        return Estimate(value=None, n=len(pairs), method=method, confidence_level=confidence_level, reason=reason)
    flat = _by_cluster(pairs.reshape(len(pairs), -1), ratings, clusters)
    weights = rng.multinomial(len(flat), np.full(len(flat), 1 / len(flat)), size=DRAWS).astype(np.float64)
    sampled = [_alpha(table.reshape(pairs.shape[1:]), level) for table in weights @ flat]
    known = [each for each in sampled if each is not None]
    low, high = np.quantile(known, [tail, 1 - tail])
    return Estimate(
        value=value,
        low=float(low),
        high=float(high),
        n=len(pairs),
        method=method,
        confidence_level=confidence_level,
        reason="bootstrap of answers" if clusters is None else "bootstrap of questions",
    )


def _pairs_by_unit(ratings: Sequence[Sequence[Hashable | None]], categories: Sequence[Hashable]) -> Counts:
    """Return ordered pairs of labels in each unit, weighted to its label count: (units, k, k)."""
    place = {category: at for at, category in enumerate(categories)}
    tables = []
    for unit in ratings:
        known = [label for label in unit if label is not None]
        if strange := set(known) - set(place):
            raise ValueError(f"labels {sorted(map(repr, strange))} are not among the categories {list(categories)!r}")
        if len(known) < 2:
            continue
        counts = np.bincount([place[label] for label in known], minlength=len(categories)).astype(np.float64)
        tables.append((np.outer(counts, counts) - np.diag(counts)) / (len(known) - 1))
    return np.array(tables).reshape(len(tables), len(categories), len(categories))


def _by_cluster(
    pairs: Counts, ratings: Sequence[Sequence[Hashable | None]], clusters: Sequence[Hashable] | None
) -> Counts:
    """Sum the pairs of the units of each cluster: (clusters, k * k)."""
    if clusters is None:
        return pairs
    told = [sum(label is not None for label in unit) > 1 for unit in ratings]
    codes = cluster_codes([name for name, tells in zip(clusters, told, strict=True) if tells])
    summed = np.zeros((len(set(codes.tolist())), pairs.shape[1]))
    np.add.at(summed, codes, pairs)
    return summed


def _alpha(coincidences: Counts, level: Level) -> float | None:
    totals = coincidences.sum(axis=0)
    n = float(totals.sum())
    distance = _distances(totals, level)
    expected = float(totals @ distance @ totals) / (n - 1) if n > 1 else 0.0
    return None if expected <= 0 else 1 - float((coincidences * distance).sum()) / expected


def _distances(totals: Counts, level: Level) -> Counts:
    """Return the squared distance of each pair of categories: shape (k, k)."""
    if level == "nominal":
        return 1 - np.eye(len(totals))
    middle = np.cumsum(totals) - totals / 2
    return np.asarray((middle[:, None] - middle) ** 2)
