"""`evalkit labels`: draw answers to label, and import labels."""

from pathlib import Path
from typing import Annotated

import typer

labels = typer.Typer(
    name="labels", help="Draw answers to label, and import labels.", rich_markup_mode=None, no_args_is_help=True
)


@labels.callback()
def _group() -> None:
    """Draw answers to label, and import labels."""


@labels.command()
def sample(  # noqa: PLR0913 - typer reads the flags from the signature
    run: Annotated[str, typer.Argument(help="Run folder, name of a saved baseline, or `latest`.")],
    n: Annotated[
        int, typer.Option("-n", "--answers", min=1, max=5000, help="Answers to draw; with --both, cases.")
    ] = 60,
    both: Annotated[
        str | None, typer.Option(help="Run of the old system, whose answers to the same cases are labelled too.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Judge whose answers are labelled; default: the only one.")] = None,
    by: Annotated[str | None, typer.Option(help="Cohort to spread over; default: the suite's first.")] = None,
    known: Annotated[
        list[Path] | None, typer.Option("--labels", help="Label file whose answers are left out; default: the suite's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw and the order.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The page; default: labels.html in the run folder.")] = None,
) -> None:
    """Draw answers, and write a page on which people label them.

    The page does not hold the judge's verdicts. The draw is balanced over the judge's verdicts and spread over a
    cohort, and the page records each answer's probability of being drawn. The page is a single file that works from
    disk and sends nothing. Give it to as many raters as you like.

    With --both, cases are drawn at random, and the page shows the answers of both runs to them. Their labels correct
    the difference between the two runs for the judge's errors.

    Example: evalkit labels sample latest --both main --answers 100

    Exit codes: 0, or 2 if the run has no judge or no answer left to label.
    """
    import shlex

    from evalkit.errors import InputError, Problem
    from evalkit.operations.calibrate import load_judged
    from evalkit.operations.find_run import find_run
    from evalkit.operations.label import draw_both, draw_queue
    from evalkit.report.label_page import write_label_page
    from evalkit.text.numbers import plural

    folder = find_run(run)
    judged = load_judged(folder, known or [], metric)
    scorer = judged.one(metric, "--metric")
    if both is None:
        queue = draw_queue(judged, scorer, n, by=by, seed=seed)
    else:
        earlier = load_judged(find_run(both), judged.label_files, scorer)
        queue = draw_both(judged, earlier, scorer, n, by=by, seed=seed)
    page = out or folder.path / "labels.html"
    try:
        write_label_page(page, queue)
    except OSError as error:
        raise InputError(Problem(str(page), f"cannot be written ({error.strerror})", "name another --out")) from None
    typer.echo(f"{plural(len(queue.items), 'answer')} to label in {page}")
    typer.echo("next: open the page, label the answers, and import the file that it exports:")
    also = "" if both is None else f" --both {shlex.quote(both)}"
    typer.echo(f"      evalkit labels import {shlex.quote(run)} EXPORTED.jsonl --into labels/people.jsonl{also}")


@labels.command(name="import")
def import_(
    run: Annotated[str, typer.Argument(help="Run whose answers were labelled: folder, name or `latest`.")],
    export: Annotated[list[Path], typer.Argument(help="Files that the labelling page exported.")],
    into: Annotated[Path, typer.Option(help="Label file to add them to; name it under `labels:` in the suite.")],
    both: Annotated[
        str | None, typer.Option(help="Run of the old system, if answers of both runs were labelled.")
    ] = None,
) -> None:
    """Check exported labels, and add them to a label file.

    All are added, or none. Labels are rejected if they belong to another answer or rubric, are off the scale, or
    contradict an earlier label of the same rater.

    Example: evalkit labels import latest labels-ana.jsonl --into labels/people.jsonl

    Exit codes: 0, or 2 with the line of every rejected label.
    """
    from evalkit.cli.judge_tables import print_calibration
    from evalkit.cli.output import CommandOutput
    from evalkit.operations.calibrate import calibrated, load_judged
    from evalkit.operations.find_run import find_run
    from evalkit.operations.label import of_one_run, take_labels
    from evalkit.text.numbers import plural

    folder = find_run(run)
    judged = load_judged(folder, [into] if into.is_file() else [])
    earlier = None if both is None else load_judged(find_run(both), judged.label_files)
    for file in export:
        taken = take_labels(judged, file, into, earlier)
        known = f", {taken.known} were there already" if taken.known else ""
        typer.echo(f"{plural(taken.added, 'label')} of {file} added to {into}{known}", err=True)
    judged = of_one_run(load_judged(folder, [into]), earlier)
    print_calibration(calibrated(judged, None, judged.floors), CommandOutput().results)
