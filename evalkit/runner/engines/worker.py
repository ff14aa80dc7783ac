"""Run shards in a worker, a process that an engine started for it.

A worker prepares the suite once, and keeps the system, the judges and their connections open from shard to shard.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import socket
import threading
from asyncio import sleep  # by name: a system may patch the module
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit import __version__
from evalkit.errors import EvalkitError, InputError, Problem
from evalkit.formats.manifest import Manifest
from evalkit.llm.budget import LeasedBudget
from evalkit.runner.chat_clients import Common
from evalkit.runner.conversations import open_system
from evalkit.runner.engine import MakeRow, Stop, answered_and_graded, charge, charged, run_cases
from evalkit.runner.engines.base import ShardEnd
from evalkit.runner.event_loop import run_to_end
from evalkit.runner.grading import grade_all
from evalkit.runner.prepare import prepare
from evalkit.runner.quarantine import DEATHS
from evalkit.runner.refusals import Refusals
from evalkit.runner.scoring import Scoring
from evalkit.runner.stored_answers import StoredAnswers, answered_as
from evalkit.runner.systems import suite_of_run
from evalkit.store.folder import ROWS, RunFolder
from evalkit.store.journal import Journal
from evalkit.store.running import Running
from evalkit.store.shards import Key, SharedWork
from evalkit.suite.overrides import with_overrides
from evalkit.suite.parse import load_suite
from evalkit.systems.secrets import without_secrets
from evalkit.text.values import one_line
from evalkit.types import Case, Row

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared
    from evalkit.suite.model import Suite
    from evalkit.systems.base import Answer

LOOK_S = 0.5
"""Seconds between two looks at whether the run has stopped."""
DRAIN_S = 8.0
"""Seconds that calls in flight have to end once it has."""


def share(total: int, workers: int, slot: int) -> int:
    """Return the calls in flight of one of several workers; a remainder goes to the first ones."""
    return total // workers + (slot < total % workers)


def run_shard(shards: Path, number: int, attempt: int, slot: int) -> ShardEnd:
    """Run the cases of a shard that have no row, and seal it; called in a worker, never twice at once.

    Args:
        shards: the folder of all shards.
        number: the shard.
        attempt: number of this attempt at it.
        slot: which of the workers' shares of the calls in flight is used, from 0.
    """
    try:
        return _OPENED.at(shards).run(number, attempt, slot)
    except InputError as error:
        problems = (dataclasses.replace(each, place=f"{_name()}: {each.place}") for each in error.problems)
        return ShardEnd("refused", problems=tuple(problems))
    except EvalkitError as error:
        return ShardEnd("failed", f"{_name()}: {error}")
    except Exception as error:
        return ShardEnd("failed", f"{_name()}: {type(error).__name__}: {one_line(error)}")


def dask_setup(_worker: object) -> None:
    """Ignore Ctrl-C, with which a terminal interrupts every process; the driver tells the workers to stop.

    Dask calls this in each local worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def close_run() -> None:
    """Close the system and the connections that this worker holds open."""
    _OPENED.close()


def _name() -> str:
    return f"worker {socket.gethostname()}:{os.getpid()}"


class _Opened:
    """The run that this process works for; one at a time."""

    def __init__(self) -> None:
        self._run: _Run | None = None

    def at(self, shards: Path) -> _Run:
        """Return the run of these shards, which is opened if it is another than before.

        Raises:
            EvalkitError: it cannot be opened, or is not the run that this worker would make.
        """
        if self._run is None or self._run.shards.path != shards:
            self.close()
            self._run = _Run(SharedWork(shards))
        try:
            self._run.ready.result()
        except BaseException:
            self._run = None
            raise
        return self._run

    def close(self) -> None:
        """Close the run, if there is one."""
        run, self._run = self._run, None
        if run is not None:
            run.close()


_OPENED = _Opened()


