"""Add a checked case to its golden set, and show what was added."""

from collections.abc import Iterable

import typer

from evalkit.operations.new_case import NewCase, write_case
from evalkit.text.escaping import visible
from evalkit.text.numbers import plural

_SHOWN = {"name": "capitalised word", "ending": "text after 50,000 characters"}


def others(differences: Iterable[str]) -> str:
    """Name what differs in a pair, such as `other number and contexts`."""
    return "other " + " and ".join(_SHOWN.get(each, each) for each in differences)


def add_and_show(case: NewCase, *, dry_run: bool) -> None:
    """Write a case unless it is a dry run, and print the changes of its texts and the row."""
    import json

    for line in case.changes:
        typer.echo(f"changed  {line}")
    for word, n in case.replaced.items():
        typer.echo(f"replaced {plural(n, word.lower().replace('_', ' '))}")
    for pair in case.variants:
        what = f"{pair.first.id} ({pair.jaccard:.2f}, {others(pair.differences)})"
        typer.echo(visible(f"variant of {what}"))
    if not dry_run:
        write_case(case)
    typer.echo(visible(json.dumps(case.row, ensure_ascii=False)))
    done = "would be added" if dry_run else "added"
    waits = "; it counts when its reference is written" if case.needs_reference else ""
    typer.echo(visible(f"{case.id} {done} to {case.file}{waits}"), err=True)
