"""The cases inside the HTML file: gzip in base64, a small index, and bodies in chunks that open on demand."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterable
from typing import Any, TextIO

from evalkit.report.survey import Rows, verdict_of
from evalkit.report.view import View
from evalkit.types import KINDS, SEVERITIES, Case, Output, Row, Score, Unscored, Usage

CHUNK = 200
SNIPPET_CHARS = 120
VERDICTS = ("failed", "system_error", "unscored", "skipped", "scored", "passed", "removed")
CHANGES = ("", "same", "new failure", "still failing", "fixed", "changed", "added", "removed")
_GZIP = 31
_LEVEL = 3

Json = dict[str, Any] | list[Any]


def write_payload(file: TextIO, view: View, rows: Rows, baseline_rows: Rows | None) -> None:
    """Write the data blocks; memory holds one chunk, the compressed index and a number per baseline row.

    Baseline rows are written first, so that each candidate row can point to its own by case id and repeat.
    """
    removed = {case_id for case_id, change in view.changes.items() if change == "removed"}
    columns = _Columns(view)
    index = _Index()
    base_at: dict[tuple[str, int], int] = {}
    gone: list[Row] = []
    chunks = _Chunks(file, "base")
    for position, row in enumerate(baseline_rows() if baseline_rows is not None else ()):
        base_at[(row.case.id, row.repeat)] = position
        is_removed = row.case.id in removed
        chunks.add(_body(row) if is_removed else _answer(row))
        if is_removed:
            gone.append(row)
    chunks.close()
    chunks = _Chunks(file, "rows")
    for row in rows():
        index.add(columns.entry(row, base_at.get((row.case.id, row.repeat), -1)))
        chunks.add(_body(row))
    chunks.close()
    for row in gone:
        index.add(columns.entry(row, base_at[(row.case.id, row.repeat)], removed=True))
    _write_block(file, "index", index.close(columns.legend()))


class _Columns:
    """Codes of cohorts and metrics as they turn up, and the index entry of a row."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._compared = view.comparison is not None
        self._cohorts: dict[str, dict[str, int]] = {}
        self._metrics: dict[str, int] = {}

    def entry(self, row: Row, base: int, *, removed: bool = False) -> list[Any]:
        """The row of the index: see `legend` for the names of its columns."""
        case = row.case
        change = self._view.changes.get(case.id, "same" if self._compared else "")
        marks, values = self._grades(row)
        return [
            case.id,
            row.repeat,
            VERDICTS.index("removed" if removed else verdict_of(row, self._view.advisory)),
            CHANGES.index(change),
            KINDS.index(case.kind),
            SEVERITIES.index(case.severity),
            self._codes(case),
            " ".join(case.question[: 2 * SNIPPET_CHARS].split())[:SNIPPET_CHARS],
            row.output.latency_s if row.output else None,
            marks,
            values,
            base,
        ]

    def legend(self) -> Json:
        """What the entries mean."""
        declared = self._view.declared
        names = ("id", "repeat", "verdict", "change", "kind", "severity", "cohorts", "question", "latency_s")
        return {
            "columns": [*names, "marks", "values", "base"],
            "chunk": CHUNK,
            "verdicts": VERDICTS,
            "changes": CHANGES,
            "kinds": KINDS,
            "severities": SEVERITIES,
            "order": self._order(),
            "cohorts": [[name, list(values)] for name, values in self._cohorts.items()],
            "metrics": [
                {
                    "name": name,
                    "judge": declared[name].judge if name in declared else None,
                    "higher": declared[name].higher_is_better if name in declared else True,
                    "advisory": name in self._view.advisory,
                }
                for name in self._metrics
            ],
        }

    def _order(self) -> list[int]:
        """Places of the metrics in the order in which the scorers declare them."""
        ranks = {name: rank for rank, name in enumerate(self._view.declared)}
        return sorted(self._metrics.values(), key=lambda place: ranks.get(list(self._metrics)[place], len(ranks)))

    def _codes(self, case: Case) -> list[int]:
        """A number per cohort name, -1 where the case is in none."""
        for name in case.cohorts:
            if name not in self._cohorts:
                self._cohorts[name] = {}
        given = case.cohorts
        return [
            codes.setdefault(given[name], len(codes)) if name in given else -1 for name, codes in self._cohorts.items()
        ]

    def _grades(self, row: Row) -> tuple[str, list[float | None]]:
        """Marks (`p`assed, `f`ailed, `s`cored, `u`nscored, `-` absent) and values by metric."""
        for name in row.scores:
            if name not in self._metrics:
                self._metrics[name] = len(self._metrics)
        grades = [row.scores.get(name) for name in self._metrics]
        values = [_finite(grade.value) if isinstance(grade, Score) else None for grade in grades]
        return "".join(map(_mark, grades)), values


