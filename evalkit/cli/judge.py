"""`evalkit judge`: calibrate, probe and compare judges."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.errors import ExitCode, InputError, Problem

if TYPE_CHECKING:
    from evalkit.operations.calibrate import Floors, Judged
    from evalkit.results import Agreement

judge = typer.Typer(name="judge", help="Probe and calibrate judges.", rich_markup_mode=None, no_args_is_help=True)


@judge.callback()
def _group() -> None:
    """Probe and calibrate judges."""


@judge.command()
def health(
    suite: Annotated[Path, typer.Argument(help="Suite file with a judge endpoint.")],
    n: Annotated[int, typer.Option("-n", "--cases", min=2, max=1000, help="Cases to draw for each judge.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    deadline: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Longest time for each judge; later replies are missing.")
    ] = 900,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Probe the suite's judges with answers of known worth.

    The probes are attacks, swapped orders, padding and repetition. Each judge is asked about 5 answers a case, each
    case in both orders, and one answer for every attack. The system under test is not called.

    Example: evalkit judge health suites/llm.yaml --cases 20

    Exit codes: 0, 2 if the suite has no judge, 3 if a judge gave no usable reply.
    """
    import asyncio
    import os

    from evalkit.cli.judge_tables import print_health
    from evalkit.cli.output import CommandOutput
    from evalkit.cli.progress import counted
    from evalkit.operations.probe_judge import judge_health
    from evalkit.suite.parse import load_suite

    asked = judge_health(
        load_suite(suite), os.environ, n=n, seed=seed, limit_s=deadline, progress=counted("questions answered")
    )
    found = asyncio.run(asked)
    if json:
        _print_json(found)
    else:
        print_health(found, CommandOutput().results)
    if any(each.failures.value == 1 for each in found):
        raise typer.Exit(ExitCode.NO_DECISION)


