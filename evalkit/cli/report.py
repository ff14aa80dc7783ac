"""`evalkit report`: make the reports of a run again."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    baseline: Annotated[str | None, typer.Option(help="Saved baseline or run folder to show beside.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Append summary.md to this file.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every check and cohort.")] = False,
) -> None:
    """Write report.html, summary.md, junit.xml and the decision records of a run again, and print the decision.

    Example: evalkit report reports/latest

    Exit codes: 0 when the reports are written, whatever the decision was.
    """
    from evalkit.cli.output import Output
    from evalkit.inputs import refuse_folders
    from evalkit.pipeline import decide_again
    from evalkit.store.folder import RunFolder

    refuse_folders([] if summary is None else [summary])
    result = decide_again(RunFolder(run), None, baseline)
    Output(verbose=verbose).show_run(result, reports=True, summary=summary)
