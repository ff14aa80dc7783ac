"""How well two raters agree beyond chance, and whether that earns a judge its vote.

The first rater is the reference (a person), the second the one that is tested (a judge).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.quantiles import tail_probability, two_sided_z
from evalkit.types import Estimate, Trust

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
        ValueError: See `confusion`.

    Source: Fleiss, Cohen and Everitt 1969, Psychol Bull 72:323.
    """
    table = np.array(confusion(a, b, categories), dtype=np.float64)
    n, method = len(a), f"{weights} weighted kappa" if weights else "kappa"
    tail_probability(confidence_level)
    rarer = rarer_labels(a)
    if n == 0 or np.count_nonzero(np.diag(table)) == 1 == np.count_nonzero(table):
        reason = "no labels" if n == 0 else "both raters use one and the same label, so kappa is 0/0"
        return Estimate(value=None, n=n, method=method, confidence_level=confidence_level, reason=reason)
    value, chance, error = _kappa_moments(table / n, _agreement_weights(len(categories), weights), n)
    if len(set(a)) == 1 or len(set(b)) == 1:
        value = 0.0
    if rarer < MIN_RARER_LABELS:
        reason = f"not estimable: {rarer} labels of the rarer class, {MIN_RARER_LABELS} are needed"
        return Estimate(value=value, n=n, method=method, confidence_level=confidence_level, reason=reason)
    perfect = float(np.trace(table)) == n
    return _bounded(value, chance, None if perfect else error, n, method=method, confidence_level=confidence_level)


def gwet_ac1(
    a: Sequence[Hashable],
    b: Sequence[Hashable],
    *,
    categories: Sequence[Hashable],
    confidence_level: float = 0.95,
) -> Estimate:
    """Gwet's AC1, an agreement beyond chance that stays high where one class is rare.

    Chance agreement is sum_k pi_k (1 - pi_k) / (K - 1) with pi_k the mean share of label k. It is shown beside kappa
    and never overrides it: a judge that always passes scores high here. Interval as for `cohen_kappa`.

    Args:
        a: The reference's labels, shape (n,).
        b: The labels of the rater that is tested, shape (n,).
        categories: Every label that may occur; at least two, for one label cannot disagree.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        In [-1, 1]; no value with no labels. Perfect agreement as for `cohen_kappa`.

    Raises:
        ValueError: Fewer than two categories; else see `confusion`.

    Source: Gwet 2008, Br J Math Stat Psychol 61:29.
    """
    if len(categories) < 2:
        raise ValueError(f"categories are {list(categories)!r}; AC1 needs at least two")
    table = np.array(confusion(a, b, categories), dtype=np.float64)
    n = len(a)
    tail_probability(confidence_level)
    if n == 0:
        return Estimate(value=None, method="AC1", confidence_level=confidence_level, reason="no labels")
    value, chance, error = _ac1_moments(table / n, n)
    perfect = float(np.trace(table)) == n
    return _bounded(value, chance, None if perfect else error, n, method="AC1", confidence_level=confidence_level)


def trust(kappa_lower_bound: float | None, point: float | None, *, smallest_class: int, floor: float = 0.6) -> Trust:
    """Say what a judge may do: decide ("trusted"), warn ("provisional"), or only be shown ("untrusted").

    Args:
        kappa_lower_bound: One-sided 95 % lower bound of kappa, that is `low` at `confidence_level=0.90`.
        point: Kappa itself.
        smallest_class: People's labels of the rarer class (of pass and fail where the judge has a pass mark).
        floor: Kappa that has to be reached.

    Returns:
        "trusted" where the bound reaches `floor` with at least 10 labels of each class; else "provisional" where the
        point does; else "untrusted". `None` reaches nothing.
    """
    if kappa_lower_bound is not None and kappa_lower_bound >= floor and smallest_class >= MIN_RARER_LABELS:
        return "trusted"
    return "provisional" if point is not None and point >= floor else "untrusted"


def _agreement_weights(size: int, weights: Weights | None) -> NDArray[np.float64]:
    if weights is None:
        return np.eye(size)
    ranks = np.arange(size)
    distance = np.abs(ranks[:, None] - ranks) / max(size - 1, 1)
    return np.asarray(1 - (distance if weights == "linear" else distance**2))


def _kappa_moments(shares: NDArray[np.float64], agreement: NDArray[np.float64], n: int) -> tuple[float, float, float]:
    """Kappa, chance agreement and standard error."""
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, chance = float((agreement * shares).sum()), float(rows @ agreement @ columns)
    kappa = (observed - chance) / (1 - chance)
    means = (agreement @ columns)[:, None] + rows @ agreement
    spread = float((shares * (agreement - means * (1 - kappa)) ** 2).sum()) - (kappa - chance * (1 - kappa)) ** 2
    return kappa, chance, math.sqrt(max(spread, 0.0) / n) / (1 - chance)


def _ac1_moments(shares: NDArray[np.float64], n: int) -> tuple[float, float, float]:
    """AC1, chance agreement and standard error."""
    pi = (shares.sum(axis=1) + shares.sum(axis=0)) / 2
    others = len(pi) - 1
    observed, chance = float(np.trace(shares)), float((pi * (1 - pi)).sum()) / others
    ac1 = (observed - chance) / (1 - chance)
    miss = 1 - ac1
    diagonal = float((np.diag(shares) * (1 - pi)).sum()) / others - observed * chance
    pairs = float((shares * (1 - (pi[:, None] + pi) / 2) ** 2).sum()) / others**2 - chance**2
    spread = observed * (1 - observed) - 4 * miss * diagonal + 4 * miss**2 * pairs
    return ac1, chance, math.sqrt(max(spread, 0.0) / n) / (1 - chance)


def _bounded(
    value: float, chance: float, error: float | None, n: int, *, method: str, confidence_level: float
) -> Estimate:
    """Add the Fisher-z interval; `error` is `None` where the raters never disagreed."""
    low: float | None
    high: float | None
    if error is None:
        least = 1 + math.log(tail_probability(confidence_level)) / n
        low, high, reason = (
            max((least - chance) / (1 - chance), -1.0),
            1.0,
            "no disagreement: bound by the rule of three",
        )
        value = 1.0
    elif error < NO_ERROR:
        low, high, reason = None, None, "no interval: the labels leave the standard error at 0"
    else:
        half = two_sided_z(confidence_level) * error / (1 - value * value)
        centre = math.atanh(value)
        low, high, reason = math.tanh(centre - half), math.tanh(centre + half), ""
    return Estimate(
        value=value, low=low, high=high, n=n, method=method, confidence_level=confidence_level, reason=reason
    )
