"""`evalkit golden`: describe a golden set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.suite_file import SuiteFile, named_or_nearest
from evalkit.errors import InputError, Problem, noting
from evalkit.text.escaping import visible

if TYPE_CHECKING:
    from evalkit.results import Estimate

golden = typer.Typer(name="golden", help="Look at golden sets.", rich_markup_mode=None, no_args_is_help=True)
Cell = tuple[str, ...]


@golden.callback()
def _group() -> None:
    """Inspect golden sets."""


@golden.command()
def coverage(
    suite: SuiteFile = None,
    production: Annotated[Path | None, typer.Option(help="Calls of production: JSON Lines with the cohorts.")] = None,
    mix: Annotated[str | None, typer.Option(help="Declared shares instead: aml=0.3,privacy=0.7")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Cohort names; default: the suite's first.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Show the share of production that the golden set covers, and where it has too few cases.

    A cell counts as covered from 30 cases on. Kinds of calls that the sample never saw are estimated after Good and
    Turing, and covered by nothing.

    Example: evalkit golden coverage suites/compliance.yaml --mix aml=0.4,privacy=0.6 --by domain

    Exit codes: 0, 2 where suite, file or mix cannot be used.
    """
    from evalkit.aggregate.cohorts import cohort_value
    from evalkit.golden.read import open_golden
    from evalkit.stats.sampling import effective_n, production_coverage
    from evalkit.suite.parse import load_suite

    loaded = load_suite(named_or_nearest(suite))
    names = tuple(by or loaded.options.cohorts[:1])
    unknown = sorted(set(names) - set(loaded.options.cohorts))
    if unknown or not names:
        known = ", ".join(loaded.options.cohorts) or "none"
        raise InputError(Problem("--by", f"no cohort {unknown[0]!r}" if unknown else "the suite has none", known))
    calls = _production(production, mix, names)
    golden_set = open_golden(loaded.golden, loaded.golden_file, loaded.golden_shown)
    held = Counter(tuple(cohort_value(case, name) or "" for name in names) for case in golden_set.open())
    cells = sorted(calls, key=lambda cell: (-calls[cell], cell))
    shares = [calls[cell] for cell in cells]
    found = production_coverage([held[cell] for cell in cells], shares, sampled=production is not None)
    weights = [calls[cell] / held[cell] for cell in cells for _ in range(held[cell])]
    worth = effective_n(weights)
    if json:
        _print_json(found, worth, cells, calls, held)
    else:
        _print(found, worth, cells, calls, held)


def _production(file: Path | None, mix: str | None, names: Sequence[str]) -> Mapping[Cell, float]:
    if (file is None) == (mix is None):
        raise InputError(Problem("--production", "give either it or --mix", "calls.jsonl, or --mix aml=0.3,other=0.7"))
    return _sampled(file, names) if file is not None else _declared(mix or "", names)


def _sampled(file: Path, names: Sequence[str]) -> Mapping[Cell, float]:
    from evalkit.golden.lines import read_jsonl

    if not file.is_file():
        raise InputError(Problem("--production", f"no file {str(file)!r}", "check the path"))
    problems: list[Problem] = []
    counts: Counter[Cell] = Counter()
    note = noting(problems)
    for line, row in read_jsonl(file, str(file), note):
        own = row.get("cohorts")
        given = {**row, **own} if isinstance(own, dict) else row
        missing = [name for name in names if name not in given]
        if missing:
            note(Problem(f"{file}:{line}", f"no {missing[0]!r}", "add it, beside `cohorts` or within"))
            continue
        odd = [name for name in names if isinstance(given[name], dict | list | None)]
        if odd:
            what = f"`{odd[0]}` is {'empty' if given[odd[0]] is None else 'no text'}"
            note(Problem(f"{file}:{line}", what, "write the value of the cohort"))
            continue
        counts[tuple(str(given[name]) for name in names)] += 1
    if problems or not counts:
        raise InputError(problems or Problem(str(file), "holds no call", "add one JSON object a line"))
    return counts


def _declared(mix: str, names: Sequence[str]) -> Mapping[Cell, float]:
    if len(names) != 1:
        raise InputError(Problem("--mix", f"shares of one cohort, not of {len(names)}", "use --production"))
    shares: dict[Cell, float] = {}
    for part in mix.split(","):
        value, _, number = part.rpartition("=")
        cell = (value.strip(),)
        try:
            share = float(number)
        except ValueError:
            raise InputError(Problem("--mix", f"{part!r} holds no share", "write aml=0.3,privacy=0.7")) from None
        if not value.strip() or cell in shares:
            what = f"{value.strip()!r} stands twice" if value.strip() else f"{part!r} names no value"
            raise InputError(Problem("--mix", what, "write each value once: aml=0.3,privacy=0.7"))
        shares[cell] = share
    if not min(shares.values()) >= 0 or not abs(sum(shares.values()) - 1) <= 0.001:
        what = f"the shares sum to {sum(shares.values()):g}"
        raise InputError(Problem("--mix", what, "write shares of at least 0 that sum to 1"))
    total = sum(shares.values())
    return {cell: share / total for cell, share in shares.items()}


def _print(
    found: "Estimate", worth: float, cells: Sequence[Cell], calls: Mapping[Cell, float], held: Mapping[Cell, int]
) -> None:
    from rich.table import Table

    from evalkit.cli.output import CommandOutput, share_of
    from evalkit.stats.sampling import ENOUGH_CASES

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("cell", "production", "golden cases", ""):
        table.add_column(heading, justify="left" if heading in ("cell", "") else "right", overflow="fold")
    total = sum(calls.values())
    for cell in cells:
        lack = ENOUGH_CASES - held[cell]
        note = f"{lack} more to cover it" if lack > 0 else ""
        table.add_row(visible(" · ".join(cell)), f"{calls[cell] / total:.1%}", str(held[cell]), note)
    CommandOutput().results.print(table)
    extra = sum(count for cell, count in held.items() if cell not in calls)
    bound = f", at least {share_of(found.low)} (95 %)" if found.n else ""
    typer.echo(f"covers {share_of(found.value)} of production{bound}")
    typer.echo(f"weighted to it, the cases are worth {worth:.0f} of {sum(held.values())}")
    if extra:
        typer.echo(f"{extra} cases are of kinds that production does not have")


def _print_json(
    found: "Estimate", worth: float, cells: Sequence[Cell], calls: Mapping[Cell, float], held: Mapping[Cell, int]
) -> None:
    import dataclasses
    import json

    total = sum(calls.values())
    rows = [{"cell": list(cell), "production": calls[cell] / total, "golden_cases": held[cell]} for cell in cells]
    record = {"coverage": dataclasses.asdict(found), "effective_n": worth, "cells": rows}
    typer.echo(json.dumps(record, indent=2))
