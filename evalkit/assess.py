"""Rows and terms in, summary and decision out: what `run` and `gate` share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Problem
from evalkit.paths import inside_project, shown_path
from evalkit.results import Amendment, Decision, Summary
from evalkit.runner.earlier import QUARANTINED
from evalkit.store.baselines import find_baseline, how_to_save
from evalkit.store.breach import before_in
from evalkit.store.folder import RunFolder, is_name
from evalkit.store.git import PREFIX
from evalkit.store.journal import read_rows
from evalkit.store.running import noted_in
from evalkit.types import Metric, Score

if TYPE_CHECKING:
    from evalkit.aggregate.calibration import Calibration
    from evalkit.aggregate.frame import Frame
    from evalkit.aggregate.frozen import FrozenFrame
    from evalkit.aggregate.labels import Label
    from evalkit.gate.baseline import Baseline
    from evalkit.gate.decide import NeedsRepeats
    from evalkit.gate.policy import Policy
    from evalkit.stored import StoredRun
    from evalkit.suite.model import Suite
    from evalkit.types import Case

NO_BASELINE = "none"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a decision depends on besides the rows."""

    suite: str
    """Name of the suite."""
    policy: Policy
    baseline: Baseline | None = None
    baseline_folder: RunFolder | None = None
    """Where the baseline's rows stand, for reports that show both answers."""
    baseline_title: str = ""
    """What the baseline is called in one word; empty where nothing is compared."""
    labels: tuple[Label, ...] = ()
    kappa_floors: Mapping[str, float] = field(default_factory=dict)
    calibrations: tuple[Calibration, ...] = ()
    """What is known of the judges from other runs."""
    score_keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Metric -> what its scores are made by; a calibration of anything else has expired."""
    partial: str | None = None
    seed: int = 0
    production: Mapping[str, float] = field(default_factory=dict)
    traffic_per_month: int | None = None
    amendments: tuple[Amendment, ...] = ()
    """What was changed in the rules since the base."""
    amended_since: str = ""
    """Where the rules before stood; empty where none are known."""
    former: tuple[Case, ...] | None = None
    """Cases of the base that were removed or edited; `None` where they are not known."""
    former_blocks: bool = False
    """Whether they may block: those of a commit. Since a stored baseline the set may have changed for good reasons."""
    notes: tuple[str, ...] = ()
    """Sentences that go with the figures, such as where a judge was measured."""


def assess(
    frame: Frame, terms: Terms, *, expected: int, wall_s: float | None = None, final: bool = False
) -> tuple[Summary, Decision | NeedsRepeats]:
    """Aggregate the rows and decide.

    Args:
        frame: the rows of the run.
        terms: suite, baseline and labels.
        expected: rows that the plan asked for.
        final: nothing can be run again: decide with what is there.
        wall_s: seconds that the calls took, `None` where unknown (a resumed or stored run).
    """
    from evalkit.aggregate.frozen import freeze
    from evalkit.aggregate.judges import with_judges
    from evalkit.aggregate.summary import summarise
    from evalkit.gate.amendments import amended, case_changes
    from evalkit.gate.decide import decide

    frozen = freeze(frame)
    summary = summarise(
        frozen,
        suite=terms.suite,
        expected=expected,
        repeats=terms.policy.repeats,
        production=terms.production,
        traffic_per_month=terms.traffic_per_month,
        wall_s=wall_s,
    )
    summary = with_judges(
        frozen,
        summary,
        terms.labels,
        floors=terms.kappa_floors,
        calibrations=terms.calibrations,
        score_keys=terms.score_keys,
    )
    summary = dataclasses.replace(summary, notes=(*summary.notes, *terms.notes))
    decision = decide(
        frozen,
        summary,
        terms.policy,
        baseline=terms.baseline,
        partial=terms.partial or _unfinished(frozen, expected, terms.policy.repeats),
        seed=terms.seed,
        final=final,
    )
    if isinstance(decision, Decision):
        # Where the old cases are known, what they say now is added to the decision later.
        told = terms.former is None and terms.partial is None
        cases = case_changes(decision.comparison) if told else ()
        since = terms.amended_since or ("" if terms.baseline is None else f"baseline {terms.baseline.run_id}")
        decision = amended(decision, (*terms.amendments, *cases), since)
    return summary, decision


def _unfinished(frame: FrozenFrame, expected: int, repeats: int) -> str | None:
    """Why the rows are not the whole run, however few are missing; `None` where they are."""
    left_out = sum(count for reason, count in frame.skipped_reasons.items() if reason.startswith(QUARANTINED))
    if left_out:
        return f"{left_out} quarantined; try again with --retry-errors"
    missing = expected - int((frame.repeats < repeats).sum())
    return f"{missing} of {expected} rows are missing; go on with --resume" if missing > 0 else None


def read_labels_of(suite: Suite, metrics: Iterable[Metric] = ()) -> tuple[Label, ...]:
    """Read the labels that the suite names.

    Args:
        suite: names the files.
        metrics: of the run that they are for, where it is known.

    Raises:
        InputError: with every problem of the label files.
    """
    if not suite.label_files:
        return ()
    from evalkit.golden.labels import read_labels

    shown = [file.relative_to(suite.root).as_posix() for file in suite.label_files]
    return read_labels(suite.label_files, shown, metrics)


def find_baseline_of(suite: Suite, asked: str | None) -> RunFolder | None:
    """The baseline that the gate compares with, `None` where there is none yet or none is wanted.

    Args:
        suite: names a baseline under `gate: no_regression`.
        asked: a name or run folder that stands in for it; `none` for no comparison.

    Raises:
        InputError: if what was named is no run.
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
    """The baseline that the suite names, a run folder inside the project included."""
    try:
        if not is_name(name):
            inside_project(suite.root, name)
        return find_baseline(name, suite.root)
    except (InputError, ValueError) as error:
        text = str(error.problems[0]) if isinstance(error, InputError) else str(error)
        key = next(key for key in suite.lines if key.endswith("no_regression"))
        what, _, mend = text.removeprefix(f"{name}: ").partition("; ")
        raise InputError(Problem(suite.place(f"{key}.baseline"), f"{name!r}: {what}", mend)) from None


