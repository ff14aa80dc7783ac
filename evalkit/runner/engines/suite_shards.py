"""Prepare a worker for the shards of a run: its suite, its system and its scorers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit import __version__
from evalkit.formats.manifest import Manifest
from evalkit.runner.chat_clients import Common
from evalkit.runner.conversations import open_system
from evalkit.runner.engine import Stop, answered_and_graded, charge, charged
from evalkit.runner.engines.base import EngineTask, OpenedShards, ShardCalls, leased_budget, refuse_differing, share
from evalkit.runner.grading import grade_all
from evalkit.runner.prepare import prepare
from evalkit.runner.refusals import Refusals
from evalkit.runner.scoring import Scoring
from evalkit.runner.stored_answers import StoredAnswers, answered_as
from evalkit.runner.systems import suite_of_run
from evalkit.store.folder import RunFolder
from evalkit.store.shards import ShardFolder, SharedWork, WorkPlan
from evalkit.suite.overrides import with_overrides
from evalkit.suite.parse import load_suite
from evalkit.types import Row

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared
    from evalkit.suite.model import Suite
    from evalkit.systems.base import Answer


async def open_run(shards: SharedWork, stack: AsyncExitStack) -> OpenedShards:
    """Prepare the suite, and open the system and the judges.

    Raises:
        EvalkitError: they cannot be opened, or this is not the run that this worker would make.
    """
    plan = shards.plan(WorkPlan)
    manifest = RunFolder(shards.path.parents[1]).manifest()
    own = with_overrides(load_suite(Path(plan.suite)), plan.overrides)
    if manifest.answers is not None:
        own = answered_as(suite_of_run(own, manifest), manifest, tuple)  # the answers are in the shards
    concurrency = own.options.concurrency
    calls = share(concurrency, plan.workers, 0)
    suite = dataclasses.replace(own, options=dataclasses.replace(own.options, concurrency=calls))
    budget = None if suite.options.budget_usd is None else leased_budget(shards, plan.workers)
    env, known, common = dict(os.environ), manifest.golden, Common(budget, shards.timetable)
    prepared = await prepare(suite, env, stack, replies=plan.replies, checked=known, common=common)
    if plan.checks:
        prepared = prepared.with_case_checks()
    _refuse_others(own, prepared, manifest)
    answer = await stack.enter_async_context(open_system(suite.system, prepared))
    return OpenedShards(
        workers=plan.workers,
        concurrency=concurrency,
        secrets=prepared.secrets,
        budget=budget,
        calls=partial(_calls, prepared, answer, calls),
    )


def _refuse_others(suite: Suite, prepared: Prepared, manifest: Manifest) -> None:
    """Reject a run that this worker would make differently.

    Raises:
        InputError: names everything that differs.
    """
    refuse_differing(
        {
            "version of evalkit": (__version__, manifest.versions.get("evalkit-gate")),
            "suite": (suite.sha256, manifest.suite_sha256),
            "golden set": (prepared.golden.sha256, manifest.golden.sha256),
            "system": (prepared.fingerprint, manifest.system.fingerprint),
            "scoring": (Scoring(prepared.graders, {}).id, manifest.scoring),
        }
    )


CASES = EngineTask(open_run, "every finished case is kept, continue with --resume, here or with --engine none")
"""Runs the cases of a run."""


@asynccontextmanager
async def _calls(
    prepared: Prepared, answer: Answer, in_flight: int, shard: ShardFolder, stop: Stop
) -> AsyncIterator[ShardCalls]:
    """Call the system, or take its stored answers, which are in the shard."""
    async with AsyncExitStack() as stack:
        system, budget = prepared.suite.system, prepared.budget
        if isinstance(system, StoredAnswers):
            own = dataclasses.replace(system, rows=shard.work)
            answer = await stack.enter_async_context(open_system(own, prepared))
        grade = grade_all(prepared.graders, charged(answer, budget))
        refusals = Refusals(in_flight)
        if budget is not None and budget.reached:
            stop(budget.reason)  # an earlier shard has spent it

        def ready(row: Row) -> list[Row]:
            charge(budget, stop, row)
            kept = refusals.take(row)
            if refusals.reason:
                stop(refusals.reason)
            return kept

        make_row = answered_and_graded(answer, grade, Scoring(prepared.graders, {}).id)
        yield ShardCalls(make_row=make_row, ready=ready, release=refusals.release)
