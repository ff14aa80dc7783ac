"""Compute Cohen's kappa and the table of label pairs behind it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.results import Estimate
from evalkit.stats.agreement.design import Floats, LabelDesign, LabelSample, rarer_labels, sample_of, shares_of
from evalkit.stats.quantiles import tail_probability, two_sided_t

Weights = Literal["linear", "quadratic"]

MIN_RARER_LABELS = 10
"""Minimum number of questions with a label of the rarer class for an interval of kappa with the stated coverage."""
NO_ERROR = 1e-7
"""Standard errors below this are rounding noise; even a million labels leave 1e-4."""


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


def cohen_kappa(
    a: Sequence[Hashable],
    b: Sequence[Hashable],
    *,
    categories: Sequence[Hashable],
    weights: Weights | None = None,
    design: LabelDesign | None = None,
    confidence_level: float = 0.95,
) -> Estimate:
    """Return Cohen's kappa, (observed - chance) / (1 - chance agreement), with a cluster-robust Fisher-z interval.

    The interval is tanh(atanh k ± t(G - 1) SE / (1 - k^2)). SE = sqrt(G/(G - 1) sum over the G clusters of (sum of
    w u)^2), where u is the influence of a label on kappa and w its share. If every answer is its own cluster, that
    is the large-sample SE of Fleiss, Cohen and Everitt times sqrt(G/(G - 1)). Weighted agreement of the categories i, j
    of k is 1 - |i - j|/(k - 1), or its square distance for "quadratic".

    Args:
        a: The reference's (person's) labels, shape (n,).
        b: The labels of the rater that is tested, shape (n,).
        categories: Every label that may occur, in rank order.
        weights: `None` for pass/fail and other unordered labels.
        design: Chances, answers and clusters of the labels. If an answer has several raters, give one label for each
            rater and name the answer; kappa then is the agreement of the judge with a rater drawn at random.
        confidence_level: Two-sided, in (0, 1); 0.90 gives the one-sided 95 % lower bound that `trust` asks for.

    Returns:
        In [-1, 1]; `n` is the number of answers.

        - No value if there are no labels, or both raters use one and the same label: kappa is 0/0.
        - No interval, and a reason that starts with "not estimable", if fewer than 10 clusters hold a label of the
          reference outside its most frequent class (with two classes: of the rarer class).
        - No interval if one rater uses only one label (kappa is then always 0) or every pair disagrees in full.
        - With no disagreement the SE is 0: the lower bound is kappa at an observed agreement of 1 + ln(tail)/G, the
          rule of three (1 - 3/G) for the one-sided 95 % bound.

    Raises:
        ValueError: See `confusion` and `Design`.

    Source: Fleiss, Cohen and Everitt 1969, Psychol Bull 72:323; the sandwich over clusters: Yang and Zhou 2014,
    10.1002/sim.6323.
    """
    table = confusion(a, b, categories)
    n, method = len(a), f"{weights} weighted kappa" if weights else "kappa"
    tail_probability(confidence_level)
    if n == 0 or len({*a, *b}) == 1:
        return _undefined(a, design, method, confidence_level)
    sample, pairs = sample_of(design, n), pairs_of(a, b, categories)
    value, chance, cells = _kappa_influence(
        shares_of(pairs, len(categories), sample), agreement_weights(len(categories), weights)
    )
    robust, alone = sample.errors(cells[tuple(np.array(pairs).T)])
    perfect = sum(table[i][i] for i in range(len(table))) == n
    found = Moments(value, chance, None if perfect else robust, alone, sample)
    if len(set(a)) == 1 or len(set(b)) == 1:
        found = replace(found, value=0.0)
    return _estimated(found, rarer_labels(a, design), method=method, confidence_level=confidence_level)


def quadratic_kappa(
    people: ArrayLike, judge: ArrayLike, *, design: LabelDesign | None = None, confidence_level: float = 0.95
) -> Estimate:
    """Return the kappa with quadratic weights of numbers that need not be levels, such as the mean of several raters.

    1 - mean (x - y)^2 / (var x + var y + (mean x - mean y)^2), all weighted: on levels in equal steps it is
    `cohen_kappa` with quadratic weights, value and interval alike.

    Args:
        people: The reference's number of each answer, shape (n,).
        judge: The judge's, shape (n,).
        design: As for `cohen_kappa`, one entry for each answer.
        confidence_level: As for `cohen_kappa`.

    Returns:
        As for `cohen_kappa`.

    Raises:
        ValueError: Lengths differ, a number is not finite, or see `Design`.

    Source: Fleiss and Cohen 1973, 10.1177/001316447303300309.
    """
    x, y = (np.asarray(each, dtype=np.float64) for each in (people, judge))
    if x.shape != y.shape or x.ndim != 1 or not np.isfinite([*x, *y]).all():
        raise ValueError(f"{x.size} numbers against {y.size}; give two flat lists of finite numbers of one length")
    method = "quadratic weighted kappa"
    tail_probability(confidence_level)
    said = x.tolist()
    if not said or len({*said, *y.tolist()}) == 1:
        return _undefined(said, design, method, confidence_level)
    sample = sample_of(design, len(said))
    apart = (x - y) ** 2
    distance, mean_x, mean_y = (_mean(sample, each) for each in (apart, x, y))
    in_x, in_y = x - mean_x, y - mean_y
    spread = in_x**2 + in_y**2 + (mean_x - mean_y) ** 2 + 2 * (mean_x - mean_y) * (in_x - in_y)
    expected = _mean(sample, in_x**2 + in_y**2) + (mean_x - mean_y) ** 2
    value = 1 - distance / expected
    robust, alone = sample.errors(-(apart - distance) / expected + distance / expected**2 * (spread - expected))
    widest = float(max(*said, *y.tolist()) - min(*said, *y.tolist())) ** 2
    found = Moments(value, 1 - expected / widest, robust if apart.any() else None, alone, sample)
    if len(set(said)) == 1 or len(set(y.tolist())) == 1:
        found = replace(found, value=0.0)
    return _estimated(found, rarer_labels(said, design), method=method, confidence_level=confidence_level)


@dataclass(frozen=True)
class Moments:
    """An agreement beyond chance without its interval."""

    value: float
    chance: float
    """Agreement by chance, below 1."""
    error: float | None
    """Cluster-robust standard error of `value`; `None` if the raters never disagreed."""
    alone: float
    """Standard error if answers of one cluster were independent."""
    sample: LabelSample


def pairs_of(a: Sequence[Hashable], b: Sequence[Hashable], categories: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return the index of each label pair among the categories."""
    place = {category: at for at, category in enumerate(categories)}
    return [(place[one], place[other]) for one, other in zip(a, b, strict=True)]


