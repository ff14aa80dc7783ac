"""Run cases concurrently: call the system, score the answer, pass on the row.

Between two calls, a worker does only the work that a kill could lose. The rest, reading cases and counting rows, is
done while calls are in flight.
"""

from __future__ import annotations

import asyncio
from asyncio import sleep  # by name: a system may patch the module
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from evalkit.errors import EvalkitError
from evalkit.llm.budget import Budget, BudgetReached
from evalkit.llm.errors import Deferred
from evalkit.runner.grading import GradeAll
from evalkit.systems.base import Answer
from evalkit.types import Case, Failure, Output, Row

Work = Iterator[tuple[Case, int]]
"""The cases and repeats of a run."""
MakeRow = Callable[[Case, int], Awaitable[Row]]
"""Calls the system for a case and repeat, and grades its answer."""
Keep = Callable[[Row], Collection[Row]]
"""Writes a row and returns the rows written; returns none while the row may be due to a refused key."""
Count = Callable[[Row], object]
"""Called for each stored row; deferred until the next calls have started."""
FIRST_CALLS = 3
"""Cases in flight until the first row is stored, so that a refused key costs few calls."""


class LeftOpen(Exception):
    """A case was not begun because the run stopped; a resumed run asks it."""


class Stop:
    """Stops the workers from taking new cases; those in flight are finished unless they are cancelled."""

    def __init__(self, when_stopped: Callable[[], object] = lambda: None) -> None:
        """Start without a reason to stop.

        Args:
            when_stopped: called whenever it is told to stop.
        """
        self.reason: str | None = None
        self.signal: int | None = None
        self._when_stopped = when_stopped
        self._parts: list[Stop] = []
        self._cut = asyncio.Event()

    def part(self, when_stopped: Callable[[], object]) -> Stop:
        """Return a stop for a part of the work; it stops with the whole, and the whole goes on without it."""
        part = Stop(when_stopped)
        self._parts.append(part)
        return part

    def __call__(self, reason: str) -> None:
        """Stop for `reason`; the first reason is kept."""
        self.reason = self.reason or reason
        for part in self._parts:
            part(reason)
        self._when_stopped()

    def by_signal(self, number: int) -> None:
        """Stop because a signal asked the process to end."""
        self.signal = number
        for part in self._parts:
            part.by_signal(number)
        self(f"signal {number}")

    def at_once(self, reason: str) -> None:
        """Stop, and cancel the calls in flight; a resumed run repeats their cases."""
        self(reason)
        for part in self._parts:
            part.at_once(reason)
        self._cut.set()

    @property
    def cuts(self) -> bool:
        """Whether the calls in flight are cancelled."""
        return self._cut.is_set()

    async def bound(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for `work`, and cancel it if the calls in flight are cancelled."""
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
    work: Work, make_row: MakeRow, keep: Keep, *, count: Count = lambda row: None, concurrency: int, stop: Stop
) -> None:
    """Run every case and repeat of `work`, at most `concurrency` at once, in constant memory.

    Every kept row is counted before this function ends, even if it raises.

    Raises:
        EvalkitError: raised by `keep` or `work`, such as `StoreError`; the other calls are cancelled.
    """
    meanwhile = _Meanwhile(work, count, concurrency)
    try:
        await stop.bound(_run_all(meanwhile, _Worker(meanwhile, make_row, keep, stop), concurrency))
    finally:
        meanwhile.count_all()


class _Meanwhile:
    """Work done while calls are in flight: counting rows and reading the next cases."""

    def __init__(self, work: Work, count: Count, n_ahead: int) -> None:
        self._work, self._count, self._n_ahead = work, count, n_ahead
        self._cases: deque[tuple[Case, int]] = deque()
        self._rows: deque[Row] = deque()
        self._asked = asyncio.Event()
        self._unread: Exception | None = None

    def next_case(self) -> tuple[Case, int] | None:
        """Return the next case, in the order of the golden set; each goes to one worker.

        Raises:
            Exception: an error of the reader, raised in the order of the cases.
        """
        self._asked.set()
        if self._cases:
            return self._cases.popleft()
        if self._unread is not None:
            raise self._unread
        return next(self._work, None)

    def count_later(self, rows: Collection[Row]) -> None:
        self._rows.extend(rows)
        self._asked.set()
        if len(self._rows) > self._n_ahead:  # calls that never wait would leave no turn to count
            self.count_all()

    def count_all(self) -> None:
        while self._rows:
            self._count(self._rows.popleft())

    async def run(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            await sleep(0)  # the workers that are about to make a call come first
            self.count_all()
            self._read_ahead()

    def _read_ahead(self) -> None:
        try:
            self._cases.extend(islice(self._work, self._n_ahead - len(self._cases)))
        except Exception as error:  # told when the cases before it were asked
            self._unread = error


@dataclass(frozen=True)
class _Worker:
    meanwhile: _Meanwhile
    make_row: MakeRow
    keep: Keep
    stop: Stop
    started: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a row has been stored."""

    async def run(self) -> None:
        while self.stop.reason is None and (item := self.meanwhile.next_case()) is not None:
            try:
                kept = self.keep(await self.make_row(*item))
            except LeftOpen:
                return
            except Deferred:
                continue  # graded again when its batch has ended
            except BudgetReached as reached:
                # The case stays open: a resumed run asks it again.
                self.stop(str(reached))
            else:
                self.meanwhile.count_later(kept)
                if kept:
                    self.started.set()


async def _run_all(meanwhile: _Meanwhile, worker: _Worker, concurrency: int) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            aside = group.create_task(meanwhile.run())
            workers = [group.create_task(worker.run()) for _ in range(min(FIRST_CALLS, concurrency))]
            waiting = asyncio.ensure_future(worker.started.wait())
            try:
                await asyncio.wait([waiting, *workers], return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            workers += [group.create_task(worker.run()) for _ in range(concurrency - len(workers))]
            await asyncio.wait(workers)
            aside.cancel()
    except* EvalkitError as errors:
        raise next(_leaves(errors)) from None


def charge(budget: Budget | None, stop: Stop, row: Row, *, with_judges: bool = False) -> None:
    """Charge the budget, and stop if it is spent; the clients of judges and simulated users charge their own calls.

    Args:
        budget: budget of the run, `None` if it has none.
        stop: called once the budget is spent.
        row: the paid row.
        with_judges: whether the row comes from another process, so that its judges and simulated users are yet to be
            charged.
    """
    if budget is None:
        return
    output = row.failure.partial if row.failure is not None else row.output
    if output is not None and not output.replayed:
        budget.add_answer(output.usage)
        budget.add(output.user_usage if with_judges else None)
    for grade in row.scores.values() if with_judges else ():
        budget.add(grade.usage)
    if budget.reached:
        stop(budget.reason)


def charged(answer: Answer, budget: Budget | None) -> Answer:
    """Return the answers of a system to the questions of scorers: each is charged, and refused if the budget is spent.

    Args:
        answer: the system.
        budget: of the run; `None` if it has none.
    """
    if budget is None:
        return answer

    async def ask(case: Case, repeat: int) -> Output | Failure:
        budget.check()
        found = await answer(case, repeat)
        if isinstance(found, Output) and not found.replayed:
            budget.add_answer(found.usage)
        return found

    return ask


def answered_and_graded(answer: Answer, grade: GradeAll, scored_by: str = "") -> MakeRow:
    """Make the row of a case and repeat, by one system and the scorers of `scored_by`."""

    async def make_row(case: Case, repeat: int) -> Row:
        output = await answer(case, repeat)
        if isinstance(output, Failure):
            return Row(case=case, repeat=repeat, failure=output, scored_by=scored_by)
        scores = await grade(case, output, repeat)
        return Row(case=case, repeat=repeat, output=output, scores=scores, scored_by=scored_by)

    return make_row


def _leaves(group: BaseExceptionGroup[EvalkitError]) -> Iterator[EvalkitError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
