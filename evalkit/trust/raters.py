"""Compare raters with a judge: kappa, trust, and the statistics that explain them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from evalkit.results import Agreement, Estimate
from evalkit.stats import agreement as stats
from evalkit.trust.pass_marks import Opinion, PassMark

PASS_FAIL: tuple[Opinion, ...] = ("fail", "pass")
MAX_LEVELS = 20
"""Maximum number of distinct numbers for a scale to be treated as categories."""
ALPHA_SEED = 0
COMMON_SHARE, HIGH_AC1, LOW_KAPPA = 0.9, 0.8, 0.6


@dataclass(frozen=True, slots=True)
class Rated:
    """One answer with the grades of its raters and a judge."""

    ratings: tuple[Opinion, ...]
    """One label for each rater, at least one; all `pass` or `fail`, or all levels."""
    judge: Opinion
    cluster: Hashable
    """The question that was answered; answers to one question depend on each other."""
    probability: float | None = None
    """Probability with which the answer was drawn for labelling, if the probabilities differ."""


def compare(blank: Agreement, rated: Sequence[Rated], mark: PassMark | None) -> Agreement:
    """Compute the agreement of the judge with the raters.

    Answers whose raters disagree are kept. Pass/fail labels, and statistics of levels that ignore distance, compare the
    judge with a rater drawn at random: the labels of an answer share its weight. Quadratic kappa of levels compares it
    with the mean of the answer's raters.

    Args:
        blank: entry with the metric, the judge, the kind of rater, the cohort and the floor of trust.
        rated: at least one answer.
        mark: the rule for which levels pass, if the scale has a pass mark; it defines the classes that trust counts.
    """
    labels = _Labels.of(rated)
    numbers = not isinstance(labels.people[0], str)
    levels = levels_of([*labels.people, *labels.judge]) if numbers else PASS_FAIL
    weights: stats.Weights | None = "quadratic" if numbers else None
    blank = replace(blank, weights=weights, questions=len({each.cluster for each in rated}))
    if len(levels) > MAX_LEVELS:
        reason = f"not estimable: more than {MAX_LEVELS} distinct numbers; label on a scale of fewer steps"
        return replace(blank, kappa=Estimate(value=None, n=len(rated), reason=reason), note=reason)
    verdicts = [mark.verdict(said) if mark else said for said in labels.people]
    passes = [verdict == "pass" for verdict in verdicts] if set(verdicts) <= {"pass", "fail"} else []
    rarer = stats.rarer_labels(passes or labels.people, labels.design)
    found = with_trust(_with_kappas(blank, rated, labels, levels), rarer)
    found = replace(
        found,
        observed=labels.share([a == b for a, b in zip(labels.people, labels.judge, strict=True)]),
        prevalence=labels.share(passes) if passes else None,
        confusion=_confusion(rated, levels),
        categories=tuple(str(level) if isinstance(level, str) else f"{level:g}" for level in levels),
    )
    return found if numbers else _with_rates(found, labels)


@dataclass(frozen=True)
class _Labels:
    """Raters' labels, one entry each, with the judge's grade of the same answer."""

    people: list[Opinion]
    judge: list[Opinion]
    weights: list[float]
    design: stats.LabelDesign

    @classmethod
    def of(cls, rated: Sequence[Rated]) -> _Labels:
        """Give each label of an answer an equal part of its weight."""
        every = [(place, each, said) for place, each in enumerate(rated) for said in each.ratings]
        chances = [each.probability for _, each, _ in every]
        known = [chance for chance in chances if chance is not None]
        drawn = known if len(known) == len(chances) else None
        return cls(
            people=[said for _, _, said in every],
            judge=[each.judge for _, each, _ in every],
            weights=[
                1 / (chance * len(each.ratings))
                for (_, each, _), chance in zip(every, drawn or [1.0] * len(every), strict=True)
            ],
            design=stats.LabelDesign(
                probabilities=drawn,
                answers=[place for place, _, _ in every],
                clusters=[each.cluster for _, each, _ in every],
            ),
        )

    def share(self, flags: Sequence[bool], among: Sequence[bool] | None = None) -> float | None:
        """Return the weighted share of the flagged labels, among all or some; `None` if there are none."""
        chosen = [
            (flag, w) for flag, w, own in zip(flags, self.weights, among or [True] * len(flags), strict=True) if own
        ]
        total = math.fsum(weight for _, weight in chosen)
        return math.fsum(weight for flag, weight in chosen if flag) / total if chosen else None


def _with_kappas(blank: Agreement, rated: Sequence[Rated], labels: _Labels, levels: Sequence[Opinion]) -> Agreement:
    def nominal(weights: stats.Weights | None, level: float = 0.95) -> Estimate:
        return stats.cohen_kappa(
            labels.people,
            labels.judge,
            categories=levels,
            weights=weights,
            design=labels.design,
            confidence_level=level,
        )

    def kappa(level: float) -> Estimate:
        return _of_means(rated, level) if blank.weights else nominal(None, level)

    others = {"unweighted": nominal(None), "linear": nominal("linear")} if blank.weights else {}
    gwet = None
    if len(levels) > 1:
        weights: stats.Weights | None = "quadratic" if blank.weights else None
        gwet = stats.gwet_ac(labels.people, labels.judge, categories=levels, weights=weights, design=labels.design)
    return replace(blank, kappa=kappa(0.95), bound=kappa(0.90).low, other_kappas=others, gwet=gwet)


def _of_means(rated: Sequence[Rated], level: float) -> Estimate:
    """Return the quadratic kappa of the judge with the mean of each answer's raters."""
    chances = [each.probability for each in rated if each.probability is not None]
    return stats.quadratic_kappa(
        [mean_of(each.ratings) for each in rated],
        [float(each.judge) for each in rated],
        design=stats.LabelDesign(
            probabilities=chances if len(chances) == len(rated) else None, clusters=[each.cluster for each in rated]
        ),
        confidence_level=level,
    )


