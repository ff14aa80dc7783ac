"""`evalkit report`: write the reports of a run again."""

import os
from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[str, typer.Argument(help="Run folder, name of a saved baseline, or `latest`.")],
    baseline: Annotated[
        str | None, typer.Option(help="Baseline or run folder to compare with. Default: the one of the run.")
    ] = None,
    summary: Annotated[Path | None, typer.Option(help="Append summary.md to this file.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the cases as a table for spreadsheets and pandas.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every check and cohort.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open report.html in the browser.")] = False,
) -> None:
    """Write report.html, summary.md, junit.xml and the decision records of a run again, and print the decision.

    Example: evalkit report latest --csv cases.csv

    Exit codes: 0 if the reports are written, for any decision.
    """
    from evalkit.cli.browser import open_page
    from evalkit.cli.output import CommandOutput, Files
    from evalkit.disk.paths import shown_path
    from evalkit.operations.find_run import find_run
    from evalkit.operations.run import decide_again, refuse_places
    from evalkit.store.folder import REPORT

    files = Files(summary=summary, csv=csv)
    refuse_places(files.named())
    folder = find_run(run)
    result = decide_again(folder, None, baseline or folder.manifest().baseline, os.environ)
    CommandOutput(verbose=verbose).show_run(result, reports=True, files=files)
    if open_:
        page = folder.file(REPORT).absolute()
        open_page(page.as_uri(), shown_path(page))
