"""Estimate the difference of two versions that people would find, from a judge's grades and labels of some answers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evalkit.results import Estimate
from evalkit.stats.correction import DRAWS, Graded, effective_number
from evalkit.stats.quantiles import tail_probability, two_sided_t

MIN_SIDE = 20
"""Minimum number of labelled cases, and of labelled clusters, of each version."""
METHOD = "double sampling, difference of influences"
CARRIED = "if the judge errs alike on both versions"


@dataclass(frozen=True, slots=True)
class Version:
    """The answers of one version, each with its weight in the figure."""

    answers: tuple[Graded, ...]
    failing: tuple[tuple[Hashable, float], ...] = ()
    """(cluster, weight) of the answers that fail whatever judge and people say."""

    @property
    def labelled(self) -> tuple[Graded, ...]:
        """The answers that people have labelled."""
        return tuple(each for each in self.answers if each.people is not None)

    @property
    def total(self) -> float:
        """Weight of all answers."""
        return math.fsum([*(each.weight for each in self.answers), *(weight for _, weight in self.failing)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The figure of the earlier version minus that of the later one."""

    estimate: Estimate
    p_value: float | None = None
    """One-sided p value that the figure fell; `None` without an estimate, and if labels of one version are carried."""


@dataclass(frozen=True, slots=True)
class _Influences:
    """A figure, and how much each cluster moves it; the influences add up to 0."""

    value: float
    by_cluster: Mapping[Hashable, float]


def corrected_difference(before: Version, after: Version, *, rate: bool, confidence_level: float = 0.95) -> Difference:
    """Estimate the difference that people would find, with labels of both versions, on the same cases or on others.

    The figure of a version is theta = sum over the judge's verdicts v of q_v m_v: q_v is the share of v among all
    answers, and m_v = (passes + 1/2) / (labels + 1) what people pass of it. Answer i moves it by m_v(i), and if it is
    labelled by q_v N/n_v (h_i - m_v) more. The influences of the later version are subtracted from those of the
    earlier one, which keeps the covariance of common cases, and summed by cluster:
    SE = sqrt(sum of squares) sqrt((df + 1)/df), with Student's t for df = labelled clusters - 2, of the version with
    fewer. Labels need not be balanced over the verdicts; within a verdict they are weighted by `drawn`. A mean of
    grades is prediction-powered with lambda = 1.

    Args:
        before: answers of the earlier version.
        after: answers of the later one; clusters have the same names in both.
        rate: whether judges and people give 0 or 1; false for grades.
        confidence_level: two-sided, in (0, 1).

    Returns:
        Before minus after; `n` is the number of labels of the version with fewer. No value with labels of fewer than
        20 cases or clusters of a version, or if a verdict has none.

    Source: Tenenbein 1970, 10.1080/01621459.1970.10481170; influence functions of two-phase samples: Breslow et al.
    2009, 10.1007/s12561-009-9001-6; the mean: Angelopoulos et al. 2023, 10.1126/science.adi6000.
    """
    tail_probability(confidence_level)
    fewest = min(len(before.labelled), len(after.labelled))
    missing = _missing(before, rate) or _missing(after, rate)
    if missing:
        return Difference(estimate=_unknown(missing, fewest, METHOD, confidence_level))
    old, new = (_influences(each, _people_expect(each, rate=rate), rate=rate) for each in (before, after))
    degrees = min(_labelled_clusters(version) for version in (before, after)) - 2
    value, error = old.value - new.value, _standard_error(old, new, degrees)
    estimate = _interval(value, error, degrees, n=fewest, method=METHOD, confidence_level=confidence_level)
    return Difference(estimate=estimate, p_value=_p_above(value, error, degrees))


