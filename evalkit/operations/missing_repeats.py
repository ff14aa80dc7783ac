"""Run the repeats that a stored run lacks, so that it becomes a baseline that shows smaller drops."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.baselines.find import FILES
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem, StoreError
from evalkit.operations.baseline import faults_of
from evalkit.operations.dry_run import dry_run
from evalkit.operations.run import Request, plan_run
from evalkit.runner.resume import differing_files, differing_parts, in_words
from evalkit.store.chain import open_journal
from evalkit.store.changes_since import before_in
from evalkit.store.folder import REPORTS, ROWS, SEAL, RunFolder
from evalkit.store.git import head_commit
from evalkit.store.row_sums import in_order
from evalkit.store.seal import file_sums, write_seal
from evalkit.store.stored_run import StoredRun, load_run, suite_file_of
from evalkit.suite.parse import load_suite
from evalkit.text.numbers import plural

if TYPE_CHECKING:
    from evalkit.formats.manifest import Manifest
    from evalkit.operations.estimate import RunEstimate

_SHORT_COMMIT = 9


@dataclass(frozen=True)
class MissingRepeats:
    """The calls that a run lacks for a number of repeats."""

    request: Request
    """Resumes a copy of the run."""
    folder: RunFolder
    """The copy; the run itself stays as it is."""
    estimate: RunEstimate


def missing_repeats(
    run: RunFolder, repeats: int, accepted: str, env: Mapping[str, str], command: str
) -> MissingRepeats | None:
    """Check that a run can be continued, copy it, and estimate the calls; nothing is called.

    The copy is `reports/RUN_ID-repeat-N`. One that an interrupted command left is continued.

    Args:
        run: a finished run or a saved baseline.
        repeats: number of repeats that the run should have.
        accepted: reason to accept a run that was not approved.
        env: the environment.
        command: command line to record.

    Returns:
        `None` if the run has so many repeats.

    Raises:
        InputError: the run cannot be a baseline, or its system, golden set or settings are not the current ones.
        StoreError: the copy cannot be written.
    """
    stored = load_run(run)
    manifest = stored.manifest
    file = suite_file_of(stored)
    name = f"{manifest.run_id}-repeat-{repeats}"
    continues = run.path.resolve().name == name
    if not continues:
        if manifest.repeats >= repeats:
            return None
        if faults := tuple(faults_of(stored, accepted)):
            raise InputError(faults)
    if file is None or manifest.imported is not None:
        what = f"its suite {manifest.suite_file} does not exist" if file is None else "was read from a file of results"
        raise InputError(Problem(run.shown, f"{what}, so its system cannot be called", "save it without --repeat"))
    suite = load_suite(file)
    folder = RunFolder(suite.root / REPORTS / name)
    request = Request(
        suite=file,
        out=folder.path,
        resume=True,
        overrides={"repeat": repeats, "seed": manifest.seed},
        baseline=manifest.baseline,
        command=command,
    )
    if problems := asyncio.run(_differences(request, stored, env)):
        raise InputError(problems)
    if not folder.path.exists():
        _copy(run, folder)
    elif not continues and _other_rows(run, folder):
        raise InputError(Problem(shown_path(folder.path), "holds other rows of this run", "delete it, and try again"))
    return MissingRepeats(request, folder, asyncio.run(dry_run(request, env))[""])


async def _differences(request: Request, stored: StoredRun, env: Mapping[str, str]) -> list[Problem]:
    """Return a problem if the run's calls and the current ones would not belong to one run."""
    before = stored.manifest
    async with AsyncExitStack() as stack:
        now = (await plan_run(request, env, stack)).manifest
    parts = differing_parts(before, now)
    parts += ["golden set"] if before.golden.sha256 != now.golden.sha256 else []
    place, fix = stored.folder.shown, _run_again(before, request)
    if parts:
        what = f"the {in_words(parts)} differs from that of the run{differing_files(before, now)}"
        return [Problem(place, what, fix)]
    if before.system.fingerprint is None:
        what = "its system has no fingerprint, so it cannot be checked for changes"
        return [Problem(place, what, f"set `system.version`, and {fix}")]
    return []


def _run_again(manifest: Manifest, request: Request) -> str:
    """Return the command that makes a run with all repeats, on the commit of the stored one."""
    run = f"evalkit run {shlex.quote(manifest.suite_file)} --repeat {request.overrides['repeat']}"
    commit = manifest.commit
    if commit and commit != head_commit(request.suite.parent):
        run = f"git switch --detach {commit[:_SHORT_COMMIT]} && {run}"
    return f"run all repeats and save that run: {run}"


def _copy(run: RunFolder, target: RunFolder) -> None:
    """Copy the files of a run, with its rows unpacked; the copy is complete or not there."""
    draft = RunFolder(target.path.with_name(f".{target.path.name}.{os.getpid()}.tmp"))
    try:
        draft.path.mkdir(parents=True)
        for file in _files(run):
            shutil.copyfile(file, draft.file(file.name))
        with open_journal(run.rows_file) as packed, draft.file(ROWS).open("wb") as rows:
            shutil.copyfileobj(packed, rows)
            rows.flush()
            os.fsync(rows.fileno())
        if not draft.file(SEAL).exists():  # a saved baseline has none
            journals, decision = draft.scans(), draft.decision()
            write_seal(draft, draft.head(decision), journals, before_in(run).decisions, file_sums(draft))
        draft.path.rename(target.path)
    except OSError as error:
        raise StoreError.of(target.path, error) from error
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)


def _files(run: RunFolder) -> Iterator[Path]:
    rows = (ROWS, f"{ROWS}.gz")
    yield from (file for name in FILES if name not in rows and (file := run.file(name)).exists())


def _other_rows(run: RunFolder, copied: RunFolder) -> bool:
    """Return whether the copy lacks rows of the run, because the run has changed since."""
    ours = dict(in_order(copied.scans()[0].sums))
    return any(ours.get(name) != checksum for name, checksum in in_order(run.scans()[0].sums))


def asked_in_words(found: RunEstimate) -> str:
    """Describe the calls that are about to be made, with their cost as far as it is known."""
    cost = found.total_usd
    price = "cost unknown"
    if cost.likely is not None:
        most = "" if cost.high in (None, cost.likely) else f", at most ${cost.high:,.4f}"
        price = f"about ${cost.likely:,.4f}{most}"
    budget = "" if found.budget_usd is None else f"; budget left ${found.budget_usd:,.2f}: {found.budget_word}"
    return f"asks for {plural(found.n_rows, 'answer')} more: {price}{budget}"