class _Run:
    """A run that is prepared in this process, with an event loop and a thread of its own."""

    def __init__(self, shards: SharedWork) -> None:
        self.shards = shards
        self.ready = Future[None]()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name="shards", daemon=True)
        self._thread.start()

    def run(self, number: int, attempt: int, slot: int) -> ShardEnd:
        """Run a shard, and wait for its end."""
        ended = self._attempt(number, attempt, share(self.concurrency, self.workers, slot))
        try:
            return asyncio.run_coroutine_threadsafe(ended, self._loop).result()
        finally:
            if self.budget is not None:
                self.shards.budget.give_back(self.budget.unused())

    async def _attempt(self, number: int, attempt: int, concurrency: int) -> ShardEnd:
        async with AsyncExitStack() as stack:
            answer, system = self.answer, self.prepared.suite.system
            if isinstance(system, StoredAnswers):
                own = dataclasses.replace(system, rows=self.shards.shard(number).work)
                answer = await stack.enter_async_context(open_system(own, self.prepared))
            return await _Shard(self.prepared, answer, self.shards, number, concurrency).run(attempt)

    def close(self) -> None:
        """Close the system and the connections."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(DRAIN_S)

    def _live(self) -> None:
        try:
            run_to_end(self._open())
        except BaseException as error:
            if not self.ready.done():
                self.ready.set_exception(error)

    async def _open(self) -> None:
        self._loop = asyncio.get_running_loop()
        run = RunFolder(self.shards.path.parents[1])
        try:
            plan = self.shards.plan()
        except OSError:
            fix = "let all workers see the folder of the run, and the project, under the same path"
            raise InputError(Problem(str(self.shards.path), "cannot be read here", fix)) from None
        manifest = run.manifest()
        own = with_overrides(load_suite(Path(plan.suite)), plan.overrides)
        if manifest.answers is not None:
            own = answered_as(suite_of_run(own, manifest), manifest, tuple)  # the answers are in the shards
        self.workers, self.concurrency = plan.workers, own.options.concurrency
        calls = share(self.concurrency, self.workers, 0)
        suite = dataclasses.replace(own, options=dataclasses.replace(own.options, concurrency=calls))
        self.budget = None
        if suite.options.budget_usd is not None:
            self.budget = LeasedBudget(0.0, lease=partial(self.shards.budget.lease, part=1 / (2 * self.workers)))
        common = Common(self.budget, self.shards.timetable)
        async with AsyncExitStack() as stack:
            env, known = dict(os.environ), manifest.golden
            self.prepared = await prepare(suite, env, stack, replies=plan.replies, checked=known, common=common)
            if plan.checks:
                self.prepared = self.prepared.with_case_checks()
            _refuse_others(own, self.prepared, manifest)
            self.answer = await stack.enter_async_context(open_system(suite.system, self.prepared))
            self.ready.set_result(None)
            await self._closing.wait()


def _refuse_others(suite: Suite, prepared: Prepared, manifest: Manifest) -> None:
    """Reject a run that this worker would make differently.

    Raises:
        InputError: names everything that differs.
    """
    parts = {
        "version of evalkit": (__version__, manifest.versions.get("evalkit-gate")),
        "suite": (suite.sha256, manifest.suite_sha256),
        "golden set": (prepared.golden.sha256, manifest.golden.sha256),
        "system": (prepared.fingerprint, manifest.system.fingerprint),
        "scoring": (Scoring(prepared.graders, {}).id, manifest.scoring),
    }
    differing = {name: pair for name, pair in parts.items() if pair[0] != pair[1]}
    if differing:
        pairs = [f"{name} ({own or 'none'}; the run has {its or 'none'})" for name, (own, its) in differing.items()]
        fix = "give every worker the evalkit, the checkout and the environment of the process that started the run"
        raise InputError(Problem("", f"has another {', '.join(pairs)}", fix))


class _Shard:
    """One attempt at a shard."""

    def __init__(self, prepared: Prepared, answer: Answer, shards: SharedWork, number: int, concurrency: int) -> None:
        self._prepared, self._shards, self._concurrency = prepared, shards, concurrency
        self._folder = shards.shard(number)
        self._secrets = prepared.secrets  # once, as they are found in all variables
        self._stop = Stop()
        self._refusals = Refusals(concurrency)
        grade = grade_all(prepared.graders, charged(answer, prepared.budget))
        self._make_row = answered_and_graded(answer, grade, Scoring(prepared.graders, {}).id)

    async def run(self, number: int) -> ShardEnd:
        """Run the cases that no earlier attempt has a row of."""
        if self._folder.done:
            return ShardEnd("sealed")
        earlier = self._folder.attempts()
        done = {(row.case.digest, row.repeat) for attempt in earlier for _, row in attempt.rows()}
        suspects = {key for key, died in self._folder.deaths().items() if died >= DEATHS} - done
        own = self._folder.new_attempt(number)
        with Running(own) as running, Journal(own / ROWS) as journal:
            work = self._work(done | suspects)
            watching = asyncio.ensure_future(self._watch())
            if (budget := self._prepared.budget) is not None and budget.reached:
                self._stop(budget.reason)  # an earlier shard has spent it
            try:
                await run_cases(
                    work,
                    _noted(self._make_row, running),
                    lambda row: self._keep(row, journal),
                    concurrency=self._concurrency,
                    stop=self._stop,
                )
            finally:
                watching.cancel()
            held = self._refusals.release()
            for row in held if self._stop.reason is None else ():
                journal.append(without_secrets(row, self._secrets))
        if self._stop.reason is not None:
            return ShardEnd("stopped", "" if self._shards.stopped else self._stop.reason)
        self._folder.seal(earlier + [each for each in self._folder.attempts() if each.name == own.name], suspects)
        return ShardEnd("sealed")

    def _work(self, without: set[Key]) -> Iterator[tuple[Case, int]]:
        work = ((row.case, row.repeat) for row in self._folder.work())
        return ((case, repeat) for case, repeat in work if (case.digest, repeat) not in without)

    def _keep(self, row: Row, journal: Journal) -> list[Row]:
        charge(self._prepared.budget, self._stop, row)
        kept = self._refusals.take(row)
        for each in kept:
            journal.append(without_secrets(each, self._secrets))
        if self._refusals.reason:
            self._stop(self._refusals.reason)
        return kept

    async def _watch(self) -> None:
        """Stop with the run: let the calls in flight end, and cancel those that take too long."""
        while not self._shards.stopped:  # noqa: ASYNC110 - the event is a file that another process makes
            await sleep(LOOK_S)
        self._stop("the run has stopped")
        for _ in range(int(DRAIN_S / LOOK_S)):
            if self._shards.cut:
                break
            await sleep(LOOK_S)
        self._stop.at_once("")


def _noted(make_row: MakeRow, running: Running) -> MakeRow:
    """Note each case before it runs, so that the next attempt knows which were in flight."""

    async def noted(case: Case, repeat: int) -> Row:
        running.begins(case.digest, repeat)
        return await make_row(case, repeat)

    return noted
