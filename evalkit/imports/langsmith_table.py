"""Read tables of LangSmith in CSV: a data set, or the results of an experiment.

Source: `langsmith.evaluation._runner._flatten_experiment_results` and `langsmith.Client.get_test_results`, whose frames
are written as CSV. A key of the inputs has a column `inputs.KEY`, or all of them are JSON in `inputs`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.ids_and_fields import is_number, own_field
from evalkit.imports.imported import Imported
from evalkit.imports.langsmith import refer_to
from evalkit.imports.questions_and_answers import answer_text, asked_fields
from evalkit.traces.attributes import decoded, python_literal

EXPERIMENT, BY_POSITION = "LangSmith experiment", "LangSmith results"
"""Kinds of results: with the ids of examples, and without."""
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "inputs": ("inputs", "input"),
    "outputs": ("outputs", "output"),
    "reference": ("reference_outputs", "reference"),
    "feedback": ("feedback",),
    "metadata": ("metadata",),
}
"""Group -> the names that begin its columns."""
_OF_RUNS = ("error", "execution_time", "example_id")
_READ = frozenset({*_OF_RUNS, "id"})
_HEAD = re.compile(rb'(?:^|,)"?(?:inputs?\.|reference\.|feedback\.)')
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")
_MOST_REPEATS = 100
_LEFT_OUT = "it is left out; write a number, or leave it blank"


def is_table_head(head: bytes) -> bool:
    """Tell whether a file may be such a table, by its first bytes."""
    return _HEAD.search(head.split(b"\n", 1)[0].removeprefix(b"\xef\xbb\xbf")) is not None


def is_table(source: SourceFile) -> bool:
    """Tell whether a file is such a table."""
    if source.kind != "table" or not source.rows or "expectations" in source.columns:
        return False
    groups = {_group(name)[0] for name in source.columns.values()}
    return "inputs" in groups and bool(groups & {"outputs", "reference", "feedback"})


def read_table(source: SourceFile, limit: int | None = None) -> Imported:
    """Read a table; outputs are the answers of an experiment, and the references of a data set."""
    groups = {_group(name)[0] for name in source.columns.values()}
    ran = bool(groups & {"reference", "feedback"} or {*source.columns} & {*_OF_RUNS})
    found = Collector(source)
    cases: dict[str, str] = {}
    repeats: Counter[str] = Counter()
    for at, place, row in found.rows(None):
        parts = _parts(row)
        name = row.get("example_id") or ("" if ran else row.get("id")) or f"row {at}"
        if name not in cases:
            if limit is not None and len(cases) >= limit:
                continue
            fields = asked_fields(parts["inputs"])
            refer_to(fields, parts["reference"] if ran else parts["outputs"])
            found.metadata(fields, parts["metadata"])
            unnamed = {key for key, name in source.columns.items() if not name}
            others = {key: value for key, value in row.items() if _group(key)[0] == "" and key not in unnamed}
            found.rest(fields, others, _READ)
            cases[name] = found.case(place, None if name == f"row {at}" else name, fields)
        if ran:
            _stored(found, place, cases[name], repeats[name], row, parts)
            repeats[name] += 1
    named = all(name in row for row in source.rows if isinstance(row, Mapping) for name in ("example_id",))
    return found.imported((EXPERIMENT if named else BY_POSITION) if ran else "LangSmith examples")


def _group(column: str) -> tuple[str, str]:
    """Return the group of a column and the key in it; an empty group for another column."""
    start, _, key = column.partition(".")
    known = next((group for group, names in _GROUPS.items() if start in names), "")
    is_whole = not key and start in ("inputs", "outputs", "reference_outputs")
    return (known, key) if key or is_whole else ("", column)


def _parts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return group -> what the cells of its columns hold."""
    parts: dict[str, Any] = {group: {} for group in _GROUPS}
    for column, cell in row.items():
        group, key = _group(column)
        if not group:
            continue
        value = _value(cell)
        if key and isinstance(parts[group], dict):
            parts[group][key] = value
        elif not key:
            parts[group] = value
    return parts


def _value(cell: Any) -> Any:
    """Return a cell, which is JSON or a Python literal if it is a list or a mapping."""
    read = decoded(cell)
    literal = python_literal(read) if isinstance(read, str) and read[:1] in ("[", "{") else None
    return read if literal is None else literal


def _stored(
    found: Collector, place: str, case_id: str, repeat: int, row: Mapping[str, Any], parts: Mapping[str, Any]
) -> None:
    if repeat >= _MOST_REPEATS:
        found.lose(place, f"more than {_MOST_REPEATS} runs of one example", "export fewer", "output")
        return
    recorded: dict[str, Any] = {}
    for key, value in parts["feedback"].items():
        if _is_unreadable(value):
            found.lose(place, f"the feedback {key[:40]!r}: {value[:20]!r} is not a finite number", _LEFT_OUT)
        else:
            recorded[own_field(key)] = _grade(value)
    text, error = answer_text(parts["outputs"] or None), row.get("error")
    if error or text is None:
        said = str(error or "no output")[:2000]
        found.output(place, case_id, repeat=repeat, failure=said, recorded=recorded)
        return
    seconds: Any = _grade(row.get("execution_time"))
    is_known = is_number(seconds) and seconds >= 0
    latency = {"latency_s": seconds} if is_known else {}
    if not is_known and seconds is not None and str(seconds).strip():
        said = str(row["execution_time"])[:20]
        found.lose(place, f"the `execution_time` {said!r} is not a number of at least 0", _LEFT_OUT)
    found.output(place, case_id, repeat=repeat, output={"text": text, **latency}, recorded=recorded)


def _is_unreadable(value: Any) -> bool:
    """Tell whether a cell spells a number that is not finite, or one too large to hold."""
    try:
        return isinstance(value, str) and not math.isfinite(float(value))
    except ValueError:
        return False


def _grade(value: Any) -> Any:
    """Return a cell of feedback as what it spells: a number, true or false, or a text."""
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return float(value)
        return {"True": True, "False": False}.get(value, value)
    return value
