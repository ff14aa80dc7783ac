"""Correct a rate or a mean for a judge's known errors, using people's labels on part of the same answers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.results import Estimate
from evalkit.stats.quantiles import tail_probability, two_sided_t, two_sided_z

DRAWS = 20_000
MIN_LABELS = 10
"""Minimum number of labelled questions for a correction."""


@dataclass(frozen=True, slots=True)
class Graded:
    """An answer with the judge's grade and, if labelled, people's."""

    judge: float
    """The judge's grade; for a rate, 1 for a pass and 0 for a fail."""
    cluster: Hashable
    """Answers of one cluster (a question) depend on each other."""
    people: float | None = None
    """Mean grade by people; for a rate, the share of raters who pass it. `None` if nobody has labelled it."""
    weight: float = 1.0
    """Weight in the figure, such as 1 / repeats of its case."""
    drawn: float = 1.0
    """Inverse of the probability with which the answer was drawn for labelling."""


def double_sampling(
    answers: Sequence[Graded], *, failing: float = 0.0, rng: np.random.Generator, confidence_level: float = 0.95
) -> Estimate:
    """Estimate the pass rate that people would give: theta = q a + (1 - q) b.

    q is the judge's pass rate over all answers, a and b the share that people pass among labelled answers that the
    judge passes and fails. The interval takes the three from Jeffreys posteriors, Beta(k + 1/2, n - k + 1/2). It holds
    if labels were drawn at random among the judge's passes and among its fails, even if one of the two was drawn more
    often, and only on the run whose answers were labelled.

    Every n is an effective number: Kish's effective size if weights or chances differ, divided by the design effect of
    the clusters. That is the variance of theta with the influences summed by cluster, over the variance with each
    answer alone, at least 1, times (t(G - 2) / z)^2 for the G clusters with labels; 1 if each answer is its own
    cluster.

    Args:
        answers: every answer that the judge has graded, in any order.
        failing: weight of additional answers that fail regardless of judges and people.
        rng: Source of the draws.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        In [0, 1]; `n` is the number of labels. No value with labels of fewer than 10 clusters, or if there are answers
        of one verdict and none of them is labelled.

    Source: Tenenbein 1970, 10.1080/01621459.1970.10481170; effective numbers: Korn and Graubard 1998, Survey
    Methodology 24:193.
    """
    method = "double sampling"
    labelled = [each for each in answers if each.people is not None]
    strata = {verdict: [each for each in labelled if (each.judge == 1) is verdict] for verdict in (True, False)}
    tail_probability(confidence_level)
    there = [sum((each.judge == 1) is verdict for each in answers) for verdict in (True, False)]
    missing = _too_few(labelled) or _unlabelled(there[0], there[1], len(strata[True]), len(strata[False]))
    if missing:
        return Estimate(value=None, n=len(labelled), method=method, confidence_level=confidence_level, reason=missing)
    effect = _rate_effect(answers, strata, confidence_level)
    passes, total = (
        math.fsum(each.weight for each in chosen) for chosen in ([a for a in answers if a.judge == 1], answers)
    )
    number = effective_number([each.weight for each in answers]) / effect
    counts = [_people_pass(strata[verdict], effect) for verdict in (True, False)]
    value, low, high = _doubly_sampled(
        (passes / total * number, number),
        counts[0],
        counts[1],
        other=(failing / total * number) if failing else 0.0,
        rng=rng,
        tail=tail_probability(confidence_level),
    )
    return Estimate(value=value, low=low, high=high, n=len(labelled), method=method, confidence_level=confidence_level)


def _too_few(labelled: Sequence[Graded]) -> str:
    clusters = len({each.cluster for each in labelled})
    if clusters >= MIN_LABELS:
        return ""
    if clusters == len(labelled):
        return f"{clusters} labels, {MIN_LABELS} are needed"
    return f"{len(labelled)} labels of {clusters} questions, labels of {MIN_LABELS} questions are needed"


def effective_number(weights: Sequence[float]) -> float:
    """Return the effective number of answers of equal weight."""
    return math.fsum(weights) ** 2 / math.fsum(weight**2 for weight in weights)


