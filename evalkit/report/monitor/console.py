"""Print the status of a monitor in a terminal of 80 columns: what, why, what next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.report.console import print_steps
from evalkit.report.monitor import words
from evalkit.report.monitor.status import Alarm, MonitorState, Status, StreamLine
from evalkit.text.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COLOURS: dict[MonitorState, str] = {
    "alarm": "bold red",
    "warning": "bold yellow",
    "quiet": "bold green",
    "cannot say": "bold magenta",
}
SHOWN_ALARMS = 6
SHOWN_STREAMS = 14
_NAME_COLUMNS = 34


def print_status(status: Status, console: Console, *, verbose: bool = False) -> None:
    """Print the state, the alarms, what cannot be said, the figures, and what to do next.

    Args:
        status: What was found.
        console: Where to print.
        verbose: List every stream, and alarms that have ended.
    """
    from rich.text import Text

    word = Text(words.STATES[status.state], COLOURS[status.state])
    console.print(word.append(f"  {one_line(status.monitor, 60)}: {one_line(words.headline(status), 200)}", "bold"))
    console.print(Text(words.facts_line(status), "dim"))
    shown = status.alarms if verbose else status.lasting[:SHOWN_ALARMS]
    for alarm in shown:
        _print_alarm(alarm, console)
    hidden = len(status.lasting) - len(shown)
    if hidden > 0:
        console.print(Text(f"and {hidden} more: --verbose", "dim"))
    if status.cannot_say:
        console.print()
        _print_list("cannot say", status.cannot_say, console, COLOURS["cannot say"])
    _print_streams(status, console, verbose=verbose)
    console.print()
    for line in _other_lines(status):
        console.print(Text(one_line(line, 300), "dim"))
    _print_list("note", status.notes, console, "dim")
    print_steps(status.next, console)


def _print_alarm(alarm: Alarm, console: Console) -> None:
    from rich.text import Text

    console.print()
    style = "dim" if alarm.ended else COLOURS[alarm.level]
    line = Text(f"{alarm.level.upper():8}", style).append(one_line(words.alarm_name(alarm), 200), "bold")
    console.print(line)
    console.print(Text("        ").append(words.alarm_what(alarm)))
    console.print(Text("        ").append(words.alarm_why(alarm), "dim"))


def _print_list(name: str, lines: Sequence[str], console: Console, style: str) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for place, line in enumerate(lines):
        table.add_row(Text("" if place else name, style), Text(one_line(line, 400)))
    if lines:
        console.print(table)


def _print_streams(status: Status, console: Console, *, verbose: bool) -> None:
    from rich.text import Text

    chosen = [each for each in status.streams if verbose or not each.cohort or each.state in ("alarm", "warning")]
    shown = chosen if verbose else chosen[:SHOWN_STREAMS]
    if shown:
        console.print()
        console.print(_table(shown))
    hidden = len(status.streams) - len(shown)
    if hidden > 0:
        console.print(Text(f"and {hidden} more by cohort: --verbose", "dim"))


def _table(lines: Sequence[StreamLine]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stream", max_width=_NAME_COLUMNS, overflow="fold")
    table.add_column("reference", justify="right", no_wrap=True)
    table.add_column("now", no_wrap=True)
    table.add_column("finds in 7 / 30 d", overflow="fold")
    for line in lines:
        name = one_line(line.metric, 120) + (f", {one_line(line.cohort, 120)}" if line.cohort else "")
        mark = "" if line.trusted else " *"
        style = COLOURS[line.state] if line.state in ("alarm", "warning") else ""
        table.add_row(
            Text(name + mark, style), words.was_of(line), words.now_of(line), Text(words.finds_of(line), "dim")
        )
    if not all(line.trusted for line in lines):
        table.add_row(Text("* judge not trusted", "dim"), "", "", "")
    return table


def _other_lines(status: Status) -> list[str]:
    lines = [words.amount_line(each) for each in status.amounts]
    lines += [words.spend_words(status.spend)] if status.spend else []
    return lines + [words.input_words(each) for each in status.inputs]
