"""Print the decision in a terminal: what happened, why, what next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from evalkit.report.cohort_table import standing
from evalkit.report.gate_lines import GateLine
from evalkit.report.headline import counts_cases, names_metric, spoken
from evalkit.report.next_steps import NextStep
from evalkit.report.reasons import MISSING
from evalkit.report.view import View
from evalkit.results import OVERALL, CheckOutcome, Outcome
from evalkit.text.escaping import on_one_line
from evalkit.text.numbers import plural
from evalkit.text.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from evalkit.types import Case

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
SHOWN_CHECKS = 5
SHOWN_DROPS = 3
CHECK_COLUMNS = 34
SHOWN_CASES = 5
SHOWN_FAILURES = 3
SHOWN_KINDS = 5
SHOWN_REASONS = 4
_STEP_CHARS = 1_000
"""Characters of a step that are shown."""


def print_view(view: View, console: Console, *, verbose: bool = False) -> None:
    """Print a finished run; `verbose` lists every check and cohort."""
    from rich.padding import Padding

    console.print(_verdict(view))
    console.print(_text(" · ".join((*view.facts[:2], *view.moves, *view.facts[2:])), "dim"), soft_wrap=False)
    if view.caveat:
        console.print(_text(view.caveat, "dim"))
    for part in _parts(view, verbose, console.width):
        console.print()
        console.print(Padding(part, (0, 0, 0, 2)))
    print_next(view, console)
    if verbose:
        # The first line may have scrolled out of view.
        console.print()
        console.print(_verdict(view))


def print_next(view: View, console: Console) -> None:
    """Print what to do next; each command is whole, to copy."""
    print_steps(view.next, console)


def print_steps(steps: Sequence[NextStep], console: Console) -> None:
    """Print steps; each command is whole, to copy."""
    if not steps:
        return
    console.print()
    for place, step in enumerate(steps):
        text = _text(one_line(step.text, _STEP_CHARS)).append(":" if step.command else "")
        console.print(_labelled([("next" if not place else "", text)]))
        if step.command:
            console.print(_text(_wrapped(on_one_line(step.command), console.width)), soft_wrap=True)


def _wrapped(command: str, width: int) -> str:
    """Return a command on one line, or split over several lines if it is too wide."""
    indent = " " * 10
    if len(indent) + len(command) <= width:
        return indent + command
    parts = re.sub(r" (--[a-z-]+) ", r"\n\1 ", command).split("\n")
    words, *options = parts
    return f" \\\n{indent}  ".join([indent + words, *options])


def print_failures(view: View, console: Console) -> None:
    """Print the decision with its first reason, the other reasons, and the failed cases."""
    console.print(_verdict(view))
    for line in (*_reasons(view), *_amendments(view), *_errors(view), *_failing(view)):
        console.print(_text(f"{line[0]:<8}", "bold").append_text(line[1]))


def print_comparison(view: View, console: Console) -> None:
    """Print how the results of two files differ, in a dozen lines: verdict, drops, cases that broke, unknowns."""
    from rich.padding import Padding

    console.print(_verdict(view))
    console.print(_text(" · ".join((*view.facts, *view.moves)), "dim"))
    console.print(_text(view.caveat, "dim"))
    console.print(Padding(_gates(view, verbose=False, most=SHOWN_DROPS), (0, 0, 0, 2)))
    lines = [*_reasons(view), *_errors(view), *_broken(view)]
    lines += [("note" if not place else "", _text(one_line(note, 160), "dim")) for place, note in enumerate(view.notes)]
    console.print(_labelled(lines))


def _broken(view: View) -> Iterator[Labelled]:
    """Yield the cases that newly fail, each with its place in the file."""
    if not view.failing or not view.news:
        return
    for place, failed in enumerate(view.failing[:SHOWN_CASES]):
        name, wrong = one_line(_name(failed.row.case), 40), one_line(failed.wrong, 60)
        yield "" if place else "broke", _text(f"{name}  {wrong}  {one_line(failed.row.case.place, 60)}")
    if view.n_failing > SHOWN_CASES:
        yield "", _text(f"… and {view.n_failing - SHOWN_CASES:,} more, in the report", "dim")


def _name(case: Case) -> str:
    """Return the id of a case; its text, if the id was made from that."""
    from evalkit.imports.result_case_columns import made_id

    return str(case.input) if case.id == made_id(str(case.input)) else case.id


def print_changes(view: View, console: Console) -> None:
    """Print how two runs differ: every comparison, and the cases that newly fail or pass."""
    console.print(_text(" · ".join((*view.facts[:2], *view.moves)), "dim"))
    console.print(_gates(view, verbose=True))
    console.print(_labelled([*_kinds(view, verbose=False), *_shifts(view), *_failing(view)]))


Labelled = tuple[str, "Text"]
"""A line with its label, which is empty for a continuation."""


def _parts(view: View, verbose: bool, width: int) -> Iterator[Table | Text]:
    if view.gates:
        yield _gates(view, verbose)
    errors = list(_errors(view))
    lines = [
        *(errors if view.outcome == "no decision" else []),
        *_reasons(view),
        *_amendments(view, verbose),
        *_kinds(view, verbose),
        *_shifts(view),
        *(errors if view.outcome != "no decision" else []),
        *_judges(view, verbose),
        *((table.title.partition(" ")[0].lower(), _text(one_line(table.said, 300))) for table in view.variants),
    ]
    if lines:
        yield _labelled(lines)
    if view.failing and (view.news or verbose):
        yield _text("\n").join(_worst(view, width - 2))
    cohorts = _cohorts(view, verbose) if verbose or view.outcome != "blocked" else None
    if cohorts is not None:
        yield cohorts
    if view.notes:
        limit = 400 if verbose else 2 * width - 20
        yield _labelled(
            [("" if place else "note", _text(one_line(note, limit), "dim")) for place, note in enumerate(view.notes)]
        )


def _labelled(lines: Iterable[Labelled]) -> Table:
    """Return lines with their labels; a long line is continued with a hanging indent."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True, style="bold", min_width=7)
    grid.add_column(overflow="fold")
    for label, text in lines:
        grid.add_row(label, text)
    return grid


