"""Write the cases as a table for spreadsheets and pandas."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from evalkit.aggregate.cohorts import cohort_value
from evalkit.disk.writing import replacing
from evalkit.report.payload import side_by_side
from evalkit.report.survey import Rows, run_verdict
from evalkit.report.view import View
from evalkit.text.escaping import visible
from evalkit.types import Row, Score, Unscored

Cell = str | int | float | None
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_MARK = "\ufeff"
"""Byte order mark: tells spreadsheets that the file is UTF-8; pandas drops it."""


def write_table(path: Path, view: View, rows: Rows, baseline_rows: Rows | None) -> None:
    """Write `case_id, repeat, ...`, then for each metric its value, state, reason and, if there is one, baseline value.

    Unknown values are empty, and the state beside them says why. Text that a spreadsheet would read as a formula begins
    with an apostrophe; numbers are written as they are.

    Args:
        path: target file; an older one is replaced once the new one is complete.
        view: view with the changes and the advisory metrics.
        rows: the candidate's rows, sorted by case id and repeat, walked twice.
        baseline_rows: the baseline's, sorted in the same way, `None` if there is no baseline.
    """
    cohorts, metrics = _names(view, rows)
    with replacing(path) as file:
        file.write(_MARK)
        writer = csv.writer(file)  # ends lines as RFC 4180 does, and so quotes a lone carriage return
        writer.writerow(map(_safe, _header(cohorts, metrics, compared=baseline_rows is not None)))
        for row, old in side_by_side(rows(), baseline_rows() if baseline_rows else ()):
            if row is not None:
                cells = [*_case(row, view, cohorts), *_answer(row)]
                cells += [cell for name in metrics for cell in _grade(row, name)]
                cells += [_value(old, name) for name in metrics] if baseline_rows is not None else []
                writer.writerow(map(_safe, cells))


def _names(view: View, rows: Rows) -> tuple[list[str], list[str]]:
    cohorts: dict[str, None] = dict.fromkeys(view.cohort_names)
    metrics: dict[str, None] = {}
    for row in rows():
        cohorts.update(dict.fromkeys(row.case.cohorts))
        metrics.update(dict.fromkeys(row.scores))
    declared = [name for name in view.declared if name in metrics]
    return list(cohorts), list(dict.fromkeys([*declared, *metrics]))


def _header(cohorts: list[str], metrics: list[str], *, compared: bool) -> list[str]:
    names = ["case_id", "repeat", "kind", "severity", *(f"cohort.{name}" for name in cohorts)]
    names += ["state", "verdict", "change", "input", "reference", "answer"]
    names += ["latency_s", "cost_usd", "input_tokens", "output_tokens", "error", "message"]
    names += [f"{name}{part}" for name in metrics for part in ("", ".state", ".reason")]
    names += [f"{name}.baseline" for name in metrics] if compared else []
    return list(_apart(names))


def _apart(names: list[str]) -> Iterator[str]:
    """Yield the names, with a number after a repeated one."""
    seen: set[str] = set()
    for name in names:
        number, free = 2, name
        while free in seen:
            number, free = number + 1, f"{name} ({number})"
        seen.add(free)
        yield free


def _case(row: Row, view: View, cohorts: list[str]) -> list[Cell]:
    case, verdict = row.case, run_verdict(row, view.advisory, view.failing_ids)
    known = "same" if view.comparison else ""
    return [
        case.id,
        row.repeat,
        case.kind,
        case.severity,
        *(cohort_value(case, name) for name in cohorts),
        row.state,
        verdict if verdict in ("passed", "failed", "flaky") else None,
        view.changes.get(case.id, known),
        case.question,
        "\n".join(case.reference),
    ]


def _answer(row: Row) -> list[Cell]:
    output, usage = row.output, row.output.usage if row.output else None
    kind, message = (row.failure.kind, row.failure.message) if row.failure else (row.skipped, None)
    return [
        output.text if output and output.text_known else None,
        output.latency_s if output else None,
        usage.cost_usd if usage else None,
        usage.input_tokens if usage else None,
        usage.output_tokens if usage else None,
        kind,
        message,
    ]


def _grade(row: Row, name: str) -> list[Cell]:
    grade = row.scores.get(name)
    if grade is None:
        return [None, None, None]
    if isinstance(grade, Unscored):
        return [None, f"unscored: {grade.kind}", grade.message]
    return [grade.value, "scored" if grade.passed is None else "passed" if grade.passed else "failed", grade.reason]


def _value(row: Row | None, name: str) -> Cell:
    grade = row.scores.get(name) if row else None
    return grade.value if isinstance(grade, Score) else None


def _safe(cell: Cell) -> Cell:
    """Return the text without hidden characters, and escaped if it would be read as a formula."""
    if not isinstance(cell, str):
        return cell
    return visible(f"'{cell}" if _FORMULA.match(cell) else cell)