def carried_difference(
    before: Version,
    after: Version,
    *,
    rate: bool,
    rng: np.random.Generator,
    confidence_level: float = 0.95,
) -> Difference:
    """Estimate the difference from labels of one version, if the judge errs alike on both; wrong without a sign if not.

    A rate moves by (q_before - q_after) / (sensitivity + specificity - 1), the difference of two Rogan-Gladen rates
    with the same errors; the interval draws the errors from Jeffreys posteriors, Beta(k + 1/2, n - k + 1/2). A mean of
    grades moves as the judge's mean does, because the same bias is subtracted from both.

    Args:
        before: answers of the earlier version.
        after: answers of the later one; exactly one of the two has labels.
        rate: whether judges and people give 0 or 1.
        rng: source of the draws.
        confidence_level: two-sided, in (0, 1).

    Returns:
        Before minus after, without p values. No value with labels of fewer than 20 cases or clusters, or if the judge
        tells passes from fails no better than chance.

    Source: Rogan and Gladen 1978, 10.1093/oxfordjournals.aje.a112510.
    """
    tail = tail_probability(confidence_level)
    known = before if before.labelled else after
    labels = len(known.labelled)
    missing = _missing(known, rate)
    if missing:
        return Difference(estimate=_unknown(missing, labels, CARRIED, confidence_level))
    old, new = _judge_alone(before), _judge_alone(after)
    clusters = len(old.by_cluster.keys() | new.by_cluster.keys())
    value, error = old.value - new.value, _standard_error(old, new, clusters - 2)
    if not rate:
        made = _interval(value, error, clusters - 2, n=labels, method=CARRIED, confidence_level=confidence_level)
        return Difference(estimate=made)
    passing = math.fsum(each.weight for each in _of(known.answers, True)) / known.total
    (a, number_a), (b, number_b) = (_people(known, verdict) for verdict in (True, False))
    if a <= b:
        reason = "the judge tells passes from fails no better than chance"
        return Difference(estimate=_unknown(reason, labels, CARRIED, confidence_level))
    drawn_a, drawn_b = (
        rng.beta(share * number + 0.5, (1 - share) * number + 0.5, DRAWS)
        for share, number in ((a, number_a), (b, number_b))
    )
    useful = drawn_a > drawn_b
    drawn = rng.normal(value, error, DRAWS) / _separation(passing, drawn_a, drawn_b)
    low, high = np.quantile(np.clip(drawn[useful], -1, 1), [tail, 1 - tail])
    found = min(1.0, max(-1.0, value / float(_separation(passing, a, b))))
    estimate = Estimate(
        value=found,
        low=min(float(low), found),
        high=max(float(high), found),
        n=labels,
        method=CARRIED,
        confidence_level=confidence_level,
    )
    return Difference(estimate=estimate)


def _missing(version: Version, rate: bool) -> str:
    """Explain why the labels of a version are not enough; empty if they are."""
    labelled = version.labelled
    clusters = _labelled_clusters(version)
    if clusters < MIN_SIDE:
        counted = f"{len(labelled)} labels" if clusters == len(labelled) else f"labels of {clusters} questions"
        return f"{counted}, labels of {MIN_SIDE} questions of each version are needed"
    for verdict, word in ((True, "passes"), (False, "fails")) if rate else ():
        if _of(version.answers, verdict) and not _of(labelled, verdict):
            return f"none of the answers that the judge {word} in one version is labelled"
    return ""


def _unknown(reason: str, labels: int, method: str, confidence_level: float) -> Estimate:
    return Estimate(value=None, n=labels, method=method, confidence_level=confidence_level, reason=reason)


def _labelled_clusters(version: Version) -> int:
    return len({each.cluster for each in version.labelled})


def _of(answers: tuple[Graded, ...], verdict: bool) -> tuple[Graded, ...]:
    return tuple(each for each in answers if (each.judge == 1) is verdict)


