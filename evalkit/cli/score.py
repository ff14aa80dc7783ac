"""`evalkit score`: grade the stored answers of a run with the current scorers."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.engine_flags import Engine, InsecureScheduler, Scheduler, ShardSize, Workers, engine_flags


def score(  # noqa: PLR0913 - typer reads the flags from the signature
    run: Annotated[str, typer.Argument(help="Run folder, name of a saved baseline, or `latest`.")],
    suite: Annotated[Path, typer.Option(help="Suite whose scorers grade.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the new run. Default: reports/<run-id>.")] = None,
    baseline: Annotated[str, typer.Option(help="Saved baseline or run folder to compare with.")] = "none",
    resume: Annotated[bool, typer.Option("--resume", help="Resume the interrupted scoring in --out.")] = False,
    engine: Engine = None,
    workers: Workers = None,
    shard_size: ShardSize = None,
    scheduler: Scheduler = None,
    insecure_scheduler: InsecureScheduler = False,
    json: Annotated[bool, typer.Option("--json", help="Print decision.json on stdout, and nothing else.")] = False,
) -> None:
    """Score stored answers again, without calling the system.

    Use it after a change of a scorer, rubric or judge. This keeps a baseline comparable: score it again, and save
    that run in its place. Times and costs of the system are those of the stored run.

    Example: evalkit score main --suite suites/compliance.yaml --out reports/main-again

    Exit codes: those of `evalkit run`.
    """
    import shlex
    import sys

    from evalkit.cli.child_process import must_decide
    from evalkit.cli.output import CommandOutput
    from evalkit.cli.signals import run_stoppable
    from evalkit.operations.find_run import find_run
    from evalkit.operations.run import Request
    from evalkit.suite.parse import load_suite

    answers = find_run(run, load_suite(suite).root)
    command = shlex.join(["evalkit", *sys.argv[1:]])
    request = Request(
        suite=suite,
        out=out,
        resume=resume,
        baseline=baseline,
        answers=answers,
        engine=engine_flags(engine, workers, shard_size, scheduler, insecure=insecure_scheduler),
        command=command,
    )
    output = CommandOutput(json=json)
    must_decide()
    result = run_stoppable(request, output, "auto")
    output.show_run(result, reports=True)
    raise typer.Exit(int(result.exit_code))