def _people_pass(labelled: Sequence[Graded], effect: float) -> tuple[float, float]:
    """Return the number of answers that people pass and the total, both as effective numbers."""
    if not labelled:
        return 0.0, 0.0
    weights = [each.weight * each.drawn for each in labelled]
    share = math.fsum(w * (each.people or 0.0) for w, each in zip(weights, labelled, strict=True)) / math.fsum(weights)
    number = effective_number(weights) / effect
    return min(share, 1.0) * number, number


def _rate_effect(answers: Sequence[Graded], strata: dict[bool, list[Graded]], confidence_level: float) -> float:
    """Return the factor by which clusters increase the variance of a doubly sampled rate, with t(G - 2) for z."""
    total = math.fsum(each.weight for each in answers)
    share, mean, labels = {}, {}, {}
    for verdict, labelled in strata.items():
        share[verdict] = math.fsum(each.weight for each in answers if (each.judge == 1) is verdict) / total
        passes, number = _people_pass(labelled, 1.0)
        mean[verdict] = (passes + 0.5) / (number + 1)
        labels[verdict] = math.fsum(each.weight * each.drawn for each in labelled)
    theta = math.fsum(share[verdict] * mean[verdict] for verdict in strata)
    influences = []
    for each in answers:
        verdict = each.judge == 1
        found = each.weight * (mean[verdict] - theta) / total
        if each.people is not None:
            found += share[verdict] * each.weight * each.drawn * (each.people - mean[verdict]) / labels[verdict]
        influences.append((each.cluster, found))
    labelled_clusters = [each.cluster for verdict in strata for each in strata[verdict]]
    count = len(set(labelled_clusters))
    if len({each.cluster for each in answers}) == len(answers):
        return 1.0
    together = _by_cluster(influences) * count / (count - 1)
    alone = math.fsum(found**2 for _, found in influences)
    wider = (two_sided_t(confidence_level, count - 2) / two_sided_z(confidence_level)) ** 2
    return max(1.0, together / alone) * wider


def _by_cluster(terms: Iterable[tuple[Hashable, float]]) -> float:
    """Return the sum over clusters of the squared sum of their terms, independent of the order of the terms."""
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for cluster, term in terms:
        groups[cluster].append(term)
    return math.fsum(math.fsum(group) ** 2 for group in groups.values())


def _doubly_sampled(
    judged: tuple[float, float],
    labelled_passes: tuple[float, float],
    labelled_fails: tuple[float, float],
    *,
    other: float,
    rng: np.random.Generator,
    tail: float,
) -> tuple[float, float, float]:
    """Return the rate with its ends; the `other` answers always fail."""
    q = judged[0] / judged[1]
    a = labelled_passes[0] / labelled_passes[1] if labelled_passes[1] else 0.0
    b = labelled_fails[0] / labelled_fails[1] if labelled_fails[1] else 0.0
    passing = _jeffreys(*judged, rng)
    drawn = passing * _jeffreys(*labelled_passes, rng) + (1 - passing) * _jeffreys(*labelled_fails, rng)
    value = q * a + (1 - q) * b
    if other:
        value *= judged[1] / (judged[1] + other)
        drawn *= _jeffreys(judged[1], judged[1] + other, rng)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return value, min(float(low), value), max(float(high), value)


def _unlabelled(judged_passes: float, judged_fails: float, labelled_passes: float, labelled_fails: float) -> str:
    if judged_passes and not labelled_passes:
        return "none of the answers that the judge passes is labelled"
    if judged_fails and not labelled_fails:
        return "none of the answers that the judge fails is labelled"
    return ""


