"""Run several systems on the same cases, by turns, and decide about those that are released."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.disk.json_files import to_json
from evalkit.errors import EvalkitError, ExitCode, StoreError
from evalkit.formats.systems_run import BY_CASE, BY_SYSTEM, SystemsRun
from evalkit.gate.earlier_decisions import of_baseline, of_resumed
from evalkit.operations.paid_calls import refuse_unlimited
from evalkit.operations.plan_systems import PlannedSystems, plan_systems
from evalkit.operations.run import Planned, Request, Result, aside, decide_again, finish
from evalkit.operations.stored_systems import as_in_suite
from evalkit.results import WORST_FIRST, Decision, Outcome, Summary
from evalkit.runner.case_order import in_random_order
from evalkit.runner.conversations import open_system
from evalkit.runner.earlier import Already
from evalkit.runner.engine import Stop
from evalkit.runner.pace import LEAD, Pace
from evalkit.runner.resume import Resume, enter
from evalkit.runner.session import Interrupted, Place, Session, Watcher
from evalkit.runner.systems import compares_all, standings_of, with_reference
from evalkit.store.folder import DECISION, RunFolder
from evalkit.store.journal import Journal
from evalkit.store.running import Running
from evalkit.store.systems_folder import SystemsFolder
from evalkit.suite.named_system import of_run
from evalkit.types import Row

if TYPE_CHECKING:
    from evalkit.aggregate.system_comparison import SystemComparison
    from evalkit.gate.assess import Terms
    from evalkit.gate.best_system import Standings
    from evalkit.suite.model import Suite
    from evalkit.systems.base import Answer

ENOUGH_ANSWERED = 0.95
"""Least share of the calls that must be answered if no system is released."""


@dataclass(frozen=True)
class SystemsResult:
    """A finished run of several systems."""

    folder: SystemsFolder
    run: SystemsRun
    results: Mapping[str, Result]
    """System -> its run, in the order of the suite."""
    comparison: SystemComparison
    exit_code: ExitCode
    reasons: tuple[str, ...]
    """Why the exit code is what it is."""
    sha256: str
    """SHA-256 of `decision.json` as written."""

    undecided: tuple[str, ...] = ()
    """Why there is no decision, other than the gates of release systems."""

    @property
    def outcome(self) -> str:
        """The worst outcome of the release systems; `compared` if none is released and all could be compared."""
        return _outcome(self.exit_code, [self.results[name].decision.outcome for name in self.run.release])

    @property
    def shown_reasons(self) -> tuple[str, ...]:
        """Reasons that are shown beside the gates; a block is said by the gates, whatever else is not decided."""
        return self.undecided if self.exit_code == ExitCode.NO_DECISION else ()


@dataclass
class _Asked:
    """One system while it is asked."""

    name: str
    planned: Planned
    place: Place
    session: Session
    running: Running
    stop: Stop
    answer: Answer
    journal: Journal


_Decided = tuple["Summary", "Decision", "Terms"]


async def run_systems(
    suite: Suite, request: Request, watcher: Watcher, stop: Stop, env: Mapping[str, str]
) -> SystemsResult:
    """Run every system of a suite, decide, and write the run folders and what they have in common.

    Raises:
        InputError: reports every problem of suite, data, flags and baseline, before the first call.
        StoreError: the disk failed; rows in the journals are kept.
        Interrupted: the user stopped the run.
    """
    with ExitStack() as holding:
        async with AsyncExitStack() as stack:
            planned = await plan_systems(suite, request, env, stack)
            refuse_unlimited(planned.systems)
            folder = _made(planned)
            whole = holding.enter_context(Running(folder.path, request.process))
            folder.write(planned.run)
            RunFolder(folder.path).file(DECISION).unlink(missing_ok=True)
            pace = Pace(math.inf if planned.run.order == BY_SYSTEM else LEAD)
            asked = [
                await _entered(name, each, request, (watcher, stop.part(pace.wake)), (holding, stack))
                for name, each in zip(_names(planned.run), planned.systems, strict=True)
            ]
            _in_order(planned, asked)
            _begin(planned, asked, watcher)
            if (deadline_s := planned.prepared.suite.options.deadline_s) is not None:
                reason = f"deadline of {deadline_s:g} s reached; continue with --resume"
                asyncio.get_running_loop().call_later(deadline_s, stop.at_once, reason)
            preparing = asyncio.create_task(aside(request.meanwhile))
            await _run_all(asked, pace, at_once=planned.run.order == BY_CASE)
            if stop.signal is not None:
                raise Interrupted(RunFolder(folder.path))
            try:
                standings = _standings(asked, planned)
                decided = [await _decided(each, asked, planned, standings) for each in asked]
            except Interrupted:
                raise Interrupted(RunFolder(folder.path)) from None
            await preparing
        # The systems are closed by now, and the process state is restored.
        results = _finished(asked, decided, planned.run.reference)
        if stop.reason is None:
            whole.finished()
    return _written(folder, planned.run, results)


def _finished(asked: Sequence[_Asked], decided: Sequence[_Decided], reference: str) -> dict[str, Result]:
    """Write the manifest and the decision of each system."""
    results = {}
    for each, (summary, decision, terms) in zip(asked, decided, strict=True):
        earlier = of_resumed(each.place.before)
        for other in asked:
            compared = terms.contender is not None or (terms.same_run and other.name == reference)
            if compared and other is not each:
                earlier += dataclasses.replace(of_resumed(other.place.before), decisions=())
        if not terms.same_run:
            earlier += of_baseline(terms.baseline_folder, terms.baseline_title)
        results[each.name] = finish(each.session, summary, decision, terms, earlier)
        if each.stop.reason is None:
            each.running.finished()
    return results


def decide_systems_again(
    folder: SystemsFolder,
    suite_file: Path | None,
    baseline: str | None,
    env: Mapping[str, str],
    *,
    unlocked: bool | None = None,
) -> SystemsResult:
    """Decide again about every system of a stored run, and compare them again; nothing is called.

    What is released, and what is compared with what, is read from the suite: anybody may have edited the list of
    systems in the folder.

    Raises:
        InputError: a folder, the suite or the baseline cannot be read, or the run is not one of the suite.
    """
    run, dropped = as_in_suite(folder, suite_file)
    results = {
        each.name: decide_again(folder.folder_of(run, each.name), suite_file, baseline, env, unlocked=unlocked)
        for each in run.systems
    }
    return _written(folder, run, results, dropped)


def _names(run: SystemsRun) -> list[str]:
    return [each.name for each in run.systems]


def _made(planned: PlannedSystems) -> SystemsFolder:
    for path in (planned.out, *(each.out for each in planned.systems)):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: cannot be made ({error.strerror}); choose another folder with --out") from error
    return SystemsFolder(planned.out)


async def _entered(
    name: str, planned: Planned, request: Request, heard: tuple[Watcher, Stop], open_: tuple[ExitStack, AsyncExitStack]
) -> _Asked:
    """Enter the folder of a system, and open the system."""
    (watcher, stop), (holding, stack) = heard, open_
    folder = RunFolder(planned.out)
    running = holding.enter_context(Running(folder.path, request.process))
    own = Watcher(row=_named(name, watcher.row), note=lambda text: watcher.note(f"{name}: {text}"))
    resume = Resume(planned.prepared, planned.chosen, own, stop, request.resume, request.retry_errors)
    place = enter(folder, planned.manifest, running, resume)
    session = Session(planned.prepared, own, stop, place, planned.chosen, request.fail_fast)
    journal = stack.enter_context(Journal(folder.rows_file))
    answer = await stack.enter_async_context(open_system(planned.prepared.suite.system, planned.prepared))
    return _Asked(name, planned, place, session, running, stop, answer, journal)


def _named(name: str, hear: Callable[[Row], None]) -> Callable[[Row], None]:
    """Return a listener that gets each row with the system's name before the id of its case."""

    def heard(row: Row) -> None:
        hear(dataclasses.replace(row, case=dataclasses.replace(row.case, id=f"{name}: {row.case.id}")))

    return heard


