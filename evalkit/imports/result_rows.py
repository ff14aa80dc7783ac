"""Turn two tables of results into the rows and metrics of two runs."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalkit.imports.result_case_columns import case_ids
from evalkit.imports.result_cells import Grade, read_grade
from evalkit.imports.result_columns import GradeColumn, ResultColumns
from evalkit.imports.result_table import ResultRow, ResultTable, cell_text
from evalkit.text.escaping import cut
from evalkit.text.values import one_line
from evalkit.types import NO_INPUT, Case, Failure, Metric, Output, Row, Score, Unscored, Usage

ERROR_NAMES = ("error", "error_message", "exception", "failure_reason")
REASON_ENDS = ("_reason", "_comment", "_explanation")
_MESSAGE_CHARS = 300
_MOST_FIELDS, _FIELD_CHARS = 20, 1_000


@dataclass(frozen=True, eq=False)
class Results:
    """The results of one system."""

    table: ResultTable
    rows: tuple[Row, ...]
    """Sorted by case id and repeat."""

    @property
    def n_cases(self) -> int:
        """Number of cases."""
        return len({row.case.digest for row in self.rows})

    @property
    def n_repeats(self) -> int:
        """Largest number of rows of a case."""
        return 1 + max((row.repeat for row in self.rows), default=0)


@dataclass(frozen=True, eq=False)
class ReadRow:
    """A row of a table with its case and its grades."""

    row: ResultRow
    id: str
    grades: Mapping[str, Grade]
    """Column -> grade."""


@dataclass(frozen=True, eq=False)
class PairedResults:
    """The results of two systems, with the metrics that both have."""

    before: Results
    after: Results
    metrics: tuple[Metric, ...]
    empty_in_both: Mapping[str, int]
    """Metric -> cases that neither file has a grade for, although it has others: the metric does not apply."""


def rows_of(before: ResultTable, after: ResultTable, columns: ResultColumns) -> PairedResults:
    """Return the rows of two tables under the columns that were chosen."""
    read = [_read(table, columns) for table in (before, after)]
    absent = _empty_in_both(read[0], read[1], columns.grades)
    sides = [
        Results(table, tuple(sorted(_rows(table, rows, columns, absent), key=lambda row: (row.case.id, row.repeat))))
        for table, rows in zip((before, after), read, strict=True)
    ]
    metrics = tuple(each.metric for each in columns.grades)
    counts = {each.metric.name: len(absent[each.column]) for each in columns.grades if absent[each.column]}
    return PairedResults(sides[0], sides[1], metrics, counts)


def _read(table: ResultTable, columns: ResultColumns) -> list[ReadRow]:
    comma = table.decimal_comma
    names = [each.column for each in columns.grades]
    ids = case_ids(table, columns.cases)
    seen: set[str] = set()
    found = []
    for row, case_id in zip(table.rows, ids, strict=True):
        if columns.cases.twice and case_id in seen:
            continue
        seen.add(case_id)
        grades = {name: read_grade(row.cells.get(name), decimal_comma=comma) for name in names}
        found.append(ReadRow(row, case_id, grades))
    return found


def _empty_in_both(
    before: Sequence[ReadRow], after: Sequence[ReadRow], grades: Sequence[GradeColumn]
) -> dict[str, frozenset[str]]:
    """Return column -> cases whose rows are all empty there, in both files, and have another grade.

    A cell that is empty in one file alone is a missing grade, and a row without any grade is one that was not graded.
    """
    held: dict[str, set[str]] = defaultdict(set)
    gapped: set[str] = set()
    for rows in (before, after):
        for each in rows:
            known = {name for name, grade in each.grades.items() if grade.unknown != "empty"}
            if not any(grade.value is not None for grade in each.grades.values()):
                gapped.add(each.id)
            for name in known:
                held[name].add(each.id)
    shared = {each.id for each in before} & {each.id for each in after} - gapped
    return {each.column: frozenset(shared - held[each.column]) for each in grades}


def _rows(
    table: ResultTable, read: Sequence[ReadRow], columns: ResultColumns, absent: Mapping[str, frozenset[str]]
) -> Iterator[Row]:
    cases: dict[str, Case] = {}
    repeats: dict[str, int] = defaultdict(int)
    for each in read:
        case = cases.get(each.id)
        if case is None:
            case = cases[each.id] = _case(table, each, columns)
        repeat = repeats[each.id]
        repeats[each.id] += 1
        yield _row(table, each, case, repeat, columns, absent)


def _case(table: ResultTable, read: ReadRow, columns: ResultColumns) -> Case:
    cells, chosen = read.row.cells, columns.cases
    asked = cell_text(cells.get(chosen.input)) if chosen.input else ""
    cohorts = {name: text for name, column in columns.cohorts.items() if (text := cell_text(cells.get(column)))}
    cohorts |= {name: "yes" for name, (column, tag) in columns.tags.items() if tag in (cells.get(column) or ())}
    content = json.dumps([read.id, asked or None], ensure_ascii=True)
    return Case(
        id=read.id,
        input=asked or NO_INPUT,
        cohorts=cohorts,
        fields=_others(table, read.row, columns),
        cluster=(cell_text(cells.get(chosen.cluster)) or None) if chosen.cluster else None,
        digest=hashlib.sha256(content.encode()).hexdigest(),
        place=table.place(read.row),
    )


def _others(table: ResultTable, row: ResultRow, columns: ResultColumns) -> dict[str, str]:
    """Return the other columns of a row, to be shown with its case."""
    described = {*columns.cases.used, *columns.cohorts.values(), *columns.amounts.values()}
    described |= {column for column, _ in columns.tags.values()}
    known = described | {each.column for each in columns.grades}
    texts = {name: cell_text(cell) for name, cell in row.cells.items() if name not in known}
    shown = [(table.names[name], cut(text, _FIELD_CHARS)) for name, text in texts.items() if text]
    return dict(shown[:_MOST_FIELDS])


def _row(
    table: ResultTable,
    read: ReadRow,
    case: Case,
    repeat: int,
    columns: ResultColumns,
    absent: Mapping[str, frozenset[str]],
) -> Row:
    states = [grade.unknown for grade in read.grades.values()]
    said = _error(read.row)
    if "error" in states and not any(grade.value is not None for grade in read.grades.values()):
        message = said or next(grade.message for grade in read.grades.values() if grade.unknown == "error")
        return Row(case=case, repeat=repeat, failure=Failure("error_in_file", message))
    scores = {
        each.metric.name: _score(table, read, each, said)
        for each in columns.grades
        if read.id not in absent[each.column]
    }
    return Row(case=case, repeat=repeat, output=_output(table, read.row, columns), scores=scores)


def _score(table: ResultTable, read: ReadRow, column: GradeColumn, said: str) -> Score | Unscored:
    grade, metric = read.grades[column.column], column.metric
    if grade.value is None:
        kind = {"empty": "empty_cell", "error": "error_in_file"}.get(grade.unknown, grade.unknown)
        own = read.row.cells.get(f"{column.column}_error")
        said = one_line(own, _MESSAGE_CHARS) if isinstance(own, str) and own else said
        message = said or grade.message or f"{table.place(read.row, column.column)} is empty"
        return Unscored(metric.name, kind, message)
    passed = None
    if metric.binary:
        passed = (grade.value == 1) == metric.higher_is_better
    elif metric.pass_at is not None:
        passed = grade.value >= metric.pass_at if metric.higher_is_better else grade.value <= metric.pass_at
    return Score(metric.name, grade.value, passed, reason=_reason(read.row, column.column))


def _output(table: ResultTable, row: ResultRow, columns: ResultColumns) -> Output:
    chosen, comma = columns.cases, table.decimal_comma
    read = {name: read_grade(row.cells.get(column), decimal_comma=comma) for name, column in columns.amounts.items()}
    known = {name: grade.value for name, grade in read.items() if grade.value is not None and grade.value >= 0}
    latency_s = known["latency_ms"] / 1000 if "latency_ms" in known else known.get("latency_s")
    asked, said = (int(known[name]) if name in known else None for name in ("input_tokens", "output_tokens"))
    spent = Usage(input_tokens=asked, output_tokens=said, cost_usd=known.get("cost_usd"))
    cell = row.cells.get(chosen.output) if chosen.output else None
    return Output(text=cell_text(cell), latency_s=latency_s, usage=None if spent == Usage() else spent)


def _reason(row: ResultRow, column: str) -> str:
    """Return the reason for a grade, empty if the file has none."""
    stem = column.removesuffix("_score").removesuffix("_passed").removesuffix("_pass")
    names = [f"{start}{end}" for start in dict.fromkeys((column, stem)) for end in REASON_ENDS]
    cell = next((row.cells[name] for name in (*names, "reason", "comment") if row.cells.get(name)), "")
    return one_line(cell, _MESSAGE_CHARS) if isinstance(cell, str) else ""


def _error(row: ResultRow) -> str:
    cell = next((row.cells[name] for name in ERROR_NAMES if row.cells.get(name)), "")
    return one_line(cell, _MESSAGE_CHARS) if isinstance(cell, str) else ""