def _verdict(view: View) -> Text:
    text = _text(view.word, COLOURS[view.outcome])
    return text.append(f"  {view.headline}", style="bold")


def _gates(view: View, verbose: bool, most: int = SHOWN_CHECKS) -> Table:
    """Return each check that did not pass, and the number of those that did."""
    compared = any(line.base for line in view.gates)
    table = _table("", "check", "now", *(("was", "drop, or need") if compared else ("against",)))
    table.columns[1].max_width = CHECK_COLUMNS
    table.columns[2].no_wrap = True
    shown = view.gates if verbose else view.urgent[:most]
    passed = sum(line.outcome == "pass" for line in view.gates)
    for line in shown:
        mark, style = MARKS[line.outcome]
        name, now, was, against = _gate_cells(line)
        cells = (name, now, was, against) if compared else (name, now, against)
        table.add_row(_text(mark, style), *map(_text, cells))
    if not verbose:
        unproven = sum(line.outcome == "insufficient evidence" for line in view.gates if line not in shown)
        hidden = len(view.gates) - len(shown) - passed - unproven
        more = f", {hidden} not shown" if hidden > 0 else ""
        if unproven:
            mark, style = MARKS["insufficient evidence"]
            table.add_row(_text(mark, style), _text(f"{plural(unproven, 'check')}: too little evidence", "dim"))
        first = _text("✓ pass", "green") if passed else _text("  pass", "dim")
        table.add_row(first, _text(f"{passed} of {len(view.gates)} checks{more}", "dim"))
    return table


def _gate_cells(line: GateLine) -> tuple[str, str, str, str]:
    """Return the subject, value, baseline and drop of a check, or its limit if there is no baseline."""
    check = line.check
    where = "" if check.cohort in (OVERALL, "") else f" · {check.cohort}"
    compares = check.metric and (names_metric(check) or check.name == "no_regression")
    name = check.metric if compares else f"{check.name} {'' if counts_cases(check) else check.metric}".strip()
    now = line.now.split(" [")[0].partition(":")[0]
    if line.base:
        return one_line(spoken(name) + where, 80), now, line.base, line.drop or "too few cases"
    return one_line(spoken(name) + where, 80), now, "", f"need {line.need}"


def _cohorts(view: View, verbose: bool) -> Table | None:
    """Return the pass rate (or the first metric) by cohort, worst first."""
    if not view.metrics or len(view.cohorts) < 2:
        return None
    metric = view.metrics[0]
    cells = [(row.cohort, row.cells[0]) for row in view.cohorts if row.cells and row.cells[0] is not None]
    known = [(cohort, cell) for cohort, cell in cells if cell.cell.estimate.value is not None]
    if not known:
        return None
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