class _Index:
    """The entries of the index, compressed as they come."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._packed = [self._packer.compress(b'{"rows":[')]
        self._waiting: list[str] = []
        self._first = True

    def add(self, entry: list[Any]) -> None:
        """Append one entry."""
        self._waiting.append(_json(entry))
        if len(self._waiting) == CHUNK:
            self._flush()

    def close(self, legend: Json) -> bytes:
        """End the index with its legend and give it as gzip."""
        self._flush()
        self._packed.append(self._packer.compress(f'],"legend":{json.dumps(legend)}}}'.encode("ascii")))
        self._packed.append(self._packer.flush())
        return b"".join(self._packed)

    def _flush(self) -> None:
        if self._waiting:
            text = ("" if self._first else ",") + ",".join(self._waiting)
            self._packed.append(self._packer.compress(text.encode("ascii")))
            self._waiting, self._first = [], False


class _Chunks:
    """Writes bodies in blocks of `CHUNK`."""

    def __init__(self, file: TextIO, name: str) -> None:
        self._file = file
        self._name = name
        self._number = 0
        self._waiting: list[str] = []

    def add(self, body: Json) -> None:
        """Append one body."""
        self._waiting.append(_json(body))
        if len(self._waiting) == CHUNK:
            self.close()

    def close(self) -> None:
        """Write what waits."""
        if self._waiting:
            packed = zlib.compress(f"[{','.join(self._waiting)}]".encode("ascii"), _LEVEL, _GZIP)
            _write_block(self._file, f"{self._name}-{self._number}", packed)
            self._number += 1
            self._waiting = []


def _write_block(file: TextIO, name: str, packed: bytes) -> None:
    file.write(f'<script type="text/plain" id="{name}">')
    file.write(base64.b64encode(packed).decode("ascii"))
    file.write("</script>\n")


def _body(row: Row) -> Json:
    """All that the page of one case shows."""
    case = row.case
    text = case.input if isinstance(case.input, str) else [[turn.role, turn.content] for turn in case.input]
    body: dict[str, Any] = {
        "input": text,
        "reference": case.reference,
        "contexts": case.contexts,
        "cluster": case.cluster,
        "fields": dict(case.fields),
        "place": case.place,
    }
    return body | _answer(row)


def _answer(row: Row) -> dict[str, Any]:
    """What a system gave for a case, and its grades."""
    return {
        "output": _output(row.output) if row.output else None,
        "failure": [row.failure.kind, row.failure.message] if row.failure else None,
        "skipped": row.skipped,
        "scores": [_grade(grade) for grade in row.scores.values()],
    }


def _output(output: Output) -> Json:
    return {
        "text": output.text,
        "contexts": output.contexts,
        "usage": _usage(output.usage),
        "tool_calls": [[call.name, dict(call.arguments)] for call in output.tool_calls or ()],
        "trajectory": [dict(step) for step in output.trajectory or ()],
        "latency_s": output.latency_s,
        "ttft_s": output.ttft_s,
        "replayed": output.replayed,
    }


def _grade(grade: Score | Unscored) -> Json:
    if isinstance(grade, Unscored):
        return {"metric": grade.metric, "unscored": grade.kind, "reason": grade.message, "usage": _usage(grade.usage)}
    return {
        "metric": grade.metric,
        "value": grade.value,
        "passed": grade.passed,
        "reason": grade.reason,
        "details": dict(grade.details),
        "usage": _usage(grade.usage),
    }


def _usage(usage: Usage | None) -> Json | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_usd": usage.cost_usd,
        "model": usage.model,
    }


def _mark(grade: Score | Unscored | None) -> str:
    if grade is None:
        return "-"
    if isinstance(grade, Unscored):
        return "u"
    return "s" if grade.passed is None else "p" if grade.passed else "f"


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=str)


def _json(value: Json) -> str:
    """Compact ASCII JSON; NaN and infinities, which JSON lacks, become their names."""
    try:
        return _ENCODER.encode(value)
    except ValueError:
        return _ENCODER.encode(_named(value))


def _named(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): _named(entry) for key, entry in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return [_named(entry) for entry in value]
    return value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
