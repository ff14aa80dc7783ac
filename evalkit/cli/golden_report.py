"""`evalkit golden report`: the state of a golden set on one page."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.suite_file import SuiteFile, named_or_nearest
from evalkit.text.escaping import on_one_line, visible

_WIDTH = 80


def report(
    suite: SuiteFile = None,
    production: Annotated[Path | None, typer.Option(help="Calls of production: JSON Lines with the cohorts.")] = None,
    mix: Annotated[str | None, typer.Option(help="Declared shares instead: aml=0.3,privacy=0.7")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Cohort names; default: the suite's first.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Number of stored runs to read, the newest.")] = 20,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page.")] = Path("golden.html"),
) -> None:
    """Write a page on the state of a golden set.

    Its parts are the coverage of production, near-duplicates, leaks, cases that say nothing, the lock, the data card,
    and since when cases are in the set. Without --production and --mix, the suite's `production` says what production
    asks. A part that cannot be known says what it needs. The page holds ids, and no text of a case.

    Example: evalkit golden report suites/compliance.yaml --mix aml=0.4,privacy=0.6 --by domain

    Exit codes: 0, 2 if suite, set or calls cannot be used, 4 if the page cannot be written.
    """
    import textwrap
    from datetime import UTC, datetime

    from evalkit.operations.golden_report import CallShares, golden_report, write_report
    from evalkit.report.golden_page import WORDS

    found = golden_report(named_or_nearest(suite), CallShares(by=by, production=production, mix=mix), runs)
    for part in found.parts:
        start = f"{part.name:17}{WORDS[part.tone]:12}"
        text = on_one_line(f"{start}{part.finding}")
        typer.echo(textwrap.fill(text, _WIDTH, subsequent_indent=" " * len(start), break_on_hyphens=False))
    write_report(found, out, datetime.now(UTC).date())
    typer.echo(visible(f"wrote {out}"), err=True)
