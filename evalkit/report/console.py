"""Print the decision on a terminal: verdict, reasons, cohorts, cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.report.cohort_table import standing
from evalkit.report.headline import spoken
from evalkit.report.view import GateLine, View
from evalkit.results import OVERALL, CheckOutcome, Outcome
from evalkit.text.numbers import plural
from evalkit.text.printable import clipped, one_line
from evalkit.types import Row, Score, Unscored

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

MARKS: dict[CheckOutcome, tuple[str, str]] = {
    "block": ("✗ block", "bold red"),
    "no decision": ("? no decision", "magenta"),
    "warn": ("! warn", "yellow"),
    "insufficient evidence": ("~ unproven", "yellow"),
    "pass": ("✓ pass", "green"),
}
COLOURS: dict[Outcome, str] = {
    "approved": "bold green",
    "approved with conditions": "bold yellow",
    "blocked": "bold red",
    "no decision": "bold magenta",
}
SHOWN_CHECKS = 8
CHECK_COLUMNS = 34
SHOWN_CASES = 5
SHOWN_REASONS = 4


def print_view(view: View, console: Console, *, verbose: bool = False) -> None:
    """Print a finished run; `verbose` lists every check and cohort."""
    from rich.padding import Padding

    console.print(_verdict(view))
    console.print(_text(" · ".join(view.facts), "dim"), soft_wrap=False)
    for part in _parts(view, verbose):
        console.print()
        console.print(Padding(part, (0, 0, 0, 2)))
    if verbose:
        # The first line has scrolled away by now.
        console.print()
        console.print(_verdict(view))


def print_failures(view: View, console: Console) -> None:
    """Print the verdict with its first reason, the other reasons, and the cases that failed."""
    others = replace(view, reasons=tuple(reason for reason in view.reasons if reason not in view.headline))
    for line in (_verdict(view), *_reasons(others), *_errors(view), *_failing(view)):
        console.print(line)


def print_changes(view: View, console: Console) -> None:
    """Print how two runs differ: every comparison, and the cases that changed sides."""
    console.print(_text(" · ".join(view.facts), "dim"))
    console.print(_gates(view, verbose=True))
    for line in (*_changes(view), *_failing(view)):
        console.print(line)


def print_answers(before: Row | None, after: Row | None, console: Console) -> None:
    """Print the question, and what each of two runs answered and scored."""
    known = after or before
    if known is not None:
        console.print(_text(f"{known.case.id}  ", "bold").append(clipped(known.case.question, 2000), style="not bold"))
        for reference in known.case.reference:
            console.print(_text("reference  ", "bold").append(clipped(reference, 2000), style="not bold"))
    for name, row in (("before", before), ("after", after)):
        console.print()
        console.print(_text(f"{name}  ", "bold").append(_answer(row), style="not bold"))
        for grade in row.scores.values() if row else ():
            console.print(_grade_line(grade))


def _answer(row: Row | None) -> str:
    if row is None:
        return "(not in this run)"
    if row.output is None:
        return one_line(f"({row.failure.kind}: {row.failure.message})" if row.failure else f"({row.skipped})")
    return clipped(row.output.text, 4000) or "(empty answer)"


def _grade_line(grade: Score | Unscored) -> Text:
    if isinstance(grade, Unscored):
        return _text(f"  ? {grade.metric} unscored ({grade.kind}) {one_line(grade.message, 200)}", "magenta")
    mark, style = ("✓", "green") if grade.passed else ("✗", "red") if grade.passed is False else ("·", "")
    return _text(f"  {mark} {grade.metric} {grade.value:.3g}  {one_line(grade.reason, 200)}", style)


def _parts(view: View, verbose: bool) -> Iterator[Table | Text]:
    if view.gates:
        yield _gates(view, verbose)
    cohorts = _cohorts(view, verbose)
    if cohorts is not None:
        yield cohorts
    lines = [*_reasons(view), *_judges(view), *_amendments(view), *_changes(view), *_errors(view), *_failing(view)]
    if lines:
        yield _text("\n").join(lines)
    if view.notes:
        yield _text("\n").join(_text(one_line(note, 400), "dim") for note in view.notes)


def _verdict(view: View) -> Text:
    text = _text(view.word, COLOURS[view.outcome])
    return text.append(f"  {view.headline}", style="bold")


def _gates(view: View, verbose: bool) -> Table:
    """Every check that did not pass, and how many did."""
    compared = any(line.base for line in view.gates)
    table = _table("", "check", "now", *(("was", "drop, or need") if compared else ("against",)))
    table.columns[1].max_width = CHECK_COLUMNS
    table.columns[2].no_wrap = True
    shown = [line for line in view.gates if verbose or line.outcome != "pass"][: None if verbose else SHOWN_CHECKS]
    passed = sum(line.outcome == "pass" for line in view.gates)
    for line in shown:
        mark, style = MARKS[line.outcome]
        name, now, was, against = _gate_cells(line)
        cells = (name, now, was, against) if compared else (name, now, against)
        table.add_row(_text(mark, style), *map(_text, cells))
    if not verbose:
        hidden = len(view.gates) - len(shown) - passed
        more = f", {hidden} not shown" if hidden > 0 else ""
        table.add_row(_text("✓ pass", "green"), _text(f"{passed} of {len(view.gates)} checks{more}", "dim"))
    return table


def _gate_cells(line: GateLine) -> tuple[str, str, str, str]:
    """What is checked, its value, that of the baseline, and how far it dropped; without a baseline the limit."""
    check = line.check
    where = "" if check.cohort in (OVERALL, "") else f" · {check.cohort}"
    compares = check.name in (check.metric, "no_regression") and check.metric
    name = check.metric if compares else f"{check.name} {check.metric}".strip()
    now = line.now.split(" [")[0].partition(":")[0]
    if line.base:
        return one_line(spoken(name) + where, 80), now, line.base, line.drop or "too few cases"
    return one_line(spoken(name) + where, 80), now, "", f"need {line.need}"


def _cohorts(view: View, verbose: bool) -> Table | None:
    """Pass rate (or the first metric) by cohort, worst first."""
    if not view.metrics or len(view.cohorts) < 2:
        return None
    metric = view.metrics[0]
    cells = [(row.cohort, row.cells[0]) for row in view.cohorts if row.cells and row.cells[0] is not None]
    known = [(cohort, cell) for cohort, cell in cells if cell.cell.estimate.value is not None]
    known.sort(key=lambda pair: (pair[0] != OVERALL, standing(pair[1].cell, metric), pair[1].cell.estimate.value))
    table = _table("cohort", metric.name, "95 %", "n", "")
    for cohort, cell in known if verbose else known[: SHOWN_CASES + 1]:
        few = _text("few cases", "yellow") if cell.few else _text("")
        table.add_row(
            _text(one_line(cohort, 32)), _text(cell.value), _text(cell.interval, "dim"), _text(str(cell.n)), few
        )
    if not verbose and len(known) > SHOWN_CASES + 1:
        table.add_row(_text(f"… {len(known) - SHOWN_CASES - 1} more", "dim"))
    return table


def _reasons(view: View) -> Iterator[Text]:
    elsewhere = {view.headline, *(each.told(view.amended_since) for each in view.amendments[:SHOWN_CASES])}
    reasons = [reason for reason in view.reasons if reason not in elsewhere]
    for reason in reasons[:SHOWN_REASONS]:
        yield _text("why     ", "bold").append(one_line(reason, 300), style="not bold")
    if len(reasons) > SHOWN_REASONS:
        more = len(reasons) - SHOWN_REASONS
        yield _text(f"        … and {more} more reason{'s' * (more > 1)}", "dim")


def _judges(view: View) -> Iterator[Text]:
    for panel in view.panels:
        words = f"{panel.metric} ({panel.judge}) {panel.standing}"
        yield _text("judge   ", "bold").append(one_line(words, 300), style="not bold")
    for sentence in view.corrections:
        yield _text("judge   ", "bold").append(one_line(sentence, 200), style="not bold")
    if view.cohort_corrections:
        yield _text(f"        … and {plural(len(view.cohort_corrections), 'corrected figure')} by cohort", "dim")


def _amendments(view: View) -> Iterator[Text]:
    for each in view.amendments[:SHOWN_CASES]:
        mark, style = ("! looser ", "yellow") if each.loosens else ("", "")
        text = one_line(f"{mark}{each.told(view.amended_since)}", 200)
        yield _text("rules   ", "bold").append(text, style=style or "not bold")
    if len(view.amendments) > SHOWN_CASES:
        yield _text(f"        … and {len(view.amendments) - SHOWN_CASES} more", "dim")


def _changes(view: View) -> Iterator[Text]:
    found = view.comparison
    if found is not None:
        counts = f"new failures {len(found.new_failures)} · fixed {len(found.fixed)}"
        counts += f" · still failing {len(found.still_failing)}"
        cases = f"cases added {len(found.added)}, removed {len(found.removed)}, changed {len(found.changed)}"
        yield _text("change  ", "bold").append(f"{counts} · {cases}", style="not bold")


def _errors(view: View) -> Iterator[Text]:
    for error in view.errors[:SHOWN_CASES]:
        example = f" such as {error.example.case_id}: {error.example.message}" if error.example else ""
        text = f"{error.count} {error.state} ({error.kind}){example}"
        yield _text("unknown ", "bold").append(one_line(text, 200), style="not bold")


def _failing(view: View) -> Iterator[Text]:
    if view.failing:
        names = list(dict.fromkeys(case.row.case.id for case in view.failing))
        ids = ", ".join(one_line(name, 40) for name in names[:SHOWN_CASES])
        more = f" and {view.n_failing - SHOWN_CASES} more" if view.n_failing > SHOWN_CASES else ""
        word = "newly failing" if view.failing_are_new else "failing"
        yield _text(f"{view.n_failing} {word} ", "bold").append(f"{ids}{more}", style="not bold")


def _table(*names: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=False)
    return table


def _text(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(text, style=style)
