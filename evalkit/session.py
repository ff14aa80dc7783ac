"""One run from its first call to its decision: what is journalled, what is counted, what ends it early."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.assess import Terms, assess, refuse_incomparable
from evalkit.results import Decision, Summary
from evalkit.runner.engine import Stop, run_cases
from evalkit.runner.grading import grade_all
from evalkit.runner.plan import Key, plan
from evalkit.runner.refusals import Refusals
from evalkit.store.folder import RunFolder
from evalkit.store.journal import Journal, read_rows
from evalkit.stored import empty_frame
from evalkit.types import Case, Row

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared
    from evalkit.systems.base import Answer

_WARMED = ("scipy.special", "evalkit.aggregate.summary", "evalkit.gate.decide", "jinja2")
"""Imported in a thread while the first calls are in flight, so that nobody waits for them at the end."""


class Interrupted(Exception):
    """The user stopped the run; what is journalled can be resumed."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(str(folder.path))
        self.folder = folder


@dataclass(frozen=True)
class Watcher:
    """Who hears how a run goes."""

    begin: Callable[[Prepared, int, int, RunFolder], None] = lambda prepared, expected, done, folder: None
    """The checked suite, rows expected, rows already there, folder: the first call is about to be made."""
    row: Callable[[Row], None] = lambda row: None
    """A case x repeat has ended."""


class Session:
    """One run from its first call to its decision."""

    def __init__(
        self,
        prepared: Prepared,
        watcher: Watcher,
        stop: Stop,
        folder: RunFolder,
        manifest: Mapping[str, Any],
        chosen: Collection[str] | None,
    ) -> None:
        self.prepared, self.watcher, self.stop, self.folder, self.chosen = prepared, watcher, stop, folder, chosen
        self.frame = empty_frame(manifest)
        self.done: set[Key] = set()
        self.refusals = Refusals()
        self.expected: int = manifest["expected"]

    async def to_decision(self, answer: Answer, journal: Journal, terms: Terms) -> tuple[Summary, Decision]:
        """Ask what is not journalled yet, again where the gate wants it, and decide."""
        self._replay()
        self.watcher.begin(self.prepared, self.expected, len(self.done), self.folder)
        warming = asyncio.create_task(asyncio.to_thread(_warm))
        started, resumed = time.perf_counter(), bool(self.done)
        repeats = self.prepared.suite.options.repeat
        await self._call(
            plan(self.prepared.golden.open(), range(repeats), chosen=self.chosen, done=self.done), answer, journal
        )
        wall_s = None if resumed else time.perf_counter() - started
        await warming
        while True:
            if self.stop.reason is not None:
                terms = dataclasses.replace(terms, partial=self.stop.reason)
            summary, decision = assess(self.frame, terms, expected=self.expected, wall_s=wall_s)
            if isinstance(decision, Decision):
                refuse_incomparable(decision)
                return summary, decision
            more = [(case, repeat) for case, repeat in self._again(decision.case_ids, decision.repeats)]
            self.expected += len(more)
            await self._call(iter(more), answer, journal)

    def _replay(self) -> None:
        """Take what an interrupted run has journalled."""
        if self.folder.rows_file.exists():
            for row in read_rows(self.folder.rows_file):
                self._count(row)
                self._spend(row, with_judges=True)

    def _again(self, case_ids: Collection[str], repeats: int) -> Iterator[tuple[Case, int]]:
        cases = (case for case in self.prepared.golden.open() if case.id in case_ids)
        return plan(cases, range(repeats), chosen=None, done=self.done)

    async def _call(self, work: Iterator[tuple[Case, int]], answer: Answer, journal: Journal) -> None:
        def keep(row: Row) -> None:
            journal.append(row)
            self._count(row)
            self.watcher.row(row)

        def on_row(row: Row) -> bool:
            self._spend(row, with_judges=False)
            ready = self.refusals.take(row)
            for each in ready:
                keep(each)
            if self.refusals.reason:
                self.stop(self.refusals.reason)
            return bool(ready)

        concurrency = self.prepared.suite.options.concurrency
        grade = grade_all(self.prepared.graders)
        await run_cases(work, answer, grade, on_row, concurrency=concurrency, stop=self.stop)
        held = self.refusals.release()
        if self.stop.signal is not None:
            raise Interrupted(self.folder)
        for row in held if self.stop.reason is None else ():
            keep(row)

    def _count(self, row: Row) -> None:
        self.frame.add(row)
        self.done.add((row.case.digest, row.repeat))

    def _spend(self, row: Row, *, with_judges: bool) -> None:
        """Charge the budget; a judge's client has charged its calls of this process itself."""
        budget = self.prepared.budget
        if budget is None:
            return
        budget.add(row.output.usage if row.output else None)
        for grade in row.scores.values() if with_judges else ():
            budget.add(grade.usage)
        if budget.reached:
            self.stop(budget.reason)


def _warm() -> None:
    for name in _WARMED:
        importlib.import_module(name)
