"""Compare a judge's stored verdicts with labels: agreement, calibration record, drift."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.disk.paths import project_of
from evalkit.errors import InputError, Problem
from evalkit.results import Agreement
from evalkit.store.folder import RunFolder
from evalkit.store.stored_run import StoredRun, load_run, suite_file_of
from evalkit.suite.parse import load_suite
from evalkit.suite.rubric_examples import example_cases, without_examples
from evalkit.trust.agreement import agreement
from evalkit.trust.calibration import Calibration
from evalkit.trust.calibration_files import write_calibration
from evalkit.trust.drift import Drift, drift_of
from evalkit.trust.label_files import read_labels, unknown_metrics
from evalkit.trust.labels import Floors, Label
from evalkit.types import Metric

__all__ = ["Drift", "Floors", "Judged", "calibrated", "drift", "load_judged", "record_of", "write_calibration"]


@dataclass(frozen=True)
class Judged:
    """A stored run with the labels of its answers."""

    stored: StoredRun
    frame: FrozenFrame
    labels: tuple[Label, ...]
    label_files: tuple[Path, ...]
    root: Path
    floors: Floors
    """Kappa floors of the suite."""

    @property
    def judges(self) -> tuple[Metric, ...]:
        """Metrics that a judge grades and people can label."""
        return tuple(each for each in self.frame.metrics if each.is_opinion)

    def warnings(self) -> tuple[Problem, ...]:
        """Return the labelled metrics that no scorer of the run gives."""
        return tuple(unknown_metrics(self.labels, [each.name for each in self.frame.metrics]))

    def one(self, metric: str | None, flag: str) -> str:
        """Return the named judge metric, or the only one.

        Raises:
            InputError: There are several; `flag` is the option that names one.
        """
        names = [each.name for each in self.judges]
        if metric is None and len(names) > 1:
            raise InputError(Problem(flag, f"the run has {len(names)} judges", f"choose --metric: {', '.join(names)}"))
        return metric or names[0]


def load_judged(folder: RunFolder, label_files: Sequence[Path], metric: str | None = None) -> Judged:
    """Read a run and its labels: the given files, else those that its suite names.

    Raises:
        InputError: The run, its suite or a label file cannot be read, or no judge of that name graded the run.
    """
    stored = load_run(folder)
    suite_file = suite_file_of(stored)
    if suite_file is None and not label_files:
        what = f"its suite {stored.manifest.suite_file} does not exist"
        fix = "run this in the suite's project, or name label files with --labels"
        if stored.manifest.imported is not None:
            what = "a comparison of files belongs to no suite, so nothing names its labels"
            fix = "name label files with --labels; an empty one if there are no labels yet"
        raise InputError(Problem(str(folder.path), what, fix))
    suite = load_suite(suite_file) if suite_file else None
    files = tuple(label_files) or (suite.label_files if suite else ())
    root = suite.root if suite else project_of(Path.cwd())
    floors = suite.options.kappa_floors if suite else {}
    frame = freeze(stored.frame)
    labels = without_examples(_read(files, frame.metrics), example_cases(suite) if suite else {})
    judged = Judged(stored, frame, labels, files, root, floors)
    names = [each.name for each in judged.judges]
    if not names or metric not in (None, *names):
        what = f"no judge {metric!r} in this run" if names else "no judge graded this run"
        fix = f"choose from {', '.join(names)}" if names else "run a suite with a judge"
        raise InputError(Problem("--metric" if names else str(folder.path), what, fix))
    return judged


def _read(files: Sequence[Path], metrics: Sequence[Metric]) -> tuple[Label, ...]:
    gone = [Problem(str(file), "no such label file", "check the path") for file in files if not file.is_file()]
    if gone:
        raise InputError(gone)
    return read_labels(files, [str(file) for file in files], metrics)


def calibrated(judged: Judged, metric: str | None, floors: Floors) -> tuple[Agreement, ...]:
    """Compute the agreement of one or all judges with raters, overall and by cohort, and between raters."""
    found = agreement(judged.frame, judged.labels, floors)
    return tuple(each for each in found if metric in (None, each.metric) and not _is_diagnostic(judged, each.metric))


def _is_diagnostic(judged: Judged, metric: str) -> bool:
    return metric not in {each.name for each in judged.judges}


def record_of(judged: Judged, metric: str, found: Sequence[Agreement], today: date) -> Calibration:
    """Build the record of one judge, bound to its score key and labels.

    Raises:
        InputError: This judge's answers have no label by a person.
    """
    from evalkit.trust.calibration_files import label_hashes

    own = tuple(each for each in found if each.metric == metric and each.rater_kind == "person")
    if all(each.kappa.value is None for each in own):
        what = f"no kappa of {metric} with people, so nothing to record"
        raise InputError(Problem("--out", what, "add labels with `rater_kind: person` of these very answers"))
    judge = next(each.judge for each in judged.judges if each.name == metric)
    return Calibration(
        source="",
        run_id=judged.stored.run_id,
        created=today.isoformat(),
        metric=metric,
        key=dict(judged.stored.score_keys[metric]),
        labels=label_hashes(judged.label_files, judged.root),
        agreement=tuple(each for each in own if each.judge == judge),
    )


def drift(old: RunFolder, new: RunFolder, metric: str, label_files: Sequence[Path], seed: int) -> Drift:
    """Compare two versions of a judge on the answers that both graded.

    Raises:
        InputError: One of them is not a run, lacks the metric, or they share no graded answer.
    """
    before, after = load_run(old), load_run(new)
    frames = []
    for stored in (before, after):
        frame = freeze(stored.frame)
        if metric not in {each.name for each in frame.metrics}:
            known = ", ".join(each.name for each in frame.metrics)
            raise InputError(Problem("--metric", f"{stored.folder.path} has no metric {metric!r}", f"known: {known}"))
        frames.append(frame)
    found = drift_of(frames[0], frames[1], metric, _read(label_files, frames[1].metrics), np.random.default_rng(seed))
    if not found.n:
        what = "the two runs share no answer that both judges graded"
        raise InputError(Problem(str(new.path), what, "grade the same stored answers by both judges"))
    changed = [
        part
        for part in sorted({*before.score_keys[metric], *after.score_keys[metric]})
        if before.score_keys[metric].get(part) != after.score_keys[metric].get(part)
    ]
    return dataclasses.replace(found, changed=tuple(changed))
