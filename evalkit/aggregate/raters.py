"""Two raters on the same answers: kappa, its trust, and the figures that explain it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from evalkit.results import Agreement, Estimate
from evalkit.stats import agreement as stats

Opinion = str | float
PASS_FAIL: tuple[Opinion, ...] = ("fail", "pass")
MAX_LEVELS = 20
"""Distinct numbers beyond which a scale is no set of categories."""
ALPHA_SEED = 0
COMMON_SHARE, HIGH_AC1, LOW_KAPPA = 0.9, 0.8, 0.6


def majority(opinions: Sequence[Opinion]) -> Opinion | None:
    """Find the most frequent opinion, `None` at a tie."""
    (first, count), *rest = Counter(opinions).most_common()
    return None if rest and rest[0][1] == count else first


def compare(
    blank: Agreement,
    first: Sequence[Opinion],
    second: Sequence[Opinion],
    mark: float | None,
    probabilities: Sequence[float] | None = None,
) -> Agreement:
    """Fill in how the second rater agrees with the first.

    Args:
        blank: names the metric, the judge, the kind of rater, the cohort and the floor of trust.
        first: the reference's opinions, shape (n,), n >= 1: all `pass`/`fail`, or all numbers.
        second: the other's opinions of the same answers, shape (n,).
        mark: least number that passes, where the scale has a pass mark; it splits the classes that trust counts.
        probabilities: chance with which each answer was drawn for labelling, where they were not drawn alike.
    """
    numbers = not isinstance(first[0], str)
    levels = levels_of([*first, *second]) if numbers else PASS_FAIL
    if len(levels) > MAX_LEVELS:
        reason = f"not estimable: more than {MAX_LEVELS} distinct numbers; label on a scale of fewer steps"
        return replace(blank, kappa=Estimate(value=None, n=len(first), reason=reason), note=reason)
    filled = _with_kappas(blank, _Table(first, second, levels, probabilities), numbers)
    passes = _passes(first, mark)
    rarer = min(sum(passes), len(passes) - sum(passes)) if passes else stats.rarer_labels(first)
    filled = _with_trust(filled, rarer)
    weights = [1.0] * len(first) if probabilities is None else [1 / chance for chance in probabilities]
    filled = replace(
        filled,
        observed=_share([a == b for a, b in zip(first, second, strict=True)], weights),
        prevalence=_share(passes, weights),
        confusion=stats.confusion(first, second, levels),
        categories=tuple(str(level) if isinstance(level, str) else f"{level:g}" for level in levels),
    )
    return filled if numbers else _with_rates(filled, first, second, weights)


@dataclass(frozen=True)
class _Table:
    """Two raters on the same answers."""

    first: Sequence[Opinion]
    second: Sequence[Opinion]
    levels: Sequence[Opinion]
    probabilities: Sequence[float] | None

    def kappa(self, weights: stats.Weights | None, confidence_level: float = 0.95) -> Estimate:
        return stats.cohen_kappa(
            self.first,
            self.second,
            categories=self.levels,
            weights=weights,
            probabilities=self.probabilities,
            confidence_level=confidence_level,
        )


def _with_kappas(blank: Agreement, table: _Table, numbers: bool) -> Agreement:
    weights: stats.Weights | None = "quadratic" if numbers else None
    others: Mapping[str, Estimate] = {}
    if numbers:
        others = {"unweighted": table.kappa(None), "linear": table.kappa("linear")}
    gwet = None
    if len(table.levels) > 1:
        gwet = stats.gwet_ac(
            table.first,
            table.second,
            categories=table.levels,
            weights=weights,
            probabilities=table.probabilities,
        )
    bound = table.kappa(weights, 0.90).low
    return replace(blank, kappa=table.kappa(weights), weights=weights, bound=bound, other_kappas=others, gwet=gwet)


def _with_trust(found: Agreement, rarer: int) -> Agreement:
    """What the judge may do, and how many labels would settle it; only people's labels make trust."""
    if found.rater_kind != "person":
        return replace(found, trust="untrusted")
    kappa = found.kappa
    trust = stats.trust(found.bound, kappa.value, smallest_class=rarer, floor=found.floor)
    needed = stats.labels_needed(kappa.n, found.bound, kappa.value, floor=found.floor)
    if needed is not None and 0 < rarer < stats.MIN_RARER_LABELS:
        needed = max(needed, math.ceil(kappa.n * stats.MIN_RARER_LABELS / rarer))
    return replace(found, trust=trust, labels_needed=None if trust == "trusted" else needed)


