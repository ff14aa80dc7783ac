"""One walk over the rows of a run: the cases worth showing, an example of each error, and counts for the histograms."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from evalkit.report.distributions import Distributions, Histogram
from evalkit.report.texts import one_line
from evalkit.results import Check, Comparison, Decision
from evalkit.types import SEVERITIES, Metric, Row, Score, Unscored

Rows = Callable[[], Iterable[Row]]
"""Gives the rows of a run in a fixed order, as often as it is called."""
Verdict = Literal["failed", "passed", "scored", "unscored", "system_error", "skipped"]
WRONG: frozenset[Verdict] = frozenset({"failed", "system_error"})
"""A failed pass mark, or no answer: what a reader looks into."""
UNKNOWN: frozenset[Verdict] = frozenset({"unscored", "system_error"})
"""A whole result was asked for, and there is none."""
FAILED: frozenset[Verdict] = WRONG | UNKNOWN | {"skipped"}
"""Not known to be good: what `--fail-fast` counts and `--failed-from` runs again."""
NO_ADVISORY: frozenset[str] = frozenset()
KEPT = 50
ANSWER_CHARS = 60


@dataclass(frozen=True, slots=True)
class FailedCase:
    """A case that did not pass, with the baseline's row where there is one."""

    row: Row
    before: Row | None = None
    failed: tuple[Score, ...] = ()
    """The scores that made it fail."""


@dataclass(frozen=True, slots=True)
class Example:
    """One kind of error with the first case that had it."""

    kind: str
    case_id: str
    message: str


@dataclass(slots=True)
class Survey:
    """What one walk over the rows found."""

    failing: list[FailedCase] = field(default_factory=list)
    """At most `KEPT`, worst first."""
    n_failing: int = 0
    is_new: bool = False
    """True where `failing` holds only failures that the baseline did not have."""
    histograms: tuple[Histogram, ...] = ()
    errors: dict[str, Example] = field(default_factory=dict)
    unscored: dict[str, Example] = field(default_factory=dict)
    unread: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Metric -> kind of missing score -> rows."""


def verdict_of(row: Row, advisory: frozenset[str] = NO_ADVISORY) -> Verdict:
    """How a reader sees a row: a failed score is a failure even where another score is missing.

    Args:
        row: one case x repeat.
        advisory: metrics that are shown and decide nothing.
    """
    if row.skipped is not None:
        return "skipped"
    if row.failure is not None:
        return "system_error"
    grades = [grade for grade in row.scores.values() if grade.metric not in advisory]
    marks = [grade.passed for grade in grades if isinstance(grade, Score)]
    if False in marks:
        return "failed"
    if len(marks) < len(grades):
        return "unscored"
    return "passed" if True in marks else "scored"


def failed_scores(row: Row, advisory: frozenset[str] = NO_ADVISORY) -> tuple[Score, ...]:
    """The scores below their pass mark that decide, in the order of the row."""
    return tuple(
        grade
        for grade in row.scores.values()
        if isinstance(grade, Score) and grade.passed is False and grade.metric not in advisory
    )


def first_wrong(row: Row, advisory: frozenset[str] = NO_ADVISORY) -> str:
    """The first thing that is wrong with a row, in one line: score, the answer's first words, the reason."""
    if row.failure is not None:
        return one_line(f"{row.failure.kind}: {row.failure.message}")
    for grade in (grade for name, grade in row.scores.items() if name not in advisory):
        if isinstance(grade, Unscored):
            return one_line(f"{grade.metric} unscored ({grade.kind}) {grade.message}")
        if isinstance(grade, Score) and grade.passed is False:
            said = f'  "{one_line(row.output.text, ANSWER_CHARS)}"' if row.output else ""
            return one_line(f"{grade.metric} {grade.value:.2f}{said}  {grade.reason}")
    return ""


def changes_of(comparison: Comparison | None) -> dict[str, str]:
    """Map the id of each case that the comparison lists to what happened to it."""
    if comparison is None:
        return {}
    named = (
        ("still failing", comparison.still_failing),
        ("fixed", comparison.fixed),
        ("new failure", comparison.new_failures),
        ("changed", comparison.changed),
        ("added", comparison.added),
        ("removed", comparison.removed),
    )
    return {case_id: change for change, case_ids in named for case_id in case_ids}


def walk(
    rows: Rows,
    baseline_rows: Rows | None,
    decision: Decision,
    metrics: Iterable[Metric],
    advisory: frozenset[str] = NO_ADVISORY,
) -> Survey:
    """Collect what the head of a report shows; memory does not grow with the rows."""
    found = Survey()
    new_failures = set(decision.comparison.new_failures) if decision.comparison else set()
    found.is_new = bool(new_failures)
    rank = _Rank(decision.checks)
    spread = Distributions(metrics)
    kept: list[Row] = []
    failing: set[str] = set()
    for row in rows():
        verdict = verdict_of(row, advisory)
        _note_errors(found, row, verdict)
        spread.add(row)
        if row.case.id in new_failures if found.is_new else verdict == "failed":
            failing.add(row.case.id)
            kept.append(row)
            if len(kept) > 4 * KEPT:
                kept = sorted(kept, key=rank)[:KEPT]
    found.n_failing = len(failing)
    kept = sorted(kept, key=rank)[:KEPT]
    before = _baseline_of(kept, baseline_rows)
    found.failing = [
        FailedCase(row, before.get((row.case.id, row.repeat)), failed_scores(row, advisory)) for row in kept
    ]
    found.histograms = spread.histograms()
    return found


class _Rank:
    """Sort key of failing rows: severity, then the place in the checks that failed, then the id."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self._place: dict[str, int] = {}
        for check in checks:
            if check.outcome in ("block", "warn"):
                for place, case_id in enumerate(check.case_ids):
                    self._place[case_id] = min(place, self._place.get(case_id, place))

    def __call__(self, row: Row) -> tuple[int, int, str, int]:
        return (
            -SEVERITIES.index(row.case.severity),
            self._place.get(row.case.id, len(self._place)),
            row.case.id,
            row.repeat,
        )


def _note_errors(found: Survey, row: Row, verdict: Verdict) -> None:
    """Keep the first example of each kind."""
    if row.failure is not None and row.failure.kind not in found.errors:
        found.errors[row.failure.kind] = Example(row.failure.kind, row.case.id, row.failure.message)
    for grade in row.scores.values():
        if isinstance(grade, Unscored):
            found.unread[grade.metric][grade.kind] += 1
            if verdict not in ("passed", "scored") and grade.kind not in found.unscored:
                found.unscored[grade.kind] = Example(grade.kind, row.case.id, grade.message)


def _baseline_of(kept: Iterable[Row], baseline_rows: Rows | None) -> Mapping[tuple[str, int], Row]:
    """Find the baseline's rows of the kept cases; stops at the last of them."""
    wanted = {(row.case.id, row.repeat) for row in kept}
    found: dict[tuple[str, int], Row] = {}
    if baseline_rows is None or not wanted:
        return found
    for row in baseline_rows():
        key = (row.case.id, row.repeat)
        if key in wanted:
            found[key] = row
            if len(found) == len(wanted):
                break
    return found