def _mean(sample: LabelSample, values: Floats) -> float:
    return math.fsum((sample.weights * values).tolist())


def _undefined(a: Sequence[Hashable], design: LabelDesign | None, method: str, confidence_level: float) -> Estimate:
    n = sample_of(design, len(a)).n if a else 0
    reason = "no labels" if not a else "both raters use one and the same label, so kappa is 0/0"
    return Estimate(value=None, n=n, method=method, confidence_level=confidence_level, reason=reason)


def _estimated(found: Moments, rarer: int, *, method: str, confidence_level: float) -> Estimate:
    """Add the interval if enough questions hold a label of the rarer class."""
    if rarer >= MIN_RARER_LABELS:
        return bounded(found, method=method, confidence_level=confidence_level)
    clustered = found.sample.n_clusters < len(found.sample.weights)
    what = "questions with a label of the rarer class" if clustered else "labels of the rarer class"
    reason = f"not estimable: {rarer} {what}, {MIN_RARER_LABELS} are needed"
    return Estimate(
        value=found.value, n=found.sample.n, method=method, confidence_level=confidence_level, reason=reason
    )


def agreement_weights(size: int, weights: Weights | None) -> NDArray[np.float64]:
    """Return the agreement weight of each pair of categories, 1 on the diagonal: shape (size, size)."""
    if weights is None:
        return np.eye(size)
    ranks = np.arange(size)
    distance = np.abs(ranks[:, None] - ranks) / max(size - 1, 1)
    return np.asarray(1 - (distance if weights == "linear" else distance**2))


def _kappa_influence(shares: Floats, agreement: Floats) -> tuple[float, float, Floats]:
    """Return the kappa, the agreement by chance, and the influence on kappa of a label in each cell, shape (k, k)."""
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, chance = float((agreement * shares).sum()), float(rows @ agreement @ columns)
    kappa = (observed - chance) / (1 - chance)
    means = (agreement @ columns)[:, None] + rows @ agreement
    influence = agreement - means * (1 - kappa) - (kappa - chance * (1 - kappa))
    return kappa, chance, influence / (1 - chance)


def bounded(found: Moments, *, method: str, confidence_level: float) -> Estimate:
    """Add the Fisher-z interval with t(G - 1), or the rule of three if there was no disagreement."""
    low: float | None
    high: float | None
    value, reason, clusters = found.value, "", found.sample.n_clusters
    if found.error is None:
        least = 1 + math.log(tail_probability(confidence_level)) / found.sample.effective
        low, high = max((least - found.chance) / (1 - found.chance), -1.0), 1.0
        value, reason = 1.0, "no disagreement: bound by the rule of three"
    elif found.alone < NO_ERROR or found.error < NO_ERROR:
        low, high, reason = None, None, "no interval: the labels leave the standard error at 0"
    elif clusters < 2:
        low, high, reason = None, None, "no interval: the labels are of one question"
    else:
        half = two_sided_t(confidence_level, clusters - 1) * found.error / (1 - value * value)
        centre = math.atanh(value)
        low, high = math.tanh(centre - half), math.tanh(centre + half)
    return Estimate(
        value=value,
        low=low,
        high=high,
        n=found.sample.n,
        method=method,
        confidence_level=confidence_level,
        reason=reason,
    )
