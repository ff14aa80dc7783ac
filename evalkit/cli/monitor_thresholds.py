"""`evalkit monitor thresholds`: write the thresholds of a guard from labelled answers."""

import asyncio
import dataclasses
import json
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.text.escaping import visible


def thresholds(  # noqa: PLR0913 - each is a flag of the command
    file: Annotated[Path, typer.Argument(metavar="MONITOR.yaml", help="File of the monitor.")],
    labelled: Annotated[Path, typer.Argument(metavar="LABELLED.jsonl", help="Answers with a label `good`.")],
    false_block: Annotated[float, typer.Option(metavar="SHARE", help="Largest share of good answers to block.")] = 0.02,
    bad_passed: Annotated[
        float, typer.Option(metavar="SHARE", help="Largest share of answers that are bad and pass.")
    ] = 0.03,
    confidence: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of calibrations that keep --false-block.")
    ] = 0.95,
    on_average: Annotated[bool, typer.Option("--on-average", help="Keep --false-block on average only.")] = False,
    by: Annotated[str | None, typer.Option(metavar="COHORT", help="Cohort with a threshold for each value.")] = None,
    on_timeout: Annotated[
        Literal["pass", "warn", "block"], typer.Option(help="Action if the time is over or a level fails.")
    ] = "warn",
    nli: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Local model for entailment: a folder, or a name on a hub.")
    ] = None,
    nli_revision: Annotated[str | None, typer.Option(metavar="COMMIT", help="Commit of a model on a hub.")] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write.")] = Path("guard.json"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the guard as JSON.")] = False,
) -> None:
    """Choose the thresholds of a guard from labelled answers.

    Each row of LABELLED.jsonl has `input`, `output`, `contexts` and `good`: true if the contexts support every claim of
    the answer. The rules have thresholds of their own, and so has the monitor's judge, if it names one, which is asked
    about every row. `evalkit.guard.load("guard.json")` checks answers by them before they are delivered.

    Example: evalkit monitor thresholds support.yaml labelled.jsonl --false-block 0.05 --bad-passed 0.05

    Exit codes: 0, 2 if monitor, labels or flags cannot be used, 4 if the file cannot be written.
    """
    from evalkit.cli.progress import counted
    from evalkit.operations.monitor_thresholds import (
        GuardOptions,
        guard_models,
        guard_thresholds,
        nli_model,
        report_lines,
    )

    sure = None if on_average else confidence
    rates = {"false_block": false_block, "bad_passed": bad_passed, "confidence": sure}
    try:
        options = GuardOptions(**rates, by=by, on_timeout=on_timeout)  # type: ignore[arg-type]
    except ValueError as error:
        name, _, rest = str(error).partition(": ")
        raise InputError(Problem(f"--{name.replace('_', '-')}", *what_and_fix(rest))) from None
    if not out.parent.is_dir():
        raise InputError(Problem("--out", f"{out.parent} is not a folder", "name a file in a folder that exists"))
    named = nli_model(nli, nli_revision)
    models = guard_models(file, options, nli=named, env=os.environ, root=out.parent)
    if models.judge is not None:
        typer.echo(visible(f"asks the judge {models.judge.model} twice about each answer"), err=True)
    progress = counted("answers scored")
    found = asyncio.run(guard_thresholds(labelled, str(labelled), options, models=models, progress=progress))
    found.write(out)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found.settings), indent=1))
        return
    for line in report_lines(found):
        typer.echo(visible(line))
    typer.echo(visible(f"\nwrote {out}"))
