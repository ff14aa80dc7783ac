"""Let people's labels of both versions block where the judge is not trusted."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.regression import ALPHA
from evalkit.gate.words import number, unproven_judges
from evalkit.results import OVERALL, Check, CorrectedDrop, Summary
from evalkit.stats.multiplicity import holm
from evalkit.text.corrected_drop import corrected_drop_sentence
from evalkit.text.numbers import style_of


def blocking_drops(
    frame: FrozenFrame,
    summary: Summary,
    drops: Sequence[CorrectedDrop],
    metrics: Collection[str],
    *,
    n_deciding: int,
) -> dict[str, Check]:
    """Map each metric of an untrusted or provisional judge that people's labels show to have fallen to its check.

    The one-sided p values are adjusted over these metrics by Holm's method and compared with .01. Such a drop rests on
    people, so it blocks whatever the judge's agreement is.

    Args:
        frame: the candidate.
        summary: summary with the agreement of its judges.
        drops: the corrected drops.
        metrics: metrics that are compared.
        n_deciding: systems of the run that share the error rate.
    """
    usable = [
        (each, each.p_value)
        for each in drops
        if each.metric in metrics
        and not each.not_gated
        and each.p_value is not None
        and unproven_judges(frame, summary, each.metric, OVERALL)
    ]
    adjusted = holm([p_value for _, p_value in usable]).tolist() if usable else []
    alpha = ALPHA / n_deciding
    return {
        each.metric: _check(frame, each, p_value, alpha)
        for (each, _), p_value in zip(usable, adjusted, strict=True)
        if p_value <= alpha
    }


def _check(frame: FrozenFrame, found: CorrectedDrop, p_value: float, alpha: float) -> Check:
    return Check(
        name="no_regression",
        metric=found.metric,
        cohort=OVERALL,
        outcome="block",
        need=f"no drop by people's labels at p <= {number(alpha)}",
        drop=found.drop,
        p_value=p_value,
        reason=sentence_of(frame, found),
    )


def sentence_of(frame: FrozenFrame, found: CorrectedDrop) -> str:
    """Describe a corrected drop in the unit of its metric."""
    column = frame.compared(found.metric)
    return corrected_drop_sentence(found, style_of(found.metric, column.metric if column else None))
