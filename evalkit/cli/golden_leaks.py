"""Print the findings of `evalkit golden leaks`."""

from typing import TYPE_CHECKING

import typer

from evalkit.cli.case_rates import print_rates
from evalkit.text.escaping import cut, on_one_line
from evalkit.text.numbers import plural

if TYPE_CHECKING:
    from evalkit.operations.leaks import LeakReport

_WIDTH = 160


def print_leaks(report: "LeakReport") -> None:
    """Print each finding with its places, then the counts and the effect."""
    found = report.leaks
    for leak in found.found:
        of = f" {leak.case_id} ({leak.case_place})" if leak.case_id else ""
        share = f" ({leak.share:.0%})" if leak.share < 1 else ""
        answer = ", with its answer" if leak.with_answer and leak.rule != "answer in prompt" else ""
        line = f"{leak.source} {leak.place}: {leak.rule}{share}{of}{answer}"
        typer.echo(cut(on_one_line(line), _WIDTH))
    for source, n_files in found.searched.items():
        n_cases = len(found.cases_in(source))
        n_left_out = report.left_out.get(source, 0)
        left_out = f", {plural(n_left_out, 'file')} of other kinds left out" if n_left_out else ""
        typer.echo(f"{n_cases} of {plural(found.n_cases, 'case')} in {plural(n_files, 'file')} of {source}{left_out}")
    if found.n_short:
        typer.echo(f"{plural(found.n_short, 'question')} of fewer than 3 words cannot be found", err=True)
    for each in found.unread:
        typer.echo(f"not read: {each}", err=True)
    if report.effect is not None:
        print_rates(report.effect, "these cases", "the others")


def print_leaks_json(report: "LeakReport") -> None:
    """Print the findings as JSON, without texts."""
    import dataclasses
    import json

    found = report.leaks
    record = {
        "cases": found.n_cases,
        "too_short": found.n_short,
        "files": dict(found.searched),
        "left_out": dict(report.left_out),
        "unread": list(found.unread),
        "flagged": {source: list(found.cases_in(source)) for source in found.searched},
        "leaks": [dataclasses.asdict(leak) for leak in found.found],
        "effect": None if report.effect is None else dataclasses.asdict(report.effect),
    }
    typer.echo(json.dumps(record, indent=1, ensure_ascii=False))
