"""`evalkit baseline`: keep a run for later runs to be compared with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.errors import InputError, Problem

if TYPE_CHECKING:
    from evalkit.store.folder import RunFolder

baseline = typer.Typer(name="baseline", help="Save a run as baseline.", rich_markup_mode=None, no_args_is_help=True)


@baseline.callback()
def _group() -> None:
    """Save a run as baseline."""


@baseline.command()
def save(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    name: Annotated[str, typer.Option(help="Name that suites refer to.")] = "main",
    accept: Annotated[str, typer.Option(help="Reason to save a run that was not approved.")] = "",
) -> None:
    """Save a run under a name, as reports/baselines/NAME in the project of the current folder.

    Example: evalkit baseline save reports/latest --name main
    """
    from evalkit.paths import project_of
    from evalkit.store.folder import RunFolder, save_baseline

    folder = RunFolder(run)
    _refuse_unsound(folder, accept)
    saved = save_baseline(folder, name, project_of(Path.cwd()), accept)
    typer.echo(f"saved {run} as baseline {name} in {saved.path}")


def _refuse_unsound(folder: RunFolder, accept: str) -> None:
    manifest, decision = folder.manifest(), folder.decision()
    if manifest["partial"]:
        raise InputError(Problem(str(folder.path), f"a partial run ({manifest['partial']})", "run the whole suite"))
    if decision is None:
        raise InputError(Problem(str(folder.path), "no decision: the run did not end", "go on with --resume"))
    if decision["outcome"] in ("blocked", "no decision") and not accept:
        what = f"the run's decision is {decision['outcome']!r}"
        raise InputError(Problem(str(folder.path), what, 'say why it may be the baseline with --accept "..."'))
