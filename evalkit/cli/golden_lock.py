"""`evalkit golden lock`, and how a golden set differs from its lock."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.text.escaping import on_one_line, visible

if TYPE_CHECKING:
    from evalkit.operations.lock import LockReport


def lock(  # noqa: PLR0913 - each is a flag
    set: Annotated[Path, typer.Argument(help="Golden set, such as golden/cases.jsonl.")],
    held_out: Annotated[
        float | None, typer.Option("--held-out", metavar="SHARE", help="Share of the cases to hold out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 1,
    commit: Annotated[
        bool, typer.Option("--commit", help="Do not name the file of held-out cases in .gitignore.")
    ] = False,
    every: Annotated[
        str | None, typer.Option(metavar="PERIOD", help="How often to rotate: month, quarter, year; or never.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Share of the cases that a rotation replaces.")
    ] = None,
    anchor: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Share of the cases that no rotation replaces.")
    ] = None,
    owner: Annotated[list[str] | None, typer.Option(help="Who answers for the set; repeat for several.")] = None,
    reader_held: Annotated[
        list[str] | None, typer.Option(help="Who may read the held-out cases; repeat for several.")
    ] = None,
) -> None:
    """Record the digest of every case in SET.lock.json.

    A run and a gate then refuse the set if it differs. The first lock puts a canary string into the first line of the
    set, which `evalkit golden leaks` searches for. The lock holds no text of a case.

    With --held-out, whole clusters are drawn and moved to SET.held.jsonl, which only you can read. Runs show figures
    of these cases and no text. Canaries, critical and synthetic cases stay.

    The lock keeps --every, --share, --anchor, --owner and --reader-held until they are given again. `golden rotate`
    follows them, `check` says when a rotation is due, and report and card name the people.

    Example: evalkit golden lock golden/cases.jsonl --held-out 0.3

    Exit codes: 0, 2 if the set cannot be used, 4 if a file cannot be written.
    """
    from datetime import UTC, datetime

    from evalkit.operations.lock import LockSettings, lock_set
    from evalkit.text.numbers import plural

    people = {"owners": tuple(owner or ()), "readers_held": tuple(reader_held or ())}
    settings = LockSettings(every=every, share=share, anchor=anchor, **people)
    made = lock_set(set, datetime.now(UTC).date(), held_out=held_out, seed=seed, commit=commit, settings=settings)
    if made.n_moved:
        typer.echo(f"{plural(made.n_moved, 'case')} held out")
        if made.needs_baseline:
            why = "more than a tenth of its cases are gone"
            typer.echo(f"there is no decision against an older baseline, since {why}: commit the", err=True)
            typer.echo("split, run the suite, and save a new one with `evalkit baseline save`", err=True)
    done = "locked" if made.new else "unchanged since the lock"
    held = f" ({made.lock.n_held} held out)" if made.lock.n_held else ""
    typer.echo(visible(f"{plural(made.lock.n, 'case')}{held} {done}, version {made.lock.version}: {made.file}"))


def print_lock_changes(report: "LockReport", *, json: bool) -> None:
    """Print each changed, added and removed case, without its text; or all as JSON."""
    file, found = report.file, report.changes
    if json:
        from json import dumps

        record = {
            "set": str(file),
            "changed": [case.id for case in found.changed],
            "added": [case.id for case in found.added],
            "removed": list(found.removed),
            "canary_lost": found.canary_lost,
        }
        typer.echo(dumps(record, indent=1, ensure_ascii=False))
        return
    for word, cases in (("changed", found.changed), ("added", found.added)):
        for case in cases:
            typer.echo(on_one_line(f"{word} {case.id} ({case.place})"))
    for key in found.removed:
        typer.echo(f"removed {key}")
    if found.canary_lost:
        typer.echo("the canary string is missing or changed")
    if not found:
        typer.echo(on_one_line(f"{file} is as it was locked"))
