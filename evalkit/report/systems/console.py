"""Print a comparison of several systems in a terminal of 80 columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.report.console import COLOURS, print_steps
from evalkit.report.systems.markdown import SHOWN_SYSTEMS, shown_lines
from evalkit.report.systems.view import NONE, SystemLine, SystemsView
from evalkit.text.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_NAME_COLUMNS = 12
_MOST_NOTES = 12


def print_systems(view: SystemsView, console: Console) -> None:
    """Print the decision, what the comparison shows, a table of at most `SHOWN_SYSTEMS` systems, and the next steps."""
    from rich.padding import Padding
    from rich.text import Text

    head = Text()
    if view.outcome:
        head.append(f"{view.outcome.upper()}  ", style=COLOURS[view.outcome])
    console.print(head.append(one_line(view.headline, 400), style="bold"))
    if view.shown:
        console.print(Text(one_line(view.shown, 400)))
    console.print(Text(" · ".join(view.facts), style="dim"))
    for line in view.release if len(view.release) > 1 else ():
        text = f": {one_line(line.text, 200)}" if line.text else ""
        console.print(
            Text(f"{one_line(line.name, 60)} ").append(line.outcome, COLOURS[line.outcome]).append(text, "dim")
        )
    console.print()
    console.print(Padding(_table(view, console.width), (0, 0, 0, 1)))
    hidden = len(view.lines) - SHOWN_SYSTEMS
    if hidden > 0:
        console.print(Text(f" … and {hidden} more, in report.html", style="dim"))
    _print_notes(view.comparison.notes, console)
    print_steps(view.next, console)


def _print_notes(notes: Sequence[str], console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    if not notes:
        return
    hidden = len(notes) - _MOST_NOTES
    lines = [one_line(note, 300) for note in notes[:_MOST_NOTES]]
    lines += [f"and {hidden} more, in report.html"] if hidden > 0 else []
    table = Table.grid(padding=(0, 2, 0, 0))
    for place, line in enumerate(lines):
        table.add_row(Text("" if place else "note", "dim"), Text(line, "dim"))
    console.print()
    console.print(table)


def _table(view: SystemsView, width: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    lines = shown_lines(view, SHOWN_SYSTEMS)
    difference = "difference, pts" if view.style.unit == "rate" else "difference"
    heads = (view.primary, difference, "rank", "cost", "")
    rows = [(*_cells(line), _state(line)) for line in lines]
    taken = [max(len(part) for row in (heads, *rows) for part in row[at].splitlines() or [""]) for at in range(5)]
    left = max(_NAME_COLUMNS, width - sum(taken) - len(taken) - 1)
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    table.add_column("system", min_width=_NAME_COLUMNS, overflow="fold")
    for name in heads[:-1]:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for line, row in zip(lines, rows, strict=True):
        broken = _broken(one_line(line.name, 60), left)
        table.add_row(Text(broken), *map(Text, row[:-1]), Text(row[-1], COLOURS[line.outcome] if line.outcome else ""))
    return table


def _broken(name: str, width: int) -> str:
    """Break a name after its slashes and dashes into lines of at most a width, where they allow it."""
    lines = [""]
    for part in re.split(r"(?<=[/-])", name):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _cells(line: SystemLine) -> tuple[str, ...]:
    difference = line.difference.replace(" pts", "").replace(" pt", "")
    if difference != NONE:
        difference = f"{difference} {line.difference_interval}".rstrip()
    return line.primary, "reference" if line.is_reference else difference, line.rank, line.cost


def _state(line: SystemLine) -> str:
    """Return the outcome of a release system, and whether a system is better or worse than the reference."""
    outcome = (line.outcome or "").replace("approved with conditions", "conditions")
    moved = {"better": "▲ better", "worse": "▼ worse"}.get(line.moved, "")
    return "\n".join(filter(None, (outcome, moved)))
