"""`evalkit golden items`: what stored runs say about single cases, without any text of a case."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.suite_file import SuiteFile, named_or_nearest
from evalkit.text.escaping import cut, on_one_line
from evalkit.text.numbers import plural

if TYPE_CHECKING:
    from evalkit.operations.golden_items import ItemReport, Quarantined

_WIDTH = 160
_SHOWN = 10


def items(
    suite: SuiteFile = None,
    runs: Annotated[int, typer.Option(min=1, help="Number of runs to read, the newest.")] = 20,
    write: Annotated[
        bool, typer.Option("--write", help="Put flaky, doubtful and impossible cases in quarantine.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print findings and figures as JSON.")] = False,
) -> None:
    """Find cases that say nothing, from the stored runs of a suite.

    Lists cases that never failed, always failed, pass by chance, or repeat or contradict another, and cases whose
    reference several systems agree against. With --write, the first cases of the golden set that are flaky, have a
    doubtful reference or always failed get `quarantine: reason`: they are run and shown, and no gate counts them.
    At most 5 % of the set can be in quarantine, and never a canary or a critical case.

    Example: evalkit golden items suites/compliance.yaml --runs 40

    Exit codes: 0, 2 if suite, set or runs cannot be used, 4 if the set cannot be written.
    """
    from evalkit.operations.golden_items import golden_items, put_in_quarantine

    report = golden_items(named_or_nearest(suite), runs)
    done = put_in_quarantine(report) if write else None
    (print_items_json if json else print_items)(report, done)


def print_items(report: "ItemReport", done: "Quarantined | None") -> None:
    """Print each finding, then the counts, what is only shown, and what was written."""
    for each in report.findings:
        typer.echo(cut(on_one_line(f"{each.rule} {each.case.id} ({each.case.place}): {each.what}"), _WIDTH))
    for item in [item for item in report.items if item.negative][:_SHOWN]:
        case, correlation = item.history.case, item.discrimination
        typer.echo(on_one_line(f"shown only: {case.id} ({case.place}) goes against the other cases, {correlation:.2f}"))
    versions, runs = plural(len(report.versions), "version"), plural(report.n_runs, "run")
    typer.echo(f"{plural(len(report.items), 'case')}, {runs} of {versions}: {plural(len(report.findings), 'finding')}")
    if report.suspects:
        ids = ", ".join(case.id for case in report.suspects[:_SHOWN])
        more = f" and {len(report.suspects) - _SHOWN} more" if len(report.suspects) > _SHOWN else ""
        typer.echo(on_one_line(f"changed within repeats, too few to say more: {ids}{more}"))
        typer.echo("run these again with `--case ID --repeat 10`")
    for note in report.notes:
        typer.echo(on_one_line(note), err=True)
    if done is not None:
        _print_written(done)


def _print_written(done: "Quarantined") -> None:
    for each in done.put:
        typer.echo(on_one_line(f"in quarantine: {each.case.id} ({each.reason})"))
    if done.no_room:
        ids = ", ".join(each.case.id for each in done.no_room[:_SHOWN])
        more = f" and {len(done.no_room) - _SHOWN} more" if len(done.no_room) > _SHOWN else ""
        typer.echo(on_one_line(f"not written, because at most 5 % of the set can be in quarantine: {ids}{more}"))
    if not done.put:
        typer.echo("no case was put in quarantine")


def print_items_json(report: "ItemReport", done: "Quarantined | None") -> None:
    """Print findings and figures as JSON, without texts."""
    import json

    from evalkit.operations.golden_items import days_since

    now = datetime.now(UTC)
    record = {
        "runs": report.n_runs,
        "versions": list(report.versions),
        "systems": report.n_systems,
        "findings": [
            {
                "rule": each.rule,
                "id": each.case.id,
                "place": each.case.place,
                "other": None if each.other is None else each.other.id,
                "what": each.what,
            }
            for each in report.findings
        ],
        "suspects": [case.id for case in report.suspects],
        "items": [
            {
                "id": item.history.case.id,
                "versions": len(item.history.versions),
                "passed": item.history.n_passed,
                "failed": item.history.n_failed,
                "difficulty": item.difficulty,
                "discrimination": item.discrimination,
                "negative": item.negative,
                "flips": item.n_flips,
                "cost_usd": item.cost_usd,
                "latency_s": item.latency_s,
                "days_since_failure": days_since(item.last_failed, now) if item.last_failed else None,
            }
            for item in report.items
        ],
        "notes": list(report.notes),
        "quarantined": None if done is None else [each.case.id for each in done.put],
        "no_room": None if done is None else [each.case.id for each in done.no_room],
    }
    typer.echo(json.dumps(record, indent=1, ensure_ascii=False))
