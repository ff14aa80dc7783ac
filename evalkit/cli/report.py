"""`evalkit report`: write the reports of a run again."""

import os
from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    baseline: Annotated[
        str | None, typer.Option(help="Baseline or run folder to compare with. Default: the one of the run.")
    ] = None,
    summary: Annotated[Path | None, typer.Option(help="Append summary.md to this file.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the cases as a table for spreadsheets and pandas.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every check and cohort.")] = False,
) -> None:
    """Write report.html, summary.md, junit.xml and the decision records of a run again, and print the decision.

    Example: evalkit report reports/latest --csv cases.csv

    Exit codes: 0 when the reports are written, whatever the decision was.
    """
    from evalkit.cli.output import CommandOutput, Files
    from evalkit.operations.run import decide_again, refuse_places
    from evalkit.store.folder import RunFolder

    files = Files(summary=summary, csv=csv)
    refuse_places(files.named())
    folder = RunFolder(run)
    result = decide_again(folder, None, baseline or folder.manifest().baseline, os.environ)
    CommandOutput(verbose=verbose).show_run(result, reports=True, files=files)
