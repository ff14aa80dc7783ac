"""`evalkit diff`: two runs, paired case by case."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.errors import InputError, Problem

if TYPE_CHECKING:
    from evalkit.cli.output import CommandOutput
    from evalkit.store.folder import RunFolder
    from evalkit.types import Row


def diff(
    before: Annotated[Path, typer.Argument(help="Run folder or saved baseline of the old system.")],
    after: Annotated[Path, typer.Argument(help="Run folder of the new system.")],
    case: Annotated[str | None, typer.Option(help="Show both answers of this case.")] = None,
) -> None:
    """Compare two runs: what fell, what rose, which cases changed.

    Example: evalkit diff reports/baselines/main reports/latest --case aml-012

    Exit codes: 0, or 2 where one of them is no run.
    """
    from evalkit.cli.output import CommandOutput
    from evalkit.store.folder import RunFolder

    old, new = RunFolder(before), RunFolder(after)
    if case is None:
        _show_runs(old, new, CommandOutput(verbose=True))
    else:
        _show_case(old, new, case, CommandOutput())


def _show_runs(old: RunFolder, new: RunFolder, output: CommandOutput) -> None:
    from evalkit.baselines.load import load_baseline
    from evalkit.gate.assess import Terms, assess
    from evalkit.gate.policy import NoRegression, Policy
    from evalkit.report.console import print_changes
    from evalkit.report.write import material_of, view_of
    from evalkit.results import Decision
    from evalkit.store.stored_run import load_run

    stored = load_run(new)
    policy = Policy(checks=(NoRegression(baseline=str(old.path)),), repeats=stored.manifest.get("repeats", 1))
    baseline = load_baseline(old, stored.score_keys)
    terms = Terms(suite=stored.manifest["suite"], policy=policy, baseline=baseline)
    summary, decision = assess(stored.frame, terms, expected=stored.manifest["expected"], final=True)
    assert isinstance(decision, Decision)  # noqa: S101 - a policy without canaries asks for no repeats
    print_changes(view_of(material_of(new, stored.manifest, summary, decision, old)), output.results)


def _show_case(old: RunFolder, new: RunFolder, case_id: str, output: CommandOutput) -> None:
    from evalkit.report.console import print_answers

    rows = [_row(folder, case_id) for folder in (old, new)]
    if rows == [None, None]:
        raise InputError(Problem("--case", f"no case {case_id!r} in either run", "see the ids in the report"))
    print_answers(rows[0], rows[1], output.results)


def _row(folder: RunFolder, case_id: str) -> Row | None:
    from evalkit.store.index import sorted_rows

    folder.manifest()
    return next((row for row in sorted_rows(folder.rows_file)() if row.case.id == case_id), None)
