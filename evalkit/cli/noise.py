"""`evalkit noise` and `evalkit power`: estimate the drops that a suite's gate can detect."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.suite_file import SuiteFile, named_or_nearest
from evalkit.errors import ExitCode
from evalkit.text.escaping import visible

if TYPE_CHECKING:
    from evalkit.operations.meaning import Meanings
    from evalkit.operations.noise import Detectable, Noise

SHOWN_ADVICE = 8
REPEAT = 4


def noise(  # noqa: PLR0913 - typer reads the flags from the signature
    suite: Annotated[str, typer.Argument(help="Suite file, or a run with repeats: folder, name or `latest`.")],
    repeat: Annotated[
        int | None, typer.Option(min=2, max=100, help=f"Runs of every case. Default: {REPEAT}.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the run. Default: reports/<run-id>.")] = None,
    trials: Annotated[int, typer.Option(min=10, help="Comparisons of the system with itself.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    meaning: Annotated[
        bool, typer.Option("--meaning", help="Ask the suite's judge which answers mean the same: semantic entropy.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Run one system several times and compare it with itself.

    The figures are flips, false alarms and the drops that would be found. A case is never compared with itself:
    each comparison takes two different repeats of every case.

    Example: evalkit noise suites/compliance.yaml --repeat 4 --out reports/noise

    Exit codes: 0, 2 if the suite or the folder cannot be used, 3 if `--meaning` could measure no case.
    """
    import os
    import shlex
    import sys

    from evalkit.cli.meanings import ask_meanings
    from evalkit.cli.output import CommandOutput
    from evalkit.cli.signals import run_stoppable
    from evalkit.operations.find_run import find_run
    from evalkit.operations.meaning import refuse_missing_judge
    from evalkit.operations.noise import measure_noise
    from evalkit.operations.run import Request

    file = Path(suite) if Path(suite).suffix in (".yaml", ".yml") else None
    if file is None:
        _refuse_for_a_run({"--repeat": repeat, "--out": out})
        folder = find_run(suite)
    else:
        if meaning:
            refuse_missing_judge(file, os.environ)
        overrides = {"repeat": repeat or REPEAT, "seed": seed}
        command = shlex.join(["evalkit", *sys.argv[1:]])
        request = Request(
            suite=file, out=out, overrides=overrides, baseline="none", command=command, asks_further=False
        )
        folder = run_stoppable(request, CommandOutput(json=True), "auto").folder
    found = measure_noise(folder, file, trials=trials, seed=seed)
    if found.n_rows < found.n_planned:
        typer.echo(f"only {found.n_rows} of {found.n_planned} calls were made", err=True)
    meanings = ask_meanings(folder, file) if meaning else None
    _show(found.noise, meanings, as_json=json)
    if meanings is not None and not meanings.cases:
        raise typer.Exit(ExitCode.NO_DECISION)


def _refuse_for_a_run(flags: Mapping[str, object]) -> None:
    """Refuse flags that say how to run, where a stored run is measured.

    Raises:
        InputError: one is given.
    """
    from evalkit.errors import InputError, Problem

    given = [flag for flag, value in flags.items() if value is not None]
    if given:
        what = "a stored run is measured, and nothing is called"
        raise InputError(Problem(flag, what, "leave it out, or name the suite file") for flag in given)


def power(
    suite: SuiteFile = None,
    flips: Annotated[float | None, typer.Option(min=0, max=1, help="Share of cases that flip between runs.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Show the drops that a suite's gate would detect.

    They follow from the number of cases in each cohort.

    Example: evalkit power suites/compliance.yaml

    Exit codes: 0, 2 if the suite cannot be used.
    """
    import textwrap

    from evalkit.operations.power import power_of, small_drop_of

    gates = power_of(named_or_nearest(suite), flips)
    _show(gates, as_json=json)
    if not json and (said := small_drop_of(gates)):
        typer.echo(textwrap.fill(said, 80))


def _show(found: "Noise | Sequence[Detectable]", meanings: "Meanings | None" = None, *, as_json: bool) -> None:
    import dataclasses
    import json
    import textwrap

    from evalkit.cli.meanings import print_meanings
    from evalkit.cli.output import share_of
    from evalkit.operations.noise import ASSUMED, NONE_SURE, UNSURE, Noise, advice_on, in_points

    gates = found.gates if isinstance(found, Noise) else tuple(found)
    if as_json:
        meaning = {} if meanings is None else {"meaning": dataclasses.asdict(meanings)}
        record = (
            {**dataclasses.asdict(found), **meaning} if isinstance(found, Noise) else [*map(dataclasses.asdict, gates)]
        )
        typer.echo(json.dumps(record, indent=2))
        return
    _table(gates)
    if isinstance(found, Noise):
        rate = found.false_blocks
        share = f"{share_of(rate.value)} [{share_of(rate.low)}, {share_of(rate.high)}]"
        typer.echo(f"the gate blocked this system against itself in {share} of {rate.n} comparisons")
    elif all(each.flips is None for each in gates):
        typer.echo(ASSUMED)
    if any(in_points(each).startswith(NONE_SURE) for each in gates):
        typer.echo(UNSURE)
    for line in advice_on(gates)[:SHOWN_ADVICE]:
        typer.echo(textwrap.fill(visible(line), 80, initial_indent="  ", subsequent_indent="    "))
    if meanings is not None:
        print_meanings(meanings)


def _table(gates: Sequence["Detectable"]) -> None:
    from rich.table import Table

    from evalkit.cli.output import CommandOutput
    from evalkit.operations.noise import in_points

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("metric", "cohort", "cases", "flips", "finds a drop of"):
        table.add_column(heading, justify="left" if heading in ("metric", "cohort") else "right", overflow="fold")
    for each in gates:
        flips = "unknown" if each.flips is None else f"{each.flips:.1%}"
        table.add_row(visible(each.metric), visible(each.cohort), str(each.n), flips, in_points(each))
    CommandOutput().results.print(table)
