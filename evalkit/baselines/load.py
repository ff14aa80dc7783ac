"""Load the baseline that a suite or `--baseline` names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING

from evalkit.baselines.find import find_baseline, how_to_save
from evalkit.disk.paths import inside_project
from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.store.changes_since import before_in
from evalkit.store.folder import BASELINES, RunFolder, is_name
from evalkit.store.git import PREFIX
from evalkit.store.journal import read_rows
from evalkit.store.running import noted_in
from evalkit.types import Score

if TYPE_CHECKING:
    from evalkit.aggregate.frame import Frame
    from evalkit.formats.manifest import ScoreKeys
    from evalkit.gate.pairing import Baseline
    from evalkit.store.stored_run import StoredRun
    from evalkit.suite.model import Suite

NO_BASELINE = "none"
DEFAULT_NAME = "main"
"""Name under which a baseline is saved unless another one is given."""


def find_baseline_of(suite: Suite, asked: str | None) -> RunFolder | None:
    """Find the baseline that the gate compares with; `None` if there is none, or no comparison is wanted.

    Args:
        suite: suite that names a baseline under `gate: no_regression`.
        asked: a name or run folder to use in its place; `none` for no comparison.

    Raises:
        InputError: the named folder or baseline is not a run.
    """
    name = baseline_name_of(suite, asked)
    if name is None:
        return None
    if asked is None:
        return _named_baseline(suite, name)
    folder = find_baseline(name, suite.root)
    if folder is None and asked is not None:
        raise InputError(Problem("--baseline", f"no baseline called {name!r}", how_to_save(name)))
    return folder


def _named_baseline(suite: Suite, name: str) -> RunFolder | None:
    """Find the baseline that the suite names, including a run folder inside the project."""
    try:
        if not is_name(name):
            inside_project(suite.root, name)
        return find_baseline(name, suite.root)
    except (InputError, ValueError) as error:
        text = str(error.problems[0]) if isinstance(error, InputError) else str(error)
        key = next(key for key in suite.lines if key.endswith("no_regression"))
        what, fix = what_and_fix(text.removeprefix(f"{name}: "))
        raise InputError(Problem(suite.place(f"{key}.baseline"), f"{name!r}: {what}", fix)) from None


def baseline_name_of(suite: Suite, asked: str | None) -> str | None:
    """Return the name of the gate's baseline; `None` if there is no comparison."""
    named = named_baselines(suite)
    name = asked or (named[0] if named else None)
    return None if name == NO_BASELINE else name


def baseline_title(name: str | None, folder: RunFolder | None) -> str:
    """Return a one-word title of a baseline: its name, the name in its commit, or its folder's name, then `@commit`.

    Args:
        name: the name by which it was found, `None` for no comparison.
        folder: folder of the baseline, `None` if there is none of that name yet.
    """
    if name is None or folder is None:
        return "" if name is None else f"{name} (none yet)"
    short = name.removeprefix(PREFIX).partition(":")[0] if name.startswith(PREFIX) else PurePath(name).name
    commit = folder.manifest().commit or ""
    return f"{short}@{commit[:7]}" if commit else short


def named_baselines(suite: Suite) -> tuple[str, ...]:
    """Return the names of the baselines in the suite's gate; the reference of a run of several systems is not one."""
    from evalkit.gate.policy import NoRegression
    from evalkit.suite.named_system import of_run

    checks = (check for check in suite.policy.checks if isinstance(check, NoRegression) and not of_run(check))
    return tuple(check.baseline for check in checks)