def _people(version: Version, verdict: bool) -> tuple[float, float]:
    """Return the share that people pass among labelled answers of a verdict, and their effective number."""
    labelled = _of(version.labelled, verdict)
    if not labelled:
        return 0.0, 0.0
    weights = [each.weight * each.drawn for each in labelled]
    passed = math.fsum(weight * (each.people or 0.0) for weight, each in zip(weights, labelled, strict=True))
    return min(1.0, passed / math.fsum(weights)), effective_number(weights)


def _people_expect(version: Version, *, rate: bool) -> list[float]:
    """Return what people would say of each answer: of a verdict alike, or the judge's grade with the bias taken off."""
    if rate:
        passed = {verdict: _people(version, verdict) for verdict in (False, True)}
        smoothed = {verdict: (share * number + 0.5) / (number + 1) for verdict, (share, number) in passed.items()}
        return [smoothed[each.judge == 1] for each in version.answers]
    drawn = [(each.weight * each.drawn, (each.people or 0.0) - each.judge) for each in version.labelled]
    bias = math.fsum(weight * apart for weight, apart in drawn) / math.fsum(weight for weight, _ in drawn)
    return [each.judge + bias for each in version.answers]


def _influences(version: Version, expected: Sequence[float], *, rate: bool) -> _Influences:
    """Return the mean of what is expected of the answers, and how much each cluster moves it.

    Args:
        version: its answers.
        expected: grade of each answer as people would give it, or as the judge gave it if labels do not count.
        rate: whether labels stand for the answers of their verdict, or for all.
    """
    pairs = list(zip(version.answers, expected, strict=True))
    strata = [[pair for pair in pairs if (pair[0].judge == 1) is verdict] for verdict in (True, False)]
    terms = [(each.cluster, each.weight * grade, each.weight) for each, grade in pairs]
    value = math.fsum(term for _, term, _ in terms) / version.total
    terms += [(cluster, 0.0, weight) for cluster, weight in version.failing]
    for answers in strata if rate else [pairs]:
        there = math.fsum(each.weight for each, _ in answers)
        drawn = math.fsum(each.weight * each.drawn for each, _ in answers if each.people is not None)
        terms += [
            (each.cluster, there / drawn * each.weight * each.drawn * (each.people - grade), 0.0)
            for each, grade in answers
            if each.people is not None
        ]
    middle = math.fsum(term for _, term, _ in terms) / version.total
    found: dict[Hashable, list[float]] = defaultdict(list)
    for cluster, term, weight in terms:
        found[cluster].append((term - weight * middle) / version.total)
    return _Influences(value, {cluster: math.fsum(parts) for cluster, parts in found.items()})


def _judge_alone(version: Version) -> _Influences:
    answers = tuple(replace(each, people=None) for each in version.answers)
    return _influences(replace(version, answers=answers), [each.judge for each in answers], rate=False)


def _standard_error(before: _Influences, after: _Influences, degrees: int) -> float:
    """Return the cluster-robust standard error of the difference."""
    clusters = before.by_cluster.keys() | after.by_cluster.keys()
    apart = (before.by_cluster.get(each, 0.0) - after.by_cluster.get(each, 0.0) for each in clusters)
    return math.sqrt(math.fsum(each**2 for each in apart) * (degrees + 1) / degrees)


def _interval(value: float, error: float, degrees: int, *, n: int, method: str, confidence_level: float) -> Estimate:
    half = two_sided_t(confidence_level, degrees) * error
    return Estimate(
        value=value, low=value - half, high=value + half, n=n, method=method, confidence_level=confidence_level
    )


def _p_above(value: float, error: float, degrees: int) -> float:
    """Return the one-sided p value of a difference above 0."""
    from evalkit.stats.distributions import stdtr

    if not error:
        return 0.0 if value > 0 else 1.0
    return float(stdtr(degrees, -value / error))


def _separation(q: float, a: Any, b: Any) -> Any:
    """Return sensitivity + specificity - 1 of a judge that passes q, of which people pass a, and b of the others."""
    theta = q * a + (1 - q) * b
    return q * (1 - q) * (a - b) / (theta * (1 - theta))
