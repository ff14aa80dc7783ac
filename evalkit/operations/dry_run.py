"""Check, plan and estimate a run without sending or writing anything."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.disk.paths import shown_path
from evalkit.errors import EvalkitError
from evalkit.gate.policy import Canary, NoRegression
from evalkit.operations.estimate import RunEstimate, Typical, Work, estimate
from evalkit.operations.further_cases import further_cases
from evalkit.operations.paid_calls import unlimited
from evalkit.operations.plan_systems import plan_systems
from evalkit.operations.run import Planned, Request, plan_run
from evalkit.runner.alternation import MOST_TIMED_CASES
from evalkit.runner.batch_rounds import batch_notice
from evalkit.runner.chat_clients import CACHE_FILE
from evalkit.runner.engine import Stop
from evalkit.runner.plan import plan
from evalkit.runner.resume import Resume, look
from evalkit.runner.session import Watcher
from evalkit.runner.variants import PlannedVariants
from evalkit.store.chain import scan
from evalkit.store.folder import FOLDERS, MANIFEST, RunFolder, refuse_folder
from evalkit.suite.parse import load_suite

if TYPE_CHECKING:
    from evalkit.errors import Problem
    from evalkit.runner.chat_clients import Replies
    from evalkit.runner.earlier import EarlierRows

MOST_ROWS = 2_000
"""Maximum number of rows of an earlier run that are read for an estimate."""
LEAST_ROWS = 10
"""Minimum number of answers for an estimate from a partial or interrupted run."""
MOST_RUNS = 50


async def dry_run(request: Request, env: Mapping[str, str]) -> Mapping[str, RunEstimate]:
    """Check everything as a run does, and describe what the run would do.

    Returns:
        System -> the estimate of its run, in the order of the suite; the name is empty in a run of one.

    Raises:
        InputError: the problems that the run would raise before its first call, other than a missing budget.
        NothingSelected: no case is left.
    """
    suite = load_suite(request.suite)
    # Opening the cache of replies would create its file.
    asked = dataclasses.replace(request, replies="none")
    async with AsyncExitStack() as stack:
        if suite.systems:
            several = await plan_systems(suite, asked, env, stack)
            found = zip(several.run.systems, several.systems, strict=True)
            refused = unlimited(several.systems)
            return {entry.name: _estimated(planned, request, refused) for entry, planned in found}
        planned = await plan_run(asked, env, stack, suite)
        refuse_folder(planned.out, resume=request.resume)
        return {"": _estimated(planned, request, unlimited([planned]))}


def _estimated(planned: Planned, request: Request, refused: Problem | None) -> RunEstimate:
    prepared = planned.prepared
    resume = Resume(prepared, planned.chosen, Watcher(), Stop(), request.resume, request.retry_errors)
    earlier = look(RunFolder(planned.out), planned.manifest, resume)
    work = _work(planned, earlier)
    typical = _typical(planned)
    notes = [] if refused is None else [f"The run is refused: {refused.what}; {refused.fix}."]
    return estimate(prepared, work, typical, (*notes, *_notes(planned, request, typical)))


def _work(planned: Planned, earlier: EarlierRows) -> Work:
    golden, options = planned.prepared.golden, planned.prepared.suite.options
    counts: Counter[str] = Counter()
    for case, _ in plan(golden.outlines(), range(options.repeat), chosen=planned.chosen, done=earlier.done):
        counts[case.digest] += 1
    budget = planned.prepared.budget
    variants, folder = PlannedVariants(planned.prepared, planned.chosen), RunFolder(planned.out)
    open_variants = list(variants.open(folder, earlier.scoring, retry=earlier.retry))
    graded_again = [
        (row.case, earlier.scoring.open_to(row, retry=earlier.retry)) for row in variants.graded_again(folder)
    ]
    return Work(
        open=[
            *((case, counts[case.digest]) for case in golden.open(counts.keys())),
            *((case, 1) for case, _ in open_variants),
        ],
        n_variants=len(open_variants),
        regraded=[*earlier.asked_again(), *graded_again],
        n_cases=golden.n_cases if planned.chosen is None else len(planned.chosen),
        n_done=len(earlier.done),
        spent_usd=budget.spent_usd if budget is not None else 0.0,
    )


def _typical(planned: Planned) -> Typical | None:
    """Return the first run with answers: the one to resume, the newest of the suite, its baseline."""
    for folder in _earlier_runs(planned):
        with suppress(EvalkitError):
            manifest = folder.manifest()
            rows = [row for row in islice(folder.rows(), MOST_ROWS) if row.output is not None]
            n_timed = min(len(scan(folder.rows_file).sums), manifest.expected)  # what the gate asked again is not
            whole = manifest.partial is None and n_timed == manifest.expected
            if len(rows) >= (1 if whole else LEAST_ROWS):
                wall_s = manifest.wall_s
                seconds = None if wall_s is None else wall_s / max(1, n_timed)
                return Typical(shown_path(folder.path), rows, manifest.score_keys, manifest.conversation_key, seconds)
    return None


def _earlier_runs(planned: Planned) -> Iterator[RunFolder]:
    yield RunFolder(planned.out)
    suite = planned.prepared.suite
    for place in dict.fromkeys((planned.out.parent.resolve(), suite.root.resolve() / "reports")):
        runs = (*place.glob(f"*/{MANIFEST}"), *place.glob(f"*/{FOLDERS}/*/{MANIFEST}"))
        files = sorted(runs, key=lambda file: file.stat().st_mtime_ns, reverse=True)
        for folder in (RunFolder(file.parent) for file in files[:MOST_RUNS]):
            with suppress(EvalkitError):
                manifest = folder.manifest()
                if manifest.suite == suite.name and manifest.system.name == suite.system_name:
                    yield folder
    if planned.terms.baseline_folder is not None:
        yield planned.terms.baseline_folder


def _notes(planned: Planned, request: Request, typical: Typical | None) -> Iterator[str]:
    """Yield the costs that the figures do not include."""
    prepared = planned.prepared
    if typical is not None and typical.seconds_a_row is not None:
        yield "Time: at the earlier run's concurrency, which is not kept."
    if prepared.suite.system_kind == "replay":
        yield "The system's answers are stored ones: reading them is not a call."
    asked = {"judges": prepared.services.llm, "simulated users": prepared.user}
    if who := " and ".join(name for name, client in asked.items() if client is not None):
        yield _kept_replies(who, prepared.suite.root, request.replies)
    if notice := batch_notice(prepared.suite):
        yield f"{notice[0].upper()}{notice[1:]}; each batch may take a day, which is not part of the time."
    if isinstance(prepared.services.embedder, AbstractAsyncContextManager):
        if any("embedding" in grader.key for grader in prepared.graders):
            yield "Calls of the embedding endpoint are not counted."
    if request.selection.partial is None:
        if request.answers is None:
            yield from (f"Not counted: {each}." for each in further_cases(prepared))
        yield from _asked_by_gate(planned)


def _kept_replies(who: str, root: Path, replies: Replies) -> str:
    if replies != "taken":
        flag = "--no-cache" if replies == "none" else "--refresh-cache"
        return f"Replies of {who} in earlier runs are not taken ({flag})."
    if not (root / CACHE_FILE).is_file():
        return f"Replies of {who} in earlier runs: none is kept."
    return f"Replies of {who} in earlier runs cost nothing; how many fit is known only when the answers are there."


def _asked_by_gate(planned: Planned) -> Iterator[str]:
    policy, baseline = planned.terms.policy, planned.terms.baseline
    if policy.early_stop is not None and baseline is not None:
        yield "At most: `early_stop` may end the run sooner."
    if former := planned.terms.former:
        one = "case that was" if len(former) == 1 else "cases that were"
        yield f"Not counted: {len(former):,} {one} removed or edited, run in the old form too."
    compares = baseline is not None and any(isinstance(each, NoRegression) for each in policy.checks)
    if compares and planned.terms.asks_both:
        yield "Not counted: all conversations with the baseline's system, as the stored ones were led differently."
    elif compares and policy.alternates:
        yield f"Not counted: up to {MOST_TIMED_CASES} calls of the baseline's system, to compare the speed of both."
    again = ["failed canaries"] if any(isinstance(each, Canary) for each in policy.checks) else []
    again += ["cases that look worse than the baseline"] if compares else []
    if again:
        whom = ", of both systems" if compares and policy.escalates else ""
        yield f"Not counted: calls that the gate repeats for {' and '.join(again)}{whom}."
