"""`evalkit monitor rejudge`: compare a new judge with the old one on the same answers."""

from typing import Annotated

import typer

from evalkit.cli.monitor_status import MonitorFile
from evalkit.errors import ExitCode


def rejudge(
    file: MonitorFile,
    answers: Annotated[int, typer.Option(metavar="N", min=30, help="Answers that the new judge grades.")] = 200,
    json: Annotated[bool, typer.Option("--json", help="Print the comparisons as JSON.")] = False,
) -> None:
    """Compare the new judge with the old one on the same answers.

    Run it after you changed the judge in the file. The new judge grades the newest answers that the old one graded.
    That tells a change of the judge apart from a change of the system. `status` shows the result.

    Example: evalkit monitor rejudge support.yaml

    Exit codes: 0 no difference shown, 1 the judges differ, 2 if there is nothing to compare, 3 if the new judge does
    not answer.
    """
    import asyncio
    import dataclasses
    import os
    import time
    from json import dumps

    from evalkit.operations.monitor_rejudge import RejudgeRequest
    from evalkit.operations.monitor_rejudge import rejudge as grade_again
    from evalkit.text.escaping import visible

    found = asyncio.run(grade_again(RejudgeRequest(file=file, env=os.environ, now=time.time(), answers=answers)))
    if json:
        typer.echo(dumps([dataclasses.asdict(each) for each in found], indent=1))
    else:
        for each in found:
            typer.echo(visible(f"{each.metric}: {each.judges[0]} → {each.judges[1]}"))
            typer.echo(visible(f"  {each.what}"))
            if each.n_ungraded:
                typer.echo(f"  {each.n_ungraded} answers could not be graded by the new judge")
    if any(each.shows_change() for each in found):
        raise typer.Exit(ExitCode.BLOCKED)
