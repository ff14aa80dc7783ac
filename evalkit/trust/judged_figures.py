"""Find the figures of a run that a judge decides, with people's labels of its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.columns import Column, Floats
from evalkit.aggregate.frozen import PASS_RATE, FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.trust.agreement import AnswerKey, answer_of, person_ratings
from evalkit.trust.labels import Label
from evalkit.trust.pass_marks import Opinion, mark_of
from evalkit.trust.raters import mean_of
from evalkit.types import Metric


@dataclass(frozen=True)
class JudgedFigure:
    """A value of one judge, with its answers by row and their labels by people."""

    judge: Metric
    rate: bool
    column: Column
    """The judge's grade of each row; for a rate, 1 for a pass."""
    people: Mapping[int, float]
    """Row -> mean of its raters; for a rate, the share of raters who pass it."""
    drawn: Mapping[int, float]
    """Row -> inverse of the probability with which the answer was drawn for labelling."""
    failing: frozenset[int] = frozenset()
    """Rows failed by a rule; they fail regardless of the judge and people."""
    refused: str = ""
    """Reason why the value cannot be corrected."""
    labelled_otherwise: bool = False
    """Whether people gave labels of the wrong kind: pass or fail for a mean, levels without a pass mark."""


def judged_figures(frame: FrozenFrame, labels: Sequence[Label]) -> dict[str, JudgedFigure]:
    """Map each metric that a judge decides to its answers and labels; `pass_rate` too if a single judge votes in it.

    Args:
        frame: the run.
        labels: labels of any answers; those by people about answers of this run are used.
    """
    figures: dict[str, JudgedFigure] = {}
    for metric in frame.metrics:
        if metric.is_opinion:
            figures |= _figures(frame, metric, labels)
    return figures | _pass_rate(frame, figures)


def _figures(frame: FrozenFrame, metric: Metric, labels: Sequence[Label]) -> dict[str, JudgedFigure]:
    """Collect a judge's correctable values by metric: its rate, its mean, or both."""
    mine = [each for each in labels if each.metric == metric.name and each.rater_kind == "person"]
    people = person_ratings(mine, metric.name)
    drawn = {answer_of(each): 1 / (each.inclusion_probability or 1.0) for each in mine}
    mark = mark_of(frame, metric)
    better = metric.higher_is_better or not metric.binary

    def passes(said: Opinion) -> Opinion | None:
        verdict = mark.verdict(said) if mark else said
        return float((verdict == "pass") == better) if isinstance(verdict, str) else None

    def level(said: Opinion) -> Opinion | None:
        return None if isinstance(said, str) else said

    made = {}
    rate = metric.name if metric.binary else f"{metric.name}.passed"
    if rate in frame.rows:
        made[rate] = JudgedFigure(
            metric, True, frame.rows[rate], *_by_row(frame, frame.rows[rate], people, drawn, passes)
        )
    if not metric.binary:
        column = frame.rows[metric.name]
        made[metric.name] = JudgedFigure(metric, False, column, *_by_row(frame, column, people, drawn, level))
    labelled = any(each.people for each in made.values())
    return {name: replace(each, labelled_otherwise=labelled and not each.people) for name, each in made.items()}


def _by_row(
    frame: FrozenFrame,
    column: Column,
    people: Mapping[AnswerKey, Sequence[Opinion]],
    drawn: Mapping[AnswerKey, float],
    read: Callable[[Opinion], Opinion | None],
) -> tuple[dict[int, float], dict[int, float]]:
    """Map rows to the mean of their raters, and to 1 / probability; a label counts for each repeat of its answer."""
    said: dict[int, float] = {}
    chances: dict[int, float] = {}
    for row, case in enumerate(frame.row_case.tolist() if people else ()):
        key = frame.case_ids[case], frame.answers[row]
        if key in people and column.status[row] == SCORED:
            ratings = [known for each in people[key] if (known := read(each)) is not None]
            if ratings:
                said[row], chances[row] = mean_of(ratings), drawn[key]
    return said, chances


def _pass_rate(frame: FrozenFrame, figures: Mapping[str, JudgedFigure]) -> dict[str, JudgedFigure]:
    """Treat `pass_rate` as the rate of its only judge among the rows that pass the rules; empty if no judge votes."""
    voters = [metric for metric in frame.metrics if metric.name in frame.voters]
    judges = [metric for metric in voters if metric.judge is not None]
    if not judges or PASS_RATE.name not in frame.rows:
        return {}
    column = frame.rows[PASS_RATE.name]
    if len(judges) > 1:
        reason = f"uncorrected: {len(judges)} judges vote in it"
        return {PASS_RATE.name: JudgedFigure(judges[0], True, column, {}, {}, refused=reason)}
    name = judges[0].name if judges[0].binary else f"{judges[0].name}.passed"
    if name not in figures:
        return {}
    own, scored = figures[name], column.status == SCORED
    rules = [_passes(frame, metric) for metric in voters if metric.judge is None]
    failing = scored & np.logical_or.reduce([np.zeros(len(scored), bool), *(each == 0 for each in rules)])
    if (scored & ~failing & (own.column.status != SCORED)).any():
        return {PASS_RATE.name: replace(own, column=column, refused="uncorrected: the judge votes on some cases only")}
    better = judges[0].higher_is_better or not judges[0].binary
    people = {row: said if better else 1 - said for row, said in own.people.items() if scored[row]}
    failed = frozenset(np.flatnonzero(failing).tolist())
    return {PASS_RATE.name: replace(own, column=column, people=people, failing=failed)}


def _passes(frame: FrozenFrame, metric: Metric) -> Floats:
    """Return 1 per row if the metric's pass mark was met, 0 if it was missed, NaN if it did not vote."""
    if metric.binary:
        column = frame.rows[metric.name]
        return np.where(column.status == SCORED, column.values == metric.higher_is_better, np.nan)
    column = frame.rows.get(f"{metric.name}.passed", frame.rows[metric.name])
    return np.where(column.status == SCORED, column.values, np.nan)