def _jeffreys(successes: float, n: float, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.beta(successes + 0.5, n - successes + 0.5, size=DRAWS)


def corrected_mean(answers: Sequence[Graded], *, by_judge: bool = True, confidence_level: float = 0.95) -> Estimate:
    """Return the mean grade that people would give: the mean of the judge's grades plus people's mean difference.

    theta = mean(f) + mean(y - f'), with variance V(f) + V(y - f'), where V is the cluster-robust variance of a mean,
    G/(G - 1) sum over clusters of (sum of w (x - mean))^2, and Student's quantile with G - 1 degrees of freedom for the
    G clusters with labels: prediction-powered inference with lambda = 1. If each answer is its own cluster, V is
    var/n. All means are weighted by `weight`.

    Args:
        answers: every answer that the judge has graded, with people's mean grade y if there are labels.
        by_judge: False leaves the judge out: the mean of the labels alone, with V(y).
        confidence_level: Two-sided, in (0, 1).

    Returns:
        `n` is the number of labels; no value with labels of fewer than 10 clusters.

    Raises:
        ValueError: A grade is not finite.

    Source: Angelopoulos et al. 2023, 10.1126/science.adi6000.
    """
    method = "prediction-powered mean" if by_judge else "labels only, the judge is not trusted"
    labelled = [each for each in answers if each.people is not None]
    if not all(math.isfinite(each.judge) and math.isfinite(each.people or 0.0) for each in answers):
        raise ValueError("grades must be finite numbers; leave out answers without one")
    tail_probability(confidence_level)
    if missing := _too_few(labelled):
        return Estimate(value=None, n=len(labelled), method=method, confidence_level=confidence_level, reason=missing)
    apart = [(each.people or 0.0) - (each.judge if by_judge else 0.0) for each in labelled]
    value, variance = _mean_and_variance(labelled, apart)
    if by_judge:
        mean, spread = _mean_and_variance(answers, [each.judge for each in answers])
        value, variance = mean + value, spread + variance
    degrees = len({each.cluster for each in labelled}) - 1
    half = two_sided_t(confidence_level, degrees) * math.sqrt(variance)
    return Estimate(
        value=value,
        low=value - half,
        high=value + half,
        n=len(labelled),
        method=method,
        confidence_level=confidence_level,
    )


def _mean_and_variance(answers: Sequence[Graded], values: Sequence[float]) -> tuple[float, float]:
    """Return the weighted mean of the values of some answers, and its cluster-robust variance."""
    total = math.fsum(each.weight for each in answers)
    mean = math.fsum(each.weight * value for each, value in zip(answers, values, strict=True)) / total
    count = len({each.cluster for each in answers})
    terms = ((each.cluster, each.weight * (value - mean) / total) for each, value in zip(answers, values, strict=True))
    return mean, _by_cluster(terms) * count / (count - 1)


def rogan_gladen(
    judged_passes: float,
    judged: float,
    *,
    sensitivity: tuple[float, float],
    specificity: tuple[float, float],
    rng: np.random.Generator,
    confidence_level: float = 0.95,
) -> Estimate:
    """Estimate the pass rate if the judge errs as on another run: (q + sp - 1) / (se + sp - 1).

    It depends on that assumption: if the judge errs differently on new answers, it is wrong without any sign. So it is
    shown, but does not affect the decision.

    Args:
        judged_passes: Answers of this run that the judge passes.
        judged: Answers of this run that the judge graded.
        sensitivity: (passed by the judge, passed by people) among the labels of the other run.
        specificity: (failed by the judge, failed by people) among them.
        rng: Source of the draws.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        Cut at 0 and 1; no value if the judge separated passes from fails no better than chance, or one of the two was
        never labelled.

    Source: Rogan and Gladen 1978, 10.1093/oxfordjournals.aje.a112510.
    """
    method, tail = "Rogan-Gladen, if the judge errs as it did then", tail_probability(confidence_level)
    labels = round(sensitivity[1] + specificity[1])
    counts = sensitivity[1] and specificity[1] and judged
    apart = sensitivity[0] / sensitivity[1] + specificity[0] / specificity[1] - 1 if counts else 0.0
    if apart <= 0:
        reason = "the judge tells passes from fails no better than chance" if counts else "one of the two has no label"
        return Estimate(value=None, n=labels, method=method, confidence_level=confidence_level, reason=reason)
    value = (judged_passes / judged + specificity[0] / specificity[1] - 1) / apart
    q, se, sp = (_jeffreys(k, n, rng) for k, n in ((judged_passes, judged), sensitivity, specificity))
    useful = se + sp - 1 > 0
    drawn = np.clip((q + sp - 1)[useful] / (se + sp - 1)[useful], 0, 1)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    value = min(1.0, max(0.0, value))
    return Estimate(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        n=labels,
        method=method,
        confidence_level=confidence_level,
    )