def _begin(planned: PlannedSystems, asked: Sequence[_Asked], watcher: Watcher) -> None:
    expected = sum(each.session.expected for each in asked)
    already = sum((each.place.earlier.already for each in asked), Already())
    watcher.begin(planned.prepared, expected, already, planned.run.reference)


def _in_order(planned: PlannedSystems, asked: Sequence[_Asked]) -> None:
    """Give all systems the cases in one random order, so that the cases of a run that stops early are a fair sample."""
    if len(asked) == 1:
        return
    prepared, first = planned.prepared, asked[0].planned
    options = prepared.suite.options
    by = next(iter(options.cohorts), "kind")
    cases = in_random_order(prepared.golden.open(first.chosen), by, options.seed, first.chosen)
    for each in asked:
        each.session.cases = lambda: cases


async def _run_all(asked: Sequence[_Asked], pace: Pace, *, at_once: bool) -> None:
    """Run all cases on every system, side by side or one system after the other.

    Raises:
        EvalkitError: the disk failed; the other systems are cancelled.
    """
    for each in asked:
        pace.enter(each.name, len(each.session.done))

    async def ask(each: _Asked) -> None:
        each.session.paced = lambda make_row: pace.paced(each.name, make_row, each.stop)
        try:
            await each.session.ask(each.answer, each.journal, each.planned.terms)
        except Interrupted:
            return  # the others end their calls in flight too
        finally:
            pace.leave(each.name)

    try:
        async with asyncio.TaskGroup() as group:
            for each in asked:
                task = group.create_task(ask(each))
                if not at_once:
                    await task
    except* EvalkitError as errors:
        raise next(_leaves(errors)) from None


