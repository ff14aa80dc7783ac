"""Pack the answers of several systems to the same cases for the page that shows them side by side."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TextIO

from evalkit.aggregate.system_comparison import SystemComparison
from evalkit.formats.labelled_text import shown_text
from evalkit.report.bodies import snippet_of, to_ascii
from evalkit.report.payload import PackedIndex, packed, write_block
from evalkit.report.steps import rounded
from evalkit.report.systems.runs import SystemRun
from evalkit.text.numbers import Style, figure
from evalkit.text.printable import one_line
from evalkit.types import Metric, Row, Score, Unscored, Verdict, case_verdict, verdict_of

MARKS: dict[Verdict, str] = {
    "passed": "p",
    "failed": "f",
    "scored": "s",
    "unscored": "u",
    "system_error": "e",
    "skipped": "k",
}
"""Verdict of a cell -> its character in the index; `-` stands for a case that the system has no row for."""
ABSENT = "-"
MOST_CASES = 50_000
MOST_CELLS = 1_000_000
TEXT_CHARS = 64_000_000
"""Characters of answers in a page, before compression."""
MOST_CHARS, LEAST_CHARS = 2_000, 40
"""Characters of one answer in a page."""
_WHY_CHARS = 140
_CHUNK_CELLS, _CHUNK_CASES = 1_600, 200


@dataclass(frozen=True, kw_only=True)
class AnswerRoom:
    """What fits into a page."""

    cases: int
    """Cases that the page holds."""
    of: int
    """Cases of the comparison."""
    chars: int
    """Characters of each answer; a longer one is cut."""
    chunk: int
    """Cases in one block of data."""


def room_for(comparison: SystemComparison) -> AnswerRoom:
    """Return how many cases and characters of each answer fit, so that a page opens with 64 systems too."""
    n_systems = max(1, len(comparison.systems))
    n_cases = max((figures.n_cases for figures in comparison.systems), default=0)
    cases = min(n_cases, MOST_CASES, MOST_CELLS // n_systems)
    fair = TEXT_CHARS // max(1, cases * n_systems)
    return AnswerRoom(
        cases=cases,
        of=n_cases,
        chars=min(MOST_CHARS, max(LEAST_CHARS, fair)),
        chunk=max(4, min(_CHUNK_CASES, _CHUNK_CELLS // n_systems)),
    )


def write_answers(
    file: TextIO, comparison: SystemComparison, runs: Sequence[SystemRun], style: Style, room: AnswerRoom
) -> None:
    """Write the data blocks: an index with the verdicts, and chunks with the answers.

    The rows of each run are walked once; memory holds one chunk and the compressed index. If not all cases fit, those
    on which the systems disagree are kept first.

    Args:
        file: text, written as UTF-8.
        comparison: the comparison.
        runs: the runs of its systems, in the same order.
        style: format of the primary metric.
        room: what fits into the page.
    """
    shown = _Shown(comparison.primary, style, room.chars)
    index, waiting, number, expected = PackedIndex(), [], 0, False
    for case_id, rows in _chosen(_cases(runs), comparison, room):
        cells = [_cell(own, run, shown) for own, run in zip(rows, runs, strict=True)]
        case = next(own[0] for own in rows if own).case
        index.add([case_id, snippet_of(case), "".join(mark for mark, _ in cells)])
        body: dict[str, Any] = {"cells": [cell for _, cell in cells]}
        if case.question != snippet_of(case):
            body["question"] = case.question[:MOST_CHARS]
        if case.reference:
            expected = True
            body["reference"] = [text[:MOST_CHARS] for text in case.reference]
        waiting.append(body)
        if len(waiting) == room.chunk:
            write_block(file, f"rows-{number}", packed(to_ascii(waiting)))
            waiting, number = [], number + 1
    if waiting:
        write_block(file, f"rows-{number}", packed(to_ascii(waiting)))
    write_block(file, "index", index.close({**_legend(comparison, runs, style, room), "expected": expected}))


def _legend(comparison: SystemComparison, runs: Sequence[SystemRun], style: Style, room: AnswerRoom) -> dict[str, Any]:
    """Return the systems with their figures and reports, and those whose columns are shown first."""
    first = (comparison.reference, *comparison.release, *comparison.candidates)
    order = sorted(range(len(runs)), key=lambda place: (runs[place].figures.name not in first, place))
    systems = []
    for run in runs:
        primary = run.figures.primary
        shown = figure(primary.value, style, primary.n)
        systems.append({"name": run.figures.name, "figure": shown, "report": run.report})
    return {"systems": systems, "first": order, "chunk": room.chunk, "interleaved": comparison.interleaved}


Answered = tuple[str, list[list[Row]]]
"""Case id, and the rows of each system: one for each repeat."""


def _cases(runs: Sequence[SystemRun]) -> Iterator[Answered]:
    """Yield the cases of all runs, sorted by id."""
    merged = heapq.merge(*(_keyed(place, run) for place, run in enumerate(runs)), key=itemgetter(0, 1))
    for case_id, group in itertools.groupby(merged, key=itemgetter(0)):
        rows: list[list[Row]] = [[] for _ in runs]
        for _, place, row in group:
            rows[place].append(row)
        yield case_id, rows


def _keyed(place: int, run: SystemRun) -> Iterator[tuple[str, int, Row]]:
    for row in run.rows():
        yield row.case.id, place, row


def _chosen(cases: Iterator[Answered], comparison: SystemComparison, room: AnswerRoom) -> Iterator[Answered]:
    """Yield the cases that the page holds: all if they fit, else the most divided ones and the first others."""
    if room.cases == room.of:
        yield from itertools.islice(cases, MOST_CASES)
        return
    divided = frozenset(comparison.disagreements[: room.cases])
    others = room.cases - len(divided)
    for case_id, rows in cases:
        if case_id in divided:
            yield case_id, rows
        elif others > 0:
            others -= 1
            yield case_id, rows


@dataclass(frozen=True)
class _Shown:
    """What a cell shows of a row."""

    primary: str
    style: Style
    chars: int


def _cell(rows: Sequence[Row], run: SystemRun, shown: _Shown) -> tuple[str, dict[str, Any] | int]:
    """Return the mark of a cell and its content: the first run of the case with the verdict of all its runs."""
    if not rows:
        return ABSENT, 0
    advisory = frozenset(run.manifest.advisory)
    verdicts = [verdict_of(row, advisory) for row in rows]
    verdict = case_verdict(verdicts, run.manifest.repeat_rule)
    row = next((row for row, own in zip(rows, verdicts, strict=True) if own == verdict), rows[0])
    cell: dict[str, Any] = {}
    if row.output is not None:
        cell["text"] = shown_text(row.output)[: shown.chars]
        if len(shown_text(row.output)) > shown.chars:
            cell["more"] = len(shown_text(row.output)) - shown.chars
        if row.output.latency_s is not None:
            cell["latency"] = rounded(row.output.latency_s)
        if row.output.usage is not None and row.output.usage.cost_usd is not None:
            cell["cost"] = row.output.usage.cost_usd
    if score := _score(row, run.manifest.metrics, advisory, shown):
        cell["score"] = score
    if why := _why(row, advisory, min(_WHY_CHARS, shown.chars)):
        cell["why"] = why
    if row.repeat:
        cell["repeat"] = row.repeat
    if len(rows) > 1:
        cell["runs"] = f"{verdicts.count('passed')} of {len(rows)} runs passed"
    return MARKS[verdict], cell


def _score(row: Row, metrics: Sequence[Metric], advisory: frozenset[str], shown: _Shown) -> str:
    """Write the value of the primary metric, or how many pass marks were met if that is the pass rate."""
    grade = row.scores.get(shown.primary)
    if isinstance(grade, Score):
        metric = next((metric for metric in metrics if metric.name == shown.primary), None)
        return "" if metric is not None and metric.binary else figure(grade.value, shown.style)
    marks = [
        each.passed
        for each in row.scores.values()
        if isinstance(each, Score) and each.passed is not None and each.metric not in advisory
    ]
    return f"{marks.count(True)} of {len(marks)} marks" if grade is None and len(marks) > 1 else ""


def _why(row: Row, advisory: frozenset[str], limit: int) -> str:
    """Say what is wrong with an answer: the failure, or the first score that missed its mark or is missing."""
    if row.failure is not None:
        return one_line(f"{row.failure.kind}: {row.failure.message}", limit)
    if row.skipped is not None:
        return one_line(row.skipped, limit)
    counted = [grade for grade in row.scores.values() if grade.metric not in advisory]
    failed = next((grade for grade in counted if isinstance(grade, Score) and grade.passed is False), None)
    if failed is not None:
        return one_line(f"{failed.metric}: {failed.reason}" if failed.reason else failed.metric, limit)
    missing = next((grade for grade in counted if isinstance(grade, Unscored)), None)
    return "" if missing is None else one_line(f"{missing.metric}: {missing.kind} {missing.message}".rstrip(), limit)
