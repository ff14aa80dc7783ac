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
from pathlib import Path

from evalkit.errors import EvalkitError, InputError, Problem
from evalkit.runner.engine import MakeRow, Stop, run_cases
from evalkit.runner.engines.base import OpenedShards, OpenShards, ShardEnd, share
from evalkit.runner.engines.suite_shards import open_run
from evalkit.runner.event_loop import run_to_end
from evalkit.runner.quarantine import DEATHS
from evalkit.store.folder import ROWS
from evalkit.store.journal import Journal
from evalkit.store.running import Running
from evalkit.store.shards import Key, SharedWork
from evalkit.systems.secrets import without_secrets
from evalkit.text.values import one_line
from evalkit.types import Case, Row

LOOK_S = 0.5
"""Seconds between two looks at whether the run has stopped."""
DRAIN_S = 8.0
"""Seconds that calls in flight have to end once it has."""


def run_shard(shards: Path, number: int, attempt: int, slot: int, opens: OpenShards = open_run) -> ShardEnd:
    """Run the cases of a shard that have no row, and seal it; called in a worker, never twice at once.

    Args:
        shards: the folder of all shards.
        number: the shard.
        attempt: number of this attempt at it.
        slot: which of the workers' shares of the calls in flight is used, from 0.
        opens: prepares this process for the shards.
    """
    try:
        return _OPENED.at(shards, opens).run(number, attempt, slot)
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

    def at(self, shards: Path, opens: OpenShards) -> _Run:
        """Return the run of these shards, which is opened if it is another than before.

        Raises:
            EvalkitError: it cannot be opened, or is not the run that this worker would make.
        """
        if self._run is None or self._run.shards.path != shards:
            self.close()
            self._run = _Run(SharedWork(shards), opens)
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

    def __init__(self, shards: SharedWork, opens: OpenShards) -> None:
        self.shards = shards
        self.ready = Future[None]()
        self._opens = opens
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name="shards", daemon=True)
        self._thread.start()

    def run(self, number: int, attempt: int, slot: int) -> ShardEnd:
        """Run a shard, and wait for its end."""
        opened = self._opened
        calls = share(opened.concurrency, opened.workers, slot)
        ended = _Shard(opened, self.shards, number, calls).run(attempt)
        try:
            return asyncio.run_coroutine_threadsafe(ended, self._loop).result()
        finally:
            if opened.budget is not None:
                self.shards.budget.give_back(opened.budget.unused())

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
        async with AsyncExitStack() as stack:
            try:
                self.shards.check()
            except OSError:
                fix = "let all workers see the folder of the run, and the project, under the same path"
                raise InputError(Problem(str(self.shards.path), "cannot be read here", fix)) from None
            self._opened = await self._opens(self.shards, stack)
            self.ready.set_result(None)
            await self._closing.wait()


class _Shard:
    """One attempt at a shard."""

    def __init__(self, opened: OpenedShards, shards: SharedWork, number: int, concurrency: int) -> None:
        self._opened, self._shards, self._concurrency = opened, shards, concurrency
        self._folder = shards.shard(number)
        self._stop = Stop()

    async def run(self, number: int) -> ShardEnd:
        """Run the cases that no earlier attempt has a row of."""
        if self._folder.done:
            return ShardEnd("sealed")
        earlier = self._folder.attempts()
        done = {(row.case.digest, row.repeat) for attempt in earlier for _, row in attempt.rows()}
        suspects = {key for key, died in self._folder.deaths().items() if died >= DEATHS} - done
        own = self._folder.new_attempt(number)
        with Running(own) as running, Journal(own / ROWS) as journal:
            watching = asyncio.ensure_future(self._watch())
            try:
                async with self._opened.calls(self._folder, self._stop) as calls:
                    await run_cases(
                        self._work(done | suspects),
                        _noted(calls.make_row, running),
                        lambda row: self._write(calls.ready(row), journal),
                        concurrency=self._concurrency,
                        stop=self._stop,
                    )
                    self._write(calls.release() if self._stop.reason is None else [], journal)
            finally:
                watching.cancel()
        if self._stop.reason is not None:
            return ShardEnd("stopped", "" if self._shards.stopped else self._stop.reason)
        self._folder.seal(earlier + [each for each in self._folder.attempts() if each.name == own.name], suspects)
        return ShardEnd("sealed")

    def _work(self, without: set[Key]) -> Iterator[tuple[Case, int]]:
        work = ((row.case, row.repeat) for row in self._folder.work())
        return ((case, repeat) for case, repeat in work if (case.digest, repeat) not in without)

    def _write(self, rows: list[Row], journal: Journal) -> list[Row]:
        for each in rows:
            journal.append(without_secrets(each, self._opened.secrets))
        return rows

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
