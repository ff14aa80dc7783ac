"""Check a suite with several systems, and plan a run of each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.aggregate.measured import CASE_AMOUNTS
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.formats.build import choices
from evalkit.formats.systems_run import SystemEntry, SystemsRun
from evalkit.gate.policy import Best
from evalkit.golden.held_ids import held_notice
from evalkit.operations.run import Planned, Request, lock_problems_of, refuse_places
from evalkit.runner.draw import chosen_cases
from evalkit.runner.inputs import other_problems, refuse_unfit, warnings_of
from evalkit.runner.manifest import manifest_of
from evalkit.runner.open_files import make_room
from evalkit.runner.prepare import prepare
from evalkit.runner.resume import checked_golden
from evalkit.runner.systems import Ready, prepared_each, ready_each, without_reference
from evalkit.runner.terms import terms_of_run
from evalkit.store.folder import MANIFEST, refuse_folder
from evalkit.store.running import refuse_if_running
from evalkit.store.systems_folder import SystemsFolder, folders_of
from evalkit.suite.overrides import with_overrides

if TYPE_CHECKING:
    from evalkit.gate.assess import Terms
    from evalkit.runner.prepare import Prepared
    from evalkit.suite.model import Suite


@dataclass(frozen=True)
class PlannedSystems:
    """A checked run of several systems that has not started."""

    prepared: Prepared
    """The suite as a whole."""
    systems: tuple[Planned, ...]
    """In the order of the suite."""
    run: SystemsRun
    out: Path
    """The folder of the run; it may not exist yet."""


async def plan_systems(suite: Suite, request: Request, env: Mapping[str, str], stack: AsyncExitStack) -> PlannedSystems:
    """Check everything that the runs depend on and choose the cases, without calling or writing anything.

    Raises:
        InputError: reports every problem of suite, data, flags and baseline.
        NothingSelected: no case is left.
    """
    refuse_places(request.written)
    suite = with_overrides(suite, request.overrides)
    make_room(suite)
    stored = _stored(suite, request)
    whole, ready = await ready_systems(suite, request, env, stack, stored)
    chosen, sample = chosen_cases(whole, request.selection)
    n_cases = whole.golden.n_cases if chosen is None else len(chosen)
    now, expected = datetime.now(UTC), n_cases * suite.options.repeat
    manifests = [
        dataclasses.replace(
            manifest_of(each.prepared, each.terms, now=now, expected=expected, sample=sample, command=request.command),
            baseline=request.baseline,
        )
        for each in ready
    ]
    run_id = stored.run_id if stored is not None else manifests[0].run_id
    out = (request.out or suite.root / "reports" / run_id).absolute()
    folders = folders_of([each.system.name for each in ready])
    run = SystemsRun(
        run_id=run_id,
        suite=suite.name,
        suite_file=manifests[0].suite_file,
        systems=tuple(
            SystemEntry(name=each.system.name, folder=folders[each.system.name], factors=each.system.factors)
            for each in ready
        ),
        reference=suite.reference.name,
        release=tuple(suite.options.release),
        primary=suite.options.primary,
        order=suite.options.order,
        started_at=stored.started_at if stored is not None else manifests[0].started_at,
        command=stored.command if stored is not None else manifests[0].command,
    )
    planned = [
        Planned(each.prepared, each.terms, chosen, manifest, out / folders[each.system.name])
        for each, manifest in zip(ready, manifests, strict=True)
    ]
    return PlannedSystems(whole, tuple(planned), run, out)


async def ready_systems(
    suite: Suite, request: Request, env: Mapping[str, str], stack: AsyncExitStack, stored: SystemsRun | None = None
) -> tuple[Prepared, list[Ready]]:
    """Check every file that the runs depend on; sessions are entered on `stack`, and nothing is called.

    Args:
        suite: a suite with several systems.
        request: settings of the run.
        env: the environment.
        stack: stack of everything to close.
        stored: the run to resume.

    Raises:
        InputError: reports the problems of golden set, systems, scorers, gate, labels, calibrations and baseline
            together.
    """
    changed = lock_problems_of(suite, request.selection)
    try:
        folder = None if stored is None or request.out is None else request.out / stored.systems[0].folder
        checked = checked_golden(folder, suite)
        whole = await prepare(suite, env, stack, replies=request.replies, checked=checked)
        notice = held_notice(suite.golden_file, "several systems are run")
        whole = dataclasses.replace(whole, held_back=notice)
        _refuse_primary(whole)
        _refuse_wide(whole)

        def collect(one: Prepared, baseline: str | None, asks: bool) -> Terms:
            asks = asks and request.asks_further
            return terms_of_run(one, env, baseline=baseline, selection=request.selection, asks=asks)

        ready = ready_each(prepared_each(whole), suite.reference.name, request.baseline, collect)
        for at, each in enumerate(ready):
            if at == 0 or each.prepared.suite.policy.can_block:
                refuse_unfit(each.prepared, each.terms)
    except InputError as error:
        others = other_problems(without_reference(suite), request.baseline)
        rest = (each for each in others if each not in error.problems)
        raise InputError((*error.problems, *rest, *changed)) from None
    if changed:
        raise InputError(changed)
    return dataclasses.replace(whole, warnings=_warnings(suite, ready)), ready


def _refuse_primary(prepared: Prepared) -> None:
    """Refuse a metric of ranks that no run of the suite has.

    Raises:
        InputError: there is no such metric, or it is not a mean over cases.
    """
    suite, name = prepared.suite, prepared.suite.options.primary
    votes = any(metric.votes and metric.name not in prepared.advisory for metric in prepared.metrics)
    known = [*(["pass_rate"] if votes else []), *(metric.name for metric in prepared.metrics), *CASE_AMOUNTS]
    if name in known:
        return
    what = f"no scorer gives {name!r} as a mean over cases"
    if name == "pass_rate":
        what = "no scorer has a pass mark, so there is no `pass_rate` to rank the systems by"
    raise InputError(Problem(suite.place("primary"), what, choices(name, known)))


def _refuse_wide(prepared: Prepared) -> None:
    """Refuse a distance to the best system that no difference can reach.

    Raises:
        InputError: it is as wide as the scale of the metric.
    """
    suite = prepared.suite
    name = suite.options.primary
    scales = {"pass_rate": 1.0, **{metric.name: metric.high - metric.low for metric in prepared.metrics}}
    span = scales.get(name, math.inf)
    problems = [
        Problem(
            suite.place(f"gate[{index}].best"),
            f"within {check.within:g} is as wide as the whole range of {name} ({span:g})",
            "write it in units of the metric, such as 0.02",
        )
        for index, check in enumerate(suite.policy.checks)
        if isinstance(check, Best) and check.within >= span
    ]
    if problems:
        raise InputError(problems)


def _warnings(suite: Suite, ready: list[Ready]) -> tuple[Problem, ...]:
    found = [problem for each in ready for problem in warnings_of(each.prepared, each.terms)]
    if suite.policy.checks and not suite.options.release:
        what = "the gate applies to no system: none is under `release:`"
        fix = f"add `release: [{ready[-1].system.name}]`, or leave the gate out to compare only"
        found.append(Problem(suite.place("gate"), what, fix))
    return tuple(dict.fromkeys(found))


def _stored(suite: Suite, request: Request) -> SystemsRun | None:
    """Return the run to resume; `None` for a new one, or if it died before it wrote its systems.

    Raises:
        InputError: the folder cannot be used, or holds a run of other systems.
    """
    out = request.out
    if out is None:
        return None
    refuse_if_running(out)
    folder = SystemsFolder(out)
    if not folder.exists:
        if (out / MANIFEST).is_file():
            what = "holds a run of one system, and the suite names several"
            raise InputError(Problem(shown_path(out), what, "name a new folder with --out"))
        refuse_folder(out, resume=request.resume)
        return None
    if not request.resume:
        fix = "name a new folder with --out, or continue with --resume"
        raise InputError(Problem(shown_path(out), "is not empty", fix))
    stored = folder.read()
    before, now = [each.name for each in stored.systems], [each.name for each in suite.systems]
    if before != now:
        words = [f"{name} added" for name in now if name not in before]
        words += [f"{name} removed" for name in before if name not in now]
        what = f"the run in it had other systems ({', '.join(words[:10]) or 'in another order'})"
        raise InputError(Problem(shown_path(out), what, "start a new run"))
    if stored.order != suite.options.order:
        what = f"the run in it has `order: {stored.order}`, and the suite `order: {suite.options.order}`"
        raise InputError(Problem(shown_path(out), what, "change the suite back, or start a new run"))
    return stored
