"""Load a run as a pandas table, and fit a threshold to your own labels."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.results import Estimate
from evalkit.store.folder import RunFolder
from evalkit.store.index import sorted_rows
from evalkit.store.systems_folder import SystemsFolder
from evalkit.types import Row, Unscored

if TYPE_CHECKING:
    import pandas as pd

MIN_LABELS = 10
"""Minimum number of labels of each class to fit a threshold."""
FOLDS = 5


def to_pandas(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Load the rows of a run folder or saved baseline, one line for each case, repeat and metric.

    Columns: `case_id`, `repeat`, `kind`, `severity`, `cohort.<name>` for each cohort, `state`, `metric`, `value`,
    `passed`, `unscored` (the kind), `latency_s`. Ids stay text; unknown values are missing (`pd.NA`), never 0. A case
    without any grade has one line without a metric. The folder of a run of several systems has the column `system` too.

    Raises:
        InputError: the folder is not a run.
    """
    import pandas as pd

    several = SystemsFolder(Path(folder))
    if several.exists:
        each = several.read()
        frames = {own.name: to_pandas(several.folder_of(each, own.name).path) for own in each.systems}
        named = (frame.assign(system=name).astype({"system": "string"}) for name, frame in frames.items())
        whole = pd.concat(named, ignore_index=True)
        return whole[["system", *(name for name in whole if name != "system")]]
    run = RunFolder(Path(folder))
    run.manifest()
    lines = [line for row in sorted_rows(run.rows_file)() for line in _lines(row)]
    types = {"case_id": "string", "metric": "string", "value": "Float64", "passed": "boolean", "unscored": "string"}
    return pd.DataFrame(lines).astype({**types, "latency_s": "Float64"}, errors="ignore")


def _lines(row: Row) -> Iterator[dict[str, Any]]:
    case = row.case
    common = {
        "case_id": case.id,
        "repeat": row.repeat,
        "kind": case.kind,
        "severity": case.severity,
        **{f"cohort.{name}": value for name, value in case.cohorts.items()},
        "state": row.state,
        "latency_s": row.output.latency_s if row.output else None,
    }
    blank = {"metric": None, "value": None, "passed": None, "unscored": None}
    if not row.scores:
        yield {**common, **blank}
    for name, grade in row.scores.items():
        if isinstance(grade, Unscored):
            yield {**common, **blank, "metric": name, "unscored": grade.kind}
        else:
            yield {**common, **blank, "metric": name, "value": grade.value, "passed": grade.passed}


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedThreshold:
    """A pass mark for a graded metric, with its agreement with held-out labels."""

    value: float
    """Smallest value that passes."""
    kappa: Estimate
    """Agreement out of fold: each label was predicted by a threshold fitted without its group."""
    n_pass: int
    n_fail: int


def fit_threshold(
    values: Sequence[float], labels: Sequence[bool], groups: Sequence[Hashable] | None = None
) -> FittedThreshold:
    """Fit a pass mark to your own labels: the point of the ROC curve farthest above chance (Youden's J).

    Args:
        values: scores of a metric whose higher values are better, such as `groundedness.content_words`.
        labels: True if a person says that the answer passes.
        groups: question or document of each answer; answers of one group are held out together.

    Returns:
        The threshold fitted on all labels, with its kappa from 5 grouped folds (Youden 1950,
        doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3).

    Raises:
        ValueError: lengths differ, or a class has fewer than 10 labels.
    """
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    from evalkit.stats.agreement import LabelDesign, cohen_kappa

    scores, passes = np.asarray(values, float), np.asarray(labels, bool)
    owners = (
        np.arange(len(scores)) if groups is None else np.unique([str(one) for one in groups], return_inverse=True)[1]
    )
    if not len(scores) == len(passes) == len(owners):
        raise ValueError("values, labels and groups differ in length; give one of each per answer")
    n_pass, n_fail = int(passes.sum()), int((~passes).sum())
    if min(n_pass, n_fail) < MIN_LABELS:
        raise ValueError(f"{n_pass} passes and {n_fail} fails are labelled; label at least {MIN_LABELS} of each")
    predicted = np.zeros(len(scores), bool)
    for train, held_out in StratifiedGroupKFold(FOLDS).split(scores, passes, owners):
        predicted[held_out] = scores[held_out] >= _youden(scores[train], passes[train])
    design = LabelDesign(clusters=owners.tolist())
    kappa = cohen_kappa(passes.tolist(), predicted.tolist(), categories=(False, True), design=design)
    return FittedThreshold(value=_youden(scores, passes), kappa=kappa, n_pass=n_pass, n_fail=n_fail)


def _youden(scores: Any, passes: Any) -> float:
    from sklearn.metrics import roc_curve

    false_rate, true_rate, marks = roc_curve(passes, scores)
    # The first point of the curve stands for "nothing passes" and has an infinite mark.
    best = 1 + (true_rate - false_rate)[1:].argmax()
    return float(marks[best])
