"""Keep the systems of a run at the same cases, so that load and time of day fall on all of them alike."""

from __future__ import annotations

import asyncio
from asyncio import sleep  # by name: a system may patch the module
from collections import defaultdict

from evalkit.runner.engine import LeftOpen, MakeRow, Stop
from evalkit.types import Case, Row

LEAD = 64
"""Calls that a system may be ahead of the slowest one."""
MOST_ERRORS = 10
"""Calls of one system that may fail in a row while others wait for it."""


class Pace:
    """Counts the calls that each system has begun; one that is ahead waits for the slowest that still runs.

    Of the systems that could begin at the same time, the one with the fewest calls begins; if they are about to begin
    the same case, another one is the first at each case.
    """

    def __init__(self, lead: float = LEAD) -> None:
        """Begin without systems.

        Args:
            lead: calls that a system may be ahead of the slowest one; infinite if they run one after the other.
        """
        self._lead = lead
        self._begun: dict[str, int] = {}
        self._ready: set[str] = set()
        """Systems that wait for their turn."""
        self._doors: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Let one call of each system wait for its turn, and the others behind it."""
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
        async with self._doors[name]:
            self._ready.add(name)
            try:
                await sleep(0)  # systems whose calls end at the same time are ready together
                while stop.reason is None and not self._is_next(name):
                    self._moved.clear()
                    await self._moved.wait()
            finally:
                self._ready.discard(name)
                self.wake()
            if stop.reason is not None:
                raise LeftOpen
            self._begun[name] += 1

    def _is_next(self, name: str) -> bool:
        """Return True if a system is not too far ahead, and no other that is ready comes before it."""
        begun = self._begun[name]
        if begun - min(self._begun.values()) >= self._lead:
            return False
        return name == min(self._ready & self._begun.keys(), key=self._place, default=name)

    def _place(self, name: str) -> tuple[int, int]:
        """Return the number of calls, then the place in the rotation: at call n, system n mod k is the first."""
        names, begun = list(self._begun), self._begun[name]
        return begun, (names.index(name) - begun) % len(names)
