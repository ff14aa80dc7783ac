"""`evalkit diff`: compare two runs case by case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.errors import InputError, Problem

if TYPE_CHECKING:
    from evalkit.cli.output import CommandOutput
    from evalkit.store.folder import RunFolder


def diff(
    before: Annotated[str, typer.Argument(help="Run of the old system: folder, name of a baseline, or `latest`.")],
    after: Annotated[str, typer.Argument(help="Run of the new system: folder, name of a baseline, or `latest`.")],
    case: Annotated[
        str | None, typer.Option(help="Show both answers of this case, conversations side by side.")
    ] = None,
) -> None:
    """Compare two runs: what fell or rose, and which cases changed.

    Example: evalkit diff main latest --case aml-012

    Exit codes: 0, or 2 if one of them is not a run.
    """
    from evalkit.cli.output import CommandOutput
    from evalkit.operations.find_run import find_run

    old, new = find_run(before), find_run(after)
    if case is None:
        _show_runs(old, new, CommandOutput(verbose=True))
    else:
        _show_case(old, new, case, CommandOutput())


def _show_runs(old: RunFolder, new: RunFolder, output: CommandOutput) -> None:
    from evalkit.operations.compare import compared
    from evalkit.report.console import print_changes
    from evalkit.report.write import material_of, view_of
    from evalkit.text.numbers import plural

    found = compared(old, new)
    if found.n_missing:
        typer.echo(f"warning {new.path}: {plural(found.n_missing, 'planned row')} missing", err=True)
    material = material_of(new, found.stored.manifest, found.summary, found.decision, old)
    print_changes(view_of(material), output.results)


def _show_case(old: RunFolder, new: RunFolder, case_id: str, output: CommandOutput) -> None:
    from evalkit.operations.compare import case_in_both
    from evalkit.report.side_by_side import print_answers

    before, after = case_in_both(old, new, case_id)
    if before is None and after is None:
        raise InputError(Problem("--case", f"no case {case_id!r} in either run", "see the ids in the report"))
    print_answers(before, after, output.results)
