"""Run blocking calls without blocking the event loop, on threads that never keep the process alive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from evalkit.systems.base import CallFailed

MAX_HUNG = 100
"""Calls past their time-out that may still hold a thread, before further calls are refused."""

_Outcome = tuple[bool, Any]
_Job = tuple[Callable[[], Any], asyncio.Future[_Outcome]]


class DaemonThreads:
    """A pool that grows with the calls in flight, hung ones included.

    The standard executor joins its threads at exit, so that one hung call would keep the process from ending. All
    counting happens on the event loop's thread.
    """

    def __init__(self, concurrency: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = concurrency + MAX_HUNG
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0
        self._busy = 0

    async def run(self, call: Callable[[], Any]) -> Any:
        """Wait for `call`; when the wait is cancelled, its thread is left behind.

        Raises:
            CallFailed: `hung`, when too many calls were left behind.
            BaseException: What the call raised.
        """
        if self._busy >= self._limit:
            raise CallFailed("hung", f"{self._busy} earlier calls are still running past their time-out")
        if self._busy == self._threads:
            self._threads += 1
            threading.Thread(target=self._work, name=f"system-{self._threads}", daemon=True).start()
        self._busy += 1
        future: asyncio.Future[_Outcome] = self._loop.create_future()
        self._jobs.put((call, future))
        returned, value = await future
        if returned:
            return value
        raise value

    def close(self) -> None:
        """Let idle threads end; those that hang die with the process."""
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
            try:
                self._loop.call_soon_threadsafe(self._done, future, outcome)
            except RuntimeError:  # the loop was closed while the call hung
                return
            del job, call, future, outcome

    def _done(self, future: asyncio.Future[_Outcome], outcome: _Outcome) -> None:
        self._busy -= 1
        if not future.done():
            future.set_result(outcome)