@judge.command()
def tournament(
    run: Annotated[str, typer.Argument(help="Run of several systems: its folder, or `latest`.")],
    suite: Annotated[Path | None, typer.Option(help="Suite whose judge is asked. Default: that of the run.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the pairs and the intervals.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Let the judge choose between answers of several systems.

    Each case gives one random cycle through its systems, so the judge is asked as often as there are answers. The
    figures are a diagnosis and never gate. No system is called.

    Example: evalkit judge tournament reports/many

    Exit codes: 0, or 2 if run or suite cannot be used.
    """
    import asyncio
    import os

    from evalkit.cli.judge_tables import print_tournament
    from evalkit.cli.output import CommandOutput
    from evalkit.cli.progress import counted
    from evalkit.operations.find_run import find_systems
    from evalkit.operations.tournament import run_tournament

    folder = find_systems(run)
    if folder is None:
        fix = "name the folder of a run whose suite has `systems:` or `matrix:`"
        raise InputError(Problem(run, "not a run of several systems", fix))
    found = asyncio.run(run_tournament(folder, suite, os.environ, seed=seed, progress=counted("pairs judged")))
    if json:
        _print_json([found])
    else:
        print_tournament(found, CommandOutput().results)


@judge.command()
def calibrate(
    run: Annotated[str, typer.Argument(help="Run whose answers were labelled: folder, name or `latest`.")],
    labels: Annotated[list[Path] | None, typer.Option(help="Label file; default: those of the suite.")] = None,
    metric: Annotated[str | None, typer.Option(help="Judge to look at; default: every one.")] = None,
    floor: Annotated[list[str] | None, typer.Option(help="Kappa to reach: 0.6, or COHORT=0.7.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the record that suites name under `calibrations:`.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Compare a judge's verdicts with people's labels.

    The output says whether the judge is trusted, and where.

    Example: evalkit judge calibrate latest --labels labels/people.jsonl --out judges/correctness.json

    Exit codes: 0, or 2 if run, labels or options cannot be used.
    """
    from evalkit.cli.judge_tables import print_calibration
    from evalkit.cli.output import CommandOutput
    from evalkit.operations.calibrate import calibrated, load_judged
    from evalkit.operations.find_run import find_run

    judged = load_judged(find_run(run), labels or [], metric)
    for warning in judged.warnings():
        typer.echo(f"warning {warning}", err=True)
    found = calibrated(judged, metric, _floors(floor or [], judged))
    if json:
        _print_json(found)
    else:
        print_calibration(found, CommandOutput().results)
    if out is not None:
        _write_record(judged, judged.one(metric, "--out"), found, out)


@judge.command()
def tune(
    run: Annotated[str, typer.Argument(help="Run whose answers were labelled: folder, name or `latest`.")],
    labels: Annotated[list[Path] | None, typer.Option(help="Label file; default: those of the suite.")] = None,
    metric: Annotated[str | None, typer.Option(help="Judge to tune; default: the only one.")] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask the judge, to try examples and another wording too.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the splits and the test.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Propose another pass mark or rubric, from people's labels.

    Each version is measured on answers to questions that did not help to choose it. Without --ask, only pass marks
    are tried and nothing is called. A better rubric is written beside the old one; the suite is not changed.

    Example: evalkit judge tune latest --labels labels/people.jsonl --ask

    Exit codes: 0, or 2 if the labels are not enough.
    """
    import asyncio
    import os

    from evalkit.cli.judge_tables import print_proposal
    from evalkit.cli.output import CommandOutput
    from evalkit.cli.progress import counted
    from evalkit.operations.calibrate import load_judged
    from evalkit.operations.find_run import find_run
    from evalkit.operations.tune_judge import tune_judge

    judged = load_judged(find_run(run), labels or [], metric)
    progress = counted("answers graded again")
    scorer = judged.one(metric, "--metric")
    found = asyncio.run(tune_judge(judged, scorer, os.environ, asks=ask, seed=seed, progress=progress))
    if json:
        _print_json([found])
    else:
        print_proposal(found, CommandOutput().results)


@judge.command()
def drift(
    old: Annotated[str, typer.Argument(help="Run graded by the old version of the judge: folder, name or `latest`.")],
    new: Annotated[str, typer.Argument(help="Run with the same answers, graded by the new version.")],
    metric: Annotated[str, typer.Option(help="Metric of the judge.")],
    labels: Annotated[list[Path] | None, typer.Option(help="Label file of these answers.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random swaps.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Compare two versions of a judge on the same answers.

    Compared are its grades, and its agreement with people.

    Example: evalkit judge drift reports/january reports/june --metric correctness --labels labels/people.jsonl

    Exit codes: 0 no drift found, 1 drift found, 2 if a run cannot be used.
    """
    from evalkit.cli.judge_tables import print_drift
    from evalkit.cli.output import CommandOutput
    from evalkit.operations.calibrate import drift as drift_between
    from evalkit.operations.find_run import find_run

    found = drift_between(find_run(old), find_run(new), metric, labels or [], seed)
    if json:
        _print_json([found])
    else:
        print_drift(found, CommandOutput().results)
    if found.significant():
        raise typer.Exit(ExitCode.BLOCKED)


def _floors(given: Sequence[str], judged: "Judged") -> "Floors":
    """Parse `0.6` and `name=value=0.7` into cohort -> floor."""
    from evalkit.results import OVERALL

    floors: dict[str, float] = dict(judged.floors)
    for text in given:
        cohort, _, number = text.rpartition("=")
        try:
            floors[cohort or OVERALL] = float(number)
        except ValueError:
            raise InputError(
                Problem("--floor", f"{text!r} holds no number", "write 0.6, or domain=legal=0.7")
            ) from None
    strange = sorted(set(floors) - set(judged.floors) - set(judged.frame.cohorts))
    wrong = [text for text, floor in floors.items() if not 0 < floor < 1]
    if strange or wrong:
        what = f"no cohort {strange[0]!r} in this run" if strange else f"{floors[wrong[0]]:g} is not a kappa to reach"
        raise InputError(Problem("--floor", what, f"choose from {', '.join(judged.frame.cohorts)}; write 0.6 or 0.7"))
    return floors


def _write_record(judged: "Judged", metric: str, found: Sequence["Agreement"], out: Path) -> None:
    from datetime import UTC, datetime

    from evalkit.operations.calibrate import record_of, write_calibration

    write_calibration(out, record_of(judged, metric, found, datetime.now(UTC).date()))
    typer.echo(f"record of {metric} in {out}; name it under `calibrations:` in the suite", err=True)


def _print_json(found: Iterable[object]) -> None:
    import dataclasses
    import json

    typer.echo(json.dumps([dataclasses.asdict(each) for each in found], indent=2))  # type: ignore[call-overload]
