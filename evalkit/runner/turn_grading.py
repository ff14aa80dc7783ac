"""Grade a conversation: its last answer, all its answers, or each turn."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from evalkit.formats.turns import turns_of, with_all_answers, with_last_input
from evalkit.formats.usage import add_usage
from evalkit.llm.errors import Deferred
from evalkit.scorers.base import Grade, Grades
from evalkit.suite.scorer_entry import Fold, Over, has_field
from evalkit.types import Case, Metric, Output, Score, Unscored, Usage

if TYPE_CHECKING:
    from evalkit.runner.grading import Scoring

NO_TURN, NOT_REACHED = "no_turn", "turn_not_reached"
"""Kinds of `Unscored` for a conversation with no graded turn, and for an unreached turn with no worst value."""
_NOTHING_TO_GRADE = frozenset({"no_call", "no_error"})
"""Kinds of `Unscored` for turns in which a scorer has nothing to grade."""


def over_answers(scoring: Scoring, over: Over) -> Scoring:
    """Return a scoring that sees a conversation's last answer, or all its answers.

    Args:
        scoring: scoring of one answer.
        over: `last` or `all`.
    """

    def score(case: Case, output: Output, repeat: int) -> Grades | Awaitable[Grades]:
        seen = with_all_answers(output, case) if over == "all" else output
        return scoring(with_last_input(case, output), seen, repeat)

    return score


def over_turns(
    sound: Callable[[Case, Output, int], Awaitable[Iterable[Grade]]],
    needs: frozenset[str],
    metrics: Mapping[str, Metric],
    fold: Fold | None,
) -> Callable[[Case, Output, int], Awaitable[Sequence[Grade]]]:
    """Return a scoring that grades each turn with the needed fields, and folds the grades into one.

    Args:
        sound: grades one turn; it raises nothing but `Deferred`.
        needs: fields of a turn.
        metrics: metrics of the scorer, by name.
        fold: how the grades of the turns become one; `None`: `all` for pass/fail metrics, `mean` for others.
    """

    async def score(case: Case, output: Output, repeat: int) -> Sequence[Grade]:
        if output.messages is None:
            what = "the system gives no messages, so its turns are unknown"
            return [Unscored(name, "missing_messages", what) for name in metrics]
        graded: dict[str, list[tuple[int, Grade]]] = {name: [] for name in metrics}
        deferred: Deferred | None = None
        for turn in turns_of(case, output):
            if not all(has_field(turn.case, name) for name in needs):
                continue
            if turn.output is None:
                for name, metric in metrics.items():
                    graded[name].append((turn.number, _not_reached(metric, output)))
                continue
            try:
                given = await sound(turn.case, turn.output, repeat)
            except Deferred as each:  # the questions about the other turns go into the same batch
                deferred = each
                continue
            for grade in given:
                if not (isinstance(grade, Unscored) and grade.kind in _NOTHING_TO_GRADE):
                    graded[grade.metric].append((turn.number, grade))
        if deferred is not None:
            raise deferred
        return [folded(metrics[name], grades, fold) for name, grades in graded.items()]

    return score


def _not_reached(metric: Metric, output: Output) -> Grade:
    """Return the grade of a scripted turn that was not reached: the metric's worst value, failed.

    If the metric has no worst value, the turn has no value but still fails.
    """
    why = f"never reached: the conversation ended with {output.stop or 'an earlier turn'}"
    worst = metric.low if metric.higher_is_better else metric.high
    if not math.isfinite(worst):
        return Unscored(metric.name, NOT_REACHED, why)
    return Score(metric.name, worst, False if metric.votes else None, why, {"reached": False})


def folded(metric: Metric, grades: Sequence[tuple[int, Grade]], fold: Fold | None) -> Grade:
    """Return one grade for the turns of a conversation.

    With `all` or `worst`, a failed turn fails a pass/fail metric even if other turns are unscored. In every other case
    an unscored turn leaves the conversation unscored; a turn that was never reached is skipped if others were graded.

    Args:
        metric: measured metric.
        grades: (turn, grade), in order.
        fold: see `over_turns`.
    """
    if not grades:
        return Unscored(metric.name, NO_TURN, "no turn has what the scorer needs")
    fold = fold or ("all" if metric.binary else "mean")
    if fold == "last":
        grades = grades[-1:]
    known = [(turn, grade) for turn, grade in grades if isinstance(grade, Score)]
    usage = _usage([grade for _, grade in grades])
    failed = [(turn, grade) for turn, grade in known if grade.passed is False]
    missed = [(turn, grade) for turn, grade in grades if _is_missed(grade)]
    left_out = missed if known else []
    unknown = next((each for each in grades if isinstance(each[1], Unscored) and each not in left_out), None)
    if unknown is not None and not (failed and fold in ("all", "worst") and metric.binary):
        turn, grade = unknown
        assert isinstance(grade, Unscored)  # noqa: S101
        return Unscored(metric.name, grade.kind, f"turn {turn}: {grade.message}", usage)
    turns = tuple((turn, grade.value if isinstance(grade, Score) else None) for turn, grade in grades)
    worst = min if metric.higher_is_better else max
    # A failed turn is the worst even if its value is not, for example if the passing values are a range.
    shown_turn, shown = worst(failed or known, key=lambda each: each[1].value)
    if fold == "mean":
        value = sum(grade.value for _, grade in known) / len(known)
        passed = _passes(metric, value, [grade for _, grade in known])
    else:
        value, passed = shown.value, shown.passed
    if missed and metric.votes:
        passed = False
    named, why = (failed or missed or [(shown_turn, shown)])[0]
    said = why.reason if isinstance(why, Score) else why.message
    reason = f"turn {named}: {said}" if said else f"turn {named}"
    details = {"turns": [_told(turn, grade) for turn, grade in grades]}
    return Score(metric.name, value, passed, reason, details, usage, turns)


def _is_missed(grade: Grade) -> bool:
    """Return True for a turn that was not reached."""
    return grade.kind == NOT_REACHED if isinstance(grade, Unscored) else grade.details.get("reached") is False


def _passes(metric: Metric, value: float, grades: Sequence[Score]) -> bool | None:
    """Return whether a mean passes: by the metric's pass mark, unless the turns show that it is not the whole rule."""
    marks = [grade.passed for grade in grades]
    if metric.pass_at is not None and all(grade.passed == _meets(metric, grade.value) for grade in grades):
        return _meets(metric, value)
    return None if None in marks else all(marks)


def _meets(metric: Metric, value: float) -> bool | None:
    if metric.pass_at is None:
        return None
    return value >= metric.pass_at if metric.higher_is_better else value <= metric.pass_at


def _told(turn: int, grade: Grade) -> dict[str, object]:
    if isinstance(grade, Unscored):
        return {"turn": turn, "unscored": grade.kind, "reason": grade.message}
    return {"turn": turn, "value": grade.value, "passed": grade.passed, "reason": grade.reason}


def _usage(grades: Sequence[Grade]) -> Usage | None:
    known = [grade.usage for grade in grades if grade.usage is not None]
    return reduce(add_usage, known) if known else None
