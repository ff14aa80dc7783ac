"""Read tables in which each row is one metric of a case: a column names the metric, and another holds its value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalkit.errors import InputError, Problem
from evalkit.imports.result_case_columns import ID_NAMES, INPUT_NAMES, REPEAT_NAMES
from evalkit.imports.result_flags import ColumnFlags
from evalkit.imports.result_rows import ERROR_NAMES
from evalkit.imports.result_table import ResultRow, ResultTable, columns_of_both, fold, quoted

METRIC_NAMES = ("metric", "metric_name", "scorer", "evaluator", "assertion")
VALUE_NAMES = ("value", "score", "passed", "pass", "success", "result")
MOST_METRICS = 50
_REASONS = ("reason", "comment", "explanation")
_BESIDE = {**dict.fromkeys(_REASONS, "reason"), **dict.fromkeys(ERROR_NAMES, "error")}
"""Columns that describe the metric of their row -> the ending of that metric's column."""


def widened(
    before: ResultTable, after: ResultTable, asked: ColumnFlags
) -> tuple[ResultTable, ResultTable, ColumnFlags]:
    """Return both tables with a column for each metric; as they are unless both name metrics in their rows.

    Raises:
        InputError: a metric is in one of them alone.
    """
    tables = (before, after)
    both = columns_of_both(before, after)
    named = next((name for name in METRIC_NAMES if name in both and all(t.is_complete(name) for t in tables)), None)
    value = next((name for name in VALUE_NAMES if name in both), None)
    given = [fold(name) for name in (*asked.passes, *asked.metrics)]
    if named is None or value is None or (given and all(name in both for name in given)):
        return before, after, asked
    ids = [fold(asked.id)] if asked.id else [*ID_NAMES, *INPUT_NAMES]
    case = next((name for name in ids if name in both and all(table.is_complete(name) for table in tables)), None)
    metrics = [list(dict.fromkeys(table.texts(named))) for table in tables]
    if case is None or max(map(len, metrics)) > MOST_METRICS or max(map(len, metrics)) < 2:
        return before, after, asked
    _refuse_unlike(before, after, metrics, given)
    repeats = [fold(asked.repeat)] if asked.repeat else [name for name in REPEAT_NAMES if name in both]
    keys = (case, *(name for name in repeats if all(table.is_complete(name) for table in tables)))
    columns = _columns_of(tables, metrics, (named, value))
    wide = [_wide(table, keys[:2], named, value, columns) for table in tables]
    if not given:
        asked = replace(asked, metrics=tuple(columns[name] for name in metrics[1] if name in metrics[0]))
    return wide[0], wide[1], asked


def _columns_of(
    tables: Sequence[ResultTable], metrics: Sequence[Sequence[str]], dropped: Sequence[str]
) -> dict[str, str]:
    """Return the column of each metric, the same in both tables; it is not one that they have already."""
    taken = {name for table in tables for name in table.names} - {*dropped}
    columns: dict[str, str] = {}
    for metric in dict.fromkeys(sorted([*metrics[0], *metrics[1]])):
        name = fold(metric)
        while name in taken:
            name = f"metric_{name}"
        columns[metric] = name
        taken.add(name)
    return columns


def _refuse_unlike(
    before: ResultTable, after: ResultTable, metrics: Sequence[Sequence[str]], given: Sequence[str]
) -> None:
    shared = [name for name in metrics[1] if name in metrics[0]]
    for table, other, names in ((before, after, metrics[0]), (after, before, metrics[1])):
        alone = [name for name in names if name not in shared]
        if alone and not given:
            what = f"the metric {alone[0]!r} is in {table.shown} and not in {other.shown}"
            fix = "name the metrics to compare: " + " ".join(f"--metric {quoted(name)}" for name in shared)
            raise InputError(Problem(other.shown, what, fix if shared else "compare files with the same metrics"))


def _wide(table: ResultTable, keys: Sequence[str], named: str, value: str, columns: Mapping[str, str]) -> ResultTable:
    """Return the table with one row for each case and repeat, in the order of their first rows."""
    beside = [name for name in table.names if name in _BESIDE]
    kept = [name for name in table.names if name not in (named, value, *beside)]
    names = {name: table.names[name] for name in kept}
    for metric in dict.fromkeys(table.texts(named)):
        names[columns[metric]] = metric
        names |= {f"{columns[metric]}_{_BESIDE[name]}": f"{metric} {_BESIDE[name]}" for name in beside}
    names |= {"error": "error"} if any(_BESIDE[name] == "error" for name in beside) else {}
    rows: dict[tuple[Any, ...], tuple[int, dict[str, Any]]] = {}
    seen: Counter[tuple[str, ...]] = Counter()
    texts = [table.texts(name) for name in (*keys, named)]
    for row, texts_of_row in zip(table.rows, zip(*texts, strict=True), strict=True):
        count = seen[texts_of_row]
        seen[texts_of_row] += 1
        first: Mapping[str, Any] = {name: row.cells[name] for name in kept if name in row.cells}
        _, cells = rows.setdefault((*texts_of_row[:-1], count), (row.line, dict(first)))
        column = columns[texts_of_row[-1]]
        cells[column] = row.cells.get(value)
        for name in (name for name in beside if row.cells.get(name)):
            cells.setdefault(f"{column}_{_BESIDE[name]}", row.cells[name])
            if _BESIDE[name] == "error":
                cells.setdefault("error", row.cells[name])
    wide = tuple(ResultRow(line, cells) for line, cells in rows.values())
    return replace(table, names=names, rows=wide)
