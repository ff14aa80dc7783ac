"""Compare two versions of a judge on the same answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.stats.agreement import KappaDifference, LabelDesign, Weights, confusion, kappa_difference, stuart_maxwell
from evalkit.stats.multiplicity import holm
from evalkit.stats.paired import mcnemar
from evalkit.trust.agreement import AnswerKey, person_ratings
from evalkit.trust.labels import Label
from evalkit.trust.pass_marks import Opinion, mark_of
from evalkit.trust.raters import MAX_LEVELS, levels_of


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Differences between two versions of a judge."""

    metric: str
    n: int
    """Number of answers that both graded."""
    old_mean: float | None
    new_mean: float | None
    stricter: int
    """Number of answers with a lower grade than before."""
    milder: int
    """Number of answers with a higher grade than before."""
    verdicts_p: float | None
    """Test that both use the grades equally often: McNemar (mid-p) for two grades, Stuart-Maxwell for more; by Holm."""
    kappa: KappaDifference | None
    """Agreement of each with people, if there are labels."""
    kappa_p: float | None
    """Test that both agree equally well with people: swap permutation; by Holm."""
    test: str
    """Name of the test of the verdicts."""
    changed: tuple[str, ...] = ()
    """Parts of the score key that differ between the two."""

    def significant(self, alpha: float = 0.05) -> bool:
        """Return whether one of the two tests is below `alpha`."""
        return any(p is not None and p <= alpha for p in (self.verdicts_p, self.kappa_p))


def drift_of(
    old: FrozenFrame, new: FrozenFrame, metric: str, labels: Sequence[Label], rng: np.random.Generator
) -> Drift:
    """Compare the grades of one metric in two runs, answer by answer.

    Args:
        old: rows graded by the first version.
        new: rows graded by the second version.
        metric: metric that both runs have.
        labels: labels of the same answers; those by people are used.
        rng: source of the random swaps.
    """
    before, after = _graded(old, metric), _graded(new, metric)
    shared = sorted(before.keys() & after.keys())
    first, second = [before[key] for key in shared], [after[key] for key in shared]
    better = next(each.higher_is_better for each in new.metrics if each.name == metric)
    rises = sum(b > a for a, b in zip(first, second, strict=True))
    falls = sum(b < a for a, b in zip(first, second, strict=True))
    verdicts_p, test = _verdict_test(first, second)
    kappa = _kappa_test(old, new, metric, person_ratings(labels, metric), rng)
    adjusted = _adjusted(verdicts_p, kappa.p_value if kappa else None)
    return Drift(
        metric=metric,
        n=len(shared),
        old_mean=float(np.mean(first)) if first else None,
        new_mean=float(np.mean(second)) if second else None,
        stricter=falls if better else rises,
        milder=rises if better else falls,
        verdicts_p=adjusted[0],
        kappa=kappa,
        kappa_p=adjusted[1],
        test=test,
    )


def _graded(frame: FrozenFrame, metric: str) -> dict[tuple[str, bytes], float]:
    """Map (case, answer) to its grade; the first of several repeats with the same answer counts."""
    column = frame.rows[metric]
    found: dict[tuple[str, bytes], float] = {}
    for row in np.flatnonzero(column.status == SCORED).tolist():
        key = frame.case_ids[frame.row_case[row]], frame.answers[row]
        found.setdefault(key, float(column.at(row)))
    return found


def _verdict_test(first: Sequence[float], second: Sequence[float]) -> tuple[float | None, str]:
    levels = sorted({*first, *second})
    if len(levels) <= 2:
        fell = sum(a > b for a, b in zip(first, second, strict=True))
        rose = sum(a < b for a, b in zip(first, second, strict=True))
        return mcnemar(fell, rose, method="mid-p", one_sided=False), "McNemar mid-p"
    if len(levels) > MAX_LEVELS:
        return None, f"none: more than {MAX_LEVELS} distinct grades"
    return stuart_maxwell(confusion(first, second, levels)), "Stuart-Maxwell"


def _kappa_test(
    old: FrozenFrame,
    new: FrozenFrame,
    metric: str,
    people: dict[AnswerKey, tuple[Opinion, ...]],
    rng: np.random.Generator,
) -> KappaDifference | None:
    """Compare both judges with people: words with pass-mark verdicts, or levels alone with the grades."""
    declared = next(each for each in new.metrics if each.name == metric)
    mark = mark_of(new, declared)
    words = any(isinstance(said, str) for ratings in people.values() for said in ratings)
    passed = f"{metric}.passed" if f"{metric}.passed" in old.rows and f"{metric}.passed" in new.rows else metric
    column = passed if words else metric
    if words and not all(_is_pass_fail(frame, passed) for frame in (old, new)):
        return None
    before, after = _graded(old, column), _graded(new, column)
    better = declared.higher_is_better or column != metric
    known = [
        (key, number)
        for key in sorted(before.keys() & after.keys() & people.keys())
        for said in people[key]
        if (number := _as_number(mark.verdict(said) if words and mark else said, better)) is not None
    ]
    if not known:
        return None
    said = [number for _, number in known]
    judges = [before[key] for key, _ in known], [after[key] for key, _ in known]
    levels = levels_of([*said, *judges[0], *judges[1]])
    if len(levels) > MAX_LEVELS:
        return None
    weights: Weights | None = "quadratic" if len(levels) > 2 else None
    questions = dict(zip(new.case_ids, new.clusters.tolist(), strict=True))
    design = LabelDesign(answers=[key for key, _ in known], clusters=[questions[case] for (case, _), _ in known])
    return kappa_difference(said, judges, categories=levels, weights=weights, design=design, rng=rng)


def _is_pass_fail(frame: FrozenFrame, column: str) -> bool:
    return column.endswith(".passed") or any(each.name == column and each.binary for each in frame.metrics)


def _as_number(opinion: Opinion | None, higher_is_better: bool) -> float | None:
    """Convert a word to the value that a pass/fail metric gives it."""
    if opinion is None:
        return None
    return float((opinion == "pass") == higher_is_better) if isinstance(opinion, str) else float(opinion)


def _adjusted(*found: float | None) -> tuple[float | None, ...]:
    """Adjust the defined p values by Holm."""
    known = [p for p in found if p is not None]
    adjusted = iter(holm(known)) if known else iter(())
    return tuple(None if p is None else float(next(adjusted)) for p in found)
