"""Run a suite again whenever a file that it depends on is saved; these runs are partial and never gated."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from evalkit.disk.paths import project_of, shown_path
from evalkit.errors import EvalkitError, ExitCode, InputError
from evalkit.operations.run import Replies, Request, Result, run_suite
from evalkit.operations.watched_files import State, WatchedFiles, state_of, watched_files
from evalkit.results import OVERALL
from evalkit.runner.engine import Stop
from evalkit.runner.event_loop import run_to_end
from evalkit.runner.manifest import new_run_id
from evalkit.runner.plan import Selection
from evalkit.runner.resume import OtherRun
from evalkit.runner.session import Watcher
from evalkit.store.folder import REPORTS
from evalkit.store.stored_run import failed_ids
from evalkit.text.numbers import UNKNOWN, Style, estimated
from evalkit.types import Row

FOLDER = "watch"
"""Folder in `reports` that holds these runs, where neither `latest` nor a trend looks."""
LOOK_S = 0.2
"""Seconds between two looks at the files."""
QUIET_S = 0.5
"""Seconds without another save until a round begins, so that several saves are one round."""
_END_S = 8.0
_RATE = "pass_rate"
Within = Callable[[float], bool]
"""Waits so many seconds, and returns whether the user has asked to end."""


@dataclass(frozen=True, kw_only=True)
class RoundRequest:
    """The request of one round."""

    suite: str
    selection: Selection
    overrides: Mapping[str, int | float]
    fail_fast: int | None = None
    replies: Replies = "taken"
    progress: str = "auto"
    folder: str = ""
    """The run to continue: its rows count as far as they still hold. Empty for a new run."""
    failing: tuple[str, ...] | None = None
    """Ids that failed in the last round; `None` in the first one."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """The result of one round."""

    problem: str = ""
    """Why there is no result; empty if there is one."""
    exit_code: int = 0
    """Exit code of the problem."""
    folder: str = ""
    n_cases: int = 0
    n_rows: int = 0
    """Answers that were asked for or graded again."""
    pass_rate: str = UNKNOWN
    """With its interval."""
    failing: tuple[str, ...] = ()
    """Ids of cases that failed or have no complete result."""
    newly_failing: tuple[str, ...] = ()
    newly_passing: tuple[str, ...] = ()


def watch(
    asked: RoundRequest, command: Sequence[str], within: Within, show: Callable[[Round, Sequence[str]], object]
) -> None:
    """Run a suite, then again after each save, until the user asks to end or `show` raises.

    Args:
        asked: the request of the first round.
        command: starts the process of a round, which loads the project's code afresh; see `round_in_process`.
        within: see `Within`.
        show: called with each result, and the names of the files whose change led to it.

    Raises:
        InputError: the suite cannot be read at the start.
    """
    files, saved = watched_files(Path(asked.suite), os.environ), list[Path]()
    while True:
        seen = files.states()  # before the round: what is saved meanwhile begins the next one
        now = replace(asked, folder="") if files.changes_system(saved) else asked
        found = round_in_process(now, command, within)
        if found is None:
            return
        show(found, [shown_path(path) for path in saved])
        if not found.problem:
            asked = replace(asked, folder=found.folder, failing=found.failing)
        change = _next_change(Path(asked.suite), files, seen, within)
        if change is None:
            return
        files, saved = change


def _next_change(
    suite: Path, files: WatchedFiles, seen: Mapping[Path, State], within: Within
) -> tuple[WatchedFiles, list[Path]] | None:
    """Wait for a save, and return the files to watch from then on with those that changed; `None` to end."""
    while not within(LOOK_S):
        states = files.states()
        if states == seen:
            continue
        before: Mapping[Path, State] | None = None
        while states != before:
            if within(QUIET_S):
                return None
            before, states = states, files.states()
        try:
            after = watched_files(suite, os.environ)
        except InputError:  # the next round reports it; until then the files are those of before
            after = files
        states = {**after.states(), **{path: state_of(path) for path in files.paths}}
        saved = sorted(path for path in files.paths | after.paths if states[path] != seen.get(path))
        if saved:
            return after, saved
        files, seen = after, after.states()
    return None


def round_in_process(asked: RoundRequest, command: Sequence[str], within: Within) -> Round | None:
    """Make one round in a process of its own; `None` if the user asked to end meanwhile.

    The process reads `RoundRequest` as one line of JSON and writes `Round` as JSON. It ends when its input is closed.
    """
    process = subprocess.Popen(  # noqa: S603 - evalkit itself
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: S101
    said: list[bytes] = []
    reading = threading.Thread(target=lambda: said.append(process.stdout.read()), daemon=True)  # type: ignore[union-attr]
    reading.start()
    try:
        process.stdin.write(msgspec.json.encode(asked) + b"\n")
        process.stdin.flush()
        while process.poll() is None:
            if within(LOOK_S):
                return None
    except BrokenPipeError:
        pass  # it died at once, as its exit code shows
    finally:
        _end(process)
        reading.join(_END_S)
    try:
        return msgspec.json.decode(b"".join(said), type=Round)
    except msgspec.DecodeError:
        what = f"the process of the round ended with exit code {process.returncode} and without a result"
        return Round(problem=f"{what}; see its output above", exit_code=ExitCode.INTERNAL_ERROR)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the input of a process, which asks it to end, and kill it if it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def make_round(asked: RoundRequest, watcher: Watcher) -> Round:
    """Run what a change asks for, in this process: the whole selection, or what the last round's run lacks."""
    n_rows = 0

    def row(ended: Row) -> None:
        nonlocal n_rows
        n_rows += 1
        watcher.row(ended)

    counted = Watcher(begin=watcher.begin, row=row, note=watcher.note)
    suite = Path(asked.suite)
    request = Request(
        suite=suite,
        out=_new_folder(suite),
        selection=asked.selection,
        overrides=asked.overrides,
        baseline="none",
        fail_fast=asked.fail_fast,
        asks_further=False,
        replies=asked.replies,
        command=f"evalkit run {suite} --watch",
    )
    try:
        result = _continued(request, asked.folder, counted)
        return _round(result, asked.failing, n_rows)
    except EvalkitError as error:
        return Round(problem=str(error), exit_code=error.exit_code)


def _continued(request: Request, folder: str, watcher: Watcher) -> Result:
    """Continue a run, whose rows hold where case and system are the same; begin another one if none can be continued.

    Changed scorers grade the stored answers, without a call.
    """
    if folder:
        try:
            again = replace(request, out=Path(folder), resume=True)
            return run_to_end(run_suite(again, watcher, Stop(), os.environ))
        except OtherRun:
            pass
    return run_to_end(run_suite(request, watcher, Stop(), os.environ))


def _new_folder(suite: Path) -> Path:
    return project_of(suite.parent) / REPORTS / FOLDER / new_run_id(datetime.now(UTC))


def _round(result: Result, before: tuple[str, ...] | None, n_rows: int) -> Round:
    cells = result.summary.cells
    rate = next((cell.estimate for cell in cells if cell.metric == _RATE and cell.cohort == OVERALL), None)
    failing = failed_ids(result.folder)
    ids = {row.case.id for row in result.folder.rows()}
    was, now = frozenset(before or ()), frozenset(failing)
    return Round(
        folder=str(result.folder.path),
        n_cases=len(ids),
        n_rows=n_rows,
        pass_rate=estimated(rate, Style("rate")) or UNKNOWN,
        failing=failing,
        newly_failing=() if before is None else tuple(sorted(now - was)),
        newly_passing=tuple(sorted((was - now) & ids)),
    )
