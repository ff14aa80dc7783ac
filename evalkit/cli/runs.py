"""`evalkit runs`: list stored runs and their trend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from evalkit.operations.runs import PastRun

SHOWN = 50
_BLOCKS = "▁▂▃▄▅▆▇█"
_CUT = "┊"
_RATE = "pass_rate"
_CELL_CHARS = 120
_SHORT = {"approved with conditions": "conditions"}


def runs(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder around run folders. Default: reports in the project.")
    ] = None,
    suite: Annotated[str | None, typer.Option(help="Only runs of this suite.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the runs as JSON, and nothing else.")] = False,
) -> None:
    """List stored runs by suite, newest last, with a trend.

    The trend is cut where figures are not comparable.

    Example: evalkit runs reports --suite compliance

    Exit codes: 0, 2 if there is no such folder.
    """
    from evalkit.operations.runs import list_runs

    found = list_runs(folder, suite)
    if json:
        _print_json(found)
        return
    if not found:
        typer.echo(f"no run in {folder or 'reports'}" + (f" of suite {suite}" if suite else ""))
    for name in dict.fromkeys(past.suite for past in found):
        _show(name, [past for past in found if past.suite == name])


def _print_json(found: Sequence[PastRun]) -> None:
    import dataclasses
    import json

    from evalkit.operations.runs import breaks_of

    breaks = dict(breaks_of(found, _RATE))
    records = [{**dataclasses.asdict(past), "break_before": breaks.get(past.run_id, "")} for past in found]
    typer.echo(json.dumps(records, indent=1, sort_keys=True, ensure_ascii=True))


def _show(name: str, found: Sequence[PastRun]) -> None:
    from rich.text import Text

    from evalkit.cli.output import CommandOutput
    from evalkit.text.numbers import plural
    from evalkit.text.printable import one_line

    output = CommandOutput().results
    shown = found[-SHOWN:]
    hidden = f", the last {len(shown)}" if len(shown) < len(found) else ""
    output.print(Text(f"{one_line(name, 80)} · {plural(len(found), 'run')}{hidden}", "bold"))
    whole = [past for past in shown if _counts(past)]
    if len(whole) > 1:
        output.print(Text(f"  {_RATE}  {_spark(whole)}  from {_value(whole[0], _RATE)} to {_value(whole[-1], _RATE)}"))
    output.print(_table(shown))
    output.print()


def _table(shown: Sequence[PastRun]) -> Table:
    """Build a table with a line for each run; a run that is not comparable with those above says why."""
    from rich.table import Table
    from rich.text import Text

    from evalkit.operations.runs import breaks_of
    from evalkit.text.printable import one_line

    table = Table(box=None, padding=(0, 1, 0, 2), show_edge=False, header_style="dim")
    for heading in ("run", "day", "decision", _RATE, "n", "p95", "cost", ""):
        table.add_column(heading, no_wrap=heading not in ("run", ""), overflow="fold", min_width=len(heading))
    breaks = dict(breaks_of(shown, _RATE))
    for past in shown:
        reason = breaks.get(past.run_id, "")
        cells = [
            _name(Path(past.folder)),
            past.finished_at[:10],
            "partial" if past.partial else _SHORT.get(past.outcome, past.outcome),
            _value(past, _RATE),
            str(past.counts.get(_RATE, "")),
            _value(past, "latency_p95_s"),
            _value(past, "cost_per_case_usd"),
        ]
        cut = Text(f"{_CUT} {one_line(reason, 100)}" if reason else "", "yellow")
        table.add_row(*(Text(one_line(cell, _CELL_CHARS)) for cell in cells), cut)
    return table


def _name(folder: Path) -> str:
    """Return the name of a run folder, with that of the run around it if there are several systems."""
    from evalkit.store.folder import FOLDERS

    return "/".join(folder.parts[-3:]) if folder.parent.name == FOLDERS else folder.name


def _value(past: PastRun, metric: str) -> str:
    from evalkit.text.numbers import figure, style_of

    value = past.values.get(metric)
    return "–" if value is None else figure(value, style_of(metric), past.counts.get(metric, 0))


def _counts(past: PastRun) -> bool:
    """Return whether a run is part of the trend; a partial run is not."""
    return not past.partial and _RATE in past.values


def _spark(whole: Sequence[PastRun]) -> str:
    """Draw a block for each run, scaled from the lowest to the highest value, with a cut where comparability ends."""
    from evalkit.operations.runs import breaks_of

    values = [past.values[_RATE] for past in whole]
    low, high = min(values), max(values)
    breaks = dict(breaks_of(whole, _RATE))
    marks = []
    for past, value in zip(whole, values, strict=True):
        place = (value - low) / (high - low) if high > low else 1.0
        marks.append((_CUT if past.run_id in breaks else "") + _BLOCKS[round(place * (len(_BLOCKS) - 1))])
    return "".join(marks)
