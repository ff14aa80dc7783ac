"""List next steps, with commands to copy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalkit.golden.shards import Shard
from evalkit.report.survey import FailedCase
from evalkit.results import DECIDED_BEFORE, Decision
from evalkit.text.numbers import plural
from evalkit.text.printable import one_line

SHOWN_NEXT_STEPS = 3
_SAVE = "evalkit baseline save"
_SAVE_THIS = "evalkit baseline save RUN"
_DECIDE_THIS = "evalkit gate RUN"
_COMMAND = re.compile(r"`(evalkit [^`]+)`")


@dataclass(frozen=True, slots=True)
class NextStep:
    """One next step."""

    text: str
    command: str = ""
    """Command to copy; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Places:
    """Paths in commands: the run, its baseline and its suite."""

    run: str = "RUN"
    baseline: str = ""
    """Empty if there is none."""
    name: str = ""
    """Name to save the baseline under; empty if there is none."""
    suite: str = ""
    out: str = ""
    """Folder of the run as `--out` takes it, if that is not `run`: the one around several systems."""
    shard: Shard | None = None
    """The shard that the run is partial by, if any."""
    reference_next: str = ""
    """System to make the reference once it is merged; empty if the run is to be saved as a baseline."""


def next_steps(
    decision: Decision,
    failing: Sequence[FailedCase],
    *,
    are_new: bool,
    unknown: int | None,
    stopped: bool | None,
    places: Places,
) -> tuple[NextStep, ...]:
    """List at most `SHOWN_NEXT_STEPS` steps, the most urgent first.

    Args:
        decision: the gate's decision.
        failing: the worst failing cases.
        are_new: whether they do not fail in the baseline.
        unknown: runs without an answer or without a score; `None` if the system gave no answer at all, so that it must
            be fixed before it is called again.
        stopped: True for a run that was stopped, False for one of chosen cases, `None` for a complete one.
        places: the paths and names in commands.
    """
    if unknown is None and stopped is None and places.suite:
        return (NextStep("fix the system, then run again", f"evalkit run {shlex.quote(places.suite)}"),)
    found = dict.fromkeys(_steps(decision, failing, are_new, unknown or 0, stopped, places))
    return tuple(found)[:SHOWN_NEXT_STEPS]


def _steps(
    decision: Decision, failing: Sequence[FailedCase], are_new: bool, unknown: int, stopped: bool | None, places: Places
) -> Iterator[NextStep]:
    run, suite = shlex.quote(places.run), shlex.quote(places.suite) if places.suite else ""
    out = shlex.quote(places.out or places.run)
    if places.shard is not None:
        yield after_shard(places.shard, suite, out, stopped=bool(stopped))
        return
    if stopped is not None:
        yield go_on(suite, out, stopped=stopped)
        return
    if decision.outcome == "no decision" and unknown:
        yield NextStep(
            f"run the {plural(unknown, 'row')} without a result again",
            f"evalkit run {suite} --out {out} --retry-errors" if suite else "",
        )
    own = [reason for reason in decision.reasons if not reason.startswith(DECIDED_BEFORE)]
    commands = [command for reason in own for command in _COMMAND.findall(reason)[:1]]
    yield from (
        _from_reason(command, run, suite)
        for command in commands
        if decision.outcome.startswith("approved") or not command.startswith(_SAVE_THIS)
    )
    if decision.outcome != "approved" and failing:
        yield from _look_at(failing[0], are_new, places)
    if any(each.loosens for each in decision.amendments):
        yield NextStep("confirm that each looser rule is meant")
    if decision.outcome == "blocked" and suite and failing:
        yield NextStep("fix the system, then run the failed cases again", f"evalkit run {suite} --failed-from {run}")
    elif decision.outcome == "blocked" and suite:
        yield NextStep("fix the system, then run again", f"evalkit run {suite}")
    if decision.outcome == "approved with conditions":
        yield NextStep("merge, if you accept the conditions above")
    if decision.outcome == "approved" and places.reference_next:
        yield make_reference(places.reference_next)
    elif decision.outcome == "approved":
        name = f" --name {shlex.quote(places.name)}" if places.name else ""
        yield NextStep("merge; then make this run the baseline", f"evalkit baseline save {run}{name}")


def go_on(suite: str, out: str, *, stopped: bool) -> NextStep:
    """Return the step after a partial run: resume one that was stopped; one of chosen cases cannot become whole.

    Args:
        suite: the suite in a command.
        out: folder of the run in a command.
        stopped: whether it was stopped.
    """
    if stopped:
        return NextStep("resume the run", f"evalkit run {suite} --out {out} --resume")
    return NextStep("run the whole suite", f"evalkit run {suite}".strip())


def after_shard(shard: Shard, suite: str, out: str, *, stopped: bool) -> NextStep:
    """Return the step after the run of a shard: resume it if it was stopped, else merge it with the others.

    Args:
        shard: the shard.
        suite: the suite in a command.
        out: folder of the run in a command.
        stopped: whether it was stopped.
    """
    if stopped:
        return NextStep(f"resume shard {shard}", f"evalkit run {suite} {shard.flag} --out {out} --resume")
    others = f"when the other {plural(shard.of - 1, 'shard')} have run, decide on all" if shard.of > 2 else "decide"
    text = f"this is shard {shard}: {others}"
    return NextStep(text, f"evalkit merge {out} OTHER_SHARDS --out MERGED" if shard.of > 1 else f"evalkit merge {out}")


def make_reference(name: str) -> NextStep:
    """Return the step after the approval of a system that was compared with the reference of its run."""
    return NextStep(f"merge; then write `reference: {one_line(name, 60)}` in the suite")


def _from_reason(command: str, run: str, suite: str) -> NextStep:
    """Return the command that a reason names, with the folder of this run."""
    if command == _SAVE:
        return NextStep("run the golden set with the old system, and save that run", f"{command} OLD_RUN")
    if command.startswith(_SAVE_THIS):
        text = "save this run as the baseline"
    elif command == _DECIDE_THIS:
        text = "add a gate to the suite, then decide without calling the system again"
    elif " labels " in command:
        text = "label answers, so that the judge can be trusted"
    else:
        text = "run the command that the reason names"
    named = {"RUN": run, "SUITE": suite or "SUITE"}
    return NextStep(text, re.sub(r"\b(?:RUN|SUITE)\b", lambda found: named[found[0]], command))


def _look_at(failed: FailedCase, are_new: bool, places: Places) -> Iterator[NextStep]:
    """Yield the step for the worst case: compare its answers or run it again; all cases if its id cannot be shown."""
    case_id, run, suite = failed.row.case.id, shlex.quote(places.run), shlex.quote(places.suite)
    able = one_line(case_id, max(len(case_id), 1)) == case_id
    if are_new and places.baseline:
        command = f"evalkit diff {shlex.quote(places.baseline)} {run}"
        case = f" --case {shlex.quote(case_id)}" if able else ""
        yield NextStep("compare the answers of the worst case" if able else "compare the answers", command + case)
    elif places.suite:
        case = f"--case {shlex.quote(case_id)}" if able else f"--failed-from {run}"
        yield NextStep(
            "run the worst case again" if able else "run the failed cases again", f"evalkit run {suite} {case}"
        )
