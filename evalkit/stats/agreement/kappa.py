"""Cohen's kappa and the table of label pairs that it is made of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.results import Estimate
from evalkit.stats.quantiles import tail_probability, two_sided_z

Weights = Literal["linear", "quadratic"]

MIN_RARER_LABELS = 10
"""Labels of the rarer class below which no interval of kappa holds its level."""
NO_ERROR = 1e-7
"""Standard errors below this are rounding noise: a million labels still leave 1e-4."""


def confusion(
    a: Sequence[Hashable], b: Sequence[Hashable], categories: Sequence[Hashable]
) -> tuple[tuple[int, ...], ...]:
    """Count label pairs: rows are the first rater's labels, columns the second's, both in the order of `categories`.

    Args:
        a: The first rater's label of each case, shape (n,).
        b: The second rater's label of the same cases, shape (n,).
        categories: Every label that may occur, in rank order.

    Returns:
        Shape (k, k); all 0 with no labels.

    Raises:
        ValueError: Lengths differ, a label is not in `categories`, or a category is named twice.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} labels against {len(b)}; both raters must have labelled the same cases")
    if len(set(categories)) != len(categories):
        raise ValueError(f"categories {list(categories)!r} name a label twice")
    if strange := (set(a) | set(b)) - set(categories):
        raise ValueError(f"labels {sorted(map(repr, strange))} are not among the categories {list(categories)!r}")
    pairs = Counter(zip(a, b, strict=True))
    return tuple(tuple(pairs[row, column] for column in categories) for row in categories)


def rarer_labels(labels: Sequence[Hashable]) -> int:
    """Labels outside the most frequent class; with two classes, the size of the rarer one. 0 with no labels."""
    return len(labels) - max(Counter(labels).values(), default=0)


def cohen_kappa(
    a: Sequence[Hashable],
    b: Sequence[Hashable],
    *,
    categories: Sequence[Hashable],
    weights: Weights | None = None,
    probabilities: Sequence[float] | None = None,
    confidence_level: float = 0.95,
) -> Estimate:
    """Cohen's kappa: (observed - chance agreement) / (1 - chance agreement), with a Fisher-z interval.

    The interval is tanh(atanh k ± z SE / (1 - k^2)) with the large-sample SE of Fleiss, Cohen and Everitt. Weighted
    agreement of the categories i, j of k is 1 - |i - j|/(k - 1), or its square distance for "quadratic".

    Args:
        a: The reference's (person's) labels, shape (n,).
        b: The labels of the rater that is tested, shape (n,).
        categories: Every label that may occur, in rank order.
        weights: `None` for pass/fail and other unordered labels.
        probabilities: Chance with which each case was drawn for labelling, in (0, 1], where cases were not drawn alike
            (more of the judge's fails, say): each then counts 1 / probability, and the SE is that of the weighted
            sample. Shape (n,).
        confidence_level: Two-sided, in (0, 1); 0.90 gives the one-sided 95 % lower bound that `trust` asks for.

    Returns:
        In [-1, 1].

        - No value where there are no labels, or both raters use one and the same label: kappa is 0/0.
        - No interval, and a reason that starts with "not estimable", where fewer than 10 labels of the reference lie
          outside its most frequent class (with two classes: of the rarer class).
        - No interval where one rater uses one label only (kappa is then 0 whatever the other does) or every pair
          disagrees in full.
        - With no disagreement the SE is 0: the lower bound is kappa at an observed agreement of 1 + ln(tail)/n, the
          rule of three (1 - 3/n) for the one-sided 95 % bound.

    Raises:
        ValueError: See `confusion`; or a probability is outside (0, 1].

    Source: Fleiss, Cohen and Everitt 1969, Psychol Bull 72:323.
    """
    table = np.array(confusion(a, b, categories), dtype=np.float64)
    n, method = len(a), f"{weights} weighted kappa" if weights else "kappa"
    tail_probability(confidence_level)
    rarer = rarer_labels(a)
    if n == 0 or np.count_nonzero(np.diag(table)) == 1 == np.count_nonzero(table):
        reason = "no labels" if n == 0 else "both raters use one and the same label, so kappa is 0/0"
        return Estimate(value=None, n=n, method=method, confidence_level=confidence_level, reason=reason)
    shares, squares = sampled_shares(a, b, categories, probabilities)
    found = _kappa_moments(shares, squares, agreement_weights(len(categories), weights), n)
    if len(set(a)) == 1 or len(set(b)) == 1:
        found = replace(found, value=0.0)
    if rarer < MIN_RARER_LABELS:
        reason = f"not estimable: {rarer} labels of the rarer class, {MIN_RARER_LABELS} are needed"
        return Estimate(value=found.value, n=n, method=method, confidence_level=confidence_level, reason=reason)
    if float(np.trace(table)) == n:
        found = replace(found, error=None)
    return bounded(found, method=method, confidence_level=confidence_level)


