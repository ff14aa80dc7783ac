"""Let the workers of an engine ask the judges of a monitor about the sampled calls."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from evalkit import __version__
from evalkit.disk.files import sha256_of
from evalkit.errors import EvalkitError, InputError, Problem, RunError
from evalkit.monitor.grading import MonitorGraders, open_graders
from evalkit.monitor.settings import Monitor, load_monitor
from evalkit.runner.chat_clients import Common
from evalkit.runner.engine import Stop
from evalkit.runner.engines.base import (
    Engine,
    EngineTask,
    OpenedShards,
    ShardCalls,
    ShardEnd,
    leased_budget,
    refuse_differing,
    share,
)
from evalkit.runner.shard_calls import (
    EngineFlags,
    chosen_engine,
    dask_engine,
    refuse_idle_workers,
    run_shards,
    too_many_workers,
)
from evalkit.scorers.base import Grade
from evalkit.store.shards import ShardFolder, SharedWork, remove_shards
from evalkit.systems.secrets import secrets_of
from evalkit.types import Case, Output, Row

LEAST_SHARED = 100
"""Sampled calls of a batch from which on workers ask; fewer are judged sooner than workers start."""
SHARDS_EACH = 2
"""Shards of a batch for each worker, so that none waits long for the last one."""
DIED = "worker_died"


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgePlan:
    """What every worker must know of a monitor."""

    monitor: str
    """Path of its file, the same on every machine."""
    parts: Mapping[str, str]
    """Name -> value of all that must be the same for every worker."""
    workers: int


def engine_of(flags: EngineFlags | None, monitor: Monitor) -> Engine | None:
    """Return the engine whose workers ask the judges, `None` for none.

    Raises:
        InputError: reports everything against it.
    """
    settings = None if flags is None else chosen_engine(flags, None)
    if flags is None or settings is None:
        return None
    problems = list(too_many_workers(settings, monitor.options.concurrency))
    if monitor.options.keep.text == "none":
        what = "workers read the calls from files, and the monitor keeps no text (`keep: {text: none}`)"
        problems.append(Problem("--engine", what, "leave it out, or write `keep: {text: sampled}`"))
    return dask_engine(flags, settings, problems, JUDGING)


def refuse_rules_alone(graders: MonitorGraders) -> None:
    """Reject an engine for a monitor without judges.

    Raises:
        InputError: it has none.
    """
    if not graders.judges:
        what = "workers ask judges, and no scorer of the monitor asks one"
        raise InputError(Problem("--engine", what, "leave it out: rules grade in the process that reads the logs"))


async def open_judges(shards: SharedWork, stack: AsyncExitStack) -> OpenedShards:
    """Open the judges of a monitor in a worker.

    Raises:
        InputError: they cannot be opened, or are not those of the process that takes.
    """
    plan = shards.plan(JudgePlan)
    monitor = load_monitor(Path(plan.monitor))
    concurrency = monitor.options.concurrency
    calls = share(concurrency, plan.workers, 0)
    own = dataclasses.replace(monitor, options=dataclasses.replace(monitor.options, concurrency=calls))
    budget = None if monitor.options.sample.budget_usd_per_day is None else leased_budget(shards, plan.workers)
    env = dict(os.environ)
    graders = await stack.enter_async_context(open_graders(own, env, Common(budget, shards.timetable)))
    parts = _parts(own, graders)
    refuse_differing({name: (parts.get(name), value) for name, value in plan.parts.items()})
    return OpenedShards(
        workers=plan.workers,
        concurrency=concurrency,
        secrets=secrets_of(env, monitor.variables),
        budget=budget,
        calls=partial(_calls, graders),
    )


JUDGING = EngineTask(open_judges, "no call of the batch counts yet, run the command again, or run it without --engine")


def _parts(monitor: Monitor, graders: MonitorGraders) -> dict[str, str]:
    keys = [[facts.metric, facts.score_key, facts.judge] for facts in graders.facts]
    scoring = hashlib.sha256(json.dumps(keys).encode()).hexdigest()
    return {"version of evalkit": __version__, "monitor": sha256_of(monitor.path)[:12], "scoring": scoring[:12]}


@asynccontextmanager
async def _calls(graders: MonitorGraders, shard: ShardFolder, stop: Stop) -> AsyncIterator[ShardCalls]:
    """Ask the judges about the answers of a shard, until they do not answer."""
    outputs = {(row.case.digest, row.repeat): row.output for row in shard.work()}

    async def make_row(case: Case, position: int) -> Row:
        output = outputs[case.digest, position]
        assert output is not None  # noqa: S101 - failed calls are not drawn
        grades = await graders.by_judges(case, output)
        graders.reach.graded(grades)
        return Row(case=case, repeat=position, output=output, scores=grades)

    async def watch() -> None:
        try:
            await graders.reach.watch()
        except RunError as error:
            stop.at_once(str(error))

    graders.reach.begin()
    watching = asyncio.ensure_future(watch())
    try:
        yield ShardCalls(make_row=make_row)
    finally:
        watching.cancel()


class WorkerJudges:
    """The judges of a monitor, asked by workers, which are started by the first batch that has enough calls."""

    def __init__(self, engine: Engine, monitor: Monitor, graders: MonitorGraders) -> None:
        """Start nothing yet.

        Args:
            engine: has the workers.
            monitor: names the judges.
            graders: the same judges in this process.
        """
        self._engine, self._monitor, self._graders = engine, monitor, graders
        self._shards = SharedWork.new(monitor.folder)
        self._last, self._is_open = 0, False

    async def judge(self, answers: Sequence[tuple[Case, Output | None]]) -> list[Mapping[str, Grade]]:
        """Grade the answers of a batch.

        Raises:
            InputError: a worker would grade differently.
            RunError: the judge does not answer.
            EvalkitError: the workers are lost, or fail.
        """
        grades: dict[int, Mapping[str, Grade]] = {}
        if not self._is_open:
            self._is_open = True
            await asyncio.to_thread(self._engine.open)
            refuse_idle_workers(self._engine, self._monitor.options.concurrency)
        numbers = self._write(answers)
        await run_shards(self._engine, self._shards, numbers, lambda *ended: grades.update(self._taken(*ended)), Stop())
        found = [grades[position] for position in range(len(answers))]
        if (budget := self._graders.budget) is not None:
            for each in found:
                for grade in each.values():
                    budget.add(grade.usage)
        return found

    def _write(self, answers: Sequence[tuple[Case, Output | None]]) -> list[int]:
        """Write the shards of a batch, and return their numbers."""
        workers, budget = self._engine.workers, self._graders.budget
        size = math.ceil(len(answers) / (SHARDS_EACH * workers))
        plan = JudgePlan(monitor=str(self._monitor.path), parts=_parts(self._monitor, self._graders), workers=workers)
        rows = (Row(case=case, repeat=at, output=output) for at, (case, output) in enumerate(answers))
        numbers = self._shards.write(plan, ((self._last + 1 + row.repeat // size, row) for row in rows))
        self._last = numbers[-1]
        if budget is not None:
            self._shards.budget.set(budget.left_usd)
        return numbers

    def _taken(self, number: int, ended: ShardEnd) -> Iterator[tuple[int, Mapping[str, Grade]]]:
        """Yield the position and grades of each call of a sealed shard; a call that ended workers has no grade.

        Raises:
            EvalkitError: the attempt shows that the batch cannot go on.
        """
        if ended.state == "refused":
            raise InputError(ended.problems)
        if ended.state == "stopped":
            raise RunError(ended.why)
        if ended.state == "failed":
            raise EvalkitError(f"the judges were not asked: {ended.why}; {JUDGING.again}")
        shard = self._shards.shard(number)
        attempts, left_open = shard.sealed()
        cases = {row.repeat: row.case for row in shard.work()}
        for _, position in left_open:
            why = "two workers that asked about it died"
            yield position, self._graders.ungraded(cases[position], DIED, why)
        seen: set[int] = set()
        for attempt in attempts:
            for _, row in attempt.rows():
                if row.repeat not in seen:
                    seen.add(row.repeat)
                    yield row.repeat, row.scores
        shard.remove()

    async def close(self) -> None:
        """End the workers, and delete the texts that they read."""
        if self._is_open:
            self._shards.stop(at_once=True)
            await asyncio.to_thread(self._engine.close)
            remove_shards(self._monitor.folder)
