"""Take new calls from production logs: grade all by rules and the sample by judges, and keep the figures."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem, gathered
from evalkit.monitor.batches import Batch
from evalkit.monitor.call_source import SHOWN_REFUSALS, Chunk, RefusedRows, json_calls, parquet_calls
from evalkit.monitor.calls import DAY_S, LoggedCall, RowReader
from evalkit.monitor.cohort_values import CohortValues
from evalkit.monitor.cursors import Cursors
from evalkit.monitor.feedback import LABELLED_DAYS
from evalkit.monitor.grading import MonitorGraders, open_graders
from evalkit.monitor.known_ids import BACK_DAYS
from evalkit.monitor.log_files import STDIN, LogNote, log_paths, read_log, read_stream, skipped_logs
from evalkit.monitor.observe import Observed, Observer, Unjudged, without_doubles
from evalkit.monitor.sampled_texts import append_texts
from evalkit.monitor.series import date_of
from evalkit.monitor.settings import Monitor, load_monitor
from evalkit.monitor.store import MonitorStore
from evalkit.monitor.trace_source import TraceLog, TraceReader
from evalkit.monitor.waiting_feedback import has_waiting
from evalkit.monitor.workers import WorkerJudges, engine_of, refuse_rules_alone
from evalkit.operations.monitor_feedback import take_feedback
from evalkit.runner.shard_calls import EngineFlags
from evalkit.systems.secrets import secrets_of, without_secrets

BATCH_ROWS = 20_000
"""Rows after which a batch is written."""
BATCH_BYTES = 32 << 20
"""Bytes of rows after which a batch is written, so that long texts need no more memory than short ones."""
MOST_REFUSED = 0.1
"""Share of refused rows beyond which the figures say nothing about production."""
LATE_S = 48 * 3_600.0
"""Seconds that a call may be older than the newest call of earlier takes."""
Within = Callable[[float], Awaitable[bool]]
"""Waits so many seconds, and returns whether to end."""


@dataclass(frozen=True, kw_only=True)
class TakenCalls:
    """What one look at the logs took.

    Attributes:
        n_read: Rows read: scored, refused and double ones.
        n_scored: Calls that count now.
        n_refused: Rows that are no calls, or too late.
        n_double: Calls whose id was known.
        n_sampled: Calls in the sample.
        n_judged: Those that judges graded.
        unjudged: Those that judges could not grade.
        spent_usd: What judges cost, where their price is known.
        n_waiting: Traces that are not complete, and are read again by the next look.
        n_forgotten: Days whose texts were deleted.
        feedback: Name -> ratings and labels: `counted`, `double`, `refused`, and those `waiting` for their call, which
            the next look takes; empty without feedback.
        refused: Some of the refused rows.
        notes: What is worth a word about the logs.
    """

    n_scored: int = 0
    n_refused: int = 0
    n_double: int = 0
    n_sampled: int = 0
    n_judged: int = 0
    unjudged: Unjudged = field(default_factory=Unjudged)
    spent_usd: float = 0.0
    n_waiting: int = 0
    n_forgotten: int = 0
    feedback: Mapping[str, int] = field(default_factory=dict)
    refused: tuple[Problem, ...] = ()
    notes: tuple[LogNote, ...] = ()

    @property
    def n_read(self) -> int:
        """Rows read."""
        return self.n_scored + self.n_refused + self.n_double

    @property
    def is_enough(self) -> bool:
        """Whether at least 90 % of the rows are calls that count, here or before, and 90 % of the feedback counts."""
        said = self.feedback
        n_settled = sum(said.values()) - said.get("waiting", 0)
        is_heard = said.get("refused", 0) <= MOST_REFUSED * n_settled
        return is_heard and self.n_refused <= MOST_REFUSED * self.n_read

    def plus(self, counts: Mapping[str, int], observed: Observed, refused: Sequence[Problem]) -> TakenCalls:
        """Add a batch."""
        return replace(
            self,
            n_scored=self.n_scored + counts["scored"],
            n_refused=self.n_refused + counts["refused"],
            n_double=self.n_double + counts["double"],
            n_sampled=self.n_sampled + sum(map(len, observed.rows.values())),
            n_judged=self.n_judged + observed.n_judged,
            unjudged=self.unjudged + observed.unjudged,
            spent_usd=self.spent_usd + observed.spent_usd,
            refused=(*self.refused, *refused)[:SHOWN_REFUSALS],
        )


@dataclass(frozen=True, kw_only=True)
class TakeRequest:
    """What to take.

    Attributes:
        file: File of the monitor.
        logs: Files and folders; `-` is `stdin`.
        env: The environment, for keys.
        now: Returns the seconds since 1970.
        stdin: Standard input.
        feedback: Files and folders with ratings and labels of calls; `-` is `stdin`.
        engine: Whose workers ask the judges; `None` for this process.
    """

    file: Path
    logs: Sequence[str]
    env: Mapping[str, str]
    now: Callable[[], float]
    stdin: BinaryIO | None = None
    feedback: Sequence[str] = ()
    engine: EngineFlags | None = None


async def take(request: TakeRequest) -> TakenCalls:
    """Read the new calls of the logs once.

    Raises:
        InputError: the logs, the scorers or the engine cannot be used, or another process takes.
        RunError: the judge does not answer; the batch that needed it was not taken.
        EvalkitError: the workers of the engine are lost; the batch that needed them was not taken.
        StoreError: the disk refuses, or a file of the monitor was altered.
    """
    async with _opened(request) as look:
        return await look()


async def follow(request: TakeRequest, within: Within, every: float, show: Callable[[TakenCalls], object]) -> None:
    """Read the new calls every so many seconds, until `within` says to end.

    A note that the look before had too is not shown again.

    Args:
        request: What to take.
        within: Waits.
        every: Seconds between two looks.
        show: Called after each look.

    Raises:
        InputError, RunError, StoreError: as `take`.
    """
    said: set[LogNote] = set()
    async with _opened(request) as look:
        while True:
            taken = await look()
            show(replace(taken, notes=tuple(note for note in taken.notes if note not in said)))
            said = {*taken.notes, *(() if taken.n_read else said)}
            if await within(every):
                return


def rebuild(file: Path, progress: Callable[[int], object] = lambda number: None) -> int:
    """Make the series of a monitor again from its observations, and return the number of batches.

    Args:
        file: File of the monitor.
        progress: Called with the number of each batch.

    Raises:
        InputError: the monitor cannot be used, or another process takes.
        StoreError: a file is missing or was altered.
    """
    with MonitorStore(load_monitor(file).folder, is_rebuilt=True) as store:
        return store.rebuild(progress)


@asynccontextmanager
async def _opened(request: TakeRequest) -> AsyncIterator[Callable[[], Awaitable[TakenCalls]]]:
    """Open monitor, folder and judges, and give the function that looks at the logs once."""
    problems: list[Problem] = []
    with gathered(problems):
        monitor = load_monitor(request.file, shown_path(request.file))
        engine = engine_of(request.engine, monitor)
    with gathered(problems):
        log_paths(request.logs, _piped(request.file))
    with gathered(problems):
        log_paths(request.feedback, _piped(request.file, "--feedback "))
    if problems:
        raise InputError(problems)
    async with open_graders(monitor, request.env) as graders:
        if engine is not None:
            refuse_rules_alone(graders)
        with MonitorStore(monitor.folder) as store:
            workers = None if engine is None else WorkerJudges(engine, monitor, graders)
            try:
                yield lambda: _Look(request, monitor, store, graders, workers).run()
            finally:
                if workers is not None:
                    await workers.close()


class _Look:
    """One look at the logs."""

    def __init__(
        self,
        request: TakeRequest,
        monitor: Monitor,
        store: MonitorStore,
        graders: MonitorGraders,
        workers: WorkerJudges | None,
    ) -> None:
        self._request, self._monitor, self._store = request, monitor, store
        self._before = store.state()
        self._cursors = Cursors(self._before.cursors.values())
        if graders.budget is not None:
            graders.budget.spent_usd = self._before.spent.get(self._today, 0.0)
        self._observer = Observer(
            graders=graders,
            options=monitor.options.sample,
            names=tuple(monitor.cohorts),
            values=CohortValues(tuple(monitor.cohorts), monitor.salt, self._before.values),
            series=store.series,
            concurrency=monitor.options.concurrency,
            workers=workers,
        )
        self._secrets = secrets_of(request.env, monitor.variables)
        self._taken = TakenCalls()
        self._traces: TraceReader | None = None
        self._notes = [LogNote(monitor.name, notice) for notice in graders.notices]

    @property
    def _today(self) -> str:
        return date_of(int(self._request.now() // DAY_S))

    @property
    def _first_text(self) -> int:
        """The first day whose texts are kept."""
        return int(self._request.now() // DAY_S) - self._monitor.options.keep.days

    async def run(self) -> TakenCalls:
        """Read, grade and store the new calls."""
        waiting: list[Chunk] = []
        n_rows = n_bytes = 0
        for chunk in self._chunks():
            if not (chunk.calls or chunk.n_refused or chunk.cursors):
                continue
            if n_rows >= BATCH_ROWS or n_bytes >= BATCH_BYTES:
                await self._batch(waiting, ends_look=False)
                waiting, n_rows, n_bytes = [], 0, 0
            waiting.append(chunk)
            n_rows, n_bytes = n_rows + len(chunk.calls) + chunk.n_refused, n_bytes + chunk.n_bytes
        if waiting:
            await self._batch(waiting, ends_look=True)
        self._take_feedback()
        self._store.see_logs(self._cursors.seen, int(self._request.now() // DAY_S))
        n_waiting = self._traces.n_waiting if self._traces is not None else 0
        return replace(self._taken, notes=tuple(self._notes), n_waiting=n_waiting, n_forgotten=self._forget())

    def _chunks(self) -> Iterator[Chunk]:
        request, now = self._request, self._request.now()
        reader = RowReader(self._monitor, now)
        cursors = self._cursors
        stream = request.stdin if STDIN in request.logs else None
        paths = self._paths(request.logs, _piped(request.file))
        if self._monitor.options.logs.format == "otlp":
            self._traces = traces = TraceReader(self._monitor, now, cursors, self._notes)
            logs = [TraceLog(path, read_log(path, cursors, self._notes), _quiet(path, now)) for path in paths]
            piped = [] if stream is None else [TraceLog(None, read_stream(stream, self._notes), float("inf"))]
            yield from traces.chunks([*logs, *piped])
            self._note_absent(traces.absent())
            return
        for path in paths:
            if self._monitor.options.logs.format == "parquet":
                found = parquet_calls(path, reader, cursors, self._notes)
            else:
                found = json_calls(read_log(path, cursors, self._notes), reader)
            for chunk in found:
                for cursor in chunk.cursors:
                    cursors.add(cursor)
                yield chunk
        if stream is not None:
            yield from json_calls(read_stream(stream, self._notes), reader)
        self._note_absent(reader.absent())

    def _paths(self, given: Sequence[str], take: str) -> list[Path]:
        """Return the files to read, and note what is not read."""
        there = [name for name in given if name == STDIN or Path(name).exists()]
        gone = [name for name in given if name not in there]  # since the command began: it is being rotated
        self._notes += [LogNote(name, "not there any more: it is read when it is back") for name in gone]
        self._notes += skipped_logs(there, self._cursors, take)
        return log_paths(there, take)

    def _note_absent(self, labels: Sequence[str]) -> None:
        what = "no row of this look has a value that can be used: check the name of the column"
        self._notes += [LogNote(f"{self._monitor.name} {label}", what) for label in labels]

    async def _batch(self, chunks: Sequence[Chunk], *, ends_look: bool) -> None:
        """Grade and store the calls of some chunks, all of them or none."""
        await asyncio.sleep(0)  # a look can be cancelled between two batches
        refusals = RefusedRows.of(chunks)
        in_time = self._in_time([call for chunk in chunks for call in chunk.calls], refusals)
        fresh = without_doubles(in_time, self._store.ids)
        number = self._store.state().last + 1
        observed = await self._observer.observe(number, fresh)
        sampled = {}
        if self._monitor.options.keep.text == "sampled":
            for day, rows in observed.rows.items():
                if day < self._first_text:
                    continue
                clean = without_secrets(list(rows), self._secrets)
                sampled[date_of(day)] = append_texts(self._store.folder, day, clean)
        counts = {"scored": len(fresh), "refused": refusals.n, "double": len(in_time) - len(fresh)}
        batch = Batch(
            number=number,
            files={},
            cursors={cursor.name: cursor.encoded() for chunk in chunks for cursor in chunk.cursors},
            values=self._observer.values.settle(),
            sampled=sampled,
            spent={self._today: observed.spent_usd} if observed.spent_usd else {},
            newest=observed.newest,
            before=self._before.before,
            ends_look=ends_look,
            counts=counts,
        )
        self._store.commit(batch, observed.days)
        self._taken = self._taken.plus(counts, observed, refusals.shown)

    def _take_feedback(self) -> None:
        request = self._request
        if not (request.feedback or has_waiting(self._store.folder)):
            return
        sources = [
            read_log(path, self._cursors, self._notes)
            for path in self._paths(request.feedback, _piped(request.file, "--feedback "))
        ]
        if STDIN in request.feedback and request.stdin is not None:
            sources.append(read_stream(request.stdin, self._notes))
        blocks = chain.from_iterable(sources)
        before = self._before.before  # of a look that was killed, its own
        found, refused = take_feedback(blocks, self._monitor, self._store, self._cursors, request.now(), before)
        shown = (*self._taken.refused, *refused)[:SHOWN_REFUSALS]
        self._taken = replace(self._taken, feedback=found, refused=shown)

    def _in_time(self, calls: Sequence[LoggedCall], refusals: RefusedRows) -> list[LoggedCall]:
        """Return the calls that are not too late, and count the others as refused."""
        newest = self._before.before  # a look that was killed goes on with its own limit
        if newest is None:
            return list(calls)
        what = "more than 48 hours older than the newest call of earlier takes"
        fix = "take logs in the order of time, or begin a monitor with another name"
        kept = []
        for call in calls:
            if call.at >= newest - LATE_S:
                kept.append(call)
            else:
                refusals.add(call.place, f"{what}; {fix}")
        return kept

    def _forget(self) -> int:
        """Seal months, delete old texts and ids, and return the number of days whose texts were deleted."""
        today = int(self._request.now() // DAY_S)
        newest = self._store.state().newest
        oldest = today if newest is None else int((newest - LATE_S) // DAY_S)
        if newest is not None:
            self._store.seal_months(int(newest // DAY_S) - LABELLED_DAYS)
        return self._store.forget(self._first_text, oldest - BACK_DAYS - 1)


def _piped(monitor: Path, flag: str = "") -> str:
    """Return the command that takes standard input into a monitor."""
    return f"evalkit monitor take {shlex.quote(shown_path(monitor))} {flag}-"


def _quiet(path: Path, now: float) -> float:
    """Return the seconds since a file last grew; those of a file that has gone are endless."""
    try:
        return now - path.stat().st_mtime
    except OSError:
        return float("inf")
