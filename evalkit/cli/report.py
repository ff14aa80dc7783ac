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
    """Write the reports of a run again, and print its decision.

    These are report.html, summary.md, junit.xml and the decision records.

    Example: evalkit report latest --csv cases.csv

    Exit codes: 0 if the reports are written, for any decision.
    """
    from evalkit.cli.browser import open_page
    from evalkit.cli.output import CommandOutput, Files
    from evalkit.disk.paths import shown_path
    from evalkit.operations.find_run import find_run, find_systems
    from evalkit.operations.run import decide_again, refuse_places
    from evalkit.store.folder import REPORT

    files, output = Files(summary=summary, csv=csv), CommandOutput(verbose=verbose)
    refuse_places(files.named())
    if (several := find_systems(run)) is not None:
        from evalkit.cli.several_systems import show_systems
        from evalkit.operations.run_systems import decide_systems_again

        folder, systems = several.path, several.read()
        stored = several.folder_of(systems, systems.reference).manifest().baseline
        decided = decide_systems_again(several, None, baseline or stored, os.environ)
        show_systems(decided, output, reports=True, files=files)
    else:
        found = find_run(run)
        folder = found.path
        result = decide_again(found, None, baseline or found.manifest().baseline, os.environ)
        output.show_run(result, reports=True, files=files)
    if open_:
        page = (folder / REPORT).absolute()
        open_page(page.as_uri(), shown_path(page))
