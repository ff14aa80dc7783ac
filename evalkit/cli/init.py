"""`evalkit init`: write a suite that runs as it is."""

from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; created if missing.")] = Path("evals"),
) -> None:
    """Write a suite, five golden cases, a small system under test and a workflow; they run without editing.

    Lines for run folders and caches are added to .gitignore.

    Example: evalkit init evals && evalkit run evals/suite.yaml
    """
    import shlex

    from evalkit.disk.paths import shown_path
    from evalkit.operations.init_project import WORKFLOW, init_project

    started = init_project(folder)
    for word, files in (("wrote", started.wrote), ("added to", started.added), ("kept", started.kept)):
        for file in files:
            typer.echo(f"{word:<8} {shown_path(file)}" + (" (it was there)" if word == "kept" else ""))
    typer.echo(f"\nnext: evalkit run {shlex.quote(shown_path(started.suite))}")
    typer.echo("      one of the five answers is wrong: the report shows which")
    if started.needs_source:
        typer.echo(f"      in {WORKFLOW}: put the repository and commit of evalkit where it says OWNER/evalkit")
    if started.no_repository:
        typer.echo("      the folder is not in a git repository, so it is a project of its own;")
        typer.echo("      to make it part of a larger one, run `git init` there before `evalkit init`")
