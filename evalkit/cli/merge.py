"""`evalkit merge`: make one run of its shards."""

import os
from pathlib import Path
from typing import Annotated

import typer


def merge(
    runs: Annotated[list[str], typer.Argument(help="The run folders of all shards, in any order.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the merged run; must be empty. Default: reports/<run-id>.")
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append summary.md to this file, such as $GITHUB_STEP_SUMMARY."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write junit.xml to this file as well.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print decision.json on stdout, and nothing else.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every check and cohort.")] = False,
) -> None:
    """Make one run of all shards of a suite, and decide.

    `evalkit run --shard` runs the shards; the merge calls nothing. Rows, summary and decision are those of one run with
    the same answers. Shards of another suite, golden set, system, judge, version or commit are refused, and so are
    missing, interrupted and edited ones.

    Example: evalkit merge shards/* --out reports/merged

    Exit codes: those of `evalkit run`.
    """
    import shlex
    import sys

    from evalkit.cli.child_process import must_decide
    from evalkit.cli.output import CommandOutput, Files
    from evalkit.operations.merge import merge_shards
    from evalkit.operations.run import refuse_places

    files = Files(summary=summary, junit=junit)
    output = CommandOutput(json=json, verbose=verbose)
    refuse_places(files.named())
    must_decide()
    result = merge_shards(runs, out, os.environ, shlex.join(["evalkit", *sys.argv[1:]]))
    output.show_run(result, reports=True, files=files)
    raise typer.Exit(int(result.exit_code))
