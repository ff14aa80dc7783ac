"""`evalkit golden`: describe a golden set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.suite_file import SuiteFile, named_or_nearest
from evalkit.text.escaping import visible

if TYPE_CHECKING:
    from evalkit.operations.coverage import GoldenCoverage

golden = typer.Typer(name="golden", help="Describe golden sets.", rich_markup_mode=None, no_args_is_help=True)


@golden.callback()
def _group() -> None:
    """Inspect golden sets."""


@golden.command()
def coverage(
    suite: SuiteFile = None,
    production: Annotated[Path | None, typer.Option(help="Calls of production: JSON Lines with the cohorts.")] = None,
    mix: Annotated[str | None, typer.Option(help="Declared shares instead: aml=0.3,privacy=0.7")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Cohort names; default: the suite's first.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Show the share of production that the golden set covers.

    The output names the cells with too few cases. A cell with 30 cases counts as covered. The share of kinds that
    the sample never saw is estimated after Good and Turing, and counts as not covered.

    Example: evalkit golden coverage suites/compliance.yaml --mix aml=0.4,privacy=0.6 --by domain

    Exit codes: 0, 2 if suite, file or mix cannot be used.
    """
    from evalkit.operations.coverage import golden_coverage

    found = golden_coverage(named_or_nearest(suite), by, production=production, mix=mix)
    if json:
        _print_json(found)
    else:
        _print(found)


def _print(found: "GoldenCoverage") -> None:
    from rich.table import Table

    from evalkit.cli.output import CommandOutput, share_of

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("cell", "production", "golden cases", ""):
        table.add_column(heading, justify="left" if heading in ("cell", "") else "right", overflow="fold")
    for each in found.cells:
        note = f"{each.n_missing} more to cover it" if each.n_missing else ""
        table.add_row(visible(" · ".join(each.cell)), f"{each.share:.1%}", str(each.n_cases), note)
    CommandOutput().results.print(table)
    bound = f", at least {share_of(found.estimate.low)} (95 %)" if found.estimate.n else ""
    typer.echo(f"covers {share_of(found.estimate.value)} of production{bound}")
    typer.echo(f"weighted to it, the cases are worth {found.effective_n:.0f} of {found.n_cases}")
    if found.n_foreign:
        typer.echo(f"{found.n_foreign} cases are of kinds that production does not have")


def _print_json(found: "GoldenCoverage") -> None:
    import dataclasses
    import json

    cells = [{"cell": list(each.cell), "production": each.share, "golden_cases": each.n_cases} for each in found.cells]
    record = {"coverage": dataclasses.asdict(found.estimate), "effective_n": found.effective_n, "cells": cells}
    typer.echo(json.dumps(record, indent=2))
