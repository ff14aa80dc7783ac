"""Run the planned cases of a run in shards on an engine, and take their rows into its journal."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evalkit.errors import EvalkitError, InputError, Problem, gathered, what_and_fix
from evalkit.formats.rows import row_name
from evalkit.golden.shards import BUCKETS, number_of
from evalkit.runner.case_checks import METRIC
from evalkit.runner.chat_clients import judges_of
from evalkit.runner.engine import Stop
from evalkit.runner.engines.base import Engine, EngineTask, ShardEnd
from evalkit.runner.engines.suite_shards import CASES
from evalkit.runner.plan import plan
from evalkit.runner.session import Interrupted, Session
from evalkit.runner.stored_answers import StoredAnswers
from evalkit.store.chain import lines_of
from evalkit.store.folder import RunFolder
from evalkit.store.journal import Journal
from evalkit.store.row_keys import Key
from evalkit.store.running import Running
from evalkit.store.shards import SHARDS, SharedWork, WorkPlan, open_row, remove_shards, written_rows
from evalkit.suite.engine import DaskSettings, EngineSettings
from evalkit.text.numbers import plural
from evalkit.types import Case, Failure, Output, Row

if TYPE_CHECKING:
    from evalkit.runner.chat_clients import Replies
    from evalkit.suite.model import Suite


@dataclass(frozen=True, kw_only=True)
class EngineFlags:
    """The flags of `evalkit run` that choose an engine; `None` leaves the choice to the suite."""

    engine: Literal["dask", "none"] | None = None
    workers: int | None = None
    shard_size: int | None = None
    scheduler: str | None = None
    insecure: bool = False
    """Whether the connection to the scheduler may be unencrypted."""

    @property
    def asks(self) -> bool:
        """Whether a flag is set."""
        return self.engine is not None or bool(self.unused)

    @property
    def unused(self) -> list[str]:
        """The flags that are set and have no effect without an engine."""
        flags = {
            "--workers": self.workers,
            "--shard-size": self.shard_size,
            "--scheduler": self.scheduler,
            "--insecure-scheduler": self.insecure or None,
        }
        return [flag for flag, value in flags.items() if value is not None]


def sharded_calls(
    flags: EngineFlags | None, suite: Suite, overrides: Mapping[str, float], replies: Replies, fail_fast: int | None
) -> ShardedCalls | None:
    """Return how the cases of a suite are run in other processes, `None` if they are run in this one.

    Args:
        flags: those that choose the engine; `None` for a run in this process, whatever the suite says.
        suite: the suite, with its options overridden by flags.
        overrides: these options.
        replies: how to use judge replies of earlier runs.
        fail_fast: number of failed cases after which no new one starts.

    Raises:
        InputError: reports everything that an engine cannot do.
    """
    settings = None if flags is None else chosen_engine(flags, suite.options.engine)
    if flags is None or settings is None:
        return None
    problems = [*too_many_workers(settings, suite.options.concurrency), *_unfit(suite, fail_fast)]
    return ShardedCalls(dask_engine(flags, settings, problems), settings.shard_size, overrides, replies)


def chosen_engine(flags: EngineFlags, asked: EngineSettings | None) -> DaskSettings | None:
    """Return the settings of the engine, `None` for no engine.

    Args:
        flags: those that choose it.
        asked: what the suite says.

    Raises:
        InputError: a flag has no effect, or is out of range.
    """
    if flags.engine == "none" or (flags.engine is None and asked is None):
        if flags.unused:
            what, fix = "has no effect without an engine", "leave it out, or add --engine dask"
            raise InputError(Problem(flag, what, fix) for flag in flags.unused)
        return None
    own = DaskSettings() if asked is None else asked.dask
    try:
        return dataclasses.replace(
            own, workers=flags.workers or own.workers, shard_size=flags.shard_size or own.shard_size
        )
    except ValueError as error:
        key, _, rest = str(error).partition(": ")
        raise InputError(Problem(f"--{key.replace('_', '-')}", *what_and_fix(rest))) from None


def dask_engine(
    flags: EngineFlags, settings: DaskSettings, problems: list[Problem], task: EngineTask = CASES
) -> Engine:
    """Return the engine of Dask, not opened yet.

    Args:
        flags: name the scheduler.
        settings: its number of workers.
        problems: other reasons against an engine.
        task: what its workers do.

    Raises:
        InputError: reports all reasons.
    """
    problems = [*problems, *_unreachable(settings, flags)]
    with gathered(problems):
        from evalkit.runner.engines.dask import DaskEngine

        engine = DaskEngine(settings.workers or 0, flags.scheduler, task)
    if problems:
        raise InputError(problems)
    return engine


def too_many_workers(settings: DaskSettings, concurrency: int) -> Iterator[Problem]:
    """Yield that some workers would have no call to make."""
    if settings.workers is not None and settings.workers > concurrency:
        what = f"{settings.workers} workers share {plural(concurrency, 'call')} in flight (`concurrency`)"
        yield Problem("--workers", what, "use fewer workers, or raise `concurrency`")


def _unfit(suite: Suite, fail_fast: int | None) -> Iterator[Problem]:
    """Yield what an engine cannot do."""
    if fail_fast is not None:
        what = "counts the failed cases of one process"
        yield Problem("--fail-fast", what, "leave it out, or add --engine none")
    if suite.options.early_stop:
        what = "it runs all cases at once, and the suite has `early_stop`"
        yield Problem("--engine", what, "add --engine none, or remove `early_stop`")
    if any(config.batch for config in judges_of(suite)):
        what = "the suite's judge is asked in batches (`batch: true`), for which one process waits"
        yield Problem("--engine", what, "add --engine none, or remove `batch: true`")
    if suite.systems:
        what = "the suite names several systems, which are called in turn on one machine"
        yield Problem("--engine", what, "add --engine none, or use a suite with one `system:`")
    elif suite.baseline_system is not None:
        what = "the suite calls the baseline's system beside its own, which needs one process"
        yield Problem("--engine", what, "add --engine none, or remove `baseline_system`")


def _unreachable(own: DaskSettings, flags: EngineFlags) -> Iterator[Problem]:
    """Yield why there would be no workers, or a connection that others can read and use."""
    scheduler = flags.scheduler
    if scheduler is None:
        if own.workers is None:
            yield Problem("--workers", "missing: the number of processes", "add --workers 4")
        if flags.insecure:
            yield Problem("--insecure-scheduler", "there is no --scheduler", "leave it out: local workers need none")
    elif not scheduler.startswith(("tls://", "tcp://")):
        what = f"{scheduler!r} is not the address of a scheduler"
        yield Problem("--scheduler", what, "write tls://HOST:8786")
    elif scheduler.startswith("tcp://") and not flags.insecure:
        what = "anyone who can reach a scheduler without TLS can run code on its workers, and read what they do"
        yield Problem("--scheduler", what, "use tls://, or add --insecure-scheduler on a private network")


@dataclass(frozen=True)
class ShardedCalls:
    """How the cases of a run are run in other processes."""

    engine: Engine
    shard_size: int
    """Number of cases that a shard holds on average."""
    overrides: Mapping[str, float]
    """Options of the suite that flags have set."""
    replies: Replies

    async def ask(self, session: Session, journal: Journal) -> frozenset[Key]:
        """Run the cases of a run that are not done, and return those that ended the process of several workers.

        Raises:
            InputError: a worker would make another run.
            EvalkitError: the workers are lost, or fail; the run can be resumed.
            Interrupted: the user stopped the run.
        """
        if session.done.n_below(session.prepared.suite.options.repeat) >= session.expected:
            return frozenset()  # no worker is started for nothing
        folder = SharedWork.new(session.folder.path)
        suspects = await self._drive(session, journal, folder)
        for line, row in written_rows(session.folder.path):
            session.take(row, line, journal)
        journal.sync()
        remove_shards(session.folder.path)
        if session.stop.signal is not None:
            raise Interrupted(session.folder)
        return suspects

    async def _drive(self, session: Session, journal: Journal, folder: SharedWork) -> frozenset[Key]:
        """Run the shards, and take the rows of each that is sealed."""
        suspects = frozenset[Key]()

        def take(number: int, ended: ShardEnd) -> None:
            nonlocal suspects
            suspects |= _take(session, journal, folder, number, ended)

        try:
            await asyncio.to_thread(self.engine.open)
            await run_shards(self.engine, folder, self._write(session, folder), take, session.stop)
        finally:
            folder.stop(at_once=True)
            await asyncio.to_thread(self.engine.close)
        return suspects

    def _write(self, session: Session, folder: SharedWork) -> list[int]:
        """Write the shards, and return their numbers."""
        suite = session.prepared.suite
        repeats = suite.options.repeat
        n_open = session.expected - session.done.n_below(repeats)
        refuse_idle_workers(self.engine, suite.options.concurrency)
        of = min(BUCKETS, max(1, math.ceil(n_open / repeats / self.shard_size)))
        work = plan(session.cases(), range(repeats), chosen=session.chosen, done=session.done)
        answers = suite.system.read() if isinstance(suite.system, StoredAnswers) else {}
        rows = (_row_of(case, repeat, answers.get((case.digest, repeat))) for case, repeat in work)
        known = WorkPlan(
            suite=str(suite.path.absolute()),
            overrides=self.overrides,
            replies=self.replies,
            workers=self.engine.workers,
            checks=any(metric.name == METRIC for metric in session.prepared.metrics),
        )
        numbers = folder.write(known, ((number_of(row.case, of), row) for row in rows))
        if (budget := session.prepared.budget) is not None:
            folder.budget.set(max(0.0, budget.limit_usd - budget.spent_usd))
        return numbers


async def run_shards(
    engine: Engine, folder: SharedWork, numbers: Sequence[int], take: Callable[[int, ShardEnd], None], stop: Stop
) -> None:
    """Run shards on an open engine, and take each as it ends; what stops one after an error stops the others.

    Args:
        engine: the engine.
        folder: the folder of the shards.
        numbers: the shards to run.
        take: called with the number of a shard, and how it ended.
        stop: ends the shards early.

    Raises:
        EvalkitError: raised by `take`, or because the workers are lost.
    """
    wrong, over = list[EvalkitError](), False
    ended: asyncio.Queue[tuple[int, ShardEnd] | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def stopped() -> bool:
        if found := stop.reason is not None or bool(wrong) or over:
            folder.stop(at_once=bool(wrong) or over or stop.cuts)
        return found

    def attempted(number: int, how: ShardEnd) -> None:
        loop.call_soon_threadsafe(ended.put_nowait, (number, how))

    try:
        running = asyncio.ensure_future(asyncio.to_thread(engine.run, folder.path, numbers, attempted, stopped))
        running.add_done_callback(lambda _: ended.put_nowait(None))
        while (found := await ended.get()) is not None:
            try:
                take(*found)
            except EvalkitError as error:
                wrong.append(error)
        await running
    finally:
        over = True
    if wrong:
        raise wrong[0]


def refuse_idle_workers(engine: Engine, concurrency: int) -> None:
    """Reject an open engine whose scheduler has more workers than there are calls in flight.

    Raises:
        InputError: it has.
    """
    if engine.workers > concurrency:
        what = f"{engine.workers} workers share {plural(concurrency, 'call')} in flight"
        raise InputError(Problem("--engine", what, f"add --workers {concurrency}"))


def _row_of(case: Case, repeat: int, ended: Output | Failure | None) -> Row:
    """Return what a worker is given: a case to run, or its stored answer to score."""
    if isinstance(ended, Output):
        return Row(case=case, repeat=repeat, output=ended)
    return open_row(case, repeat) if ended is None else Row(case=case, repeat=repeat, failure=ended)


def _take(session: Session, journal: Journal, shards: SharedWork, number: int, ended: ShardEnd) -> frozenset[Key]:
    """Take the rows of a sealed shard into the journal, and return the cases that were left open.

    Raises:
        EvalkitError: the attempt shows that the run cannot go on.
    """
    if ended.state == "refused":
        raise InputError(ended.problems)
    if ended.state == "failed":
        raise EvalkitError(f"shard {number} failed: {ended.why}; continue with --resume")
    if ended.state == "stopped":
        if ended.why:
            session.stop(ended.why)
        return frozenset()
    shard = shards.shard(number)
    attempts, left_open = shard.sealed()
    for attempt in attempts:
        for line, row in attempt.rows():
            session.take(row, line, journal)
    journal.sync()
    shard.remove()
    return left_open


def take_written(folder: RunFolder, running: Running) -> None:
    """Take the rows that workers of an interrupted run wrote into its journal, before the run is resumed.

    Raises:
        StoreError: the disk refuses.
    """
    if not (folder.path / SHARDS).is_dir():
        return
    rows: dict[bytes, tuple[bytes, Key]] = {}
    for line, row in written_rows(folder.path):
        rows.setdefault(row_name(line) or b"", (line, (row.case.digest, row.repeat)))
    for line in lines_of(folder.rows_file) if folder.rows_file.exists() else ():
        name = row_name(line) or b""
        if name in rows and rows[name][0] == line:
            del rows[name]
    with Journal(folder.rows_file) as journal:
        for line, (digest, repeat) in rows.values():
            running.begins(digest, repeat)
            journal.append_line(line)
    for _, key in rows.values():
        running.noted.add(key)
    remove_shards(folder.path)
