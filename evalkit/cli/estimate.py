"""Print the result of `evalkit run --dry-run`."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from evalkit.disk.json_files import to_json
from evalkit.operations.dry_run import dry_run
from evalkit.operations.estimate import UNKNOWN, RunEstimate
from evalkit.operations.span import Span
from evalkit.text.numbers import plural
from evalkit.text.printable import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from evalkit.cli.output import CommandOutput
    from evalkit.operations.run import Request

Show = Callable[[float], str]


def show_dry_run(request: Request, output: CommandOutput) -> None:
    """Check a run, and print its plan and estimated cost."""
    with redirect_stdout(sys.stderr):  # a python system may print where it is imported
        every = asyncio.run(dry_run(request, os.environ))
    if output.json:
        several = {name: _record(each) for name, each in every.items()}
        output.results.out(to_json(several.get("", {"systems": several})), end="", highlight=False)
        return
    from rich.padding import Padding
    from rich.text import Text

    console = output.results
    found = next(iter(every.values()))
    console.print(Text(one_line(f"{found.suite}: dry run, nothing was sent and nothing was written", 200), "bold"))
    if "" not in every:
        return _show_several(every, output)
    for label, words in _facts(found, request.selection.partial):
        console.print(Padding(Text(f"{label:<9}", "bold").append(words, style="not bold"), (0, 0, 0, 2), expand=False))
    console.print()
    console.print(Padding(_table(found), (0, 0, 0, 2), expand=False))
    console.print()
    for note in _notes(found):
        console.print(Padding(Text(note, "dim"), (0, 0, 0, 2), expand=False))


def _show_several(every: Mapping[str, RunEstimate], output: CommandOutput) -> None:
    """Print the plan of several systems: a line for each with its calls, cost and time, and their sum."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    first = next(iter(every.values()))
    facts = f"{plural(len(every), 'system')}: {first.n_cases:,} of {first.n_golden:,} cases, {first.repeats} a case"
    output.results.print(Padding(Text(facts), (0, 0, 1, 2), expand=False))
    table = Table(box=None, padding=(0, 3, 0, 0), show_edge=False, header_style="dim")
    for heading in ("system", "answers", "calls", "likely cost", "at most"):
        table.add_column(heading, overflow="fold", justify="left" if heading == "system" else "right")
    calls = [sum(each.calls.values(), Span.exactly(0)) for each in every.values()]
    costs = [each.total_usd for each in every.values()]
    rows = [str(each.n_rows) for each in every.values()]
    total = str(sum(each.n_rows for each in every.values()))
    lines = [*zip(every, rows, calls, costs, strict=True)]
    lines.append(("all", total, sum(calls, Span.exactly(0)), sum(costs, Span.exactly(0))))
    for name, n_rows, asked, cost in lines:
        _, likely, most = _cells(cost, _dollars)
        table.add_row(*map(Text, (one_line(name, 60), n_rows, _most(asked), likely or UNKNOWN, most or UNKNOWN)))
    output.results.print(Padding(table, (0, 0, 1, 2), expand=False))
    for note in dict.fromkeys(note for each in every.values() for note in _notes(each)):
        output.results.print(Padding(Text(note, "dim"), (0, 0, 0, 2), expand=False))


def _most(calls: Span) -> str:
    """Write the likely number of calls, or their range."""
    low, likely, high = _cells(calls, _count)
    return likely if low == high else f"{low} to {high}"


def _record(found: RunEstimate) -> dict[str, Any]:
    record = dataclasses.asdict(found)
    return record | {"total_usd": dataclasses.asdict(found.total_usd), "budget": found.budget_word}


def _facts(found: RunEstimate, partial: str | None) -> Iterator[tuple[str, str]]:
    of = "" if found.n_cases == found.n_golden else f" of {found.n_golden}"
    why = f" ({one_line(partial, 200)}: a partial run, not a gate)" if partial else ""
    yield "cases", f"{found.n_cases:,}{of}{why}"
    done = f", {found.n_done:,} are there already" if found.n_done else ""
    variants = f" and {plural(found.n_variants, 'variant')}" if found.n_variants else ""
    yield (
        "asks",
        f"{plural(found.n_rows, 'answer')}: {found.repeats} a case{variants}{done}; {found.concurrency} at once",
    )
    again = f", {found.n_regraded:,} of stored answers" if found.n_regraded else ""
    yield "grades", f"{found.n_grades:,} by {plural(found.n_scorers, 'scorer')}{again}"


def _table(found: RunEstimate) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 3, 0, 0), show_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("", max_width=28, overflow="fold")
    for name in ("low", "likely", "high"):
        table.add_column(name, justify="right", no_wrap=True)
    for what, name, cells in _lines(found):
        table.add_row(Text(what, "bold"), Text(one_line(name, 60)), *(Text(cell) for cell in cells))
    return table


def _lines(found: RunEstimate) -> Iterator[tuple[str, str, tuple[str, str, str]]]:
    for what, spans, show in (
        ("calls", found.calls, _count),
        ("tokens", found.tokens, _count),
        ("cost", {**found.cost_usd, **({"all": found.total_usd} if len(found.cost_usd) > 1 else {})}, _dollars),
    ):
        for at, (name, span) in enumerate(spans.items()):
            yield what if at == 0 else "", name, _cells(span, show)
    yield "time", "", _cells(found.seconds, _time)


def _cells(span: Span, show: Show) -> tuple[str, str, str]:
    low, likely, high = (None if end is None else show(end) for end in (span.low, span.likely, span.high))
    if low is likely is high is None:
        return "", span.why or UNKNOWN, ""
    return low or UNKNOWN, likely or UNKNOWN, high or UNKNOWN


def _notes(found: RunEstimate) -> Iterator[str]:
    if found.budget_usd is not None:
        yield f"Budget: ${found.budget_usd:,.2f} left: {found.budget_word}."
    yield (
        "Calls of judges: low without repairs of replies, high with all of them; attempts after errors come on top."
        if len(found.calls.keys() - {"user"}) > 1
        else "Attempts after errors come on top."
    )
    if "user" in found.calls:
        yield "Calls of simulated users: low for conversations of one turn, high for `max_turns`; repairs come on top."

    known = any(span.likely is not None for span in (*found.tokens.values(), found.seconds))
    if found.typical and known:
        yield f"Tokens, cost and time: mean, cheapest and most expensive tenth of {found.typical}."
    else:
        yield "Tokens, cost and time are unknown until there is a run of the suite, or one of a --limit 10."
    yield from found.notes


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _dollars(value: float) -> str:
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.2g}"


def _time(value: float) -> str:
    seconds = round(value)
    if seconds < 60:
        return f"{value:.2g} s" if value < 10 else f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
