"""Score one output with every scorer that applies; a scorer that fails leaves its metric `unscored`."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from evalkit.errors import RunError
from evalkit.formats.turns import lacks_texts, turn_cases
from evalkit.golden.variants.original import mark_of
from evalkit.llm.budget import BudgetReached
from evalkit.llm.errors import Deferred
from evalkit.runner.turn_grading import over_answers, over_turns
from evalkit.scorers.base import (
    AskAgain,
    Grade,
    Grades,
    OfWholeConversation,
    PerRepeat,
    Resampling,
    Scorer,
    WithoutText,
)
from evalkit.scorers.custom.returned import read_own
from evalkit.suite.scorer_entry import Fold, Over, When, has_field
from evalkit.text.values import one_line, shown
from evalkit.types import Case, Concern, Metric, Output, Score, Unscored

GradeAll = Callable[[Case, Output, int], Awaitable[Mapping[str, Grade]]]
Scoring = Callable[[Case, Output, int], Grades | Awaitable[Grades]]
"""Grades one output of one repeat."""
NO_TEXT = "no_text"
"""Kind of `Unscored` for an answer whose text nobody recorded."""
_NO_TEXT = "the text of the answer is unknown: it was stored or traced without content"
_SLACK = 1e-9
_ONE = (Score, Unscored)
"""Types of a single grade, which need not be awaited."""


@dataclass(frozen=True)
class Grader:
    """A bound scorer and the cases it applies to."""

    scorer: Scorer
    when: When | None = None
    advisory: bool = False
    key: Mapping[str, str] = field(default_factory=dict)
    index: int = 0
    """Its index under `scorers:`."""
    concern: Concern | None = None
    """The suite's `concern` for the scorer's metrics."""
    package: str = ""
    """Name and version of the package that provides the scorer; empty for a shipped one."""
    negated: bool = False
    """Whether the name has the prefix `not_`, so that pass and fail, and 1 and 0, are swapped."""
    over: Over | None = None
    """The part of a conversation that the scorer grades; `None` in a suite without conversations."""
    fold: Fold | None = None
    """How the grades of turns become one."""

    def __post_init__(self) -> None:
        """Reject negating a scorer that is not pass/fail, and averaging passes and fails."""
        binary = [metric.name for metric in self.scorer.metrics if metric.binary]
        if self.fold == "mean" and binary:
            raise ValueError(f"fold: {binary[0]} is pass or fail, so it has no mean; write `fold: all`")
        if self.over == "turn" and isinstance(self.scorer, OfWholeConversation):
            raise ValueError(f"over: {self.scorer.name} asks about the whole conversation; remove `over: turn`")
        if self.fold is not None and self.over != "turn":
            raise ValueError("fold: grades of turns are folded, and this scorer grades none; add `over: turn`")
        graded = [metric.name for metric in self.scorer.metrics if self.negated and not metric.binary]
        if graded:
            raise ValueError(f"name: {graded[0]} is graded, not pass or fail; use its `max`, or drop `not_`")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The scorer's metrics, with the suite's `concern` if it sets one."""
        metrics = self.scorer.metrics
        return metrics if self.concern is None else tuple(replace(each, concern=self.concern) for each in metrics)

    def applies(self, case: Case) -> bool:
        """Return True if the suite applies this scorer to `case`; none applies to an attack in place of a question."""
        mark = mark_of(case)
        if mark is not None and mark.alone:
            return False
        return self.when is None or self.when.matches(case, turn_cases(case) if self.over == "turn" else ())

    def asked_of_turns(self, case: Case) -> frozenset[str]:
        """Return the fields of `when: {has: ...}` that only turns have; a turn without them is not graded."""
        has = () if self.when is None else self.when.has
        return frozenset(name for name in has if not has_field(case, name))


def grade_all(graders: Sequence[Grader], again: AskAgain | None = None) -> GradeAll:
    """Return a function that grades one output of one repeat with every grader, by metric name.

    Args:
        graders: the scorers.
        again: asks the system for further answers; `None` if stored answers are graded.
    """
    metrics = [{metric.name: metric for metric in grader.scorer.metrics} for grader in graders]
    paired = list(zip(graders, (_scoring(grader, again) for grader in graders), metrics, strict=True))

    async def grade(case: Case, output: Output, repeat: int) -> Mapping[str, Grade]:
        grades: dict[str, Grade] = {}
        deferred: Deferred | None = None
        for grader, score, expected in paired:
            if not grader.applies(case):
                continue
            try:
                given = await _graded(grader, score, expected, case, output, repeat)
            except Deferred as each:  # the questions of the other scorers go into the same batch
                deferred = each
                continue
            for one in given:
                grades[one.metric] = failed_by(output.fault, one, expected[one.metric]) if output.fault else one
        if deferred is not None:
            raise deferred
        return grades

    return grade


