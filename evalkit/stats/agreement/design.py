"""Describe how labels were drawn and which of them depend on each other, as weights and clusters."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.clusters import cluster_codes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class LabelDesign:
    """Sampling design of labels, one entry for each label.

    By default, every label belongs to a separate answer, and all are drawn alike.
    """

    probabilities: Sequence[float] | None = None
    """Probability with which the answer was drawn for labelling, in (0, 1]; each answer counts 1 / probability."""
    answers: Sequence[Hashable] | None = None
    """The answer that the label is about. The labels of one answer share its weight."""
    clusters: Sequence[Hashable] | None = None
    """The question, or another reason why answers depend on each other; `None` if the answer is independent."""


@dataclass(frozen=True)
class LabelSample:
    """A design as numbers, for n labels."""

    weights: Floats
    """Share of each label, shape (n,), summing to 1."""
    answers: Ints
    """Number of the answer that each label is about, shape (n,)."""
    clusters: Ints
    """Number of the cluster of each label, shape (n,)."""

    @property
    def n(self) -> int:
        """Number of answers."""
        return int(self.answers.max()) + 1

    @property
    def n_clusters(self) -> int:
        """Number of clusters: questions that vary independently."""
        return int(self.clusters.max()) + 1

    @property
    def effective(self) -> float:
        """Effective number of independent answers of equal weight: Kish's (sum w)^2 / sum w^2 times G / n."""
        return 1 / _sum_of_squares(self.weights, self.answers) * self.n_clusters / self.n

    def errors(self, influence: Floats) -> tuple[float, float]:
        """Return the standard error by clusters, and the one that ignores them.

        sqrt(G/(G - 1) sum over clusters of (sum of w u)^2), and sqrt(sum over answers of (sum of w u)^2). The result
        does not depend on the order of the labels.

        Args:
            influence: influence of each label, shape (n,), with a weighted mean of 0.

        Returns:
            The first is infinite with fewer than two clusters.
        """
        count, terms = self.n_clusters, self.weights * influence
        factor = count / (count - 1) if count > 1 else math.inf
        alone = _sum_of_squares(terms, self.answers)
        together = _sum_of_squares(terms, self.clusters)
        return math.sqrt(factor * together) if together else 0.0, math.sqrt(alone)


def sample_of(design: LabelDesign | None, n: int) -> LabelSample:
    """Turn the design of n >= 1 labels into weights and clusters.

    Raises:
        ValueError: A probability is outside (0, 1], or a list does not have one entry for each label.
    """
    design = design or LabelDesign()
    for name, given in (("answers", design.answers), ("clusters", design.clusters)):
        if given is not None and len(given) != n:
            raise ValueError(f"{name}: {len(given)} entries for {n} labels; give one for each label")
    answers = cluster_codes(design.answers if design.answers is not None else [None] * n)
    own = [("answer", answer) for answer in answers.tolist()]
    named = design.clusters if design.clusters is not None else [None] * n
    clusters = [alone if name is None else ("cluster", name) for alone, name in zip(own, named, strict=True)]
    weights = _inverse(design.probabilities, n) / np.bincount(answers)[answers]
    return LabelSample(weights / math.fsum(weights.tolist()), answers, cluster_codes(clusters))


def rarer_labels(labels: Sequence[Hashable], design: LabelDesign | None = None) -> int:
    """Count clusters with a label outside the most frequent class; with two classes, those of the rarer one.

    Args:
        labels: labels of the reference, shape (n,).
        design: without it every label is a cluster of its own, so that labels are counted.

    Returns:
        0 with no labels, or one class only.
    """
    if not len(labels):
        return 0
    held: dict[Hashable, set[int]] = defaultdict(set)
    for label, cluster in zip(labels, sample_of(design, len(labels)).clusters.tolist(), strict=True):
        held[label].add(cluster)
    most = max(map(len, held.values()))
    return min(
        len(set().union(*(found for other, found in held.items() if other != label)))
        for label, own in held.items()
        if len(own) == most
    )


def shares_of(pairs: Sequence[tuple[int, int]], size: int, sample: LabelSample) -> Floats:
    """Return the weight of each label pair, shape (size, size), summing to 1, in any order of the labels."""
    shares = np.zeros((size, size))
    if sample.weights.min() == sample.weights.max():
        for pair, count in Counter(pairs).items():
            shares[pair] = count / len(pairs)
        return shares
    cells: dict[tuple[int, int], list[float]] = defaultdict(list)
    for pair, weight in zip(pairs, sample.weights.tolist(), strict=True):
        cells[pair].append(weight)
    for pair, weights in cells.items():
        shares[pair] = math.fsum(weights)
    return shares


def _inverse(probabilities: Sequence[float] | None, n: int) -> Floats:
    if probabilities is None:
        return np.ones(n)
    given = np.asarray(probabilities, dtype=np.float64)
    if given.shape != (n,) or not ((given > 0) & (given <= 1)).all():
        raise ValueError("probabilities: one number above 0, up to 1, is needed for each label")
    return np.asarray(1 / given)


def _sum_of_squares(terms: Floats, codes: Ints) -> float:
    """Return the sum over groups of the squared sum of their terms, independent of the order of the rows."""
    order = np.lexsort((terms, codes))
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return math.fsum((np.add.reduceat(terms[order], starts) ** 2).tolist())
