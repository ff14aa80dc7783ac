"""`evalkit golden rotate`: replace a share of a golden set by candidates."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.text.escaping import on_one_line


def rotate(
    set: Annotated[Path, typer.Argument(help="Golden set, such as golden/cases.jsonl.")],
    pool: Annotated[Path, typer.Option(help="Candidates, in JSON Lines.")],
    share: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Share of the cases to replace; default: the lock's, else 0.1."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed that breaks ties.")] = 1,
    suite: Annotated[
        Path | None,
        typer.Option(help="Suite whose runs show dead cases, and whose `production:` shows the kinds needed."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show which cases would be retired and added; write nothing.")
    ] = False,
) -> None:
    """Retire dead and old cases of a locked set, and add candidates.

    Canaries, cases with `anchor: true`, the share of anchors that the lock states, and critical regression cases of the
    last 180 days stay. Candidates come from the kinds of cases that the set lacks most, and at most one in five is
    synthetic. The retired cases go to
    SET.retired.jsonl, and the set is locked again.

    Example: evalkit golden rotate golden/cases.jsonl --pool candidates.jsonl --dry-run

    Exit codes: 0, 2 if set, pool or suite cannot be used or a cohort would become too small, 4 if a file cannot be
    written.
    """
    from datetime import UTC, datetime

    from evalkit.operations.golden_rotate import rotate_set
    from evalkit.text.numbers import plural

    today = datetime.now(UTC).date()
    done = rotate_set(set, pool, today=today, share=share, seed=seed, suite_file=suite, dry_run=dry_run)
    found = done.rotation
    for word, cases in (("retire", found.retired), ("add", found.added)):
        for case in cases:
            typer.echo(on_one_line(f"{word} {case.id} ({case.place})"))
    for why, n in done.unusable.items():
        typer.echo(f"{plural(n, 'candidate')} left out: {why}", err=True)
    counts = f"{plural(len(found.retired), 'case')} retired, {len(found.added)} added"
    if done.lock is None:
        typer.echo(f"{counts}: nothing is written")
    else:
        typer.echo(on_one_line(f"{counts}, version {done.lock.version}: {set}"))