def load_baseline(
    folder: RunFolder | None,
    score_keys: ScoreKeys,
    run: RunFolder | None = None,
    conversation_key: Mapping[str, str] | None = None,
    *,
    same_run: bool = False,
    written_now: bool = False,
) -> Baseline | None:
    """Read a saved baseline or run folder.

    Args:
        folder: folder of the baseline, `None` if there is none.
        score_keys: score keys of the candidate.
        run: the candidate's folder, which holds new answers of the baseline's system.
        conversation_key: conversation key of the candidate, `None` if it does not matter. Stored conversations with
            another key are left out if the baseline's system was called again.
        same_run: whether its system was asked by turns with the candidate, so that times can be compared.
        written_now: whether this process has asked it, and so has checked its earlier rows.

    Raises:
        InputError: its rows cannot be read as a run.
    """
    if folder is None:
        return None
    from evalkit.aggregate.frozen import freeze
    from evalkit.gate.pairing import Baseline
    from evalkit.store.stored_run import load_run

    stored, first_calls = load_run(folder), None
    # Runs are compared case by case, so the sampling weights of the baseline's cases do not matter.
    stored.frame.sample = None
    if not written_now:
        _refuse_damaged(stored, same_run=same_run)
    other = _differing(stored.manifest.conversation_key, conversation_key)
    by_turns = freeze(stored.frame) if same_run else None
    if run is not None and run.old_rows_file.exists():
        if other:
            stored = dataclasses.replace(stored, frame=_unfilled(stored))
        first_calls = _add_old_rows(stored, run, alone=bool(other))
        other = ""
    return Baseline(
        run_id=stored.run_id,
        frame=freeze(stored.frame),
        score_keys=stored.score_keys,
        candidate_score_keys=score_keys,
        alternated=freeze(first_calls) if first_calls is not None and len(first_calls) else by_turns,
        other_conversation=other,
        of_file=stored.manifest.imported is not None,
        saved_as=None if same_run or stored.manifest.imported is not None else _saved_as(folder),
    )


def _saved_as(folder: RunFolder) -> tuple[str, str]:
    """Return how commands name a stored run, and the name to save it under."""
    place = PurePath(folder.origin.removeprefix(PREFIX).partition(":")[2] or folder.path)
    name = place.name if place.parent.parts[-2:] == BASELINES.parts else DEFAULT_NAME
    return (folder.shown if folder.origin or name != place.name else name), name


def _differing(before: Mapping[str, str], now: Mapping[str, str] | None) -> str:
    """Name the parts that differ; empty if none does, or if `now` is not known."""
    parts = sorted({*before, *now}) if now is not None else ()
    return ", ".join(part for part in parts if before.get(part) != (now or {}).get(part))


def _unfilled(stored: StoredRun) -> Frame:
    """Return an empty frame for planned rows."""
    from evalkit.store.stored_run import empty_frame

    frame = empty_frame(dataclasses.replace(stored.manifest, sample=None))
    frame.planned_repeats = None
    return frame


def _refuse_damaged(stored: StoredRun, *, same_run: bool) -> None:
    """Reject a baseline with fewer rows than its run had."""
    file, fix = stored.folder.shown_file(stored.folder.rows_file.name), "save the baseline again from a sound run"
    if same_run:
        fix = "continue the run with `evalkit run SUITE --out RUN --resume`, which runs these cases again"
    packed = stored.folder.rows_file.suffix == ".gz"
    problems = [
        Problem(f"{file}:{line.line}", "corrupt row: checksum mismatch, or not written by evalkit", fix)
        for line in stored.damaged
        if packed or not line.torn
    ]
    if not problems and not len(stored.frame):
        problems = [Problem(file, "holds no row", fix)]
    if not problems:
        changes = before_in(stored.folder, noted=noted_in(stored.folder.path)).deciding()
        problems = [Problem(stored.folder.shown, change, fix) for change in changes]
    if problems:
        raise InputError(problems)


def _add_old_rows(stored: StoredRun, run: RunFolder, *, alone: bool) -> Frame:
    """Add the baseline system's answers from the candidate's run; return its first calls separately as well.

    Unless there are only these, a first call replaces the stored one only if it was answered and graded in full.
    """
    from evalkit.store.stored_run import empty_frame

    known = {metric.name for metric in stored.frame.metrics}
    first_calls = empty_frame(dataclasses.replace(stored.manifest, sample=None))
    for row in read_rows(run.old_rows_file):
        scores = {name: grade for name, grade in row.scores.items() if name in known}
        fitting = dataclasses.replace(row, scores=scores)
        whole = row.output is not None and all(isinstance(grade, Score) for grade in scores.values())
        if alone or row.repeat > 0 or whole:
            stored.frame.add(fitting)
        if row.repeat == 0:
            first_calls.add(fitting)
    return first_calls