def _reasons(view: View) -> Iterator[Labelled]:
    shown = {line.check.reason for line in view.gates[:SHOWN_CHECKS] if line.base}
    reasons = [reason for reason in view.why if reason not in shown and not reason.startswith(MISSING)]
    for place, reason in enumerate(reasons[:SHOWN_REASONS]):
        yield "" if place else "why", _text(one_line(reason, 300))
    if len(reasons) > SHOWN_REASONS:
        yield "", _text(f"… and {plural(len(reasons) - SHOWN_REASONS, 'more reason')}", "dim")


def _judges(view: View, verbose: bool) -> Iterator[Labelled]:
    """Yield the trust of each judge and its corrected figures; `verbose` shows all of them."""
    alike: dict[tuple[str, str], list[str]] = {}
    for panel in view.panels:
        alike.setdefault((panel.judge, panel.standing), []).append(panel.metric)
    for (judge, said), metrics in alike.items():
        more = f" and {len(metrics) - SHOWN_REASONS} more" if len(metrics) > SHOWN_REASONS else ""
        names = ", ".join(metrics[:SHOWN_REASONS])
        yield "judge", _text(one_line(f"{names}{more} ({judge}) {said}", 300))
    for sentence in view.corrections if verbose else view.corrections[:SHOWN_REASONS]:
        yield "judge", _text(one_line(sentence, 200))
    if verbose and view.cohort_corrections:
        yield "", _text(f"… and {plural(len(view.cohort_corrections), 'corrected figure')} by cohort", "dim")


def _kinds(view: View, verbose: bool) -> Iterator[Labelled]:
    """Yield the kinds of failures, the largest of each scorer first; errors have their own lines."""
    if not view.news and not verbose:
        return
    kinds = [line for line in view.kinds if line.kind.state == "failed"]
    shown = kinds if verbose else kinds[:SHOWN_KINDS]
    for place, line in enumerate(shown):
        yield "" if place else "alike", _text(str(line))
    if len(kinds) > len(shown):
        yield "", _text(f"… and {plural(len(kinds) - len(shown), 'more kind')}", "dim")


def _shifts(view: View) -> Iterator[Labelled]:
    """Yield measures other than metrics that moved."""
    for place, line in enumerate(view.shifts):
        yield "" if place else "moved", _text(str(line))


def _worst(view: View, width: int) -> Iterator[Text]:
    """Yield the worst cases with question, fault and answer on one line each."""
    word = "newly failing" if view.failing_are_new else "failing"
    shown = view.failing[:SHOWN_FAILURES]
    head = f"{view.n_failing:,} {word}" + (f", the worst {len(shown)}" if view.n_failing > len(shown) else "")
    yield _text(head, "bold")
    for failed in shown:
        row = failed.row
        runs = f" · {failed.runs}" if failed.runs else ""
        yield _text("✗ ", "red").append(one_line(row.case.id, 60)).append(f"  {row.case.severity}{runs}", style="dim")
        for name, said in (("asked", failed.question), ("wrong", failed.wrong), ("answer", failed.answer)):
            if said:
                yield _text(f"  {name:<8}", "dim").append(one_line(said, width - 12), style="not dim")


def _amendments(view: View, verbose: bool = False) -> Iterator[Labelled]:
    """Yield the looser rules; `verbose` lists the others too."""
    found = [each for each in view.amendments if each.loosens or verbose]
    for place, each in enumerate(found[:SHOWN_CASES]):
        mark, style = ("! looser ", "yellow") if each.loosens else ("", "")
        yield "" if place else "rules", _text(one_line(f"{mark}{each.told(view.amended_since)}", 200), style)
    if len(found) > SHOWN_CASES:
        yield "", _text(f"… and {len(found) - SHOWN_CASES} more", "dim")


def _errors(view: View) -> Iterator[Labelled]:
    for place, error in enumerate(view.errors[:SHOWN_CASES]):
        example = f" such as {error.example.case_id}: {error.example.message}" if error.example else ""
        yield "" if place else "unknown", _text(one_line(f"{error.counted} ({error.kind}){example}", 200))


def _failing(view: View) -> Iterator[Labelled]:
    if view.failing:
        names = list(dict.fromkeys(case.row.case.id for case in view.failing))
        ids = ", ".join(one_line(name, 40) for name in names[:SHOWN_CASES])
        more = f" and {view.n_failing - SHOWN_CASES} more" if view.n_failing > SHOWN_CASES else ""
        word = "newly failing" if view.failing_are_new else "failing"
        yield f"{view.n_failing} {word}", _text(f" {ids}{more}")


def _table(*names: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=False)
    return table


def _text(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(text, style=style)
