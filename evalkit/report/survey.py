"""Walk the rows of a run once: cases to show, examples of errors, counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from evalkit.aggregate.shifts import Shift, ShiftMeter
from evalkit.report.distributions import Distributions, Histogram
from evalkit.report.marks import at_turn, failing_turn, first_failing, said_of_turn, turn_named, value_at, without_turn
from evalkit.report.shown_cases import LISTED_CASES, CaseDraw, ShownCases
from evalkit.report.transcript import answered, exchange
from evalkit.results import Check, Comparison, Decision
from evalkit.text.printable import one_line
from evalkit.types import SEVERITIES, WRONG, Metric, Row, Score, Unscored, Verdict, case_verdict, verdict_of

if TYPE_CHECKING:
    from evalkit.aggregate.failure_kinds import FailureKind

Rows = Callable[[], Iterable[Row]]
"""Returns the rows of a run in a fixed order, each time it is called."""
NO_ADVISORY: frozenset[str] = frozenset()
ANSWER_CHARS = 60


@dataclass(frozen=True, slots=True)
class FailedCase:
    """A case that fails, with the baseline's row if there is one."""

    row: Row
    """Its first failing repeat."""
    before: Row | None = None
    failed: tuple[Score, ...] = ()
    """Scores that made the case fail."""
    n_wrong: int = 1
    """Number of repeats that missed a pass mark or gave no answer."""
    n_runs: int = 1

    @property
    def turn(self) -> int | None:
        """The turn of a conversation to show: the one in the reason of `wrong`."""
        first = self._first
        return first_failing(self.row, () if first is None else (first,))

    @property
    def question(self) -> str:
        """The question; for a conversation, in the turn that is shown."""
        found = exchange(self.row, self.turn)
        return self.row.case.question if found is None else found[0]

    @property
    def wrong(self) -> str:
        """The fault in a few words: the reason of the first failed score, else the score or the state."""
        if self.row.failure is not None:
            return at_turn(self.turn, f"no answer: {self.row.failure.kind}")
        first = self._first
        if first is None:
            return self.row.state
        return at_turn(self.turn, first.reason or f"{first.metric} is {first.value:.3g}")

    @property
    def answer(self) -> str:
        """The answer (for a conversation, in the turn that is shown), or why there is none."""
        if self.row.output is not None:
            return answered(self.row, self.turn)
        return turn_named(self.row.failure.message)[1] if self.row.failure else "not run"

    @property
    def before_answer(self) -> str | None:
        """The baseline's answer to the same question; `None` if there is none."""
        if self.before is None or self.before.output is None:
            return None
        return answered(self.before, self.turn)

    @property
    def _first(self) -> Score | None:
        """The score to show: the first one with a reason."""
        return next((score for score in self.failed if score.reason), self.failed[0] if self.failed else None)

    @property
    def runs(self) -> str:
        """The number of failed repeats, if there are several: `3 of 10 runs`; empty for a single one."""
        return f"{self.n_wrong} of {self.n_runs} runs" if self.n_runs > 1 else ""


@dataclass(frozen=True, slots=True)
class Example:
    """One kind of error with the first case that had it."""

    kind: str
    case_id: str
    message: str


@dataclass(slots=True)
class Tally:
    """Counts of cases and of their runs, and of the failing cases by group."""

    n: int = 0
    n_runs: int = 0
    n_failed: int = 0
    n_errors: int = 0
    """Runs without an answer."""
    n_unscored: int = 0
    """Runs that could not be scored in full."""
    severities: Counter[str] = field(default_factory=Counter)
    metrics: Counter[str] = field(default_factory=Counter)
    cohorts: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    """Change since the baseline -> failing cases."""

    def add(self, verdict: Verdict, runs: Sequence[Row], verdicts: Sequence[Verdict], advisory: frozenset[str]) -> None:
        """Count one case with its runs and their verdicts."""
        self.n += 1
        self.n_runs += len(runs)
        self.n_errors += verdicts.count("system_error")
        self.n_unscored += verdicts.count("unscored")
        if verdict == "failed":
            case = runs[0].case
            self.n_failed += 1
            self.severities[case.severity] += 1
            self.metrics.update({score.metric for row in runs for score in failed_scores(row, advisory)})
            self.cohorts.update(f"{name}={value}" for name, value in case.cohorts.items())


