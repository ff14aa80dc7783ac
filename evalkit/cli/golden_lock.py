"""Print how a golden set differs from its lock."""

from typing import TYPE_CHECKING

import typer

from evalkit.text.escaping import on_one_line

if TYPE_CHECKING:
    from evalkit.operations.lock import LockReport


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