def mean_of(ratings: Sequence[Opinion]) -> float:
    """Return the mean level of an answer's raters; for words, the share that pass it."""
    return math.fsum(float(said == "pass") if isinstance(said, str) else said for said in ratings) / len(ratings)


def with_trust(found: Agreement, rarer: int) -> Agreement:
    """Add the judge's trust, and how many more labels and questions would settle it; only people's labels count.

    Args:
        found: agreement with kappa, its bound and the floor.
        rarer: questions with a label of the rarer class.
    """
    if found.rater_kind != "person":
        return replace(found, trust="untrusted")
    kappa, questions = found.kappa, found.questions or found.kappa.n
    trust = stats.trust(found.bound, kappa.value, smallest_class=rarer, floor=found.floor)
    needed = stats.labels_needed(kappa.n, found.bound, kappa.value, clusters=questions, floor=found.floor)
    if needed is not None and 0 < rarer < stats.MIN_RARER_LABELS:
        needed = max(needed, math.ceil(kappa.n * stats.MIN_RARER_LABELS / rarer))
    if trust == "trusted" or needed is None:
        return replace(found, trust=trust, labels_needed=None, questions_needed=None)
    more = math.ceil(needed * questions / kappa.n)
    return replace(found, trust=trust, labels_needed=needed, questions_needed=more)


def _confusion(rated: Sequence[Rated], levels: Sequence[Opinion]) -> tuple[tuple[int, ...], ...]:
    """Count answers by label and judge; if raters disagree, the answer is in the row of each label."""
    cells = Counter((said, each.judge) for each in rated for said in set(each.ratings))
    return tuple(tuple(cells[row, column] for column in levels) for row in levels)


def levels_of(values: Sequence[Opinion]) -> tuple[Opinion, ...]:
    """Return equal steps from the lowest to the highest value, so that quadratic weights measure distances."""
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


def _with_rates(found: Agreement, labels: _Labels) -> Agreement:
    passes, said = ([each == "pass" for each in side] for side in (labels.people, labels.judge))
    return replace(
        found,
        sensitivity=labels.share(said, among=passes),
        specificity=labels.share([not each for each in said], among=[not each for each in passes]),
        note=_paradox(found),
    )


def _paradox(found: Agreement) -> str:
    """Explain a kappa that is low because nearly every label is the same; it needs more labels, not a new judge."""
    share, kappa = found.prevalence, found.kappa.value
    if share is None or max(share, 1 - share) <= COMMON_SHARE or (kappa is not None and kappa >= LOW_KAPPA):
        return ""
    ac1 = found.gwet.value if found.gwet else None
    if ac1 is None or ac1 < HIGH_AC1:
        return ""
    rarer = "failures" if share > COMMON_SHARE else "passes"
    return f"nearly all labels are the same, so kappa says little (AC1 {ac1:.2f}): label more {rarer}"


def alpha_of(ratings: Sequence[Sequence[Opinion | None]], clusters: Sequence[Hashable]) -> Estimate:
    """Return Krippendorff's alpha of several raters with gaps: nominal for pass/fail, ordinal for numbers.

    Args:
        ratings: one row for each answer, one opinion for each rater, shape (answers, raters); at least one opinion.
        clusters: the question of each answer.
    """
    import numpy as np

    known = [opinion for answer in ratings for opinion in answer if opinion is not None]
    numbers = not isinstance(known[0], str)
    levels = levels_of(known) if numbers else PASS_FAIL
    level: Literal["ordinal", "nominal"] = "ordinal" if numbers else "nominal"
    return stats.krippendorff_alpha(
        ratings, categories=levels, level=level, clusters=clusters, rng=np.random.default_rng(ALPHA_SEED)
    )
