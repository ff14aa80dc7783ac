"""List what to do after a comparison of several systems, with commands to copy."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from evalkit.aggregate.system_comparison import SystemComparison, SystemFigures
from evalkit.report.next_steps import SHOWN_NEXT_STEPS, NextStep, go_on, make_reference
from evalkit.report.systems.runs import SystemRun, parted_case
from evalkit.text.printable import one_line


def systems_next(
    comparison: SystemComparison, runs: Sequence[SystemRun], *, folder: str, suite: str
) -> tuple[NextStep, ...]:
    """List at most `SHOWN_NEXT_STEPS` steps, the most urgent first.

    Args:
        comparison: the comparison.
        runs: the runs of its systems; empty if only the figures are shown.
        folder: folder of the comparison as commands name it; without it no command names a run.
        suite: file of the suite as commands name it; empty if it is not known.
    """
    return tuple(_steps(comparison, runs, folder, suite))[:SHOWN_NEXT_STEPS]


def _steps(comparison: SystemComparison, runs: Sequence[SystemRun], folder: str, suite: str) -> Iterator[NextStep]:
    partial = any(run.decision is not None and run.decision.partial for run in runs) or any(
        not run.manifest.finished_at for run in runs
    )
    if partial and suite and folder:
        whole = all(run.manifest.partial is None for run in runs)
        yield go_on(shlex.quote(suite), shlex.quote(folder), stopped=whole)
    release = [each for each in comparison.systems if each.name in comparison.release]
    blocked = next((each for each in release if each.outcome == "blocked"), None)
    changed = (each for each in release if each.name != comparison.reference)
    yield from _compare(comparison, runs, blocked or next(changed, None) or _other(comparison), folder)
    if comparison.cases_to_part is not None and len(comparison.candidates) > 1:
        wanted = f"add cases, about {comparison.cases_to_part:,} in all"
        yield NextStep(f"{wanted}, to tell the first two systems apart")
    approved = next((each for each in release if each.outcome == "approved"), None)
    if approved is not None and blocked is None and folder:
        yield _after_merge(comparison, runs, approved, folder)


def _after_merge(
    comparison: SystemComparison, runs: Sequence[SystemRun], approved: SystemFigures, folder: str
) -> NextStep:
    """Return the step after an approval; later runs compare with a saved baseline, or with the best system alone."""
    found = {run.figures.name: run for run in runs}
    own, reference = found.get(approved.name), found.get(comparison.reference)
    compared = own.decision.comparison if own is not None and own.decision is not None else None
    stored = compared is not None and (reference is None or compared.baseline_id != reference.manifest.run_id)
    if stored:
        run = shlex.quote(f"{folder}/{approved.folder}")
        return NextStep("merge; then make the run of the release system the baseline", f"evalkit baseline save {run}")
    first = approved.rank is not None and (approved.rank.best, approved.rank.worst) == (1, 1)
    return make_reference(approved.name) if first and approved.name != comparison.reference else NextStep("merge")


def _other(comparison: SystemComparison) -> SystemFigures | None:
    """Return the system to look at beside the reference: a candidate for the best, else the first other one."""
    others = [each for each in comparison.systems if each.name != comparison.reference]
    return next((each for each in others if each.name in comparison.candidates), others[0] if others else None)


def _compare(
    comparison: SystemComparison, runs: Sequence[SystemRun], other: SystemFigures | None, folder: str
) -> Iterator[NextStep]:
    """Yield the command that shows the answers of the reference and another system to a case that one of them fails."""
    found = {run.figures.name: run for run in runs}
    before, after = found.get(comparison.reference), found.get(other.name) if other else None
    if before is None or after is None or before is after or not folder:
        return
    case_id = parted_case(before, after, comparison.disagreements)
    if case_id is None:
        return
    able = one_line(case_id, max(len(case_id), 1)) == case_id
    case = f" --case {shlex.quote(case_id)}" if able else ""
    places = " ".join(shlex.quote(f"{folder}/{run.figures.folder}") for run in (before, after))
    yield NextStep(
        "compare the two answers to a case that only one of these systems passes", f"evalkit diff {places}{case}"
    )
