"""Show progress on stderr: a live bar on a terminal, plain lines everywhere else."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from evalkit.report.survey import first_wrong
from evalkit.runner.earlier import Already
from evalkit.runner.session import Watcher
from evalkit.text.numbers import Style, figure, plural
from evalkit.text.printable import one_line
from evalkit.types import UNKNOWN, WRONG, Row, Usage, verdict_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from evalkit.llm.budget import Budget
    from evalkit.net.waits import Waits
    from evalkit.runner.prepare import Prepared
    from evalkit.suite.model import Suite

LINE_INTERVAL_S = 10.0
COUNT_INTERVAL_S = 5.0
LINE_SHARE = 0.05
ENOUGH_ROWS = 5
"""Minimum number of rows of this process for an estimate of the remaining time."""
SHOWN_FAILURES = 20
SHOWN_WARNINGS = 5
HEADER_CHARS = 80
_NAMES_CHARS = 12


class Reporter:
    """Counts rows as they arrive, and shows progress as a bar or lines."""

    def __init__(self, console: Console, mode: str) -> None:
        """Choose bar or lines; a bar always needs a real terminal and no CI."""
        self._console = console
        self._mode = mode if mode in ("lines", "none") else "bar" if _is_live(console) else "lines"
        self._waits: Waits | None = None
        self._replies = self._cached = 0
        self._bar: Progress | None = None
        self._planned = self._expected = self._done = self._already = self._failed = self._unknown = self._told = 0
        self._cost_usd: float | None = None
        self._budget: Budget | None = None
        self._advisory: frozenset[str] = frozenset()
        self._started = self._last_line = time.monotonic()
        self.watcher = Watcher(begin=self._begin, row=self._row, note=self._note)

    def __enter__(self) -> Self:
        """Print nothing until the first call."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def _begin(self, prepared: Prepared, expected: int, already: Already, baseline: str) -> None:
        done = self._done = self._already = already.done
        self._planned, self._expected, self._advisory = expected, expected, prepared.advisory
        self._failed, self._unknown = already.failed["failed"], sum(already.failed[each] for each in UNKNOWN)
        suite, self._budget, self._waits = prepared.suite, prepared.budget, prepared.shared.waits
        if self._mode == "none":
            return
        from rich.text import Text

        for warning in prepared.warnings[:SHOWN_WARNINGS]:
            self._console.print(f"warning {warning}", soft_wrap=True)
        if len(prepared.warnings) > SHOWN_WARNINGS:
            self._console.print(f"warning {len(prepared.warnings) - SHOWN_WARNINGS} more: see `evalkit check`")
        self._console.print(Text(header(suite, expected, baseline)), soft_wrap=True)
        if done:
            self._console.print(f"{done} of {expected} already there")
        if self._mode == "bar":
            self._bar = _bar(self._console, self._counts)
            self._bar.add_task("", total=expected, completed=done)
            self._bar.start()
        else:
            self._tick()

    def _note(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def _row(self, row: Row) -> None:
        self._done += 1
        self._expected = max(self._expected, self._done)  # cases may be run again beyond the plan
        verdict = verdict_of(row, self._advisory)
        self._failed += verdict == "failed"
        self._unknown += verdict in UNKNOWN
        for usage in _usages(row):
            if not usage.cached and usage.cost_usd is not None:
                self._cost_usd = (self._cost_usd or 0.0) + usage.cost_usd
        judged = [grade.usage for grade in row.scores.values() if grade.usage is not None]
        self._replies += len(judged)
        self._cached += sum(usage.cached for usage in judged)
        if self._mode == "none":
            return
        if verdict in WRONG | UNKNOWN and self._told <= SHOWN_FAILURES:
            self._told += 1
            self._tell(row)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done, total=self._expected)
        elif self._is_due():
            self._print_line()

    def _print_line(self) -> None:
        self._last_line = time.monotonic()
        share = 100 * self._done // max(1, self._expected)
        self._console.print(f"{self._done}/{self._expected} {share}%  {self._counts()}{self._eta()}", soft_wrap=True)

    def _tick(self) -> None:
        """Print a line from time to time while no case ends, to show that the run is waiting."""
        if self._done < self._expected and time.monotonic() - self._last_line >= LINE_INTERVAL_S:
            self._print_line()
        asyncio.get_running_loop().call_later(LINE_INTERVAL_S / 4, self._tick)

    def _tell(self, row: Row) -> None:
        from rich.text import Text

        if self._told > SHOWN_FAILURES:
            self._console.print(f"  more than {SHOWN_FAILURES} runs failed: the others are in the report")
            return
        wrong = first_wrong(row, self._advisory)
        case = " ".join(filter(None, (one_line(row.case.id, 40), wrong.turn)))
        self._console.print(
            Text(f"✗ {case}  {wrong.text}"),
            overflow="ellipsis",
            no_wrap=True,
        )

    def _counts(self) -> str:
        parts = [f"failed {self._failed}", f"unknown {self._unknown}"]
        if self._budget is not None:
            spent, most = (figure(usd, Style("usd")) for usd in (self._budget.spent_usd, self._budget.limit_usd))
            unknown = f" and {plural(n, 'unknown cost')}" if (n := self._budget.n_unknown) else ""
            parts.append(f"{spent}{unknown} of {most}")
        elif self._cost_usd is not None:
            parts.append(figure(self._cost_usd, Style("usd")))
        if self._cached:
            parts.append(f"cache {100 * self._cached // self._replies}%")
        if waits := str(self._waits or ""):
            parts.append(waits)
        return " · ".join(parts)

    def _is_due(self) -> bool:
        step = max(1, int(self._expected * LINE_SHARE))
        waited = time.monotonic() - self._last_line
        return self._done == self._planned or waited >= LINE_INTERVAL_S or (self._done % step == 0 and waited >= 1)

    def _eta(self) -> str:
        if self._done - self._already < ENOUGH_ROWS:
            return ""
        spent = time.monotonic() - self._started
        left = (self._expected - self._done) * spent / (self._done - self._already)
        return f" · {left:.0f} s left" if left >= 1 else ""


