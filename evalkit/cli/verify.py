"""`evalkit verify`: is a stored run what it was."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evalkit.store.chain import Damage
    from evalkit.store.folder import RunFolder

SHOWN_LINES = 20
DIFFERS = 1


def verify(
    run: Annotated[str, typer.Argument(help="Run folder, or name of a saved baseline.")],
    head: Annotated[
        str | None, typer.Option(help="The head as it was published: console, summary.md, decision.json.")
    ] = None,
) -> None:
    """Check every row of a run, and that rows and decision still have the head that was written with them.

    Accidental edits always show. Deliberate ones show with --head, where that head was published elsewhere: whoever
    can write the folder can write its own head too.

    Example: evalkit verify reports/latest --head 5b0e6c0a1d7e4f22a8c93d17f0b6e954

    Exit codes: 0 nothing was changed, 1 something was, 2 no run.
    """
    from evalkit.paths import project_of
    from evalkit.rescore import stored_run
    from evalkit.store.chain import HEAD, head_of, scan
    from evalkit.store.journal import read_rows

    folder = stored_run(run, project_of(Path.cwd()))
    manifest, decision = folder.manifest(), folder.decision()
    journals = {file.name: scan(file) for file in (folder.rows_file, folder.old_rows_file) if file.exists()}
    found = head_of(list(journals.values()), decision)
    wrong: list[str] = []
    n_rows: list[int] = []
    for name, journal in journals.items():
        damaged: list[Damage] = []
        n_rows.append(sum(1 for _ in read_rows(folder.file(name), damaged)))
        wrong += _damaged(name, damaged, {each.line for each in journal.damaged})
    stored = (decision or {}).get(HEAD)
    wrong += _unlike(folder, found, stored, head)
    typer.echo(f"rows      {n_rows[0] if n_rows else 0} intact, {manifest['expected']} planned")
    typer.echo(f"head      {found}")
    typer.echo(f"decision  {decision['outcome'] if decision else 'none yet'}")
    for line in wrong:
        typer.echo(line, err=True)
    if wrong:
        raise typer.Exit(DIFFERS)
    typer.echo("intact    " + _claim(stored is not None, head))


def _damaged(name: str, damaged: Sequence[Damage], unsummed: Collection[int]) -> Iterator[str]:
    for damage in damaged[:SHOWN_LINES]:
        what = "altered: its checksum does not fit" if damage.line in unsummed else "altered: no run writes such a row"
        what = "torn, as a kill leaves it" if damage.torn else what
        yield f"{name}:{damage.line}: {what}; `evalkit run SUITE --out RUN --resume` runs its case again"
    hidden = len(damaged) - SHOWN_LINES
    if hidden > 0:
        yield f"... and {hidden} more"


def _unlike(folder: RunFolder, found: str, stored: str | None, published: str | None) -> Iterator[str]:
    from evalkit.store.folder import DECISION

    if stored is None and folder.file(DECISION).exists():
        yield f"{folder.file(DECISION)}: holds no head; `evalkit gate RUN` decides again from the rows"
    if stored is not None and stored != found:
        yield f"{folder.path}: rows or decision were changed since the decision, whose head was {stored}"
    if published is not None and published.strip().lower() != found:
        yield f"--head: {published} was published, this run has another: rows or decision are not those of then"


def _claim(decided: bool, published: str | None) -> str:
    if published is not None:
        return "rows and decision are those that the published head stands for"
    if decided:
        return "no accidental change; compare with a published head (--head) to rule out a deliberate one"
    return "every row is whole; before a decision nothing shows whether rows were taken away"
