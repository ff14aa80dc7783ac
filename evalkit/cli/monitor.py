"""`evalkit monitor`: watch the calls of a system in production."""

from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.engine_flags import EngineChoice, InsecureScheduler, Scheduler, engine_flags
from evalkit.cli.monitor_incident import incident
from evalkit.cli.monitor_rejudge import rejudge
from evalkit.cli.monitor_status import MonitorFile, compare, reference, status
from evalkit.cli.monitor_thresholds import thresholds
from evalkit.errors import ExitCode, InputError, Problem

if TYPE_CHECKING:
    from evalkit.operations.monitor_take import TakenCalls

monitor = typer.Typer(
    name="monitor", help="Watch the calls of a system in production.", rich_markup_mode=None, no_args_is_help=True
)


@monitor.callback()
def _group() -> None:
    """Watch the calls of a system in production."""


@monitor.command()
def take(  # noqa: PLR0913 - each is a flag
    file: MonitorFile,
    logs: Annotated[
        list[str] | None, typer.Argument(metavar="[LOGS]...", help="Log files, folders that grow, - for stdin.")
    ] = None,
    feedback: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="File or folder with ratings and labels of calls; - for stdin; repeatable."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Look again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Time between looks of --follow.")] = 60,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make series.sqlite again; no log is read.")] = False,
    engine: Annotated[
        EngineChoice | None,
        typer.Option(help="`dask`: let several processes ask the judges, for samples of 100 calls or more."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Number of these processes; of a scheduler, number of workers to use."),
    ] = None,
    scheduler: Scheduler = None,
    insecure_scheduler: InsecureScheduler = False,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON, one line a look.")] = False,
) -> None:
    """Take new calls from logs, grade them, and keep the figures.

    Scorers that ask no judge grade every call. Those that ask one grade a sample. Each call counts once, also if the
    command was killed, or if the log was rotated.

    Example: evalkit monitor take support.yaml logs/

    Exit codes: 0, 2 if monitor, logs, feedback or engine cannot be used, 3 if more than 10 % of the rows or of the
    feedback were refused, or the judge does not answer, 4 if the workers of an engine are lost.
    """
    import asyncio
    import gc
    import os
    import sys
    import time

    from evalkit.cli.stopping import until_stopped
    from evalkit.operations.monitor_take import TakeRequest
    from evalkit.operations.monitor_take import follow as follow_logs
    from evalkit.operations.monitor_take import rebuild as rebuild_series
    from evalkit.operations.monitor_take import take as take_logs

    flags = engine_flags(engine, workers, None, scheduler, insecure=insecure_scheduler)
    _check(logs or [], feedback or [], follow=follow, rebuild=rebuild, asks=flags.asks)
    if rebuild:
        n = rebuild_series(file)
        typer.echo(f"made the series again from {n:,} batch{'es' if n != 1 else ''}")
        return
    # Look for garbage rarely, because calls hold few cycles, but often enough that memory stays flat.
    gc.set_threshold(100_000, 50, 50)
    request = TakeRequest(
        file=file,
        logs=logs or [],
        env=os.environ,
        now=time.time,
        stdin=sys.stdin.buffer,
        feedback=feedback or [],
        engine=flags,
    )
    if not follow:
        taken = asyncio.run(take_logs(request))
        _show(taken, as_json=json)
        if not taken.is_enough:
            raise typer.Exit(ExitCode.NO_DECISION)
        return
    with until_stopped() as stopped:
        within = asyncio.to_thread
        asyncio.run(
            follow_logs(
                request,
                lambda seconds: within(stopped.within, seconds),
                every,
                lambda found: _show(found, as_json=json),
            )
        )
    stopped.leave()


monitor.command()(reference)
monitor.command()(status)
monitor.command()(compare)
monitor.command()(rejudge)
monitor.command()(incident)
monitor.command()(thresholds)


def _check(logs: list[str], feedback: list[str], *, follow: bool, rebuild: bool, asks: bool) -> None:
    """Refuse flags that do not go together.

    Raises:
        InputError: says which.
    """
    named = [*logs, *feedback]
    if rebuild and (named or follow or asks):
        raise InputError(Problem("--rebuild", "no log is read", "leave out the logs and all other flags"))
    if not rebuild and not named:
        raise InputError(Problem("LOGS", "no logs given", "name files or a folder, or `-` for standard input"))
    if named.count("-") > 1:
        what = "standard input is read once"
        raise InputError(Problem("-", what, "write `-` for the logs or for --feedback, and name a file for the other"))
    if follow and "-" in named:
        what = "standard input ends, and is read once"
        raise InputError(Problem("--follow", what, "leave it out, or name a file or a folder"))


def _show(taken: "TakenCalls", *, as_json: bool) -> None:
    import dataclasses
    import json
    import re
    from collections import Counter

    from evalkit.text.escaping import visible
    from evalkit.text.numbers import plural

    if as_json:
        record = {name: value for name, value in dataclasses.asdict(taken).items() if name not in ("refused", "notes")}
        record |= {"n_read": taken.n_read, "refused": [*map(str, taken.refused)]}
        record["notes"] = [f"{each.place}: {each.what}" for each in taken.notes]
        typer.echo(json.dumps(record))
        return
    for note in taken.notes:
        typer.echo(visible(f"note {note.place}: {note.what}"), err=True)
    # Alike are rows of one log: a log that cannot be read as a whole is named.
    kinds = [(re.sub(r"(:| rows? )[0-9]+.*", "", each.place), each.what, each.fix) for each in taken.refused]
    alike = Counter(kinds)
    for problem, kind in zip(taken.refused, kinds, strict=True):
        if n := alike.pop(kind, 0):
            more = f" ({plural(n - 1, 'more row')} refused for the same reason)" if n > 1 else ""
            typer.echo(visible(f"refused {problem}{more}"), err=True)
    if taken.n_refused > len(taken.refused):
        typer.echo(f"refused {taken.n_refused - len(taken.refused):,} more rows", err=True)
    counts = f"{taken.n_scored:,} scored, {taken.n_refused:,} refused, {taken.n_double:,} double"
    if taken.n_read or not taken.n_waiting:
        typer.echo(f"read {plural(taken.n_read, 'row')}: {counts}")
    if taken.n_waiting:
        whose = "waits for its last span" if taken.n_waiting == 1 else "wait for their last spans"
        typer.echo(f"{plural(taken.n_waiting, 'trace')} {whose}; take again in 30 seconds")
    if taken.feedback:
        settled = (f"{n:,} {name}" for name, n in taken.feedback.items() if name != "waiting")
        typer.echo(f"feedback: {', '.join(settled)}")
    if n_waiting := taken.feedback.get("waiting", 0):
        typer.echo(f"waiting for their calls: {n_waiting:,}; take the logs of these calls within 48 hours")
    if taken.n_sampled:
        cost, lost = f" for ${taken.spent_usd:.4g}" if taken.spent_usd else "", taken.unjudged
        judged = f", {taken.n_judged:,} judged{cost}" if taken.n_judged or lost.n else ""
        more = f"; {lost.n:,} could not be judged ({lost.kind}): {lost.message}" if lost.n else ""
        typer.echo(visible(f"sampled {plural(taken.n_sampled, 'call')}{judged}{more}"))
    if taken.n_forgotten:
        typer.echo(f"deleted the texts of {taken.n_forgotten} day{'s' if taken.n_forgotten != 1 else ''}")