@dataclass(slots=True)
class RowSurvey:
    """Results of one walk over the rows."""

    failing: list[FailedCase] = field(default_factory=list)
    """At most `LISTED_CASES`, one for each case, worst first."""
    failing_ids: set[str] = field(default_factory=set)
    """Every case that fails, whether or not it failed in the baseline."""
    n_failing: int = 0
    n_unpaired: int = 0
    """Failing cases that were added or edited, so that the baseline has no row for them."""
    is_new: bool = False
    """True if `failing` holds only cases that do not fail in the baseline."""
    tally: Tally = field(default_factory=Tally)
    histograms: tuple[Histogram, ...] = ()
    kinds: tuple[FailureKind, ...] = ()
    """All failing cases, grouped by the failed scorer and by their words."""
    shifts: tuple[Shift, ...] = ()
    """Measures other than metrics that moved; empty without a baseline."""
    shown: ShownCases | None = None
    """The cases that the page holds; `None` for all."""
    errors: dict[str, Example] = field(default_factory=dict)
    unscored: dict[str, Example] = field(default_factory=dict)
    unread: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Metric -> kind of missing score -> rows."""


def cases_of(rows: Iterable[Row], advisory: Collection[str], repeat_rule: str) -> Iterator[tuple[Verdict, list[Row]]]:
    """Yield the verdict of each case with its rows; of a case in quarantine, which nothing counts, `skipped`.

    Args:
        rows: sorted by case id.
        advisory: metrics that are shown but do not affect the decision.
        repeat_rule: the suite's.
    """
    for _, runs in groupby(rows, key=lambda row: row.case.id):
        case = list(runs)
        verdict = case_verdict([verdict_of(row, advisory) for row in case], repeat_rule)
        yield "skipped" if case[0].case.quarantine else verdict, case


def run_verdict(row: Row, advisory: Collection[str], failing_ids: Collection[str]) -> Verdict | Literal["flaky"]:
    """Return the verdict of a repeat as reports show it: `flaky` if it failed but its case does not fail."""
    verdict = verdict_of(row, advisory)
    return "flaky" if verdict == "failed" and row.case.id not in failing_ids else verdict


def failed_scores(row: Row, advisory: frozenset[str] = NO_ADVISORY) -> tuple[Score, ...]:
    """Return the deciding scores below their pass mark, in the order of the row."""
    return tuple(
        grade
        for grade in row.scores.values()
        if isinstance(grade, Score) and grade.passed is False and grade.metric not in advisory
    )


@dataclass(frozen=True, slots=True)
class Wrong:
    """The first failure of a row on one line."""

    turn: str
    """`turn 3` or `after turn 3` of a conversation; empty if the failure is not in a single turn."""
    text: str
    """Score, first words of the answer, reason; empty for a row without a failure."""

    def __str__(self) -> str:
        return f"{self.turn}: {self.text}" if self.turn else self.text


def first_wrong(row: Row, advisory: frozenset[str] = NO_ADVISORY) -> Wrong:
    """Return the first failure of a row."""
    if row.failure is not None:
        turn, message = said_of_turn(row.failure.message)
        return Wrong(turn, one_line(f"{row.failure.kind}: {message}"))
    for grade in (grade for name, grade in row.scores.items() if name not in advisory):
        number = failing_turn(grade)
        turn = "" if number is None else f"turn {number}"
        if isinstance(grade, Unscored):
            return Wrong(turn, one_line(f"{grade.metric} unscored ({grade.kind}) {turn_named(grade.message)[1]}"))
        if grade.passed is False:
            said = f'  "{one_line(answered(row, number), ANSWER_CHARS)}"' if row.output else ""
            reason = without_turn(grade.reason, number)
            return Wrong(turn, one_line(f"{grade.metric} {value_at(grade, number):.2f}{said}  {reason}"))
    return Wrong("", "")


def changes_of(comparison: Comparison | None) -> dict[str, str]:
    """Map the id of each case in the comparison to its change."""
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


def walk(  # noqa: PLR0913 - what a report is made of
    rows: Rows,
    baseline_rows: Rows | None,
    decision: Decision,
    metrics: Iterable[Metric],
    advisory: frozenset[str] = NO_ADVISORY,
    repeat_rule: str = "mean",
    draw: CaseDraw | None = None,
) -> RowSurvey:
    """Collect the data for the head of a report; memory holds only the rows of one case and the kept ones.

    `draw` chooses the cases that the page holds; without it, the page holds all.
    """
    # Imported here because the step that comments on a pull request uses this module without numpy.
    from evalkit.aggregate.failure_kinds import FailureGroups

    found = RowSurvey()
    new_failures = set(decision.comparison.new_failures) if decision.comparison else set()
    found.is_new = bool(new_failures)
    changes = changes_of(decision.comparison)
    unpaired = {*decision.comparison.added, *decision.comparison.changed} if decision.comparison else set()
    rank = _Rank(decision.checks)
    spread = Distributions(metrics)
    groups = FailureGroups(advisory, new_failures)
    meter = ShiftMeter(baseline_rows() if baseline_rows else ())
    kept: list[FailedCase] = []
    for verdict, runs in cases_of(rows(), advisory, repeat_rule):
        verdicts = [verdict_of(row, advisory) for row in runs]
        for row, ended in zip(runs, verdicts, strict=True):
            _note_errors(found, row, ended)
            spread.add(row)
            meter.add(row)
        groups.add(verdict, runs)
        found.tally.add(verdict, runs, verdicts, advisory)
        case_id = runs[0].case.id
        if draw is not None:
            draw.add(runs[0].case, verdict, changes.get(case_id, ""))
        if verdict == "failed":
            found.failing_ids.add(case_id)
            found.tally.changes.update([changes[case_id]] if case_id in changes else [])
            found.n_unpaired += case_id in unpaired
        if case_id in new_failures if found.is_new else verdict == "failed":
            found.n_failing += 1
            kept.append(_failed_case(runs, advisory))
            if len(kept) > 4 * LISTED_CASES:
                kept = sorted(kept, key=rank)[:LISTED_CASES]
    kept = sorted(kept, key=rank)[:LISTED_CASES]
    if draw is not None:
        for case_id in decision.comparison.removed if decision.comparison else ():
            draw.add_removed(case_id)
        found.shown = draw.shown(each.row.case.id for each in kept)
    before = _baseline_of([failed.row for failed in kept], baseline_rows)
    found.failing = [replace(each, before=before.get((each.row.case.id, each.row.repeat))) for each in kept]
    found.histograms = spread.histograms()
    found.kinds, found.shifts = groups.kinds(), meter.shifts()
    return found


def _failed_case(runs: Collection[Row], advisory: frozenset[str]) -> FailedCase:
    wrong = [row for row in runs if verdict_of(row, advisory) in WRONG]
    missed = [row for row in wrong if row.failure is None]
    row = next(iter([*missed, *wrong, *runs]))
    return FailedCase(row, None, failed_scores(row, advisory), len(wrong), len(runs))


class _Rank:
    """Sort key of failing rows: severity, then position among the failed checks, then id."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self._place: dict[str, int] = {}
        for check in checks:
            if check.outcome in ("block", "warn"):
                for place, case_id in enumerate(check.case_ids):
                    self._place[case_id] = min(place, self._place.get(case_id, place))

    def __call__(self, failed: FailedCase) -> tuple[int, int, str, int]:
        row = failed.row
        return (
            -SEVERITIES.index(row.case.severity),
            self._place.get(row.case.id, len(self._place)),
            row.case.id,
            row.repeat,
        )


def _note_errors(found: RowSurvey, row: Row, verdict: Verdict) -> None:
    """Keep the first example of each kind."""
    if row.failure is not None and row.failure.kind not in found.errors:
        found.errors[row.failure.kind] = Example(row.failure.kind, row.case.id, row.failure.message)
    for grade in row.scores.values():
        if isinstance(grade, Unscored):
            found.unread[grade.metric][grade.kind] += 1
            if verdict not in ("passed", "scored") and grade.kind not in found.unscored:
                found.unscored[grade.kind] = Example(grade.kind, row.case.id, grade.message)


def _baseline_of(kept: Iterable[Row], baseline_rows: Rows | None) -> Mapping[tuple[str, int], Row]:
    """Find the baseline's rows of the kept cases; stop at the last one."""
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
