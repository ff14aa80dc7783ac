"""`evalkit judge`: what is known of the judges that a suite trusts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.errors import ExitCode

if TYPE_CHECKING:
    from rich.table import Table

    from evalkit.scorers.judges.probes import Health
    from evalkit.types import Estimate

judge = typer.Typer(name="judge", help="Probe and calibrate judges.", rich_markup_mode=None, no_args_is_help=True)


@judge.callback()
def _group() -> None:
    """Probe and calibrate judges."""


@judge.command()
def health(
    suite: Annotated[Path, typer.Argument(help="Suite file with a judge endpoint.")],
    n: Annotated[int, typer.Option("-n", "--cases", min=2, max=1000, help="Cases to draw for each judge.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Ask the suite's judges what has a known answer: attacks, swapped orders, padding, the same thing again.

    Each judge is asked about 5 answers a case, each case in both orders, and one answer for every attack. The system
    under test is not called.

    Example: evalkit judge health suites/llm.yaml --cases 20

    Exit codes: 0, 2 where the suite has no judge, 3 where a judge gave no usable reply at all.
    """
    import asyncio
    import os

    from evalkit.health import judge_health
    from evalkit.suite.parse import load_suite

    found = asyncio.run(judge_health(load_suite(suite), os.environ, n=n, seed=seed))
    if json:
        _print_json(found)
    else:
        _print_tables(found)
    if any(each.failures.value == 1 for each in found):
        raise typer.Exit(ExitCode.NO_DECISION)


def _print_json(found: tuple[Health, ...]) -> None:
    import dataclasses
    import json

    typer.echo(json.dumps([dataclasses.asdict(each) for each in found], indent=2))


def _print_tables(found: tuple[Health, ...]) -> None:
    from evalkit.cli.output import Output

    console = Output().results
    for each in found:
        console.print(f"{each.metric} · {each.judge} · {each.n_cases} cases", style="bold", soft_wrap=True)
        console.print(_table(each))
        for line in _details(each):
            console.print(f"  {line}", soft_wrap=True)
        console.print()


def _table(health: Health) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for heading, justify in (
        ("", "left"),
        ("value", "right"),
        ("95 % interval", "left"),
        ("n", "right"),
        ("right", "right"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    rows: tuple[tuple[str, Estimate, str], ...] = (
        ("tells a right from a wrong answer", health.tells_apart, "1"),
        ("attacks that raise the grade", health.attack_success, "0"),
        ("grade moved by length", health.length_bias, "0"),
        ("agrees with itself at 3 askings", health.self_consistency, "1"),
        ("winner flips with the order", health.order_flips, "0"),
        ("favours the first place", health.position_bias, "0"),
        ("askings without a usable reply", health.failures, "0"),
    )
    for name, estimate, wanted in rows:
        table.add_row(f"  {name}", _number(estimate.value), _interval(estimate), str(estimate.n), wanted)
    return table


def _details(health: Health) -> list[str]:
    lines = []
    if health.broken_by:
        listed = ", ".join(f"{kind} {count}" for kind, count in health.broken_by.items())
        lines.append(f"attacks that succeeded: {listed}")
    if health.refused:
        lines.append(f"{health.refused} replies copied the case and were refused")
    if health.failure_kinds:
        lines.append("unusable: " + ", ".join(f"{kind} {count}" for kind, count in health.failure_kinds.items()))
    return lines


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _interval(estimate: Estimate) -> str:
    return "" if estimate.low is None or estimate.high is None else f"[{estimate.low:.2f}, {estimate.high:.2f}]"
