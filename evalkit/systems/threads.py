"""Run a python system on its own threads and event loop, which do not keep the process alive.

Exceptions of the system, and its changes to tasks and loop, stay there: they reach the run as a value, an `Exception`
or a `CallFailed`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from evalkit.systems.base import CallFailed
from evalkit.text.values import one_line

MAX_HUNG = 100
"""Number of timed-out calls that may still hold a thread or a task; beyond it, new calls are rejected."""
STUCK_S = 1.0
"""Seconds within which an event loop must take its next step; after that it counts as blocked by the system."""
LEAVE_S = 1.0
"""Seconds for tasks that the system left behind to end after the last call."""

_monotonic = time.monotonic
"""Bound before a system can patch the module, so that its other calls still wake up."""

_Outcome = tuple[bool, Any]
_Job = tuple[Callable[[], Any], asyncio.Future[_Outcome]]


def value_of(outcome: _Outcome) -> Any:
    """Return the result of a call.

    Raises:
        Exception: The exception of the call.
        CallFailed: `exception`, if that would end more than the call: `SystemExit`, `KeyboardInterrupt`,
            `CancelledError` and every other `BaseException`.
    """
    returned, value = outcome
    if returned:
        return value
    kind = type(value)  # `isinstance` would ask the object, which may lie or raise
    if issubclass(kind, asyncio.CancelledError):
        raise CallFailed("exception", "CancelledError: the system cancelled its own call")
    if issubclass(kind, Exception):
        raise value
    text = one_line(value)
    raise CallFailed("exception", f"{type(value).__name__}: {text}" if text else type(value).__name__)


class DaemonThreads:
    """A pool that grows with the calls in flight, including hung ones.

    The standard executor joins its threads at exit, so one hung call would keep the process from ending. All counting
    happens on the event loop's thread.
    """

    def __init__(self, concurrency: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = concurrency + MAX_HUNG
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0
        self._busy = 0
        self._pid = os.getpid()

    async def run(self, call: Callable[[], Any]) -> Any:
        """Wait for `call`; when the wait is cancelled, its thread is left behind.

        Raises:
            CallFailed: `hung` if too many calls were left behind, or the failure from `value_of`.
            Exception: The exception of the call.
        """
        if self._busy >= self._limit:
            raise CallFailed("hung", f"{self._busy} earlier calls are still running past their timeout")
        if self._busy == self._threads:
            self._threads += 1
            threading.Thread(target=self._work, name=f"system-{self._threads}", daemon=True).start()
        self._busy += 1
        future: asyncio.Future[_Outcome] = self._loop.create_future()
        self._jobs.put((call, future))
        return value_of(await future)

    def close(self) -> None:
        """End idle threads; hung ones end with the process."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, future = job
            outcome: _Outcome
            try:
                outcome = True, call()
            except BaseException as error:  # even SystemExit: it is the call's, not the pool's
                outcome = False, error
            _end_if_forked(self._pid)
            try:
                self._loop.call_soon_threadsafe(self._done, future, outcome)
            except RuntimeError:  # the loop was closed while the call hung
                return
            del job, call, future, outcome

    def _done(self, future: asyncio.Future[_Outcome], outcome: _Outcome) -> None:
        self._busy -= 1
        _settle(future, outcome)


