"""Print the pairs of `evalkit golden dedup`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evalkit.text.escaping import cut, on_one_line

if TYPE_CHECKING:
    from evalkit.operations.dedup import Deduplicated

_PAIR_WIDTH = 160
"""Number of characters that are shown of a case."""


def print_pairs(file: Path, found: "Deduplicated") -> None:
    """Print both cases of each pair, the counts and the next steps."""
    from evalkit.cli.added_case import others
    from evalkit.cli.output import CommandOutput
    from evalkit.operations.dedup import next_steps
    from evalkit.report.console import print_steps
    from evalkit.text.numbers import plural

    for pair in found.open_pairs:
        why = f": {others(pair.differences)}" if pair.differences else ""
        typer.echo(f"{pair.kind} ({pair.jaccard:.2f}){why}")
        for each in (pair.first, pair.second):
            typer.echo("  " + cut(on_one_line(f"{each.place} {each.id}: {each.text}"), _PAIR_WIDTH))
    n_same = sum(pair.kind == "same" for pair in found.open_pairs)
    n_variants = len(found.open_pairs) - n_same
    typer.echo(f"{plural(len(found.open_pairs), 'pair')} in {plural(found.n_cases, 'case')}: {n_same} same, ", nl=False)
    typer.echo(plural(n_variants, "variant"))
    if found.n_accepted:
        typer.echo(f"{plural(found.n_accepted, 'other pair')} in one cluster already")
    if not found.complete:
        typer.echo("the set holds many cases of one template, so pairs may be missing", err=True)
    if found.n_cut:
        typer.echo(f"of {plural(found.n_cut, 'case')}, only the first 50,000 characters were compared", err=True)
    if found.open_pairs:
        print_steps(next_steps(file), CommandOutput().results)


def print_pairs_json(file: Path, found: "Deduplicated") -> None:
    """Print the pairs as JSON, which `--accept` takes."""
    import json

    pairs = [
        {
            "a": pair.first.id,
            "b": pair.second.id,
            "kind": pair.kind,
            "jaccard": round(pair.jaccard, 4),
            "differences": list(pair.differences),
            "texts": [pair.first.text, pair.second.text],
        }
        for pair in found.open_pairs
    ]
    record = {
        "set": str(file),
        "cases": found.n_cases,
        "complete": found.complete,
        "cut": found.n_cut,
        "accepted": found.n_accepted,
        "pairs": pairs,
    }
    typer.echo(json.dumps(record, indent=1, ensure_ascii=False))
