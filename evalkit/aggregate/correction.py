"""Judges' rates and means with their known errors taken out, where people have labelled answers of this very run.

Labels of another run never correct this one: they would pull a regression back towards the old rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.agreement import AnswerKey, answer_of, person_labels, trust_in
from evalkit.aggregate.calibration import Calibration
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.labels import Label
from evalkit.aggregate.raters import Opinion
from evalkit.aggregate.statuses import SCORED
from evalkit.figures import plural
from evalkit.results import OVERALL, Agreement, Cell, Estimate
from evalkit.stats.correction import MIN_LABELS, double_sampling, ppi_mean, rogan_gladen
from evalkit.stats.intervals import mean_t
from evalkit.stats.quantiles import ONE_SIDED_95
from evalkit.types import Metric

SEED = 0
WEIGHTED = "uncorrected: a sample whose cases stand for unlike numbers"


@dataclass(frozen=True)
class _Graded:
    """What a judge says of the first answer of each case, and what people say of some of them."""

    values: Mapping[int, float]
    """Position of the case -> grade; of a rate 1 for a pass."""
    people: Mapping[int, float]
    weights: Mapping[int, float]
    """Inverse of the chance with which each labelled answer was drawn, 1 where all were drawn alike."""
    rate: bool
    drawn_alike: bool
    labelled_otherwise: bool = False
    """Whether people said pass or fail of what is a grade, or gave grades to what is a rate."""


def with_corrections(
    frame: FrozenFrame,
    cells: Sequence[Cell],
    labels: Sequence[Label],
    found: Sequence[Agreement],
    earlier: Mapping[str, Calibration],
) -> tuple[Cell, ...]:
    """Add the corrected figure to every cell that is a judge's opinion.

    A pass rate is corrected by double sampling. A mean of grades is prediction-powered where the judge is trusted, and
    the mean of the labels alone where it is not. Of a case with several repeats the first answer counts.

    Args:
        frame: the run.
        cells: of its summary.
        labels: of any answers; those by people, of answers of this run, are used.
        found: the agreement of the judges on this run.
        earlier: metric -> a calibration on another run that still holds; it gives `if_as_then` where this run has no
            labels.
    """
    graded: dict[str, _Graded] = {}
    for metric in frame.metrics:
        if metric.judge is not None and not metric.diagnostic:
            graded |= _graded(frame, metric, labels)
    return tuple(
        _corrected(frame, each, graded[each.metric], found, earlier) if each.metric in graded else each
        for each in cells
    )


def _graded(frame: FrozenFrame, metric: Metric, labels: Sequence[Label]) -> dict[str, _Graded]:
    """The figures of a judge that can be corrected, by metric: its rate, its mean, or both."""
    mine = [each for each in labels if each.metric == metric.name and each.rater_kind == "person"]
    people = person_labels(mine, metric.name)
    weights = {answer_of(each): 1 / (each.inclusion_probability or 1.0) for each in mine}
    rate = metric.name if metric.binary else f"{metric.name}.passed"
    made = {}
    if rate in frame.rows:
        better = metric.higher_is_better or not metric.binary
        words = {key: float((said == "pass") == better) for key, said in people.items() if isinstance(said, str)}
        made[rate] = _first_answers(frame, rate, words, weights, rate=True)
    if not metric.binary:
        numbers = {key: float(said) for key, said in people.items() if not isinstance(said, str)}
        made[metric.name] = _first_answers(frame, metric.name, numbers, weights, rate=False)
    labelled = any(each.people for each in made.values())
    return {name: replace(each, labelled_otherwise=labelled and not each.people) for name, each in made.items()}


def _first_answers(
    frame: FrozenFrame,
    name: str,
    people: Mapping[AnswerKey, Opinion],
    weights: Mapping[AnswerKey, float],
    *,
    rate: bool,
) -> _Graded:
    column = frame.rows[name]
    values: dict[int, float] = {}
    said: dict[int, float] = {}
    drawn: dict[int, float] = {}
    seen: set[int] = set()
    for row, case in enumerate(frame.row_case.tolist()):
        if case in seen:
            continue
        seen.add(case)
        if column.status[row] == SCORED:
            values[case] = float(column.values[row])
            key = frame.case_ids[case], frame.answers[row]
            if key in people:
                said[case], drawn[case] = float(people[key]), weights[key]
    return _Graded(values, said, drawn, rate, len({round(weight, 9) for weight in drawn.values()}) < 2)


def _corrected(
    frame: FrozenFrame, cell: Cell, graded: _Graded, found: Sequence[Agreement], earlier: Mapping[str, Calibration]
) -> Cell:
    inside = set(frame.cohorts[cell.cohort].tolist())
    values = {case: value for case, value in graded.values.items() if case in inside}
    people = {case: value for case, value in graded.people.items() if case in inside}
    name = cell.metric.removesuffix(".passed")
    trusted = trust_in(found, next(each for each in frame.metrics if each.name == name)) == "trusted"
    made = [_estimate(replace(graded, values=values, people=people), trusted, level) for level in (0.95, ONE_SIDED_95)]
    if frame.sample is not None and len({frame.sample.weights[case] for case in values}) > 1:
        made = [replace(each, value=None, low=None, high=None, reason=WEIGHTED) for each in made]
    then = None
    if made[0].value is None and graded.rate and not graded.people and name in earlier and values:
        then = _as_then(values, earlier[name])
    return replace(cell, corrected=made[0], corrected_bounds=made[1], if_as_then=then)


def _estimate(graded: _Graded, trusted: bool, level: float) -> Estimate:
    if not graded.people:
        kind = ("pass or fail " if graded.rate else "graded ") if graded.labelled_otherwise else ""
        reason = f"uncorrected: no {kind}labels of these answers by people"
        return Estimate(value=None, confidence_level=level, reason=reason)
    found = _rate(graded, level) if graded.rate else _mean(graded, trusted, level)
    return replace(found, reason=f"uncorrected: {found.reason}") if found.value is None else found


def _rate(graded: _Graded, level: float) -> Estimate:
    found = double_sampling(
        sum(value == 1 for value in graded.values.values()),
        len(graded.values),
        labelled_passes=_labelled(graded, passed=True),
        labelled_fails=_labelled(graded, passed=False),
        rng=np.random.default_rng(SEED),
        confidence_level=level,
    )
    return replace(found, n=len(graded.people))


def _labelled(graded: _Graded, *, passed: bool) -> tuple[float, float]:
    """Among the labelled answers of one verdict: those that people pass, of how many; both effective numbers."""
    chosen = [case for case in graded.people if (graded.values[case] == 1) is passed]
    if not chosen:
        return 0.0, 0.0
    weights = [graded.weights[case] for case in chosen]
    total = math.fsum(weights)
    share = math.fsum(graded.weights[case] for case in chosen if graded.people[case] == 1) / total
    number = total**2 / math.fsum(weight**2 for weight in weights)
    return share * number, number


def _mean(graded: _Graded, trusted: bool, level: float) -> Estimate:
    cases = sorted(graded.people)
    people = [graded.people[case] for case in cases]
    if not graded.drawn_alike:
        reason = "labels that were not drawn alike do not correct a mean"
        return Estimate(value=None, n=len(people), confidence_level=level, reason=reason)
    if trusted:
        judged = [graded.values[case] for case in sorted(graded.values)]
        return ppi_mean(judged, [graded.values[case] for case in cases], people, confidence_level=level)
    if len(people) < MIN_LABELS:
        reason = f"{plural(len(people), 'label')}, {MIN_LABELS} are needed"
        return Estimate(value=None, n=len(people), confidence_level=level, reason=reason)
    return replace(mean_t(people, confidence_level=level), method="labels only, the judge is not trusted")


def _as_then(values: Mapping[int, float], record: Calibration) -> Estimate | None:
    """The rate by Rogan and Gladen, from the table of labels of the earlier run; `None` where it was one of grades."""
    overall = next((each for each in record.agreement if each.cohort == OVERALL), None)
    if overall is None or overall.categories != ("fail", "pass"):
        return None
    fails, passes = (sum(row) for row in overall.confusion)
    return rogan_gladen(
        sum(value == 1 for value in values.values()),
        len(values),
        sensitivity=((overall.sensitivity or 0.0) * passes, passes),
        specificity=((overall.specificity or 0.0) * fails, fails),
        rng=np.random.default_rng(SEED),
    )
