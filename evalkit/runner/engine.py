"""The runner: workers take the next case, call the system, grade the answer and hand the row on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

from evalkit.errors import EvalkitError
from evalkit.llm.budget import BudgetReached
from evalkit.llm.repeat import REPEAT
from evalkit.runner.grading import GradeAll
from evalkit.systems.base import Answer
from evalkit.types import Case, Failure, Row

MakeRow = Callable[[Case, int], Awaitable[Row]]
"""Asks the system for a case x repeat, and grades what it says."""
OnRow = Callable[[Row], bool]
"""Takes a row; true where it was kept, false where it may be the fault of a key that is refused."""
FIRST_CALLS = 3
"""Cases in flight until the first row was kept: a refused key costs few calls."""


class Stop:
    """Asks the workers to take no new case; those in flight are finished, unless they are cut off."""

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self.reason: str | None = None
        self.signal: int | None = None
        self._cut = asyncio.Event()

    def __call__(self, reason: str) -> None:
        """Stop for `reason`; the first one stays."""
        self.reason = self.reason or reason

    def by_signal(self, number: int) -> None:
        """Stop because the user, or the machine, asked the process to end."""
        self(f"signal {number}")
        self.signal = number

    def at_once(self, reason: str) -> None:
        """Stop, and cancel the calls in flight: their cases stay open for a resumed run."""
        self(reason)
        self._cut.set()

    async def bound(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for `work`, which is cancelled where the calls in flight are cut off."""
        task, cut = asyncio.ensure_future(work), asyncio.ensure_future(self._cut.wait())
        try:
            await asyncio.wait([task, cut], return_when=asyncio.FIRST_COMPLETED)
        finally:
            cut.cancel()
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def run_cases(
    work: Iterator[tuple[Case, int]], make_row: MakeRow, on_row: OnRow, *, concurrency: int, stop: Stop
) -> None:
    """Run every case x repeat of `work`, at most `concurrency` at once; memory does not grow with their number.

    Raises:
        EvalkitError: what `on_row` raises, such as `StoreError`; the other calls are cancelled.
    """
    await stop.bound(_run_all(work, make_row, on_row, concurrency, stop))


async def _run_all(
    work: Iterator[tuple[Case, int]], make_row: MakeRow, on_row: OnRow, concurrency: int, stop: Stop
) -> None:
    started = asyncio.Event()

    def taken(row: Row) -> bool:
        kept = on_row(row)
        if kept:
            started.set()
        return kept

    try:
        async with asyncio.TaskGroup() as group:
            first = [
                group.create_task(_worker(work, make_row, taken, stop)) for _ in range(min(FIRST_CALLS, concurrency))
            ]
            waiting = asyncio.ensure_future(started.wait())
            try:
                await asyncio.wait([waiting, *first], return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            for _ in range(concurrency - len(first)):
                group.create_task(_worker(work, make_row, on_row, stop))
    except* EvalkitError as errors:
        raise next(_leaves(errors)) from None


async def _worker(work: Iterator[tuple[Case, int]], make_row: MakeRow, on_row: OnRow, stop: Stop) -> None:
    while stop.reason is None:
        # The iterator is shared: each item goes to exactly one worker, in the order of the golden set.
        item = next(work, None)
        if item is None:
            return
        try:
            on_row(await make_row(*item))
        except BudgetReached as reached:
            # The case stays open: a resumed run asks it again.
            stop(str(reached))


def answered_and_graded(answer: Answer, grade: GradeAll) -> MakeRow:
    """Make the row of a case x repeat by one system and the suite's scorers."""

    async def make_row(case: Case, repeat: int) -> Row:
        output = await answer(case, repeat)
        if isinstance(output, Failure):
            return Row(case=case, repeat=repeat, failure=output)
        REPEAT.set(repeat)
        return Row(case=case, repeat=repeat, output=output, scores=await grade(case, output))

    return make_row


def _leaves(group: BaseExceptionGroup[EvalkitError]) -> Iterator[EvalkitError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
