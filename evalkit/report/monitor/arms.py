"""Define what `monitor compare` found, and print it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from evalkit.disk.json_files import to_json
from evalkit.report.console import print_steps
from evalkit.report.monitor.words import style_for
from evalkit.report.next_steps import NextStep
from evalkit.stats.sequence import ArmAnswer
from evalkit.text.numbers import DECIMAL_FROM_N, difference, figure, limit, plural, signed
from evalkit.text.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console

FORMAT = 1
ANSWERS: dict[ArmAnswer, str] = {
    "worse": "worse",
    "better": "better by the margin",
    "no worse": "no worse than the margin",
    "not yet": "not yet",
}
_NAME_COLUMNS = 25
_COLOURS: dict[ArmAnswer, str] = {"worse": "bold red", "better": "bold green", "no worse": "green", "not yet": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmLine:
    """One metric in both arms."""

    metric: str
    score_key: str
    is_rate: bool
    higher_is_better: bool
    judge: str
    answer: ArmAnswer
    mean: float | None
    """Of the new arm; `None` with fewer than two units."""
    against: float | None
    difference: float | None
    low: float | None
    """Interval of the difference, which holds at all looks and for all metrics together."""
    high: float | None
    n: tuple[int, int]
    """Answers of the new arm and the other one."""
    units: tuple[int, int]
    """Sessions or users."""
    note: str = ""
    """Why nothing can be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmComparison:
    """Two arms of the traffic, compared."""

    monitor: str
    arm: str
    against: str
    margin: float
    first: str
    last: str
    days: int
    exit_code: int
    lines: tuple[ArmLine, ...]
    mixed: int
    """Units that saw both arms and are left out."""
    notes: tuple[str, ...]
    next: tuple[NextStep, ...]


def arms_json(found: ArmComparison) -> str:
    """Return the record."""
    return to_json({"format": FORMAT, **asdict(found)})


def print_arms(found: ArmComparison, console: Console) -> None:
    """Print the answer for each metric, and what to do next."""
    from rich.table import Table
    from rich.text import Text

    answers = [line.answer for line in found.lines]
    order: tuple[ArmAnswer, ...] = ("worse", "not yet", "no worse", "better")
    worst = next((each for each in order if each in answers), order[1])
    title = f"  {one_line(found.arm, 60)} against {one_line(found.against, 60)}"
    console.print(Text(ANSWERS[worst].upper(), _COLOURS[worst]).append(title, "bold"))
    margin = limit(found.margin, style_for("", is_rate=True))
    console.print(Text(f"{found.first} to {found.last} · {plural(found.days, 'day')} · margin {margin}", "dim"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    widest = max((len(line.metric) for line in found.lines), default=0)
    table.add_column("metric", min_width=min(widest, _NAME_COLUMNS), max_width=_NAME_COLUMNS, overflow="fold")
    for heading in ("against", "arm"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("difference", no_wrap=True)
    table.add_column("answer", overflow="fold")
    for line in found.lines:
        style = style_for(line.metric, is_rate=line.is_rate)
        n = max(DECIMAL_FROM_N, *line.n)
        answer = Text(line.answer, _COLOURS[line.answer]).append(f" ({line.note})" if line.note else "", "dim")
        means = ["" if each is None else figure(each, style, n) for each in (line.against, line.mean)]
        table.add_row(Text(one_line(line.metric, 120)), *means, _difference(line, n), answer)
    console.print()
    console.print(table)
    for note in found.notes:
        console.print(Text(one_line(note, 300), "dim"))
    print_steps(found.next, console)


def _difference(line: ArmLine, n: int) -> str:
    if line.difference is None or line.low is None or line.high is None:
        return ""
    scale = 100 if line.is_rate else 1
    digits = 1 if line.is_rate else 2
    ends = f"[{signed(scale * line.low, digits)}, {signed(scale * line.high, digits)}]"
    return f"{difference(line.difference, style_for(line.metric, is_rate=line.is_rate), n)} {ends}"
