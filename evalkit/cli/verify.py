"""`evalkit verify`: check that a stored run is unchanged."""

from __future__ import annotations

import os
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
    """Check every row of a run, and that its rows and files are unchanged since the decision.

    Rows that are gone, edited or added since the decision are named, and every decision that was made is listed.
    Anyone who can write to the folder can also forge its seal and head. To detect that, give --head a head that was
    published elsewhere.

    Example: evalkit verify reports/latest --head 5b0e6c0a1d7e4f22a8c93d17f0b6e954

    Exit codes: 0 nothing was changed, 1 something was, 2 no run.
    """
    from evalkit.disk.paths import project_of
    from evalkit.gate.earlier_decisions import found_in
    from evalkit.operations.score import stored_run
    from evalkit.store.chain import HEAD, head_of, scan
    from evalkit.store.journal import read_rows
    from evalkit.text.printable import one_line

    root = project_of(Path.cwd())
    folder = stored_run(run, root)
    manifest, decision = folder.manifest(), folder.decision()
    journals = {file.name: scan(file) for file in folder.journals if os.path.lexists(file)}
    found = head_of(journals.values(), decision)
    wrong: list[str] = []
    n_rows: list[int] = []
    for name, journal in journals.items():
        damaged: list[Damage] = []
        n_rows.append(sum(1 for _ in read_rows(folder.file(name), damaged)))
        wrong += _damaged(name, damaged, {each.line for each in journal.damaged})
    before = found_in(folder, root)
    wrong += [f"{folder.path}: {sentence}" for sentence in before.sentences()]
    wrong += _unlike(folder, found, (decision or {}).get(HEAD), head)
    typer.echo(f"rows      {n_rows[0] if n_rows else 0} intact, {manifest.expected} planned")
    typer.echo(f"head      {found}")
    typer.echo(f"decision  {', then '.join(each.outcome for each in before.decisions) or 'none yet'}")
    for line in wrong:
        typer.echo(one_line(line, len(line)), err=True)
    if wrong:
        raise typer.Exit(DIFFERS)
    typer.echo("intact    " + _claim(decision is not None, bool(before.decisions), head))


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
    if published is not None and published.strip().lower() != found:
        yield f"--head: {published} was published, this run has another: rows or decision are not those of then"


def _claim(decided: bool, begun_again: bool, published: str | None) -> str:
    if published is not None:
        return "rows and decision are those that the published head stands for"
    if decided:
        return "no accidental change; compare with a published head (--head) to rule out a deliberate one"
    if begun_again:
        return "a run has continued since the decision and has not ended; finish it with --resume"
    return "every row is whole; before a decision nothing shows whether rows were taken away"
