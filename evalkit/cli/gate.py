"""`evalkit gate`: decide again from stored rows."""

import os
from pathlib import Path
from typing import Annotated

import typer


def gate(
    run: Annotated[str, typer.Argument(help="Run folder, name of a saved baseline, or `latest`.")],
    suite: Annotated[Path | None, typer.Option(help="Suite whose gate decides; default: the one of the run.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Baseline: a name, folder, artifact or git:REF:PATH; `none` for none.")
    ] = None,
    unlocked: Annotated[
        bool, typer.Option("--unlocked", help="Allow a golden set that differs from its lock; then nothing is decided.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print decision.json on stdout, and nothing else.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every check and cohort.")] = False,
) -> None:
    """Decide again from the rows of a run, without calling anything.

    The gate is read from the suite as it is now, so that a changed gate or another baseline can be tried.

    Example: evalkit gate latest --baseline main
    """
    from evalkit.cli.child_process import must_decide
    from evalkit.cli.output import CommandOutput
    from evalkit.operations.find_run import find_run, find_systems
    from evalkit.operations.run import decide_again

    must_decide()
    if (several := find_systems(run)) is not None:
        from evalkit.cli.several_systems import show_systems
        from evalkit.operations.run_systems import decide_systems_again

        decided = decide_systems_again(several, suite, baseline, os.environ, unlocked=unlocked)
        show_systems(decided, CommandOutput(json=json, verbose=verbose), reports=True)
        raise typer.Exit(int(decided.exit_code))
    result = decide_again(find_run(run), suite, baseline, os.environ, unlocked=unlocked)
    CommandOutput(json=json, verbose=verbose).show_run(result, reports=True)
    raise typer.Exit(int(result.exit_code))
