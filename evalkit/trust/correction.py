"""Correct judged rates and means for the judge's known errors, using people's labels of the same run.

Labels of another run never correct this one, because they would pull a regression back towards the old rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from evalkit.aggregate.columns import Floats, Ints
from evalkit.aggregate.frozen import PASS_RATE, FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.results import OVERALL, Agreement, Cell, Estimate
from evalkit.stats.correction import Graded, corrected_mean, double_sampling, rogan_gladen
from evalkit.stats.quantiles import ONE_SIDED_95
from evalkit.trust.calibration import Calibration
from evalkit.trust.judged_figures import JudgedFigure, judged_figures
from evalkit.trust.labels import Label
from evalkit.trust.trusted import trust_in

SEED = 0
WEIGHTED = "uncorrected: the cases of the sample have different weights"
SAME = 1e-9
"""Tolerance for rounding between two ways to compute a mean."""


def with_corrections(
    frame: FrozenFrame,
    cells: Sequence[Cell],
    labels: Sequence[Label],
    found: Sequence[Agreement],
    earlier: Mapping[str, Calibration],
) -> tuple[Cell, ...]:
    """Add the corrected value to every cell that a judge decides.

    A pass rate is corrected by double sampling, from labels of pass or fail and from levels read by the pass mark.
    `pass_rate` is corrected too, if rules and a single judge vote in it. A mean of grades is prediction-powered if the
    judge's levels are trusted; if not, it is the mean of the labels alone. Every answer of every repeat counts,
    weighted so that cases count alike; answers of one case or cluster depend on each other.

    Args:
        frame: the run.
        cells: cells of its summary.
        labels: labels of any answers; those by people about answers of this run are used.
        found: the agreement of the judges on this run.
        earlier: metric -> a valid calibration on another run, which gives `if_as_then` if this run has no labels.
    """
    figures = judged_figures(frame, labels)
    return tuple(
        _corrected(frame, each, figures[each.metric], found, earlier) if each.metric in figures else each
        for each in cells
    )


def _corrected(
    frame: FrozenFrame, cell: Cell, figure: JudgedFigure, found: Sequence[Agreement], earlier: Mapping[str, Calibration]
) -> Cell:
    inside = np.zeros(frame.n_cases, bool)
    inside[frame.cohorts[cell.cohort]] = True
    rows = np.flatnonzero((figure.column.status == SCORED) & inside[frame.row_case])
    trusted = trust_in(found, figure.judge, passes=False) == "trusted"
    refused = _refusal(frame, cell, figure, rows)
    if refused:
        made = [Estimate(value=None, confidence_level=level, reason=refused) for level in (0.95, ONE_SIDED_95)]
    else:
        answers = _graded(frame, figure, rows)
        labels = len({(frame.row_case[row], frame.answers[row]) for row in rows.tolist() if row in figure.people})
        levels = (0.95, ONE_SIDED_95)
        made = [replace(_estimate(answers, figure, trusted, level), n=labels) for level in levels]
    then, name = None, figure.judge.name
    if figure.rate and not figure.people and cell.metric != PASS_RATE.name and name in earlier and len(rows):
        then = _as_then(frame, figure, rows, earlier[name])
    return replace(cell, corrected=made[0], corrected_bounds=made[1], if_as_then=then)


def _refusal(frame: FrozenFrame, cell: Cell, figure: JudgedFigure, rows: Ints) -> str:
    """Explain why a value is not corrected; empty if it can be."""
    if not figure.people.keys() & set(rows.tolist()):
        kind = ("pass or fail " if figure.rate else "graded ") if figure.labelled_otherwise else ""
        return figure.refused or f"uncorrected: no {kind}labels of these answers by people"
    if frame.sample is not None and len({frame.sample.weights[case] for case in frame.row_case[rows].tolist()}) > 1:
        return WEIGHTED
    weights = _weights(frame, rows)
    said = float(np.average(figure.column.at(rows), weights=weights))
    if cell.estimate.value is None or abs(said - cell.estimate.value) > SAME:
        return "uncorrected: the figure is not the mean of its repeats"
    return figure.refused


def _weights(frame: FrozenFrame, rows: Ints) -> Floats:
    """Return the weight of each answer in a mean over cases: 1 / scored repeats of its case."""
    cases = frame.row_case[rows]
    return np.asarray(1 / np.bincount(cases, minlength=frame.n_cases)[cases])


def _graded(frame: FrozenFrame, figure: JudgedFigure, rows: Ints) -> list[tuple[int, Graded]]:
    """Return row and answer of the scored rows."""
    clusters = frame.clusters[frame.row_case[rows]].tolist()
    values = figure.column.at(rows).tolist()
    return [
        (row, Graded(value, cluster, figure.people.get(row), weight, figure.drawn.get(row, 1.0)))
        for row, value, cluster, weight in zip(
            rows.tolist(), values, clusters, _weights(frame, rows).tolist(), strict=True
        )
    ]


def _estimate(graded: Sequence[tuple[int, Graded]], figure: JudgedFigure, trusted: bool, level: float) -> Estimate:
    if figure.rate:
        found = double_sampling(
            [answer for row, answer in graded if row not in figure.failing],
            failing=math.fsum(answer.weight for row, answer in graded if row in figure.failing),
            rng=np.random.default_rng(SEED),
            confidence_level=level,
        )
    elif len({round(answer.drawn, 9) for _, answer in graded if answer.people is not None}) > 1:
        reason = "labels that were not drawn alike do not correct a mean"
        found = Estimate(value=None, confidence_level=level, reason=reason)
    else:
        found = corrected_mean([answer for _, answer in graded], by_judge=trusted, confidence_level=level)
    return replace(found, reason=f"uncorrected: {found.reason}") if found.value is None else found


def _as_then(frame: FrozenFrame, figure: JudgedFigure, rows: Ints, record: Calibration) -> Estimate | None:
    """Return the Rogan-Gladen rate from the earlier run's table of labels; `None` if it has no table of passes.

    Each cluster counts as one answer on either side, the least that it can be worth.
    """
    overall = next((each for each in record.agreement if each.cohort == OVERALL and each.of_passes), None)
    if overall is None or overall.categories != ("fail", "pass") or overall.prevalence is None:
        return None
    labels = float(overall.questions or overall.kappa.n)
    passes, fails = labels * overall.prevalence, labels * (1 - overall.prevalence)
    cases = len(np.unique(frame.clusters[frame.row_case[rows]]))
    share = float(np.average(figure.column.at(rows) == 1, weights=_weights(frame, rows)))
    return rogan_gladen(
        share * cases,
        cases,
        sensitivity=((overall.sensitivity or 0.0) * passes, passes),
        specificity=((overall.specificity or 0.0) * fails, fails),
        rng=np.random.default_rng(SEED),
    )
