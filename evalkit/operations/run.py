"""Run a suite from its file to a decision on disk, or decide again from stored rows."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import ExitCode, InputError, Problem, what_and_fix
from evalkit.formats.manifest import Manifest
from evalkit.gate.assess import Terms, assess, refuse_incomparable
from evalkit.gate.earlier_decisions import (
    EarlierDecisions,
    Written,
    of_answers,
    of_baseline,
    of_compared,
    of_resumed,
    of_stored_rows,
    write_decision,
)
from evalkit.golden.held_ids import held_notice
from evalkit.golden.lock import lock_problems
from evalkit.golden.shards import Shard, read_shard
from evalkit.operations.one_system import refuse_several
from evalkit.operations.paid_calls import refuse_unlimited
from evalkit.results import Decision, Summary
from evalkit.runner.chat_clients import Replies
from evalkit.runner.conversations import open_system
from evalkit.runner.draw import chosen_cases
from evalkit.runner.early_stop import looks_at, terms_of_stopped
from evalkit.runner.engine import Stop
from evalkit.runner.inputs import other_problems, refuse_places, refuse_unfit, warnings_of
from evalkit.runner.manifest import manifest_of
from evalkit.runner.old_cases import with_former
from evalkit.runner.open_files import make_room
from evalkit.runner.plan import Selection
from evalkit.runner.prepare import prepare
from evalkit.runner.resume import Resume, checked_golden, enter
from evalkit.runner.session import Session, Watcher
from evalkit.runner.shard_calls import EngineFlags, ShardedCalls, sharded_calls, take_written
from evalkit.runner.stored_answers import answered_by, answers_of
from evalkit.runner.systems import compared_folders, suite_of_run, terms_of_stored_system
from evalkit.runner.terms import terms_of_run, terms_of_stored
from evalkit.runner.variants import with_variants
from evalkit.store.folder import RunFolder, new_run_folder
from evalkit.store.journal import Journal
from evalkit.store.running import Running, refuse_if_running
from evalkit.store.shards import unended
from evalkit.store.stored_run import failed_ids, load_run, suite_file_of
from evalkit.suite.overrides import with_overrides

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared
    from evalkit.suite.model import Suite
    from evalkit.trust.labels import Label


__all__ = [
    "EngineFlags",
    "Replies",
    "Request",
    "Result",
    "decide_again",
    "failed_ids",
    "plan_run",
    "refuse_places",
    "run_suite",
]


@dataclass(frozen=True, kw_only=True)
class Request:
    """The settings of a run that override the suite's."""

    suite: Path
    out: Path | None = None
    resume: bool = False
    retry_errors: bool = False
    """With `resume`: retry system errors, ungraded scores and skipped cases."""
    selection: Selection = dataclasses.field(default_factory=Selection)
    overrides: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Suite options set for this run (`repeat`, `concurrency`, `seed`, `budget_usd`, `deadline_s`), and `timeout_s`."""
    baseline: str | None = None
    """Baseline name or run folder instead of the suite's; `none` compares with nothing."""
    answers: RunFolder | None = None
    """A stored run whose answers are graded again; the system is not called."""
    fail_fast: int | None = None
    """Number of failed cases after which no new one starts."""
    engine: EngineFlags | None = None
    """The flags that choose an engine; `None` if the cases are run in this process, whatever the suite says."""
    asks_further: bool = True
    """Whether removed or edited cases of the base, held-out cases and variants are run too."""
    replies: Replies = "taken"
    """Use of cached judge replies."""
    written: tuple[Path, ...] = ()
    """Files that the caller writes after the decision."""
    command: str = ""
    process: int = 0
    """Process id that the user started, 0 for this process."""
    meanwhile: Callable[[], object] = lambda: None
    """Called in a thread while calls are in flight, to prepare the reports."""


@dataclass(frozen=True)
class Planned:
    """A checked run that has not started."""

    prepared: Prepared
    terms: Terms
    chosen: frozenset[str] | None
    """Digests of the chosen cases, `None` for all."""
    manifest: Manifest
    out: Path
    """The folder of the run; it may not exist yet."""
    sharded: ShardedCalls | None = None
    """How the cases are run in other processes; `None` if they are run in this one."""


