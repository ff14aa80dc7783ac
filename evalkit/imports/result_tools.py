"""Read the results of another eval tool as a table: a row for each answer, with what the tool said of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.disk.files import Unfit, open_file
from evalkit.errors import InputError, Problem
from evalkit.golden.source_file import ZIP, open_source
from evalkit.imports import langsmith_table, promptfoo_table
from evalkit.imports.formats import read_source
from evalkit.imports.imported import Imported, ImportedCase, StoredOutput

_HEAD_BYTES = 1 << 16
_MARKS = {
    "promptfoo": re.compile(rb'"(evalId|promptIdx|results)"\s*:'),
    "inspect": re.compile(rb'"eval"\s*:'),
    "deepeval": re.compile(rb'"(testRunData|metricsData|testCases)"\s*:'),
    "lm-eval": re.compile(rb'"doc_id"\s*:'),
}
"""Format -> a key near the start of its files; only where it stands is a file read to be sure."""
_TABLES = {"promptfoo": promptfoo_table.is_table_head, "langsmith": langsmith_table.is_table_head}
"""Format -> whether a file in CSV may be of it, by its first bytes."""
_BY_POSITION = {"promptfoo results", "deepeval test run", langsmith_table.BY_POSITION}
"""Kinds whose cases may be named by their position alone, which never names a case: they are paired by what they ask,
or by the column `case` if the user says so."""
_GRADED = {*_BY_POSITION, "inspect log", "lm-eval samples", langsmith_table.EXPERIMENT}
"""Kinds of files that hold grades."""
_OWN_COLUMNS = ("pass", "score")
"""What the whole test got; the other grades are columns of `scores`."""
_NAMED = "scores."
_MODEL_GRADED = frozenset(
    "llm-rubric model-graded-closedqa g-eval factuality model-graded-factuality answer-relevance context-faithfulness"
    " context-recall context-relevance conversation-relevance trajectory:goal-success agent-rubric search-rubric pi"
    " moderation classifier guardrails select-best".split()
)
"""Assertions of promptfoo that a model decides."""
_INSPECT_JUDGE = "model_graded_"
"""Begins the names of the scorers of inspect that ask a model."""


@dataclass(frozen=True)
class ToolResults:
    """The rows of a tool's file.

    Attributes:
        kind: What the file is, such as `inspect log`.
        rows: Place of a row in the file, and its cells.
        judged: Columns that a model graded.
        higher: Columns of which more is better, whatever their names say.
        left_out: What was not read.
    """

    kind: str
    rows: tuple[tuple[str, Mapping[str, Any]], ...]
    judged: frozenset[str]
    higher: frozenset[str]
    left_out: tuple[Problem, ...]


def tool_results(path: Path, shown: str) -> ToolResults | None:
    """Read a file of promptfoo, inspect, deepeval or lm-eval.

    Returns:
        `None` for a file that is none of theirs.

    Raises:
        InputError: it is one of theirs, and cannot be read.
    """
    imported = _imported(path, shown)
    if imported is None or imported.kind not in _GRADED:
        return None
    judged: set[str] = set()
    rows = tuple(_rows(imported, judged))
    lost = tuple(Problem(loss.place, loss.what, loss.fix) for loss in imported.losses if loss.part == "output")
    named = {name for _, cells in rows for name in cells if name.startswith(_NAMED)}
    higher = frozenset(named if imported.kind == "promptfoo results" else ())
    return ToolResults(imported.kind, rows, frozenset(judged), higher, lost)


def _imported(path: Path, shown: str) -> Imported | None:
    head = _head(path)
    if head.startswith(ZIP):
        return read_source(open_source(path, shown), "inspect", None) if path.suffix.lower() == ".eval" else None
    formats = [name for name, mark in _MARKS.items() if mark.search(head)]
    if path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
        formats = [name for name, may_be in _TABLES.items() if may_be(head)]
    if not formats:
        return None
    try:
        source = open_source(path, shown)
    except InputError:
        return None  # the reader of plain tables says what is wrong with it
    for name in formats:
        with suppress(InputError):  # it is of another tool, or of none
            return read_source(source, name, None)
    return None


def _head(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(_HEAD_BYTES)
    except (OSError, Unfit):
        return b""


def _rows(imported: Imported, judged: set[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    cases = {case.id: case for case in imported.cases}
    names_cases = imported.kind not in _BY_POSITION
    graded = dict.fromkeys(
        name for system in imported.systems for each in system.outputs for name in _grades(each, judged)
    )
    repeats = any(each.repeat for system in imported.systems for each in system.outputs)
    for system in imported.systems:
        for each in system.outputs:
            if case := cases.get(each.case_id):
                grades = _grades(each, judged) if each.failure is None else dict.fromkeys(graded, "error")
                named: dict[str, Any] = {"id" if names_cases else "case": case.id}
                named |= {"system": system.name} if len(imported.systems) > 1 else {}
                named |= {"repeat": each.repeat} if repeats else {}
                yield each.place, {**named, **_cells(each, case), **grades}


def _cells(stored: StoredOutput, case: ImportedCase) -> dict[str, Any]:
    output = stored.output or {}
    usage = output.get("usage") or {}
    cells = {
        "input": _text(_asked(case)),
        "output": output.get("text"),
        "error": stored.failure,
        "latency_s": output.get("latency_s"),
        **{name: usage.get(name) for name in ("cost_usd", "input_tokens", "output_tokens")},
        **{f"cohorts.{name}": value for name, value in (case.fields.get("cohorts") or {}).items()},
    }
    return {name: value for name, value in cells.items() if value is not None}


def _asked(case: ImportedCase) -> Any:
    """Return what the case asks: its input, or all its fields if it has none."""
    return case.fields.get("input") or {name: value for name, value in case.fields.items() if name != "cohorts"}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _grades(stored: StoredOutput, judged: set[str]) -> dict[str, Any]:
    """Return column -> grade, and add the columns that a model graded to `judged`."""
    cells: dict[str, Any] = {}
    for name, said in stored.recorded.items():
        known = said if isinstance(said, Mapping) else {"value": said}
        column = name if name in _OWN_COLUMNS else f"{_NAMED}{name}"
        if not isinstance(known.get("value"), str | int | float | None) or isinstance(said, list):
            continue
        cells[column] = known.get("value")
        reason = known.get("reason") or known.get("explanation")
        if isinstance(reason, str) and reason:
            cells[f"{column}_reason"] = reason
        if isinstance(known.get("by"), str) or name.startswith(_INSPECT_JUDGE):
            judged.add(column)
    types = {each.get("type") for each in stored.recorded.get("assertions") or [] if isinstance(each, Mapping)}
    if any(str(each).removeprefix("not-") in _MODEL_GRADED for each in types):
        judged.update(name for name in _OWN_COLUMNS if name in cells)
    return cells
