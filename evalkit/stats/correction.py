"""Taking a judge's known errors out of a rate or a mean, with labels by people on part of the same answers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.results import Estimate
from evalkit.stats.quantiles import tail_probability

DRAWS = 20_000
MIN_LABELS = 10
"""Labels below which nothing is corrected."""


def double_sampling(
    judged_passes: int,
    judged: int,
    *,
    labelled_passes: tuple[float, float],
    labelled_fails: tuple[float, float],
    rng: np.random.Generator,
    confidence_level: float = 0.95,
) -> Estimate:
    """Pass rate as people would give it: theta = q a + (1 - q) b.

    q is the judge's pass rate over all answers, a and b the share that people pass among labelled answers that the
    judge passes and fails. The interval takes the three from Jeffreys posteriors, Beta(k + 1/2, n - k + 1/2). It holds
    where labels were drawn at random among the judge's passes and among its fails, also where one of the two was drawn
    more often, and only on the run whose answers were labelled. Where answers of one verdict had different chances,
    give the weighted share times Kish's effective number, and that number.

    Args:
        judged_passes: Answers that the judge passes, 0 .. `judged`.
        judged: Answers that the judge has graded.
        labelled_passes: (passed by people, labelled) among those that the judge passes.
        labelled_fails: The same among those that it fails.
        rng: Source of the draws.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        In [0, 1]; `n` is the number of labels. No value with fewer than 10 labels, or where answers of one verdict are
        there and none of them is labelled.

    Raises:
        ValueError: A count is outside 0 .. its total.

    Source: Tenenbein 1970, 10.1080/01621459.1970.10481170.
    """
    for k, n in ((judged_passes, judged), labelled_passes, labelled_fails):
        if not 0 <= k <= n:
            raise ValueError(f"{k} of {n}: a count must lie in 0 .. its total")
    labels, method = round(labelled_passes[1] + labelled_fails[1]), "double sampling"
    tail = tail_probability(confidence_level)
    missing = _missing(judged_passes, judged, labelled_passes[1], labelled_fails[1])
    if missing:
        return Estimate(value=None, n=labels, method=method, confidence_level=confidence_level, reason=missing)
    q = judged_passes / judged
    a = labelled_passes[0] / labelled_passes[1] if labelled_passes[1] else 0.0
    b = labelled_fails[0] / labelled_fails[1] if labelled_fails[1] else 0.0
    passing = _jeffreys(judged_passes, judged, rng)
    drawn = passing * _jeffreys(*labelled_passes, rng) + (1 - passing) * _jeffreys(*labelled_fails, rng)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    value = q * a + (1 - q) * b
    return Estimate(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        n=labels,
        method=method,
        confidence_level=confidence_level,
    )


def _missing(judged_passes: int, judged: int, labelled_passes: float, labelled_fails: float) -> str:
    if labelled_passes + labelled_fails < MIN_LABELS:
        return f"{labelled_passes + labelled_fails:g} labels, {MIN_LABELS} are needed"
    if judged_passes and not labelled_passes:
        return "none of the answers that the judge passes is labelled"
    if judged > judged_passes and not labelled_fails:
        return "none of the answers that the judge fails is labelled"
    return ""


def _jeffreys(successes: float, n: float, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.beta(successes + 0.5, n - successes + 0.5, size=DRAWS)


def ppi_mean(judged: ArrayLike, labelled: ArrayLike, people: ArrayLike, *, confidence_level: float = 0.95) -> Estimate:
    """Mean grade as people would give it: mean of the judge's grades plus the mean of what people differ by.

    theta = mean(f) + mean(y - f'), with variance var(f)/N + var(y - f')/n and Student's quantile with n - 1 degrees of
    freedom: prediction-powered inference with lambda = 1.

    Args:
        judged: The judge's grade f of every answer, shape (N,).
        labelled: The judge's grades f' of the labelled answers, shape (n,).
        people: People's grades y of the same answers, shape (n,).
        confidence_level: Two-sided, in (0, 1).

    Returns:
        `n` is the number of labels; no value with fewer than 10.

    Raises:
        ValueError: Lengths differ, or a grade is not finite.

    Source: Angelopoulos et al. 2023, 10.1126/science.adi6000.
    """
    from scipy.special import stdtrit

    grades, known, said = (_finite(each) for each in (judged, labelled, people))
    if len(known) != len(said):
        raise ValueError(f"{len(known)} grades of the judge against {len(said)} labels; give both for each answer")
    tail, method = tail_probability(confidence_level), "prediction-powered mean"
    if len(said) < MIN_LABELS:
        reason = f"{len(said)} labels, {MIN_LABELS} are needed"
        return Estimate(value=None, n=len(said), method=method, confidence_level=confidence_level, reason=reason)
    differences = said - known
    value = float(grades.mean() + differences.mean())
    variance = float(grades.var(ddof=1)) / len(grades) if len(grades) > 1 else 0.0
    error = math.sqrt(variance + float(differences.var(ddof=1)) / len(said))
    half = float(stdtrit(len(said) - 1, 1 - tail)) * error
    return Estimate(
        value=value, low=value - half, high=value + half, n=len(said), method=method, confidence_level=confidence_level
    )


def rogan_gladen(
    judged_passes: int,
    judged: int,
    *,
    sensitivity: tuple[float, int],
    specificity: tuple[float, int],
    rng: np.random.Generator,
    confidence_level: float = 0.95,
) -> Estimate:
    """Pass rate if the judge errs as it did on another run: (q + sp - 1) / (se + sp - 1).

    It rests on that assumption: a judge that errs otherwise on new answers makes it wrong without a sign. So it is
    shown, and decides nothing.

    Args:
        judged_passes: Answers of this run that the judge passes.
        judged: Answers of this run that it has graded.
        sensitivity: (passed by the judge, passed by people) among the labels of the other run.
        specificity: (failed by the judge, failed by people) among them.
        rng: Source of the draws.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        Cut at 0 and 1; no value where the judge told passes from fails no better than a coin, or one of the two was
        never labelled.

    Source: Rogan and Gladen 1978, 10.1093/oxfordjournals.aje.a112510.
    """
    method, tail = "Rogan-Gladen, if the judge errs as it did then", tail_probability(confidence_level)
    labels = sensitivity[1] + specificity[1]
    counts = sensitivity[1] and specificity[1] and judged
    apart = sensitivity[0] / sensitivity[1] + specificity[0] / specificity[1] - 1 if counts else 0.0
    if apart <= 0:
        reason = "the judge told passes from fails no better than a coin" if counts else "one of the two has no label"
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


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not np.isfinite(sample).all():
        raise ValueError("grades must be a flat list of finite numbers; leave out answers without one")
    return sample