@dataclass(frozen=True)
class Result:
    """A finished run."""

    folder: RunFolder
    manifest: Manifest
    """Manifest of the folder, with the head of the run."""
    summary: Summary
    decision: Decision
    baseline: RunFolder | None
    sha256: str
    """SHA-256 of `decision.json` as written."""
    labels: tuple[Label, ...] = ()
    """Raters' labels, shown in reports beside the judge's grades."""

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of the decision."""
        from evalkit.gate.decide import exit_code

        return exit_code(self.decision)


async def run_suite(
    request: Request,
    watcher: Watcher,
    stop: Stop,
    env: Mapping[str, str],
    suite: Suite | None = None,
) -> Result:
    """Run a suite, decide, and write summary and decision; reports are made from the folder afterwards.

    Args:
        request: settings of the run.
        watcher: hears of its progress.
        stop: stops it.
        env: the environment.
        suite: the suite, if it has been read.

    Raises:
        InputError: reports every problem of suite, data, flags and baseline, before the first call.
        StoreError: the disk failed; rows in the journal are kept.
        Interrupted: the user stopped the run.
    """
    with ExitStack() as holding:
        async with AsyncExitStack() as stack:
            planned = await plan_run(request, env, stack, suite)
            refuse_unlimited([planned])
            prepared, terms, chosen = planned.prepared, planned.terms, planned.chosen
            suite = prepared.suite
            folder = RunFolder(new_run_folder(planned.out, resume=request.resume).path.absolute())
            running = holding.enter_context(Running(folder.path, request.process))
            take_written(folder, running)
            resume = Resume(prepared, chosen, watcher, stop, request.resume, request.retry_errors)
            place = enter(folder, planned.manifest, running, resume)
            from evalkit.operations.further_cases import run_further

            terms = await run_further(prepared, terms, request, folder, watcher, stop, env)
            session = Session(prepared, watcher, stop, place, chosen, request.fail_fast)
            if planned.sharded is None and request.answers is None:
                session.looks = looks_at(prepared, terms)
            if planned.sharded is not None:
                session.on_engine = partial(planned.sharded.ask, session)
            if (deadline_s := suite.options.deadline_s) is not None:
                reason = f"deadline of {deadline_s:g} s reached; continue with --resume"
                asyncio.get_running_loop().call_later(deadline_s, stop.at_once, reason)
            answer = await stack.enter_async_context(open_system(suite.system, prepared))
            preparing = asyncio.create_task(aside(request.meanwhile))
            with Journal(folder.rows_file) as journal:
                summary, decision = await session.to_decision(answer, journal, terms)
            await preparing
        # The system is closed by now, and the process state is restored.
        earlier = of_resumed(place.before) + of_baseline(terms.baseline_folder, terms.baseline_title)
        if request.answers is not None:
            earlier = of_answers(request.answers, suite.root) + earlier
        result = finish(session, summary, decision, terms, earlier)
        if stop.reason is None:
            running.finished()
    return result


def finish(session: Session, summary: Summary, decision: Decision, terms: Terms, earlier: EarlierDecisions) -> Result:
    """Write the manifest of a run that has ended, and its decision.

    Raises:
        StoreError: a file cannot be written.
    """
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = dataclasses.replace(
        session.manifest,
        expected=session.expected,
        stopped_early=session.stopped,
        finished_at=finished,
        wall_s=session.wall_s,
    )
    session.folder.write_manifest(manifest)
    root = session.prepared.suite.root
    written = write_decision(session.folder, manifest, summary, decision, earlier, root)
    return _result(session.folder, manifest, summary, written, terms)


async def aside(prepare: Callable[[], object]) -> None:
    """Run `prepare` in a thread; what fails there is left for later."""
    with suppress(Exception):  # what cannot be prepared is reported where it is needed
        await asyncio.to_thread(prepare)


async def plan_run(
    request: Request, env: Mapping[str, str], stack: AsyncExitStack, suite: Suite | None = None
) -> Planned:
    """Check everything that a run depends on and choose its cases, without calling or writing anything.

    Raises:
        InputError: reports every problem of suite, data, flags and baseline.
        NothingSelected: no case is left.
    """
    from evalkit.suite.parse import load_suite

    refuse_places(request.written)
    suite = with_overrides(suite or load_suite(request.suite), request.overrides)
    if request.answers is not None:
        suite = suite_of_run(suite, request.answers.manifest())
    refuse_several(suite)
    suite = suite if request.asks_further else dataclasses.replace(suite, variants=())
    suite = suite if request.answers is None else answered_by(suite, request.answers)
    sharded = sharded_calls(request.engine, suite, request.overrides, request.replies, request.fail_fast)
    make_room(suite)
    if request.out is not None:
        refuse_if_running(request.out)
    prepared, terms = await ready(suite, request, env, stack)
    chosen, sample = chosen_cases(prepared, request.selection)
    n_cases = prepared.golden.n_cases if chosen is None else len(chosen)
    manifest = manifest_of(
        prepared,
        terms,
        now=datetime.now(UTC),
        expected=n_cases * suite.options.repeat,
        sample=sample,
        command=request.command,
    )
    answers = None if request.answers is None else answers_of(request.answers)
    manifest = dataclasses.replace(manifest, baseline=request.baseline, answers=answers)
    out = request.out or suite.root / "reports" / manifest.run_id
    return Planned(prepared, terms, chosen, manifest, out, sharded)


def decide_again(
    folder: RunFolder,
    suite_file: Path | None,
    baseline: str | None,
    env: Mapping[str, str] | None = None,
    *,
    unlocked: bool | None = None,
) -> Result:
    """Decide from stored rows with the current gate of the suite file; nothing is called.

    Args:
        folder: a run folder.
        suite_file: suite whose gate decides, `None` for the suite of the run.
        baseline: name or run folder instead of the suite's; `none` compares with nothing.
        env: the environment, in which CI names the target branch.
        unlocked: False rejects a golden set that differs from its lock, True gives no decision, and `None` ignores the
            lock.

    Raises:
        InputError: the folder, the suite or the baseline cannot be read, or the set differs from its lock.
    """
    from evalkit.suite.parse import load_suite

    refuse_if_running(folder.path)
    stored = load_run(folder)
    if stored.manifest.imported is not None and suite_file is None:
        fix = "compare the files again with `evalkit compare`"
        raise InputError(Problem(str(folder.path), "holds results of a file, which belong to no suite", fix))
    found = suite_file or suite_file_of(stored)
    if found is None:
        what = f"its suite {stored.manifest.suite_file} does not exist"
        raise InputError(Problem(str(folder.path), what, "name one with --suite"))
    suite = load_suite(found)
    if suite.systems:
        terms = terms_of_stored_system(suite, stored.manifest, baseline, folder, env or {})
    else:
        terms = terms_of_stored(suite, stored.manifest, baseline, folder, env or {})
    from evalkit.operations.further_cases import with_further

    partly = [terms.partial, "--unlocked" if unlocked else "", unended(folder.path)]
    terms = with_further(terms, folder, suite.root, stored.manifest)
    terms = dataclasses.replace(terms, partial=" ".join(filter(None, partly)) or None)
    if unlocked is False and (changed := tuple(lock_problems(suite.golden_file, suite.golden_shown))):
        raise InputError(changed)
    terms = terms_of_stopped(stored, with_variants(terms, folder, stored.manifest))
    summary, decision = assess(
        stored.frame,
        terms,
        expected=stored.manifest.expected,
        wall_s=stored.manifest.wall_s,
        final=True,
    )
    if not isinstance(decision, Decision):
        raise TypeError("a final assessment asks for no repeats")
    refuse_incomparable(decision)
    decision = with_former(decision, folder, stored.manifest, terms, final=True)
    assert isinstance(decision, Decision)  # noqa: S101 - final
    earlier = of_stored_rows(folder, suite.root)
    if not terms.same_run:
        earlier += of_baseline(terms.baseline_folder, terms.baseline_title)
    for other in compared_folders(suite, terms, folder):
        earlier += of_compared(other, suite.root)
    written = write_decision(folder, stored.manifest, summary, decision, earlier, suite.root)
    return _result(folder, stored.manifest, summary, written, terms)


def shard_of(text: str) -> Shard:
    """Read the value of `--shard`, such as `2/8`.

    Raises:
        InputError: there is no such shard.
    """
    try:
        return read_shard(text)
    except ValueError as error:
        raise InputError(Problem("--shard", *what_and_fix(error))) from None


def lock_problems_of(suite: Suite, selection: Selection) -> tuple[Problem, ...]:
    """Return the problem of a golden set that differs from its lock, unless the run is not gated for it."""
    if selection.unlocked or selection.watched:
        return ()
    return tuple(lock_problems(suite.golden_file, suite.golden_shown))


def _without_held(request: Request) -> str:
    """Return why a run of one system leaves the held-out cases out; empty if it runs them."""
    if request.answers is not None:
        return "the answers are stored ones"
    if request.selection.shard is not None:
        return "shards do not run them"
    if request.selection.partial is not None:
        return "the run is partial"
    return "" if request.asks_further else "the run is compared with itself"


async def ready(
    suite: Suite, request: Request, env: Mapping[str, str], stack: AsyncExitStack
) -> tuple[Prepared, Terms]:
    """Check every file that a run depends on; sessions are entered on `stack`, and nothing is called.

    Raises:
        InputError: reports the problems of golden set, system, scorers, gate, labels, calibrations and baseline
            together.
    """
    changed = lock_problems_of(suite, request.selection)
    try:
        checked = checked_golden(request.out, suite) if request.resume else None
        prepared = await prepare(suite, env, stack, replies=request.replies, checked=checked)
        prepared = dataclasses.replace(prepared, held_back=held_notice(suite.golden_file, _without_held(request)))
        asks = request.answers is None and request.asks_further
        terms = terms_of_run(prepared, env, baseline=request.baseline, selection=request.selection, asks=asks)
        prepared = prepared.with_checks(terms.former)
        refuse_unfit(prepared, terms)
    except InputError as error:
        others = (each for each in other_problems(suite, request.baseline) if each not in error.problems)
        raise InputError((*error.problems, *others, *changed)) from None
    if changed:
        raise InputError(changed)
    return dataclasses.replace(prepared, warnings=warnings_of(prepared, terms)), terms


def _result(folder: RunFolder, manifest: Manifest, summary: Summary, written: Written, terms: Terms) -> Result:
    manifest = dataclasses.replace(manifest, head=written.head)
    return Result(folder, manifest, summary, written.decision, terms.baseline_folder, written.sha256, terms.labels)