def header(suite: Suite, expected: int, baseline: str) -> str:
    """Describe the run in one line of at most `HEADER_CHARS`; long names are shortened.

    Args:
        suite: source of name, scorers, repeats and concurrency.
        expected: number of planned rows.
        baseline: title of the baseline; empty without one.
    """
    options = suite.options
    repeats = f" × {options.repeat} repeats" if options.repeat > 1 else ""
    n_systems = max(1, len(suite.systems))
    systems = f" × {plural(n_systems, 'system')}" if suite.systems else ""
    cases = plural(expected // options.repeat // n_systems, "case")
    work = f" · {cases}{repeats}{systems} × {plural(len(suite.scorers), 'scorer')}"
    work += f" · concurrency {options.concurrency}" + (" · baseline " if baseline else "")
    room = max(_NAMES_CHARS, HEADER_CHARS - len(work))
    shown = one_line(baseline, max(room // 2, room - len(suite.name)))
    return one_line(suite.name, room - len(shown)) + work + shown


def _is_live(console: Console) -> bool:
    """Return whether lines can be redrawn: never for a pipe, even with `FORCE_COLOR`, or in a CI log."""
    terminal = console.file.isatty() and console.is_terminal and not console.is_dumb_terminal
    return terminal and os.environ.get("CI", "").lower() in ("", "0", "false")


def _usages(row: Row) -> Iterator[Usage]:
    """Return the known usage of the answer, the simulated user and the grades."""
    output = row.output
    usages = [*((output.usage, output.user_usage) if output else ()), *(grade.usage for grade in row.scores.values())]
    return (each for each in usages if each is not None)


def _bar(console: Console, counts: Callable[[], str]) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Counts(ProgressColumn):
        """Renders the counts for every frame: cost and waiting time change while no case ends."""

        def render(self, task: Task) -> Text:
            return Text(counts())

    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.percentage:3.0f}%"), TimeRemainingColumn())
    return Progress(*columns, Counts(), console=console, transient=True)


def counted(what: str) -> Callable[[int, int], None]:
    """Return a function that prints `3 of 12 questions answered, 5 s` on stderr every few seconds.

    Args:
        what: follows the two numbers.
    """
    import typer

    began = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= COUNT_INTERVAL_S or (done == total and last > began):
            last = now
            typer.echo(f"{done} of {total} {what}, {now - began:.0f} s", err=True)

    return show