@dataclass(frozen=True)
class Moments:
    """An agreement beyond chance before it has an interval."""

    value: float
    chance: float
    """Agreement by chance, below 1."""
    error: float | None
    """Standard error of `value`; `None` where the raters never disagreed."""
    n: int
    effective: float
    """Labels of equal weight that tell as much: Kish's (sum w)^2 / sum w^2."""


def sampled_shares(
    a: Sequence[Hashable],
    b: Sequence[Hashable],
    categories: Sequence[Hashable],
    probabilities: Sequence[float] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of each label pair, and the sum of the squared shares of its cases, both of shape (k, k).

    Without `probabilities` each of n cases has the share 1/n; else a share in proportion to 1 / probability.
    """
    if probabilities is None:
        table = np.array(confusion(a, b, categories), dtype=np.float64)
        return table / len(a), table / len(a) ** 2
    weights = _inverse(probabilities, len(a))
    weights /= weights.sum()
    place = {category: at for at, category in enumerate(categories)}
    rows, columns = [place[label] for label in a], [place[label] for label in b]
    shares = np.zeros((len(categories), len(categories)))
    squares = np.zeros_like(shares)
    np.add.at(shares, (rows, columns), weights)
    np.add.at(squares, (rows, columns), weights**2)
    return shares, squares


def _inverse(probabilities: Sequence[float], n: int) -> NDArray[np.float64]:
    given = np.asarray(probabilities, dtype=np.float64)
    if given.shape != (n,) or not ((given > 0) & (given <= 1)).all():
        raise ValueError("probabilities: one number above 0, up to 1, is needed for each label")
    return np.asarray(1 / given)


def agreement_weights(size: int, weights: Weights | None) -> NDArray[np.float64]:
    """How far two of `size` categories agree, 1 on the diagonal: shape (size, size)."""
    if weights is None:
        return np.eye(size)
    ranks = np.arange(size)
    distance = np.abs(ranks[:, None] - ranks) / max(size - 1, 1)
    return np.asarray(1 - (distance if weights == "linear" else distance**2))


def _kappa_moments(
    shares: NDArray[np.float64], squares: NDArray[np.float64], agreement: NDArray[np.float64], n: int
) -> Moments:
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, chance = float((agreement * shares).sum()), float(rows @ agreement @ columns)
    kappa = (observed - chance) / (1 - chance)
    means = (agreement @ columns)[:, None] + rows @ agreement
    influence = agreement - means * (1 - kappa) - (kappa - chance * (1 - kappa))
    error = math.sqrt(float((squares * influence**2).sum())) / (1 - chance)
    return Moments(kappa, chance, error, n, 1 / float(squares.sum()))


def bounded(found: Moments, *, method: str, confidence_level: float) -> Estimate:
    """Add the Fisher-z interval, or the rule of three where there was no disagreement."""
    low: float | None
    high: float | None
    value, reason = found.value, ""
    if found.error is None:
        least = 1 + math.log(tail_probability(confidence_level)) / found.effective
        low, high = max((least - found.chance) / (1 - found.chance), -1.0), 1.0
        value, reason = 1.0, "no disagreement: bound by the rule of three"
    elif found.error < NO_ERROR:
        low, high, reason = None, None, "no interval: the labels leave the standard error at 0"
    else:
        half = two_sided_z(confidence_level) * found.error / (1 - value * value)
        centre = math.atanh(value)
        low, high = math.tanh(centre - half), math.tanh(centre + half)
    return Estimate(
        value=value, low=low, high=high, n=found.n, method=method, confidence_level=confidence_level, reason=reason
    )