def _passes(opinions: Sequence[Opinion], mark: float | None) -> list[bool]:
    if isinstance(opinions[0], str):
        return [opinion == "pass" for opinion in opinions]
    return [] if mark is None else [float(opinion) >= mark for opinion in opinions]


def levels_of(values: Sequence[Opinion]) -> tuple[Opinion, ...]:
    """Equal steps from the least to the greatest value, so that quadratic weights mean distances on the scale."""
    found = sorted({float(value) for value in values})
    if len(found) < 2:
        return tuple(found)
    step = min(high - low for low, high in pairwise(found))
    places = [(value - found[0]) / step for value in found]
    on_grid = all(abs(place - round(place)) < 1e-6 for place in places)
    if not on_grid or round(places[-1]) >= MAX_LEVELS:
        return tuple(found)
    by_place = {round(place): value for place, value in zip(places, found, strict=True)}
    return tuple(by_place.get(place, found[0] + place * step) for place in range(round(places[-1]) + 1))


def _with_rates(
    found: Agreement, first: Sequence[Opinion], second: Sequence[Opinion], weights: Sequence[float]
) -> Agreement:
    return replace(
        found,
        sensitivity=_share_among("pass", first, second, weights),
        specificity=_share_among("fail", first, second, weights),
        note=_paradox(found),
    )


def _share_among(
    label: str, first: Sequence[Opinion], second: Sequence[Opinion], weights: Sequence[float]
) -> float | None:
    """Weighted share of the first rater's `label` that the second gives as well."""
    own = [(said == label, weight) for true, said, weight in zip(first, second, weights, strict=True) if true == label]
    return _share([same for same, _ in own], [weight for _, weight in own])


def _share(flags: Sequence[bool], weights: Sequence[float]) -> float | None:
    """Weighted share, each answer by the inverse of its chance to be drawn; `None` of nothing."""
    if not flags:
        return None
    return math.fsum(weight for flag, weight in zip(flags, weights, strict=True) if flag) / math.fsum(weights)


def _paradox(found: Agreement) -> str:
    """Kappa is low by construction where nearly every label is the same: that asks for labels, not for a new judge."""
    share, kappa = found.prevalence, found.kappa.value
    if share is None or max(share, 1 - share) <= COMMON_SHARE or (kappa is not None and kappa >= LOW_KAPPA):
        return ""
    ac1 = found.gwet.value if found.gwet else None
    if ac1 is None or ac1 < HIGH_AC1:
        return ""
    rarer = "failures" if share > COMMON_SHARE else "passes"
    return f"nearly all labels are the same, so kappa says little (AC1 {ac1:.2f}): label more {rarer}"


def alpha_of(ratings: Sequence[Sequence[Opinion | None]]) -> Estimate:
    """Krippendorff's alpha of several raters with gaps: nominal for pass/fail, ordinal for numbers.

    Args:
        ratings: one row an answer, one opinion a rater, shape (answers, raters); at least one opinion.
    """
    import numpy as np

    known = [opinion for answer in ratings for opinion in answer if opinion is not None]
    numbers = not isinstance(known[0], str)
    levels = levels_of(known) if numbers else PASS_FAIL
    level: Literal["ordinal", "nominal"] = "ordinal" if numbers else "nominal"
    return stats.krippendorff_alpha(ratings, categories=levels, level=level, rng=np.random.default_rng(ALPHA_SEED))
