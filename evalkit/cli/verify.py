"""`evalkit verify`: check that a stored run is unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DIFFERS = 1


def verify(
    run: Annotated[str, typer.Argument(help="Run folder, name of a saved baseline, or `latest`.")],
    head: Annotated[
        str | None, typer.Option(help="The head as it was published: console, summary.md, decision.json.")
    ] = None,
) -> None:
    """Check that a run is whole and unchanged since its decision.

    Rows that were removed, edited or added since the decision are named, and every decision of the run is listed.
    Anyone who can write to the folder can also forge its seal and head. To detect that, give --head a head that was
    published elsewhere.

    Example: evalkit verify latest --head 5b0e6c0a1d7e4f22a8c93d17f0b6e954

    Exit codes: 0 unchanged, 1 changed, 2 not a run.
    """
    from evalkit.disk.paths import project_of
    from evalkit.operations.verify import verify_run
    from evalkit.text.printable import one_line

    found = verify_run(run, project_of(Path.cwd()), head)
    typer.echo(f"rows      {found.n_intact} intact, {found.n_planned} planned")
    typer.echo(f"head      {found.head}")
    typer.echo(f"decision  {', then '.join(each.outcome for each in found.decisions) or 'none yet'}")
    for line in found.findings:
        typer.echo(one_line(line, len(line)), err=True)
    if found.findings:
        raise typer.Exit(DIFFERS)
    typer.echo("intact    " + _claim(found.decided, bool(found.decisions), head))


def _claim(decided: bool, begun_again: bool, published: str | None) -> str:
    if published is not None:
        return "rows and decision match the published head"
    if decided:
        return "no accidental change; compare with a published head (--head) to rule out a deliberate one"
    if begun_again:
        return "a run has continued since the decision and has not ended; finish it with --resume"
    return "every row is whole; before a decision nothing shows whether rows were taken away"