def baseline_name_of(suite: Suite, asked: str | None) -> str | None:
    """What the gate compares with, by the name that finds it; `None` for nothing."""
    named = named_baselines(suite)
    name = asked or (named[0] if named else None)
    return None if name == NO_BASELINE else name


def baseline_title(name: str | None, folder: RunFolder | None) -> str:
    """What a baseline is called in one word: its name, the commit's that it is read from, or its folder's; `@commit`.

    Args:
        name: what finds it, `None` for no comparison.
        folder: where it was found, `None` where there is none of that name yet.
    """
    if name is None or folder is None:
        return "" if name is None else f"{name} (none yet)"
    short = name.removeprefix(PREFIX).partition(":")[0] if name.startswith(PREFIX) else PurePath(name).name
    commit = str(folder.manifest().get("commit") or "")
    return f"{short}@{commit[:7]}" if commit else short


def named_baselines(suite: Suite) -> tuple[str, ...]:
    """What the suite's gate compares with, by name."""
    from evalkit.gate.policy import NoRegression

    return tuple(check.baseline for check in suite.policy.checks if isinstance(check, NoRegression))


def load_baseline(
    folder: RunFolder | None, score_keys: Mapping[str, Mapping[str, str]], run: RunFolder | None = None
) -> Baseline | None:
    """Read a saved baseline or run folder.

    Args:
        folder: of the baseline, `None` where there is none.
        score_keys: what the candidate's scores were made by.
        run: the candidate's folder, which holds what the baseline's system was asked again.

    Raises:
        InputError: if its rows cannot be read as a run.
    """
    if folder is None:
        return None
    from evalkit.aggregate.frozen import freeze
    from evalkit.gate.baseline import Baseline
    from evalkit.stored import load_run

    stored, first_calls = load_run(folder), None
    # Runs are compared case by case: what the baseline's cases stood for plays no part.
    stored.frame.sample = None
    _refuse_damaged(stored)
    if run is not None and run.old_rows_file.exists():
        first_calls = _add_old_rows(stored, run)
    return Baseline(
        run_id=stored.run_id,
        frame=freeze(stored.frame),
        score_keys=stored.score_keys,
        candidate_score_keys=score_keys,
        by_turns=freeze(first_calls) if first_calls is not None and len(first_calls) else None,
    )


def _refuse_damaged(stored: StoredRun) -> None:
    """A baseline with fewer rows than its run had would be another baseline."""
    file, mend = shown_path(stored.folder.rows_file), "save the baseline again from a sound run"
    packed = stored.folder.rows_file.suffix == ".gz"
    problems = [
        Problem(f"{file}:{line.line}", "a damaged row: its checksum does not fit, or it is none of ours", mend)
        for line in stored.damaged
        if packed or not line.torn
    ]
    if not problems and not len(stored.frame):
        problems = [Problem(file, "holds no row", mend)]
    if not problems:
        changes = before_in(stored.folder, noted=noted_in(stored.folder.path)).deciding()
        problems = [Problem(shown_path(stored.folder.path), change, mend) for change in changes]
    if problems:
        raise InputError(problems)


def _add_old_rows(stored: StoredRun, run: RunFolder) -> Frame:
    """Add what the baseline's system answered during the candidate's run; gives its first calls once more, alone.

    A first call takes the place of the stored one only where it was answered and graded in full.
    """
    from evalkit.stored import empty_frame

    known = {metric.name for metric in stored.frame.metrics}
    first_calls = empty_frame({**stored.manifest, "sample": None})
    for row in read_rows(run.old_rows_file):
        scores = {name: grade for name, grade in row.scores.items() if name in known}
        fitting = dataclasses.replace(row, scores=scores)
        whole = row.output is not None and all(isinstance(grade, Score) for grade in scores.values())
        if row.repeat > 0 or whole:
            stored.frame.add(fitting)
        if row.repeat == 0:
            first_calls.add(fitting)
    return first_calls


def refuse_incomparable(decision: Decision) -> None:
    """Refuse a decision whose baseline was scored by other scorers, rubrics or judges.

    Raises:
        InputError: naming each metric and the part that differs.
    """
    found = decision.comparison
    if found is not None and found.incomparable:
        mend = "score its stored answers again with `evalkit score`, and save that run as the baseline"
        place = f"baseline {found.baseline_id}"
        raise InputError(
            Problem(place, f"its {name} was scored otherwise ({part})", mend)
            for name, part in found.incomparable.items()
        )
