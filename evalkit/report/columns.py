"""Encode one line per row for the table of cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from evalkit.aggregate.cohorts import cohort_value
from evalkit.report.bodies import Json, snippet_of
from evalkit.report.opinions import Opinions
from evalkit.report.steps import rounded
from evalkit.report.survey import run_verdict
from evalkit.report.view import View
from evalkit.trust.labels import Label
from evalkit.types import KINDS, SEVERITIES, WRONG, Case, Row, Score, Unscored

CHUNK = 200
"""Number of bodies in one block of the file."""
VERDICTS = ("failed", "system_error", "unscored", "skipped", "flaky", "scored", "passed", "removed")
CHANGES = ("", "same", "new failure", "still failing", "fixed", "changed", "added", "removed")
CHANGE_SLUGS = {change: change.replace("failure", "fail").replace(" ", "_") for change in CHANGES}
"""Name of a change in a URL: `new_fail`."""
FLAGS = ("unscored", "retried", "cached", "stored answer", "injection suspect", "labelled")
COLUMNS = (
    *("id", "repeat", "verdict", "change", "kind", "severity", "cohorts", "question", "latency_s", "marks", "values"),
    *("was", "flags", "error", "opinions"),
)


class Columns:
    """Codes of cohorts, metrics and errors in order of appearance, and the index entry of a row."""

    def __init__(self, view: View, labels: Sequence[Label]) -> None:
        self._view = view
        self._compared = view.comparison is not None
        self._cohorts: dict[str, dict[str, int]] = {name: {} for name in view.cohort_names}
        self._metrics: dict[str, int] = {}
        self._errors: dict[str, int] = {}
        self._opinions = Opinions(labels)
        self._declared = dict(view.declared)

    def entry(self, row: Row | None, before: Row | None) -> list[Any]:
        """Return the row of the index, in the order of `COLUMNS`."""
        shown = row or before
        if shown is None:
            raise ValueError("an entry needs a row")
        case = shown.case
        change = self._view.changes.get(case.id, "same" if self._compared else "")
        marks, values = self._grades(shown)
        was = self._grades(before)[1] if row and before else None
        opinions = self._opinions.of(row, self._declared) if row else []
        return [
            case.id,
            shown.repeat,
            VERDICTS.index(run_verdict(row, self._view.advisory, self._view.failing_ids) if row else "removed"),
            CHANGES.index(change),
            KINDS.index(case.kind),
            SEVERITIES.index(case.severity),
            self._codes(case),
            snippet_of(case),
            rounded(shown.output.latency_s) if shown.output else None,
            marks,
            values,
            None if was is None else 0 if was == values else was,
            _flags(shown, labelled=bool(opinions)),
            self._error(shown),
            opinions or 0,
        ]

    def legend(self) -> Json:
        """Return the meaning of the entries."""
        declared = self._view.declared
        return {
            "columns": COLUMNS,
            "chunk": CHUNK,
            "verdicts": VERDICTS,
            "wrong": sorted(WRONG),
            "changes": CHANGES,
            "slugs": list(CHANGE_SLUGS.values()),
            "flags": FLAGS,
            "kinds": KINDS,
            "severities": SEVERITIES,
            "of_files": bool(self._view.caveat),
            "grades_only": self._view.grades_only,
            "errors": list(self._errors),
            "order": self._order(),
            "cohorts": [[name, list(values)] for name, values in self._cohorts.items()],
            "metrics": [
                {
                    "name": name,
                    "judge": declared[name].judge if name in declared else None,
                    "higher": declared[name].higher_is_better if name in declared else True,
                    "advisory": name in self._view.advisory,
                    "pass_at": declared[name].pass_at if name in declared else None,
                    "span": _span(declared[name].high - declared[name].low) if name in declared else None,
                }
                for name in self._metrics
            ],
        }

    def _order(self) -> list[int]:
        """Return the places of the metrics in the order in which the scorers declare them."""
        ranks = {name: rank for rank, name in enumerate(self._view.declared)}
        return sorted(self._metrics.values(), key=lambda place: ranks.get(list(self._metrics)[place], len(ranks)))

    def _codes(self, case: Case) -> list[int]:
        """Return a number for each cohort name, -1 if the case is in none."""
        for name in case.cohorts:
            if name not in self._cohorts:
                self._cohorts[name] = {}
        found = []
        for name, codes in self._cohorts.items():
            value = cohort_value(case, name)
            found.append(-1 if value is None else codes.setdefault(value, len(codes)))
        return found

    def _grades(self, row: Row) -> tuple[str, list[float | None]]:
        """Return the marks (`p`assed, `f`ailed, `s`cored, `u`nscored, `-` absent) and values by metric."""
        for name in row.scores:
            if name not in self._metrics:
                self._metrics[name] = len(self._metrics)
        grades = [row.scores.get(name) for name in self._metrics]
        values = [_finite(grade.value) if isinstance(grade, Score) else None for grade in grades]
        return "".join(map(_mark, grades)), values

    def _error(self, row: Row) -> int:
        """Return a number for the kind of error, or of the first missing score; -1 for none."""
        kind = row.failure.kind if row.failure else next((each.kind for each in _unscored(row)), None)
        return -1 if kind is None else self._errors.setdefault(kind, len(self._errors))


def _flags(row: Row, *, labelled: bool) -> int:
    """Return the bits in the order of `FLAGS`; a judge's own mark in an answer is flagged as an injection."""
    output = row.output
    missing = [grade.kind for grade in _unscored(row)]
    usages = [*((output.usage, output.user_usage) if output else ()), *(grade.usage for grade in row.scores.values())]
    marks = (
        bool(missing),
        output is not None and output.attempts > 1,
        any(usage is not None and usage.cached for usage in usages),
        output is not None and output.replayed,
        any(kind.startswith("echoed") for kind in missing),
        labelled,
    )
    return sum(1 << place for place, mark in enumerate(marks) if mark)


def _unscored(row: Row) -> list[Unscored]:
    return [grade for grade in row.scores.values() if isinstance(grade, Unscored)]


def _mark(grade: Score | Unscored | None) -> str:
    if grade is None:
        return "-"
    if isinstance(grade, Unscored):
        return "u"
    return "s" if grade.passed is None else "p" if grade.passed else "f"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _span(width: float) -> float | None:
    return width if math.isfinite(width) and width > 0 else None