async def _graded(
    grader: Grader, score: Scoring, expected: Mapping[str, Metric], case: Case, output: Output, repeat: int
) -> Iterator[Grade]:
    if grader.over in (None, "conversation") or isinstance(grader.scorer, OfWholeConversation):
        return await _asked(grader, partial(score, case, output, repeat), expected)
    if grader.over != "turn":
        return await _asked(grader, partial(over_answers(score, grader.over), case, output, repeat), expected)

    async def sound(case: Case, output: Output, repeat: int) -> Iterator[Grade]:
        return await _asked(grader, partial(score, case, output, repeat), expected)

    needs = grader.scorer.needs | grader.asked_of_turns(case)
    return iter(await over_turns(sound, needs, expected, grader.fold)(case, output, repeat))


async def _asked(
    grader: Grader, score: Callable[[], Grades | Awaitable[Grades]], expected: Mapping[str, Metric]
) -> Iterator[Grade]:
    try:
        given = score()
        if not isinstance(given, _ONE) and inspect.isawaitable(given):
            given = await given
        grades = (given,) if isinstance(given, _ONE) else tuple(given)
        if grader.package:
            grades = tuple(read_own(grade) for grade in grades)
        if grader.negated:
            grades = tuple(map(_turned, grades))
    except RunError as error:
        return _all_unscored(expected, "judge_error", str(error))
    except BaseException as error:
        if _is_ours(error):
            raise
        return _all_unscored(expected, "scorer_error", f"{type(error).__name__}: {one_line(error)}")
    return _checked(grades, expected)


def failed_by(fault: str, grade: Grade, metric: Metric) -> Grade:
    """Return the grade of an output that is not an answer, which never passes.

    A graded metric keeps its value, measured on the returned text. A pass/fail metric fails. If no grade could be
    given, a pass/fail metric fails and a graded one stays unknown.
    """
    if not metric.votes or (isinstance(grade, Unscored) and not metric.binary):
        return grade
    worst = metric.low if metric.higher_is_better else metric.high
    value = worst if isinstance(grade, Unscored) or metric.binary else grade.value
    details = {} if isinstance(grade, Unscored) else grade.details
    return Score(metric.name, value, passed=False, reason=f"no answer: {fault}", details=details, usage=grade.usage)


def _turned(grade: Grade) -> Grade:
    """Swap pass and fail; an unscored grade stays unscored."""
    if isinstance(grade, Unscored):
        return grade
    passed = None if grade.passed is None else not grade.passed
    return replace(grade, value=1.0 - grade.value, passed=passed, reason=f"not: {grade.reason}")


def _scoring(grader: Grader, again: AskAgain | None) -> Scoring:
    scorer = grader.scorer
    score: Scoring = lambda case, output, _: scorer.score(case, output)  # noqa: E731
    if isinstance(scorer, PerRepeat):
        score = scorer.score_repeat
    if isinstance(scorer, Resampling):
        score = partial(_score_again, scorer, again)
    if isinstance(scorer, WithoutText):
        return score
    reads_all = grader.over in (None, "conversation")

    def of_known_text(case: Case, output: Output, repeat: int) -> Grades | Awaitable[Grades]:
        if output.text_known and not (reads_all and lacks_texts(output)):
            return score(case, output, repeat)
        return [Unscored(metric.name, NO_TEXT, _NO_TEXT) for metric in scorer.metrics]

    return of_known_text


def _score_again(
    scorer: Resampling, again: AskAgain | None, case: Case, output: Output, repeat: int
) -> Grades | Awaitable[Grades]:
    return scorer.score_again(case, output, repeat, again)


def _is_ours(error: BaseException) -> bool:
    """Return True for exceptions that no scorer raises: budget, waiting for a batch, cancelled run, closed coroutine.

    Every other `BaseException`, `SystemExit` and `KeyboardInterrupt` included, comes from a scorer's library, because
    the signals of a run are handled elsewhere.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, BudgetReached | Deferred | GeneratorExit)


def _all_unscored(expected: Mapping[str, Metric], kind: str, message: str) -> Iterator[Grade]:
    return (Unscored(name, kind, message) for name in expected)


def _checked(grades: Sequence[Grade], expected: Mapping[str, Metric]) -> Iterator[Grade]:
    """Yield exactly one grade for each expected metric, finite and within its range."""
    by_name = {grade.metric: grade for grade in grades}
    for name, metric in expected.items():
        grade = by_name.get(name)
        if grade is None:
            yield Unscored(name, "no_grade", "the scorer returned nothing for this metric")
        else:
            yield _sound(grade, metric)


def _sound(grade: Grade, metric: Metric) -> Grade:
    if isinstance(grade, Unscored):
        return grade
    value = grade.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        return Unscored(grade.metric, "not_finite", f"the scorer returned {shown(value)}", grade.usage)
    if not metric.low - _SLACK <= value <= metric.high + _SLACK:
        message = f"the scorer returned {shown(value)}, outside {metric.low:g} to {metric.high:g}"
        return Unscored(grade.metric, "out_of_range", message, grade.usage)
    return grade
