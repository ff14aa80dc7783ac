"""Run the held-out cases of a golden set in a private folder, and publish only their figures."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.baselines.load import load_baseline
from evalkit.disk.json_files import read_json, to_json
from evalkit.errors import InputError, Problem, StoreError
from evalkit.gate.paired_gain import paired_gain
from evalkit.gate.policy import Policy
from evalkit.golden.held_out import ENOUGH, held_file, hidden, make_private, read_held
from evalkit.golden.stored_lock import is_locked, lockable, read_lock
from evalkit.operations.run import Request, run_suite
from evalkit.results import HeldGain, HeldOut, Summary
from evalkit.runner.engine import Stop
from evalkit.runner.session import Interrupted, Watcher
from evalkit.store.folder import HELD, HELD_FIGURES, RunFolder
from evalkit.store.history import MOST_READ, UNFINISHED, stored_runs
from evalkit.store.looks import HeldLook, add_look, user
from evalkit.suite.model import Suite

if TYPE_CHECKING:
    from evalkit.formats.manifest import ScoreKeys
    from evalkit.gate.pairing import Baseline

_ROWS = "run"
"""Name of the folder with their rows."""


async def run_held(
    suite: Suite, request: Request, folder: RunFolder, watcher: Watcher, stop: Stop, env: Mapping[str, str]
) -> HeldOut | None:
    """Run the held-out cases of a suite's golden set, if it has any and this is a whole run of one system.

    The rows and the figures of single cases are in `held/` of the run, which only its owner can read. Judges' replies
    are neither taken from the cache nor kept there. Budget and deadline are the suite's, for these cases alone.

    Args:
        suite: the checked suite, with the overrides of the run.
        request: of the open run.
        folder: folder of the open run, which is entered.
        watcher: hears that the cases are run, and nothing of them.
        stop: stops the run.
        env: the environment.

    Returns:
        The figures of cohorts with at least 10 cases, or why there are none.

    Raises:
        InputError: there are problems in the held-out cases; none is shown.
        StoreError: the disk failed.
        Interrupted: the user stopped the run.
    """
    file = suite.golden_file
    if file is None or not lockable(file.name) or not request.asks_further:
        return None
    if request.answers is not None or request.selection.partial is not None:
        return None
    n_locked = read_lock(file).n_held if is_locked(file) else 0
    cases = read_held(file)
    if cases is None:
        gone = HeldOut(n_cases=n_locked, cells=(), missing="their file is not on this machine")
        return _kept(folder, gone) if n_locked else None
    watcher.note(f"{len(cases)} held-out cases are run first, and not shown")
    inside = folder.file(HELD)
    _make(inside)
    part = stop.part(lambda: None)
    summary = await _figures(suite, request, inside, part, env)
    if part.reason is not None:
        return _kept(folder, HeldOut(n_cases=len(cases), cells=(), missing=part.reason))
    split = hashlib.sha256("".join(sorted(case.digest for case in cases)).encode()).hexdigest()[:16]
    at = datetime.now(UTC).isoformat(timespec="seconds")
    look = HeldLook(set=file.name.partition(".")[0], split=split, run=folder.manifest().run_id, at=at, by=user())
    cells = tuple(cell for cell in summary.cells if cell.n_cases >= ENOUGH)
    n_looks, since = add_look(suite.root, look), _since(suite, folder)
    return _kept(folder, HeldOut(n_cases=summary.n_cases, cells=cells, n_looks=n_looks, since=since))


def _since(suite: Suite, folder: RunFolder) -> HeldGain | None:
    """Return the gain on the held-out cases since the first stored version of the system that has rows of them."""
    manifest = folder.manifest()
    around = stored_runs(folder.path.resolve().parent, suite=suite.name, most_read=MOST_READ)
    for past in around:
        first = RunFolder(Path(past.folder))
        if past.outcome == UNFINISHED or past.partial or past.system in ("", manifest.system.identity):
            continue
        if past.score_keys != manifest.score_keys or _rows_of(first).decision() is None:
            continue
        before = load_baseline(_rows_of(first), manifest.score_keys)
        now = load_baseline(_rows_of(folder), manifest.score_keys)
        if before is None or now is None or (gain := paired_gain(now.frame, before.frame)).n < ENOUGH:
            continue
        place = os.path.relpath(first.path.resolve(), suite.root.resolve())
        return HeldGain(run_id=past.run_id, folder=Path(place).as_posix(), gain=gain)
    return None


def open_before(held: HeldOut | None, root: Path, score_keys: ScoreKeys) -> Baseline | None:
    """Read the run since which the gain on held-out cases was measured; `None` if there is none any more.

    Raises:
        InputError: its rows are damaged.
    """
    if held is None or held.since is None:
        return None
    first = RunFolder(root / held.since.folder)
    return load_baseline(first, score_keys) if first.decision() is not None else None


def _rows_of(folder: RunFolder) -> RunFolder:
    return RunFolder(folder.file(HELD) / _ROWS)


def held_of(folder: RunFolder) -> HeldOut | None:
    """Read the figures of held-out cases that a run kept; `None` if it has none.

    Raises:
        InputError: they are damaged.
    """
    import msgspec

    file = folder.file(HELD_FIGURES)
    try:
        return msgspec.convert(read_json(file), HeldOut) if file.exists() else None
    except (OSError, ValueError) as error:
        shown = folder.shown_file(HELD_FIGURES)
        raise InputError(Problem(shown, f"cannot be read: {error}", "run the suite again")) from None


def _kept(folder: RunFolder, held: HeldOut) -> HeldOut:
    folder.write_text(HELD_FIGURES, to_json(asdict(held)))
    return held


def _make(inside: Path) -> None:
    try:
        inside.mkdir(mode=0o700, exist_ok=True)
        inside.chmod(0o700)
    except OSError as error:
        raise StoreError(f"{inside}: cannot be made ({error.strerror}); choose another folder with --out") from None


async def _figures(suite: Suite, request: Request, inside: Path, stop: Stop, env: Mapping[str, str]) -> Summary:
    """Run the cases without a gate."""
    rows, file = inside / _ROWS, held_file(suite.golden_file or Path())
    own = dataclasses.replace(
        suite,
        golden=dataclasses.replace(suite.golden, path=file.name),
        golden_file=file,
        golden_shown=file.name,
        options=dataclasses.replace(suite.options, sample=None),
        policy=Policy(()),
        baseline_system=None,
        label_files=(),
        variants=(),
    )
    asked = Request(
        suite=suite.path,
        out=rows,
        resume=rows.exists(),
        retry_errors=request.retry_errors and rows.exists(),
        baseline="none",
        asks_further=False,
        replies="none",
        process=request.process,
    )
    try:
        return (await run_suite(asked, Watcher(), stop, env, own)).summary
    except InputError as error:
        raise hidden(file, error) from None
    except Interrupted:
        raise Interrupted(RunFolder(inside.parent)) from None
    finally:
        (inside / ".gitignore").write_text("*\n", encoding="utf-8")
        make_private(inside)
