"""`evalkit baseline`: save a run as a baseline, list and inspect baselines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.errors import InputError

if TYPE_CHECKING:
    from evalkit.operations.baseline import Facts
    from evalkit.store.folder import RunFolder

_HELP = "Save, show and verify baselines."
_NAMES = "Name, run folder, packed artifact, or git:REF:PATH."
_SHOWN_COHORTS = 6
baseline = typer.Typer(name="baseline", help=_HELP, rich_markup_mode=None, no_args_is_help=True)
Named = Annotated[str, typer.Argument(help=_NAMES)]


@baseline.callback(help=_HELP)
def _group() -> None:
    """Commands below `evalkit baseline`."""


@baseline.command()
def save(
    run: Annotated[str, typer.Argument(help="Run folder, name of a saved baseline, or `latest`.")],
    name: Annotated[str, typer.Option(help="Name that suites refer to.")] = "main",
    accept: Annotated[str, typer.Option(help="Reason to save a run that was not approved.")] = "",
    repeat: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Run the repeats that RUN lacks first, and save all N.")
    ] = None,
) -> None:
    """Save a run as a baseline for later runs.

    It is saved as reports/baselines/NAME in the project of the current folder. An existing baseline of that name is
    replaced. The command prints and records the replaced run, and how the figures differ.

    --repeat N calls the system of the run for the repeats that are missing, if it is still the same. They are stored
    in a copy, reports/RUN_ID-repeat-N. The same command continues an interrupted one.

    Example: evalkit baseline save latest --name main --repeat 4

    Exit codes: 0 saved, 2 with every problem and its fix; with --repeat also 3 if not every call was made, 130, 143
    stopped by Ctrl-C, SIGTERM (run the command again).
    """
    from evalkit.operations.baseline import how_to_commit, more_repeats, replaced, save_run
    from evalkit.operations.find_run import find_run

    folder = find_run(run)
    if repeat is not None:
        folder = _filled(folder, repeat, accept)
    saved = save_run(folder, name, accept)
    typer.echo(f"saved {folder.shown} as baseline {name} in {saved.shown}")
    for line in replaced(saved):
        typer.echo(line)
    if hint := more_repeats(saved.manifest(), name):
        typer.echo(hint)
    if hint := how_to_commit(saved):
        typer.echo(hint)


def _filled(folder: RunFolder, repeat: int, accepted: str) -> RunFolder:
    """Run the repeats that a run lacks, and return the run that has all of them."""
    import os
    import shlex
    import sys
    from contextlib import redirect_stdout

    from evalkit.cli.output import CommandOutput
    from evalkit.cli.signals import run_stoppable
    from evalkit.operations.missing_repeats import asked_in_words, missing_repeats

    command = shlex.join(["evalkit", *sys.argv[1:]])
    with redirect_stdout(sys.stderr):  # a python system may print where it is imported
        missing = missing_repeats(folder, repeat, accepted, os.environ, command)
    if missing is None:
        return folder
    output = CommandOutput()
    output.say(asked_in_words(missing.estimate))
    result = run_stoppable(missing.request, output, "auto", continued_by=command)
    if why := result.decision.partial:
        output.say(f"not saved: {why}. Continue with: {command}")
        raise typer.Exit(int(result.exit_code))
    return missing.folder


@baseline.command()
def show(
    name: Named = "main",
    json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Describe a baseline, and the smallest drop that it can show.

    Shown are its run, commit, system, data, counts and decision.

    Example: evalkit baseline show main

    Exit codes: 0, 2 if there is no such baseline.
    """
    from evalkit.operations.baseline import facts_of, find_stored, suite_of

    stored = find_stored(name)
    facts = facts_of(stored, suite_of(stored))
    if json:
        _print_json(facts)
        return
    typer.echo(f"{name}")
    for label, text in _lines(facts):
        typer.echo(f"  {label:<10} {text}")


@baseline.command()
def verify(
    name: Named = "main",
    suite: Annotated[Path | None, typer.Option(help="Suite to compare it with; default: the one of the run.")] = None,
) -> None:
    """Check that a baseline is whole and fits the current suite.

    Example: evalkit baseline verify main

    Exit codes: 0 sound, 2 with every problem and its fix.
    """
    import os

    from evalkit.operations.baseline import find_stored, problems_of

    stored = find_stored(name)
    problems = [*problems_of(stored, suite, os.environ)]
    if problems:
        raise InputError(problems)
    n_rows = len(stored.frame)
    typer.echo(f"{name}: sound; {n_rows} rows fit their checksums, and can be compared with the suite")


def _lines(facts: Facts) -> Iterator[tuple[str, str]]:
    from evalkit.operations.noise import NONE_SURE, UNSURE, in_points
    from evalkit.text.numbers import plural

    manifest = facts.manifest
    system, golden = manifest.system, manifest.golden
    yield "run", f"{manifest.run_id} · {manifest.finished_at or manifest.started_at}"
    yield "suite", f"{manifest.suite} · {manifest.suite_file}"
    yield "commit", manifest.commit or "unknown"
    named = f"version {system.version} · " if system.version else ""
    yield "system", f"{system.kind} · {named}fingerprint {system.fingerprint or 'unknown'}"
    yield "golden", f"{golden.path} · {plural(golden.n_cases, 'case')} · sha256 {golden.sha256[:12]}"
    states = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in facts.states.items() if count)
    yield "rows", f"{facts.n_rows} of {manifest.expected} · {states}"
    if facts.n_damaged:
        yield "damaged", f"{facts.n_damaged} rows; see `evalkit baseline verify`"
    yield "decision", facts.outcome or "none: the run did not end"
    if manifest.accepted:
        yield "accepted", manifest.accepted
    if not isinstance(before := manifest.replaces, str | None):
        yield "replaces", f"run {before.run_id} ({before.outcome})"
    if facts.sees:
        assumed = " if 8.5 % of the cases flip between runs" if facts.sees[0].flips is None else ""
        yield "can show", f"a drop of the pass rate, 4 times in 5{assumed}, of"
        for each in (facts.sees[0], *sorted(facts.sees[1:], key=lambda each: each.n)[:_SHOWN_COHORTS]):
            yield "", f"{in_points(each, spelt_out=True)} in {each.cohort} ({plural(each.n, 'case')})"
        if any(in_points(each).startswith(NONE_SURE) for each in facts.sees):
            yield "", UNSURE
        if len(facts.sees) > _SHOWN_COHORTS + 1:
            yield "", f"and {len(facts.sees) - _SHOWN_COHORTS - 1} larger cohorts"


def _print_json(facts: Facts) -> None:
    import json

    from evalkit.operations.baseline import facts_record

    typer.echo(json.dumps(facts_record(facts), indent=1, sort_keys=True))