def _leaves(group: BaseExceptionGroup[EvalkitError]) -> Iterator[EvalkitError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _standings(asked: Sequence[_Asked], planned: PlannedSystems) -> Standings | None:
    """Return what a check that compares all systems needs; `None` if there is no such check."""
    if not any(compares_all(each.planned.terms.policy) for each in asked):
        return None
    suite = planned.prepared.suite
    return standings_of(suite, {each.name: each.session.frame for each in asked}, suite.options.seed)


async def _decided(
    each: _Asked, asked: Sequence[_Asked], planned: PlannedSystems, standings: Standings | None
) -> _Decided:
    terms = each.planned.terms
    if standings is not None and compares_all(terms.policy):
        from evalkit.gate.best_system import Contender  # its numerical libraries wait for the calls

        terms = dataclasses.replace(terms, contender=Contender(each.name, standings))
    if each.planned.manifest.baseline is None and any(map(of_run, each.planned.prepared.suite.policy.checks)):
        reference = next(other for other in asked if other.name == planned.run.reference)
        terms = _compared(terms, reference, each)
    summary, decision = await each.session.decide(each.answer, each.journal, terms)
    return summary, decision, terms


def _compared(terms: Terms, reference: _Asked, own: _Asked) -> Terms:
    """Return terms with the reference as the baseline, or without a decision if it was not asked to the end."""
    why = reference.stop.reason
    if why is None:
        folders = reference.session.folder, own.session.folder
        compared = with_reference(terms, reference.name, *folders, written_now=True)
        if compared.baseline is not None and compared.baseline.frame.has_answers:
            return compared
    partial = f"the reference {reference.name}: {why or 'none of its calls was answered'}"
    return dataclasses.replace(terms, partial=terms.partial or partial)


def _written(
    folder: SystemsFolder, run: SystemsRun, results: Mapping[str, Result], dropped: Sequence[str] = ()
) -> SystemsResult:
    """Write the comparison and the decision about the run as a whole.

    Args:
        folder: of the run.
        run: its systems.
        results: system -> its finished run.
        dropped: systems that were released when the suite was run, and are not any more.
    """
    from evalkit.operations.systems_comparison import comparison_of  # its numerical libraries wait for the calls

    comparison = comparison_of(folder, run, {name: results[name].decision.outcome for name in run.release})
    code, reasons = exit_code_of(run, results)
    undecided = reasons if code == ExitCode.NO_DECISION and not run.release else ()
    if dropped:
        gone = f"released when the suite was run, and not any more: {', '.join(dropped)}"
        undecided, reasons = (*undecided, gone), (*reasons, gone)
        code = code if code == ExitCode.BLOCKED else ExitCode.NO_DECISION
    record = {
        "format": 1,
        "run_id": run.run_id,
        "outcome": _outcome(code, [results[name].decision.outcome for name in run.release]),
        "exit_code": int(code),
        "release": list(run.release),
        "reasons": list(reasons),
        "systems": {name: result.decision.outcome if name in run.release else None for name, result in results.items()},
    }
    text = to_json(record)
    RunFolder(folder.path).write_text(DECISION, text)
    sha256 = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    return SystemsResult(folder, run, results, comparison, code, reasons, sha256, undecided)


def _outcome(code: ExitCode, released: Sequence[Outcome]) -> str:
    """Return the worst outcome of the released systems; without one, whether they could be compared."""
    if code == ExitCode.NO_DECISION:
        return "no decision"
    if not released:
        return "compared" if code == ExitCode.APPROVED else "no decision"
    return min(released, key=WORST_FIRST.index)


def exit_code_of(run: SystemsRun, results: Mapping[str, Result]) -> tuple[ExitCode, tuple[str, ...]]:
    """Return the exit code of a run of several systems, with the reasons.

    Args:
        run: the systems, and which of them are released.
        results: system -> its finished run.
    """
    released = {name: results[name].decision for name in run.release}
    codes = {name: results[name].exit_code for name in run.release}
    worst = [code for code in (ExitCode.BLOCKED, ExitCode.NO_DECISION) if code in codes.values()]
    silent = list(_silent(results))
    if released:
        decided = [_outcome_of(name, decision) for name, decision in released.items()]
        return (worst[0] if worst else ExitCode.APPROVED), (*decided, *silent)
    partial = [name for name, result in results.items() if result.manifest.partial is not None]
    reasons = [f"partial run ({results[partial[0]].manifest.partial})"] if partial else []
    reasons += silent
    loosened = [each for result in results.values() for each in result.decision.amendments if each.what == "release"]
    if any(each.loosens for each in loosened):
        reasons.append("no system is gated any more: `release:` named some before")
    return (ExitCode.NO_DECISION if reasons else ExitCode.APPROVED), tuple(reasons)


def _silent(results: Mapping[str, Result]) -> Iterator[str]:
    """Yield a reason for each system that answered too few of its calls."""
    for name, result in results.items():
        n = sum(result.summary.states.get(state, 0) for state in ("scored", "unscored"))
        if n < ENOUGH_ANSWERED * result.summary.expected:
            why = f" ({result.decision.partial})" if result.decision.partial else ""
            yield f"{name} answered {n} of {result.summary.expected} calls{why}"


def _outcome_of(name: str, decision: Decision) -> str:
    why = f": {decision.reasons[0]}" if decision.reasons else ""
    return f"{name} {decision.outcome}{why}"
