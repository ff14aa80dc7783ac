"""Choose thresholds from labelled scores so that their error rates hold for answers that are like the labelled ones.

Higher scores are better. An answer is blocked if its score is below the block threshold, and passes if its score
reaches the pass threshold. Sources: Vovk, Gammerman and Shafer 2005, doi 10.1007/b106715 (split conformal, Mondrian);
Vovk 2012, arXiv 1209.2673 (the confidence that holds for one calibration); Angelopoulos et al. 2022, arXiv 2208.02814
(conformal risk control).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SLACK = 1e-9
"""Products such as .05 x 20 may be a rounding error below the integer that they mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockThreshold:
    """A threshold below which answers are blocked."""

    value: float | None
    """`None` if there are too few labels, so that nothing may be blocked."""
    n_good: int
    """Labelled good answers."""
    n_missing: int
    """Further good answers to label before anything may be blocked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassThreshold:
    """A threshold from which answers pass."""

    value: float | None
    """`None` if no threshold keeps the rate, so that nothing may pass."""
    n: int
    """Labelled answers, good and bad."""
    n_missing: int
    """Further answers to label before anything may pass; 0 if labels are enough and the bad scores are too high."""


def block_rank(n: int, rate: float, confidence: float | None) -> int:
    """Return which of `n` good scores, counted from the lowest, is the block threshold; 0 if nothing may be blocked.

    With the k-th lowest score, the rate of good answers below the threshold follows Beta(k, n - k + 1), or lies below
    it where scores tie. With a confidence, k is the largest rank with P(Beta > rate) <= 1 - confidence. Without, it is
    floor(rate x (n + 1)), which keeps the rate on average over calibrations: about half of them exceed it.

    Args:
        n: Good scores, >= 0.
        rate: Largest share of good answers that may be blocked, above 0 and below 1.
        confidence: Share of calibrations that keep the rate, above 0 and below 1; `None` for the average.
    """
    _check(rate, confidence)
    if confidence is None:
        return math.floor(rate * (n + 1) + _SLACK)
    from evalkit.stats.distributions import bdtr  # P(Beta(k, n - k + 1) > rate) = P(Binomial(n, rate) < k)

    low, high = 0, n
    while low < high:
        k = (low + high + 1) // 2
        if bdtr(k - 1, n, rate) <= 1 - confidence:
            low = k
        else:
            high = k - 1
    return low


def labels_to_block(rate: float, confidence: float | None) -> int:
    """Return the smallest number of good answers from which `block_rank` is not 0."""
    _check(rate, confidence)
    if confidence is None:
        return math.ceil(1 / rate - 1 - _SLACK)
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate) - _SLACK)


def labels_to_pass(rate: float) -> int:
    """Return the smallest number of labelled answers from which something may pass."""
    _check(rate, None)
    return math.ceil(1 / rate - 1 - _SLACK)


def block_threshold(good: Sequence[float], rate: float, confidence: float | None = 0.95) -> BlockThreshold:
    """Choose the threshold that blocks at most `rate` of good answers.

    Args:
        good: Scores of good answers, finite.
        rate: Largest share of good answers that may be blocked, above 0 and below 1.
        confidence: Share of calibrations that keep the rate; `None` keeps it on average only.

    Raises:
        ValueError: A score is not finite, or `rate` or `confidence` is out of range.
    """
    _check_scores(good)
    k = block_rank(len(good), rate, confidence)
    missing = max(0, labels_to_block(rate, confidence) - len(good))
    return BlockThreshold(value=sorted(good)[k - 1] if k else None, n_good=len(good), n_missing=missing)


def pass_threshold(good: Sequence[float], bad: Sequence[float], rate: float) -> PassThreshold:
    """Choose the lowest labelled score t with (bad answers that reach t + 1) / (n + 1) <= `rate`.

    Then, over calibrations and answers, P(an answer is bad and passes) <= `rate`.

    Args:
        good: Scores of good answers, finite.
        bad: Scores of bad answers, finite.
        rate: Largest share of all answers that may be bad and pass, above 0 and below 1.

    Raises:
        ValueError: A score is not finite, or `rate` is out of range.
    """
    _check(rate, None)
    _check_scores([*good, *bad])
    n = len(good) + len(bad)
    allowed = math.floor(rate * (n + 1) + _SLACK) - 1
    value = None
    if allowed >= 0 and n:
        worst = sorted(bad, reverse=True)[allowed : allowed + 1]  # the first bad score that may not pass any more
        value = min((score for score in (*good, *bad) if not worst or score > worst[0]), default=None)
    return PassThreshold(value=value, n=n, n_missing=max(0, labels_to_pass(rate) - n))


def block_thresholds(
    good: Mapping[str, Sequence[float]], rate: float, confidence: float | None = 0.95
) -> Mapping[str, BlockThreshold]:
    """Choose a block threshold for each cohort from its own labels (Mondrian), so that the rate holds in each.

    A cohort with too few labels blocks nothing. It cannot use the threshold of all cohorts instead: below that number
    of labels, even none blocked among them leaves a bound on its rate above `rate`, at the same confidence.

    Args:
        good: Cohort -> scores of its good answers.
        rate: as in `block_threshold`.
        confidence: as in `block_threshold`.
    """
    return {cohort: block_threshold(scores, rate, confidence) for cohort, scores in sorted(good.items())}


def _check(rate: float, confidence: float | None) -> None:
    if not 0 < rate < 1:
        raise ValueError(f"rate: expected a share above 0 and below 1, got {rate:g}; write 0.02")
    if confidence is not None and not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a share above 0 and below 1, got {confidence:g}; write 0.95")


def _check_scores(scores: Sequence[float]) -> None:
    if not all(map(math.isfinite, scores)):
        raise ValueError("scores: one is not a finite number; leave out answers without a score")
