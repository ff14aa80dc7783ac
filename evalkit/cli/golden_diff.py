"""Print the differences of two versions of a golden set, without any text of a case."""

from typing import TYPE_CHECKING, Any

import typer

from evalkit.cli.case_rates import print_rates
from evalkit.text.escaping import on_one_line
from evalkit.text.numbers import Style, figure, plural

if TYPE_CHECKING:
    from evalkit.operations.golden_diff import EditedCase, GoldenDiff, VersionedCase


def print_diff(found: "GoldenDiff") -> None:
    """Print a line for each case, then the counts and what they do to the gate."""
    changes = found.changes
    for each in changes.removed:
        typer.echo(on_one_line(f"removed {_named(each)}"))
    for edited in changes.edited:
        typer.echo(on_one_line(f"changed {_named(edited.after)}{_what(edited)}"))
    for each in changes.added:
        typer.echo(on_one_line(f"added {_named(each)}"))
    counts = f"{len(changes.removed)} removed, {len(changes.edited)} changed, {len(changes.added)} added"
    typer.echo(f"{counts}: {changes.n_before} to {plural(changes.n_after, 'case')}")
    rate = Style("rate")
    drops = [figure(drop, rate) if drop is not None else "none" for drop in (found.drop_before, found.drop_after)]
    typer.echo(f"smallest drop that a gate finds 4 times in 5: {drops[0]} before, {drops[1]} after")
    if found.rates is not None:
        print_rates(found.rates, "the removed cases", "the kept cases")


def print_diff_json(found: "GoldenDiff") -> None:
    """Print the differences as JSON."""
    import dataclasses
    import json

    changes = found.changes
    record: dict[str, Any] = {
        "cases": [changes.n_before, changes.n_after],
        "added": [each.name for each in changes.added],
        "removed": [each.name for each in changes.removed],
        "changed": [
            {
                "id": edited.after.name,
                "fields": list(edited.fields),
                "moves": [dataclasses.asdict(move) for move in edited.moves],
            }
            for edited in changes.edited
        ],
        "smallest_drop": [found.drop_before, found.drop_after],
        "pass_rates": None if found.rates is None else dataclasses.asdict(found.rates),
    }
    typer.echo(json.dumps(record, indent=1, ensure_ascii=False))


def _named(each: "VersionedCase") -> str:
    return each.name if each.case is None else f"{each.name} ({each.case.place})"


def _what(edited: "EditedCase") -> str:
    """Return the names of the fields, with both values of those that move a case."""
    moves = {move.name: f"{move.name} {move.before or 'none'} to {move.after or 'none'}" for move in edited.moves}
    parts = [moves.pop(name, name) for name in edited.fields if name != "cohorts"]
    found = [*parts, *moves.values()]
    return f": {', '.join(found)}" if found else ""
