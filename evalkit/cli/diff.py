"""`evalkit diff`: two runs, paired case by case."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def diff(
    before: Annotated[Path, typer.Argument(help="Run folder or saved baseline of the old system.")],
    after: Annotated[Path, typer.Argument(help="Run folder of the new system.")],
    case: Annotated[str | None, typer.Option(help="Show both answers of this case.")] = None,
) -> None:
    """Compare two runs: what fell, what rose, which cases changed.

    Example: evalkit diff reports/baselines/main reports/latest --case aml-012

    Exit codes: 0, or 2 where the runs cannot be compared.
    """
    from evalkit.cli.output import Output
    from evalkit.report.difference import print_case, print_difference
    from evalkit.store.folder import RunFolder
    from evalkit.stored import load_run

    old, new = load_run(RunFolder(before)), load_run(RunFolder(after))
    console = Output().results
    if case is None:
        print_difference(old, new, console)
    else:
        print_case(old, new, case, console)
