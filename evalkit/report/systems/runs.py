"""Read the run folders of the systems in a comparison."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from evalkit.aggregate.system_comparison import SystemComparison, SystemFigures
from evalkit.errors import InputError, Problem
from evalkit.formats.manifest import Manifest
from evalkit.report.headline import for_people
from evalkit.report.survey import Rows
from evalkit.results import Decision, Summary
from evalkit.store.folder import REPORT, RunFolder
from evalkit.store.index import sorted_rows
from evalkit.store.stored_run import stored_result
from evalkit.store.systems_folder import is_inside
from evalkit.types import Verdict, case_verdict, verdict_of


@dataclass(frozen=True, kw_only=True)
class SystemRun:
    """The run of one system in a comparison."""

    figures: SystemFigures
    folder: RunFolder
    manifest: Manifest
    summary: Summary | None
    decision: Decision | None
    """`None` if it was not decided."""
    report: str
    """Address of its own report, relative to the page of the comparison; empty if there is no report."""
    rows: Rows
    """Returns its rows, sorted by case id and repeat; none if it has no journal."""

    def verdicts(self) -> dict[str, Verdict]:
        """Return the verdict of each case over its repeats, which takes one walk over the rows."""
        advisory, rule = frozenset(self.manifest.advisory), self.manifest.repeat_rule
        grouped = itertools.groupby(self.rows(), key=lambda row: row.case.id)
        return {case_id: case_verdict([verdict_of(row, advisory) for row in rows], rule) for case_id, rows in grouped}


def read_system_runs(folder: Path, comparison: SystemComparison) -> tuple[SystemRun, ...]:
    """Read the manifest and the decision of each system, in the order of the comparison.

    Args:
        folder: folder of the comparison.
        comparison: names the run folders, relative to `folder`.

    Raises:
        InputError: a folder is not a run folder, or is not inside `folder`.
    """
    return tuple(_run(folder, figures) for figures in comparison.systems)


def parted_case(before: SystemRun, after: SystemRun, ids: Sequence[str]) -> str | None:
    """Return the first of some cases that `after` fails and `before` passes, else one the other way round."""
    old, new = before.verdicts(), after.verdicts()
    pairs = {case_id: (old.get(case_id), new.get(case_id)) for case_id in ids}
    broken = (case_id for case_id, pair in pairs.items() if pair == ("passed", "failed"))
    fixed = (case_id for case_id, pair in pairs.items() if pair == ("failed", "passed"))
    return next(broken, None) or next(fixed, None)


def _run(folder: Path, figures: SystemFigures) -> SystemRun:
    path = Path(figures.folder)
    if not is_inside(figures.folder):
        fix = "run the suite again; the folders of systems are inside the folder of their comparison"
        raise InputError(Problem(str(folder), f"the run of {figures.name!r} is elsewhere: {figures.folder}", fix))
    run = RunFolder(folder / path)
    manifest = run.manifest()
    summary, decision = stored_result(run)
    # The dot keeps a name such as `a:b` or `//a` from being read as the start of another address.
    address = f"./{quote(path.as_posix(), safe='/')}/{REPORT}" if run.file(REPORT).is_file() else ""
    return SystemRun(
        figures=figures,
        folder=run,
        manifest=manifest,
        summary=summary,
        decision=None if decision is None else for_people(decision),
        report=address,
        rows=sorted_rows(run.rows_file) if run.rows_file.is_file() else tuple,
    )
