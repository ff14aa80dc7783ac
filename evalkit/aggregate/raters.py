"""Two raters on the same answers: kappa, its trust, and the figures that explain it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from evalkit.stats import agreement as stats
from evalkit.types import Agreement, Estimate

Opinion = str | float
PASS_FAIL: tuple[Opinion, ...] = ("fail", "pass")
MAX_LEVELS = 20
"""Distinct numbers beyond which a scale is no set of categories."""
COMMON_SHARE, HIGH_AC1, LOW_KAPPA = 0.9, 0.8, 0.6


def majority(opinions: Sequence[Opinion]) -> Opinion | None:
    """Find the most frequent opinion, `None` at a tie."""
    (first, count), *rest = Counter(opinions).most_common()
    return None if rest and rest[0][1] == count else first


def compare(blank: Agreement, first: Sequence[Opinion], second: Sequence[Opinion], mark: float | None) -> Agreement:
    """Fill in how the second rater agrees with the first.

    Args:
        blank: names the metric, the judge, the kind of rater and the cohort.
        first: the reference's opinions, shape (n,), n >= 1: all `pass`/`fail`, or all numbers.
        second: the other's opinions of the same answers, shape (n,).
        mark: least number that passes, where the scale has a pass mark; it splits the classes that trust counts.
    """
    numbers = not isinstance(first[0], str)
    levels = _levels([*first, *second]) if numbers else PASS_FAIL
    if len(levels) > MAX_LEVELS:
        reason = f"not estimable: more than {MAX_LEVELS} distinct numbers; label on a scale of fewer steps"
        return replace(blank, kappa=Estimate(value=None, n=len(first), reason=reason), note=reason)
    weights: stats.Weights | None = "quadratic" if numbers else None
    kappa = stats.cohen_kappa(first, second, categories=levels, weights=weights)
    bound = stats.cohen_kappa(first, second, categories=levels, weights=weights, confidence_level=0.90).low
    passes = _passes(first, mark)
    rarer = min(sum(passes), len(passes) - sum(passes)) if passes else stats.rarer_labels(first)
    trust = stats.trust(bound, kappa.value, smallest_class=rarer) if blank.rater_kind == "person" else "untrusted"
    filled = replace(
        blank,
        kappa=kappa,
        weights=weights,
        observed=sum(a == b for a, b in zip(first, second, strict=True)) / len(first),
        prevalence=sum(passes) / len(passes) if passes else None,
        confusion=stats.confusion(first, second, levels),
        categories=tuple(str(level) if isinstance(level, str) else f"{level:g}" for level in levels),
        trust=trust,
    )
    return filled if numbers else _with_rates(filled, first, second)


def _passes(opinions: Sequence[Opinion], mark: float | None) -> list[bool]:
    if isinstance(opinions[0], str):
        return [opinion == "pass" for opinion in opinions]
    return [] if mark is None else [float(opinion) >= mark for opinion in opinions]


def _levels(values: Sequence[Opinion]) -> tuple[Opinion, ...]:
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


def _with_rates(found: Agreement, first: Sequence[Opinion], second: Sequence[Opinion]) -> Agreement:
    (fail_fail, fail_pass), (pass_fail, pass_pass) = found.confusion
    passes, fails = pass_fail + pass_pass, fail_fail + fail_pass
    return replace(
        found,
        sensitivity=pass_pass / passes if passes else None,
        specificity=fail_fail / fails if fails else None,
        note=_paradox(found, first, second),
    )


def _paradox(found: Agreement, first: Sequence[Opinion], second: Sequence[Opinion]) -> str:
    """Kappa is low by construction where nearly every label is the same: that asks for labels, not for a new judge."""
    share = found.prevalence
    kappa = found.kappa.value
    if share is None or max(share, 1 - share) <= COMMON_SHARE or (kappa is not None and kappa >= LOW_KAPPA):
        return ""
    ac1 = stats.gwet_ac(first, second, categories=PASS_FAIL).value
    if ac1 is None or ac1 < HIGH_AC1:
        return ""
    rarer = "failures" if share > COMMON_SHARE else "passes"
    return f"nearly all labels are the same, so kappa says little (AC1 {ac1:.2f}): label more {rarer}"
