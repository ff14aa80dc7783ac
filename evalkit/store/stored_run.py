"""Read a run or baseline from disk for the gate and reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.repeat_rules import check_rule
from evalkit.disk.json_files import read_json
from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.formats.manifest import Manifest
from evalkit.formats.records import decision_of, summary_of
from evalkit.results import Decision, Summary
from evalkit.store.chain import Damage
from evalkit.store.folder import MANIFEST, SUMMARY, TIMINGS, RunFolder
from evalkit.store.journal import read_rows
from evalkit.text.numbers import plural
from evalkit.types import FAILED, Row, Verdict, case_verdict, verdict_of


@dataclass(frozen=True)
class StoredRun:
    """The rows of a run folder as a frame, with its manifest."""

    folder: RunFolder
    manifest: Manifest
    frame: Frame
    damaged: tuple[Damage, ...] = field(default=())

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.manifest.run_id

    @property
    def score_keys(self) -> Mapping[str, Mapping[str, str]]:
        """Metric -> what must be equal for its scores to be comparable."""
        return self.manifest.score_keys


def load_run(folder: RunFolder, without: Collection[str] = ()) -> StoredRun:
    """Read a run folder or saved baseline.

    Args:
        folder: folder of the run.
        without: ids of cases whose rows are left out.

    Raises:
        InputError: it is not a run folder, or its rows are missing, cut, or do not fit its manifest.
        StoreError: the disk fails.
    """
    manifest = folder.manifest()
    damaged: list[Damage] = []
    file = folder.shown_file(folder.rows_file.name)
    stale = set()
    frame = empty_frame(manifest, folder.shown_file(MANIFEST))
    try:
        for row in read_rows(folder.rows_file, damaged):
            key = (row.case.digest, row.repeat)
            if row.case.id in without:
                continue
            if _differs(row, manifest):
                stale.add(key)
            else:
                stale.discard(key)
                frame.add(row)
    except ValueError as error:
        raise InputError(Problem(file, str(error), "run the suite again")) from None
    if stale:
        what = f"the scorers of {plural(len(stale), 'row')} have changed since they graded"
        fix = "continue with `evalkit run SUITE --out RUN --resume`, which grades their stored answers again"
        raise InputError(Problem(folder.shown, what, fix))
    return StoredRun(folder, manifest, frame, tuple(damaged))


def failed_ids(folder: RunFolder) -> tuple[str, ...]:
    """Return the ids of cases that fail by the run's `repeat_rule`, or have a repeat without a complete result.

    Raises:
        InputError: it is not a run folder, or has damaged rows.
    """
    manifest = folder.manifest()
    advisory, rule = frozenset(manifest.advisory), _repeat_rule(manifest, folder.shown_file(MANIFEST))
    if not folder.rows_file.is_file():
        raise InputError(
            Problem(folder.shown_file(folder.rows_file.name), "no such file", "name a run that has its rows")
        )
    damaged: list[Damage] = []
    runs: dict[str, dict[int, Verdict]] = {}
    for row in read_rows(folder.rows_file, damaged):
        runs.setdefault(row.case.id, {})[row.repeat] = verdict_of(row, advisory)
    if damaged:
        what = f"{plural(len(damaged), 'row')} damaged, so which cases failed is not known"
        fix = "fix it with `evalkit run SUITE --out RUN --resume`"
        raise InputError(Problem(folder.shown_file(folder.rows_file.name), what, fix))
    return tuple(case_id for case_id in sorted(runs) if case_verdict([*runs[case_id].values()], rule) in FAILED)


def _differs(row: Row, manifest: Manifest) -> bool:
    """Return True for a row that a resumed run has yet to grade with the current scorers."""
    if not row.scored_by or row.scored_by == manifest.scoring:
        return False
    now, then = manifest.score_keys, manifest.scorings.get(row.scored_by, {})
    return row.output is not None and (
        now.keys() != then.keys() or any(then.get(name) != now[name] for name in row.scores)
    )


def suite_file_of(stored: StoredRun) -> Path | None:
    """Find the suite that a run was made with; see `find_suite`."""
    return find_suite(stored.manifest, stored.folder)


def find_suite(manifest: Manifest, folder: RunFolder) -> Path | None:
    """Find the suite of a run below the current folder, in a folder above it, or in one above the run's folder."""
    roots = [Path.cwd(), *Path.cwd().parents, *folder.path.resolve().parents]
    return next((root / manifest.suite_file for root in roots if (root / manifest.suite_file).is_file()), None)


def empty_frame(manifest: Manifest, shown: str = MANIFEST) -> Frame:
    """Return an empty frame with the metrics and rules of a manifest.

    Args:
        manifest: manifest of the run.
        shown: name of its file in messages.

    Raises:
        InputError: its metrics share a name, or its `repeat_rule` is unknown.
    """
    rule = _repeat_rule(manifest, shown)
    try:
        planned = manifest.repeats
        return Frame(
            manifest.metrics, manifest.cohorts, manifest.advisory, rule, manifest.sample, planned_repeats=planned
        )
    except ValueError as error:
        raise _unreadable(shown, error) from None


def _repeat_rule(manifest: Manifest, shown: str) -> str:
    try:
        check_rule(manifest.repeat_rule)
    except ValueError as error:
        raise _unreadable(shown, error) from None
    return manifest.repeat_rule


def _unreadable(shown: str, error: ValueError) -> InputError:
    return InputError(Problem(shown, what_and_fix(error)[0], "run the suite again"))


def stored_result(folder: RunFolder) -> tuple[Summary | None, Decision | None]:
    """Read the summary and the decision of a run as they were written; `None` for a missing one.

    Raises:
        InputError: a file is damaged.
    """
    decided = folder.decision()
    if decided is None:
        return None, None
    try:
        timings = read_json(folder.file(TIMINGS)) if folder.file(TIMINGS).exists() else {"metrics": [], "cells": []}
        return summary_of(read_json(folder.file(SUMMARY)), timings), decision_of(decided)
    except FileNotFoundError:
        return None, decision_of(decided)
    except (OSError, ValueError) as error:
        what = f"summary or decision cannot be read: {error}"
        raise InputError(Problem(folder.shown, what, "make them again with `evalkit gate RUN`")) from None
