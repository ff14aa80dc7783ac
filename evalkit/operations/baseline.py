"""Describe a baseline and check that the current suite can be compared with it."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.aggregate.frozen import freeze
from evalkit.baselines.find import NO_ANSWERS, find_baseline, how_to_save
from evalkit.baselines.save import save_baseline
from evalkit.disk.paths import project_of
from evalkit.errors import InputError, Problem
from evalkit.formats.manifest import Manifest, ReplacedBaseline, manifest_record
from evalkit.gate.critical_cases import RUNS
from evalkit.gate.no_regression import MIN_OVERLAP
from evalkit.gate.pairing import Baseline
from evalkit.gate.policy import NoRegression, Policy
from evalkit.gate.words import save_with_repeats
from evalkit.operations.noise import Detectable, seen_against
from evalkit.runner.inputs import fix_of_scores, unlike_scores
from evalkit.runner.prepare import Prepared, prepare
from evalkit.store.changes_since import before_in
from evalkit.store.folder import RunFolder
from evalkit.store.git import git
from evalkit.store.history import read_past_run
from evalkit.store.running import noted_in
from evalkit.store.stored_run import StoredRun, load_run, suite_file_of
from evalkit.suite.parse import load_suite
from evalkit.text.numbers import change, figure, plural, style_of

if TYPE_CHECKING:
    from evalkit.suite.model import Suite

_AGAIN = "run the suite again and save that run"
_SHOWN = 5


@dataclass(frozen=True)
class Facts:
    """A description of a stored run."""

    manifest: Manifest
    outcome: str | None
    """The decision; `None` if the run has none."""
    n_cases: int
    n_rows: int
    n_damaged: int
    states: Mapping[str, int]
    sees: tuple[Detectable, ...]
    """The smallest drop of the pass rate that a comparison with it can show, by cohort."""


def facts_of(stored: StoredRun, suite: Suite | None = None) -> Facts:
    """Collect the facts that describe a stored run as a baseline.

    Args:
        stored: the run.
        suite: suite of the comparison; `None` if its file is gone, so that the default gate applies.
    """
    frame, decision = freeze(stored.frame), stored.folder.decision()
    sees: tuple[Detectable, ...] = ()
    if "pass_rate" in frame.cases:
        sees = seen_against(
            frame,
            Policy(()) if suite is None else suite.policy,
            repeats=1 if suite is None else suite.options.repeat,
            trusted=stored.folder.trusted_judges(),
        )
    outcome = None if decision is None else str(decision["outcome"])
    return Facts(
        manifest=stored.manifest,
        outcome=outcome,
        n_cases=frame.n_cases,
        n_rows=len(frame.row_case),
        n_damaged=len(stored.damaged),
        states=frame.states,
        sees=sees,
    )


def more_repeats(manifest: Manifest, name: str) -> str:
    """Recommend a baseline of four runs, with the command to copy; empty if it already has four.

    Args:
        manifest: manifest of the saved baseline.
        name: its name.
    """
    repeats = manifest.repeats
    if repeats >= RUNS or manifest.imported is not None:
        return ""
    has = f"it holds {plural(repeats, 'run')} of each case; {RUNS} find smaller drops at the same rate of false blocks"
    return f"{has}: {save_with_repeats(name, name, RUNS)}"


def how_to_commit(saved: RunFolder) -> str:
    """Return how to share a saved baseline; empty outside a git repository, and for one that is committed as it is."""
    try:
        changed = git(saved.path, "status", "--porcelain", "--", ".")
    except InputError:
        return ""
    add = shlex.join(["git", "add", saved.shown])
    return f"commit it, so that other people and CI compare with it: {add}" if changed else ""


def faults_of(stored: StoredRun, accepted: str = "") -> Iterator[Problem]:
    """Yield the reasons why a stored run cannot be a baseline.

    Args:
        stored: the run.
        accepted: reason to accept it although it was not approved.
    """
    place, manifest, decision = str(stored.folder.path), stored.manifest, stored.folder.decision()
    if stored.damaged:
        lines = ", ".join(str(each.line) for each in stored.damaged[:_SHOWN])
        more = f" and {len(stored.damaged) - _SHOWN} more" if len(stored.damaged) > _SHOWN else ""
        word = "row does" if len(stored.damaged) == 1 else "rows do"
        what = f"{len(stored.damaged)} {word} not fit its checksum, line {lines}{more}"
        yield Problem(str(stored.folder.rows_file), what, _AGAIN)
    frame = freeze(stored.frame)
    n_rows = len(frame.row_case)
    if n_rows and not frame.has_answers:
        yield Problem(place, NO_ANSWERS, _AGAIN)
    if n_rows < manifest.expected:
        yield Problem(place, f"{n_rows} of {manifest.expected} rows are there", _AGAIN)
    if manifest.partial:
        yield Problem(place, f"a partial run ({manifest.partial})", "run the whole suite and save that run")
    if manifest.stopped_early is not None and not accepted:
        fix = 'run all cases without `early_stop` and save that run, or say why with --accept "..."'
        yield Problem(place, str(manifest.stopped_early), fix)
    if decision is None or decision.get("run_id") != manifest.run_id:
        yield Problem(place, "no decision of this run beside its rows", _AGAIN)
    for sentence in before_in(stored.folder, noted=noted_in(stored.folder.path)).sentences():
        yield Problem(place, sentence, _AGAIN)
    if decision is not None and decision["outcome"] in ("blocked", "no decision") and not accepted:
        what = f"the run's decision is {decision['outcome']!r}"
        yield Problem(place, what, 'say why it may be the baseline with --accept "...", or save another run')


def replaced(saved: RunFolder) -> Iterator[str]:
    """Describe the baseline that a saved one replaced, with each overall figure that differs; empty without one."""
    manifest, now = saved.manifest(), read_past_run(saved)
    before = manifest.replaces
    if not isinstance(before, ReplacedBaseline):
        return
    yield f"it replaces run {before.run_id or 'unknown'}, which was {before.outcome}"
    metrics = {metric.name: metric for metric in manifest.metrics}
    then, values = before.values, now.values if now is not None else {}
    for name in sorted({*then, *values}):
        was, found = then.get(name), values.get(name)
        style = style_of(name, metrics.get(name))
        if was is not None and found is not None and was != found:
            yield f"  {name} {change(was, found, style)}"
        elif was != found:
            yield f"  {name} {figure(was, style)} → {figure(found, style)}"


def differences(stored: StoredRun, digests: Collection[str], prepared: Prepared) -> Iterator[Problem]:
    """Yield the reasons why a baseline cannot be compared with a suite.

    Args:
        stored: the baseline.
        digests: digests of the cases in the current golden set.
        prepared: the checked suite.
    """
    place = f"baseline {stored.run_id}"
    known = {row.case.digest for row in stored.folder.rows()}
    paired = len(known & set(digests))
    if known and paired / len(known) < MIN_OVERLAP:
        what = f"{paired} of its {len(known)} cases are those of {prepared.golden.path} today, need {MIN_OVERLAP:.0%}"
        yield Problem(place, what, _AGAIN)
    baseline = Baseline(stored.run_id, freeze(stored.frame), stored.score_keys, prepared.score_keys)
    checks = [check for check in prepared.suite.policy.checks if isinstance(check, NoRegression)]
    compared = [(check.metrics, check.baseline) for check in checks]
    for metrics, name in compared or [(None, stored.folder.shown)]:
        fix = fix_of_scores(prepared.suite, stored.folder, name)
        yield from unlike_scores(prepared, baseline, metrics, place, fix)


def find_stored(name: str) -> StoredRun:
    """Read a saved baseline of the project of the current folder.

    Raises:
        InputError: there is no baseline of that name, or it cannot be read.
    """
    folder = find_baseline(name, project_of(Path.cwd()))
    if folder is None:
        raise InputError(Problem("", f"no baseline called {name!r}", how_to_save(name)))
    return load_run(folder)


def suite_of(stored: StoredRun) -> Suite | None:
    """Return the current version of the suite of a run; `None` if it is gone or cannot be read."""
    file = suite_file_of(stored)
    if file is None:
        return None
    try:
        return load_suite(file)
    except InputError:
        return None


def save_run(folder: RunFolder, name: str, accepted: str = "") -> RunFolder:
    """Save a run as a baseline of the project of the current folder.

    Args:
        folder: the run.
        name: name of the baseline.
        accepted: reason to accept a run that was not approved.

    Raises:
        InputError: reports everything that prevents the run from being a baseline.
        StoreError: it cannot be written.
    """
    faults = tuple(faults_of(load_run(folder), accepted))
    if faults:
        raise InputError(faults)
    return save_baseline(folder, name, project_of(Path.cwd()), accepted)


def problems_of(stored: StoredRun, suite_file: Path | None, env: Mapping[str, str]) -> Iterator[Problem]:
    """Return everything that prevents a stored run from being the baseline of a suite.

    Args:
        stored: the run.
        suite_file: the suite, `None` for the one of the run.
        env: the environment, for secrets.

    Raises:
        InputError: the suite cannot be read.
    """
    yield from faults_of(stored, stored.manifest.accepted or "")
    found = suite_file or suite_file_of(stored) or Path(stored.manifest.suite_file)
    if found.is_file():
        yield from asyncio.run(_differences(stored, found, env))
    else:
        yield Problem(stored.run_id, f"its suite {found} does not exist", "name one with --suite")


async def _differences(stored: StoredRun, suite_file: Path, env: Mapping[str, str]) -> list[Problem]:
    async with AsyncExitStack() as stack:
        prepared = await prepare(load_suite(suite_file), env, stack)
        return list(differences(stored, {case.digest for case in prepared.golden.outlines()}, prepared))


def facts_record(facts: Facts) -> dict[str, Any]:
    """Convert facts to JSON."""
    return {**asdict(facts), "manifest": manifest_record(facts.manifest)}
