"""Keep the systems of a run at the same cases, so that load and time of day fall on all of them alike."""

from __future__ import annotations

import asyncio

from evalkit.runner.engine import LeftOpen, MakeRow, Stop
from evalkit.types import Case, Row

LEAD = 64
"""Calls that a system may be ahead of the slowest one."""
MOST_ERRORS = 10
"""Calls of one system that may fail in a row while others wait for it."""


class Pace:
    """Counts the calls that each system has begun; one that is ahead waits for the slowest that still runs."""

    def __init__(self) -> None:
        """Begin without systems."""
        self._begun: dict[str, int] = {}
        self._moved = asyncio.Event()

    def enter(self, name: str, n_begun: int) -> None:
        """Add a system, with the number of its rows that are there already."""
        self._begun[name] = n_begun

    def leave(self, name: str) -> None:
        """Remove a system that has no call left, or is stopped; nobody waits for it."""
        self._begun.pop(name, None)
        self.wake()

    def wake(self) -> None:
        """Let those that wait look again."""
        self._moved.set()

    def paced(self, name: str, make_row: MakeRow, stop: Stop) -> MakeRow:
        """Return `make_row` with a wait before it while the system is ahead.

        A system that only fails is stopped, as its retries would hold up the others.

        Args:
            name: the system.
            make_row: calls it.
            stop: stops this system alone.
        """
        n_errors = 0

        async def paced(case: Case, repeat: int) -> Row:
            nonlocal n_errors
            await self._turn(name, stop)
            row = await make_row(case, repeat)
            n_errors = n_errors + 1 if row.failure is not None else 0
            if n_errors >= MOST_ERRORS and len(self._begun) > 1:
                stop(f"{MOST_ERRORS} calls of the system failed in a row; continue with --resume")
            return row

        return paced

    async def _turn(self, name: str, stop: Stop) -> None:
        """Wait until the system may begin its next call.

        Raises:
            LeftOpen: it was stopped meanwhile.
        """
        while self._begun[name] - min(self._begun.values()) >= LEAD:
            if stop.reason is not None:
                raise LeftOpen
            self._moved.clear()
            await self._moved.wait()
        if stop.reason is not None:
            raise LeftOpen
        self._begun[name] += 1
        self._moved.set()
