"""`evalkit monitor reference`, `status` and `compare`: what has become worse, and which release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.text.escaping import visible

if TYPE_CHECKING:
    from evalkit.operations.monitor_reference import MadeReference
    from evalkit.operations.monitor_webhook import Sent

MonitorFile = Annotated[Path, typer.Argument(metavar="MONITOR.yaml", help="File of the monitor.")]


def reference(
    file: MonitorFile,
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First day, in UTC: 2026-09-01.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last day; it belongs to the period.")],
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the simulated years.")] = 0,
    years: Annotated[int, typer.Option(metavar="N", min=40, max=10_000, help="Years to simulate.")] = 200,
    json: Annotated[bool, typer.Option("--json", help="Print reference.json on stdout.")] = False,
) -> None:
    """Set the period that later days are compared with.

    Thresholds of the alarms are simulated from it. It has whole weeks, in which all was well; four or more are best.
    Alarms begin with the day after it, and start anew with a new reference. It is never renewed by itself, so that a
    slow fall is seen.

    Example: evalkit monitor reference support.yaml --from 2026-09-01 --to 2026-09-28

    Exit codes: 0, 2 if the period cannot be used.
    """
    import time

    from evalkit.operations.monitor_reference import ReferenceRequest, make_reference, question_embedder

    request = ReferenceRequest(
        file=file, first=first, last=last, now=time.time(), seed=seed, years=years, embedder=question_embedder()
    )
    made = make_reference(request)
    if json:
        typer.echo(made.file.read_text(encoding="utf-8"), nl=False)
        return
    _show_reference(made)


def status(  # noqa: PLR0913 - typer reads the flags from the signature
    file: MonitorFile,
    since: Annotated[str, typer.Option(metavar="DAYS", help="Length of the period that is shown: 7d, 4w.")] = "7d",
    json: Annotated[bool, typer.Option("--json", help="Print the status as JSON, and nothing else.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with the trends of all streams, one file.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the status as Markdown.")] = None,
    prom: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write gauges for Prometheus' text file collector.")
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Send new alarms: https, or this machine. EVALKIT_WEBHOOK_KEY signs them."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every cohort, and alarms that ended.")] = False,
) -> None:
    """Show figures and alarms now, and what cannot be said.

    Every whole day since the reference is looked at, so it does not matter how often you run this. An alarm is one
    message until it ends.

    Example: evalkit monitor status support.yaml --since 4w

    Exit codes: 0 nothing or warnings, 1 an alarm, 2 bad input, 3 cannot say.
    """
    import asyncio
    import os
    import time

    from evalkit.cli.output import CommandOutput
    from evalkit.operations.monitor_reference import question_embedder
    from evalkit.operations.monitor_status import StatusRequest, check_targets, monitor_status, since_days
    from evalkit.operations.monitor_webhook import check_webhook, send_alarms
    from evalkit.report.monitor.console import print_status
    from evalkit.report.monitor.html import status_html
    from evalkit.report.monitor.markdown import status_markdown
    from evalkit.report.monitor.prometheus import status_prometheus
    from evalkit.report.monitor.record import status_json

    check_targets(file, {"--html": html, "--markdown": markdown, "--prom": prom})
    days, now = since_days(since), time.time()
    if webhook is not None:
        check_webhook(webhook, os.environ)
    output = CommandOutput(json=json, verbose=verbose)
    request = StatusRequest(file=file, now=now, days=days, embedder=question_embedder(), with_history=html is not None)
    found = monitor_status(request)
    for target, text in ((html, status_html), (markdown, status_markdown), (prom, status_prometheus)):
        if target is not None:
            _write(target, text(found))
    if json:
        typer.echo(status_json(found), nl=False)
    else:
        print_status(found, output.results, verbose=verbose)
    if webhook is not None:
        _show_sent(asyncio.run(send_alarms(file, webhook, os.environ, now)))
    raise typer.Exit(found.exit_code)


def compare(  # noqa: PLR0913 - typer reads the flags from the signature
    file: MonitorFile,
    arm: Annotated[str, typer.Option(metavar="COHORT=VALUE", help="The new arm: version=v2.")],
    against: Annotated[str, typer.Option(metavar="COHORT=VALUE", help="The arm that it is compared with: version=v1.")],
    margin: Annotated[float, typer.Option(metavar="X", help="Acceptable loss; 0.03 is 3 points of a rate.")] = 0.03,
    metric: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Metric to compare; repeatable.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DAYS", help="Only the last days: 14d, 4w; at most 90d.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON, and nothing else.")] = False,
) -> None:
    """Compare two arms of the traffic, such as two releases.

    You may look as often as you like, and stop when you like: the intervals hold at all looks, and for all metrics
    together. The answer is one of: worse, better (by the margin), no worse (than the margin), not yet.

    Example: evalkit monitor compare support.yaml --arm version=v2 --against version=v1 --margin 0.03

    Exit codes: 0 no metric is worse, 1 one is, 2 bad input, 3 not yet.
    """
    from evalkit.cli.output import CommandOutput
    from evalkit.operations.monitor_compare import CompareRequest, compare_arms
    from evalkit.operations.monitor_status import since_days
    from evalkit.report.monitor.arms import arms_json, print_arms

    request = CompareRequest(
        file=file,
        arm=arm,
        against=against,
        margin=margin,
        metrics=tuple(metric or ()),
        days=None if since is None else since_days(since),
    )
    found = compare_arms(request)
    if json:
        typer.echo(arms_json(found), nl=False)
    else:
        print_arms(found, CommandOutput().results)
    raise typer.Exit(found.exit_code)


def _write(target: Path, text: str) -> None:
    """Write a file of the status, whole or not at all.

    Raises:
        StoreError: It cannot be written.
    """
    from evalkit.disk.writing import replacing
    from evalkit.errors import StoreError

    try:
        with replacing(target) as file:
            file.write(text)
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}; name a file that can be written") from error


def _show_reference(made: MadeReference) -> None:
    from evalkit.disk.paths import shown_path
    from evalkit.report.monitor.words import by_chance
    from evalkit.text.numbers import plural

    found = made.reference
    first, last = found.dates
    typer.echo(f"reference {first} to {last}: {len(found.streams)} streams, {found.years} simulated years")
    alarms, warnings = by_chance(found.alarms_per_year), by_chance(found.warnings_per_year)
    typer.echo(f"an alarm from T {found.alarm_threshold:.2f} ({alarms}), a warning from {found.warning_threshold:.2f}")
    typer.echo(f"a warning comes {warnings}, over all streams")
    for note in made.notes:
        typer.echo(visible(f"note  {note}"))
    if found.left_out:
        typer.echo(f"not watched: {plural(len(found.left_out), 'stream')} with too few answers")
        for name, why in list(found.left_out.items())[:5]:
            typer.echo(visible(f"  {name}: {why}"))
    typer.echo(f"wrote {shown_path(made.file)}")


def _show_sent(sent: Sent) -> None:
    if sent.n:
        signed = "signed" if sent.signed else "unsigned: set EVALKIT_WEBHOOK_KEY to sign messages"
        typer.echo(f"sent {sent.n} alarm{'' if sent.n == 1 else 's'} ({signed})", err=True)
    for failure in sent.failed:
        typer.echo(visible(f"an alarm was not sent, and will be next time: {failure}"), err=True)
