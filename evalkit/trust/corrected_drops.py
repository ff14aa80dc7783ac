"""Correct the drop of judges' metrics between two runs by people's labels of the answers of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.columns import Column, Ints
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.results import CorrectedDrop, Estimate, Labelled
from evalkit.stats.corrected_difference import Version, carried_difference, corrected_difference
from evalkit.stats.correction import Graded
from evalkit.text.numbers import plural
from evalkit.trust.judged_figures import JudgedFigure, judged_figures
from evalkit.trust.labels import Label
from evalkit.trust.next_labels import pooled_chances

SEED = 0
LABELS_ASKED = 50
"""Labels of the other version that are asked for if only one has labels."""


@dataclass(frozen=True, eq=False)
class _Side:
    """One run's answers to the cases that both runs graded."""

    version: Version
    judged: float
    """Mean of the judge's grades."""
    labelled: frozenset[tuple[bytes, bytes]]
    """(case, answer) of each labelled answer."""

    @property
    def cases(self) -> frozenset[bytes]:
        """The cases with a labelled answer."""
        return frozenset(case for case, _ in self.labelled)


def corrected_drops(
    candidate: FrozenFrame, baseline: FrozenFrame, labels: Sequence[Label]
) -> tuple[CorrectedDrop, ...]:
    """Correct the drop of every metric that a judge decides, overall, on the cases that it graded in both runs.

    A drop can block only if the labels are a random sample: they were drawn, and every labelled case has a label of
    both versions. Labels of an earlier comparison fit the answers that did not change since, so they alone would hide
    a change.

    Args:
        candidate: the run to decide.
        baseline: the run that it is compared with.
        labels: labels of any answers; those by people count.

    Returns:
        A drop for each metric with a label of an answer of either run.
    """
    people = [each for each in labels if each.rater_kind == "person"]
    if not people:
        return ()
    after, before = judged_figures(candidate, people), judged_figures(baseline, people)
    return tuple(
        _drop(name, (baseline, before[name]), (candidate, after[name]), people)
        for name in after
        if name in before
        and (before[name].people or after[name].people)
        and not (before[name].refused or after[name].refused)
    )


def _drop(
    name: str,
    before: tuple[FrozenFrame, JudgedFigure],
    after: tuple[FrozenFrame, JudgedFigure],
    people: Sequence[Label],
) -> CorrectedDrop:
    frame, figure = after
    ours, theirs = (rows_by_case(run, each.column) for run, each in (after, before))
    clusters = {key: int(frame.clusters[case]) for case, key in enumerate(frame.keys) if key in ours and key in theirs}
    old, new = (_side(*each, clusters) for each in (before, after))
    mine = [each for each in people if each.metric == figure.judge.name]
    key_of = dict(zip(frame.case_ids, frame.keys, strict=True))
    asked = {key_of[each.case_id] for each in mine if each.case_id in key_of} & clusters.keys()
    lacking = len(asked - (old.cases & new.cases))
    labelled = _labelled(old, new) if lacking else "both"
    difference = _difference(old, new, labelled, figure)
    return CorrectedDrop(
        metric=name,
        drop=difference[0],
        p_value=difference[1],
        judged=(old.judged - new.judged) * (1 if figure.column.metric.higher_is_better else -1),
        labelled=labelled,
        labels=(len(old.cases), len(new.cases)),
        not_gated=difference[0].reason or _not_gated(labelled, lacking, len(asked), mine),
    )


def _labelled(old: _Side, new: _Side) -> Labelled:
    """Return whose answers were labelled; a label of an answer that both gave does not tell."""
    of_old, of_new = old.labelled - new.labelled, new.labelled - old.labelled
    if of_old and not of_new:
        return "baseline"
    return "candidate" if of_new and not of_old else "both"


def _difference(old: _Side, new: _Side, labelled: Labelled, figure: JudgedFigure) -> tuple[Estimate, float | None]:
    """Return the drop, positive if the metric got worse, with its p value."""
    versions = {"baseline": old.version, "candidate": new.version}
    if labelled != "both":
        other = "candidate" if labelled == "baseline" else "baseline"
        versions[other] = _without_labels(versions[other])
    pair = [versions["baseline"], versions["candidate"]]
    if not figure.column.metric.higher_is_better:
        pair.reverse()
    if labelled != "both":
        rng = np.random.default_rng(SEED)
        return carried_difference(*pair, rate=figure.rate, rng=rng).estimate, None
    found = corrected_difference(*pair, rate=figure.rate)
    return found.estimate, found.p_value


def _without_labels(version: Version) -> Version:
    return replace(version, answers=tuple(replace(each, people=None) for each in version.answers))


def _not_gated(labelled: Labelled, lacking: int, asked: int, mine: Sequence[Label]) -> str:
    if labelled != "both":
        return f"labels of one version never gate; label {LABELS_ASKED} answers of the other"
    if lacking:
        return f"{lacking} of {plural(asked, 'labelled case')} lack a label of one version"
    if any(each.inclusion_probability is None for each in mine):
        return "the labels were not drawn with `evalkit labels sample`"
    return ""


def rows_by_case(frame: FrozenFrame, column: Column) -> Mapping[bytes, Ints]:
    """Map each graded case to its planned and graded rows.

    Rows of suspect cases that were run again are left out, because these cases were not chosen at random.
    """
    rows = np.flatnonzero((column.status == SCORED) & frame.is_planned)
    cases, starts = np.unique(frame.row_case[rows], return_index=True)
    parts = np.split(rows, starts[1:]) if len(rows) else []
    return {frame.keys[case]: part for case, part in zip(cases.tolist(), parts, strict=True)}


def _side(frame: FrozenFrame, figure: JudgedFigure, clusters: Mapping[bytes, int]) -> _Side:
    """Collect the answers of a run to the cases of `clusters`; the answers of a case share its weight."""
    drawn = {row: figure.drawn[row] for row in figure.people}
    if not figure.rate and any(each != 1 for each in drawn.values()):
        chances = pooled_chances(frame, figure.judge, {row: 1 / each for row, each in drawn.items()})
        drawn = {row: 1 / chance for row, chance in chances.items()}
    answers, failing, labelled, said = [], [], set(), []
    for key, rows in rows_by_case(frame, figure.column).items():
        if key not in clusters:
            continue
        weight = 1 / len(rows)
        for row in rows.tolist():
            value = float(figure.column.at(row))
            said.append(weight * value)
            if row in figure.people:
                labelled.add((key, frame.answers[row]))
            if row in figure.failing:
                failing.append((clusters[key], weight))
                continue
            people = figure.people.get(row)
            answers.append(Graded(value, clusters[key], people, weight, drawn.get(row, 1.0)))
    version = Version(tuple(answers), tuple(failing))
    return _Side(version, sum(said) / max(1, len(clusters)), frozenset(labelled))