class OwnLoop:
    """An event loop for the coroutines of a system, on a daemon thread.

    A system may block its loop, stop it, cancel every task on it, swallow its own cancellation, or end it with
    `sys.exit`; the run's loop continues, and with it timeouts, deadline and signals. The thread starts with the first
    call.
    """

    def __init__(self, concurrency: int) -> None:
        self._ours = asyncio.get_running_loop()
        self._limit = concurrency + MAX_HUNG
        self._loops: list[asyncio.AbstractEventLoop] = []
        """Event loops; the last one is used, and the system blocked or closed the earlier ones."""
        self._in_doubt: asyncio.Future[_Outcome] | None = None
        """Done once the loop has proved responsive after a call that timed out."""
        self._awaited: set[asyncio.Future[_Outcome]] = set()
        """Calls that the run waits for."""
        self._tasks: set[asyncio.Task[Any]] = set()
        """Calls that have not ended, including those that nothing waits for."""
        self._over = False
        self._pid = os.getpid()

    async def run(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Wait for the coroutine that `call` makes; when the wait is cancelled, its task is cancelled and left behind.

        Raises:
            CallFailed: `hung` if too many calls were left behind, or the failure from `value_of`.
            Exception: The exception of the call.
        """
        if len(self._tasks) >= self._limit:
            raise CallFailed("hung", f"{len(self._tasks)} earlier calls are still running past their timeout")
        loop = await self._turning()
        future: asyncio.Future[_Outcome] = self._ours.create_future()
        started: list[asyncio.Task[Any]] = []
        self._awaited.add(future)
        try:
            loop.call_soon_threadsafe(self._start, call, future, started)
            return value_of(await future)
        except asyncio.CancelledError:
            self._in_doubt = self._ours.create_future()
            with suppress(RuntimeError):  # the system has closed its loop
                loop.call_soon_threadsafe(self._cancel, started, self._in_doubt)
            raise
        finally:
            self._awaited.discard(future)

    async def close(self) -> None:
        """Cancel tasks that the system left behind, and wait up to `LEAVE_S` for them to end."""
        if not self._loops:
            return
        with suppress(RuntimeError):  # the system has closed its loop
            leaving = asyncio.run_coroutine_threadsafe(self._leave(), self._loops[-1])
            await asyncio.wait([asyncio.wrap_future(leaving)], timeout=2 * LEAVE_S)
        self._over = True
        for loop in self._loops:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)

    async def _leave(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=LEAVE_S)
        await asyncio.get_running_loop().shutdown_asyncgens()

    async def _turning(self) -> asyncio.AbstractEventLoop:
        """Return the loop, or a new one if the system blocks it."""
        stuck = False
        if self._in_doubt is not None:
            stuck = not (await asyncio.wait([self._in_doubt], timeout=STUCK_S))[0]
            self._in_doubt = None
        if not self._loops or stuck or self._loops[-1].is_closed():
            self._loops.append(asyncio.new_event_loop())
            self._loops[-1].time = _monotonic  # type: ignore[method-assign]
            threading.Thread(target=self._turn, args=[self._loops[-1]], name="system-loop", daemon=True).start()
        return self._loops[-1]

    def _cancel(self, started: list[asyncio.Task[Any]], turns: asyncio.Future[_Outcome]) -> None:
        for task in started:
            task.cancel()
        with suppress(RuntimeError):  # the run is over
            self._ours.call_soon_threadsafe(_settle, turns, (True, None))

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not (self._over or loop.is_closed()):
            try:
                loop.run_forever()
            except OSError:  # the system has closed its descriptors
                break
            except BaseException:  # noqa: S112 - a task or a callback of the system's has called `sys.exit`
                continue
        with suppress(OSError):
            loop.close()
        with suppress(RuntimeError):
            self._ours.call_soon_threadsafe(self._lose)

    def _lose(self) -> None:
        """End the calls whose loop is gone."""
        for future in self._awaited:
            if not future.done():
                future.set_result((False, RuntimeError("the system closed its event loop")))

    def _start(
        self,
        call: Callable[[], Coroutine[Any, Any, Any]],
        future: asyncio.Future[_Outcome],
        started: list[asyncio.Task[Any]],
    ) -> None:
        task = asyncio.get_running_loop().create_task(call())
        started.append(task)
        self._tasks.add(task)
        # A task that is cancelled before its first step never enters its coroutine.
        task.add_done_callback(functools.partial(self._ended, future))

    def _ended(self, future: asyncio.Future[_Outcome], task: asyncio.Task[Any]) -> None:
        _end_if_forked(self._pid)
        self._tasks.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        outcome = (True, task.result()) if error is None else (False, error)
        with suppress(RuntimeError):  # the run is over
            self._ours.call_soon_threadsafe(_settle, future, outcome)


@dataclass(frozen=True)
class OwnCode:
    """Runs functions of a project, never on the thread of the run."""

    threads: DaemonThreads
    loop: OwnLoop

    async def call(self, function: Callable[[], Any], read: Callable[[Any], Any]) -> Any:
        """Call a function on a thread, wait on the loop for an awaitable that it returns, and read the result there.

        Raises:
            CallFailed: the failure from `value_of`.
            Exception: the exception of the function or of `read`.
        """

        async def awaited(value: Any) -> Any:
            return read(await value)

        def called() -> tuple[bool, Any]:
            value = function()
            # The function may return a custom object, so it is read where the function runs.
            later = type(value) is not str and inspect.isawaitable(value)
            return later, value if later else read(value)

        later, value = await self.threads.run(called)
        return await self.loop.run(functools.partial(awaited, value)) if later else value


@asynccontextmanager
async def own_code(concurrency: int) -> AsyncIterator[OwnCode]:
    """Hold the threads and the loop of a project's functions."""
    own = OwnCode(DaemonThreads(concurrency), OwnLoop(concurrency))
    try:
        yield own
    finally:
        own.threads.close()
        await own.loop.close()


def _end_if_forked(pid: int) -> None:
    """End this process if it is a copy that the system has forked from process `pid`."""
    if os.getpid() != pid:
        os._exit(1)


def _settle(future: asyncio.Future[_Outcome], outcome: _Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
