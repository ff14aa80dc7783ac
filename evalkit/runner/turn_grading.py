"""Grade a conversation: its last answer, all its answers, or each turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from evalkit.formats.turns import turns_of, with_all_answers, with_last_input
from evalkit.formats.usage import add_usage
from evalkit.scorers.base import Grade, Grades
from evalkit.suite.model import Fold, Over, has_field
from evalkit.types import Case, Metric, Output, Score, Unscored, Usage

if TYPE_CHECKING:
    from evalkit.runner.grading import Scoring

NO_TURN = "no_turn"
"""Kind of a grade that no turn could be given."""


def over_answers(scoring: Scoring, over: Over) -> Scoring:
    """Return a scoring that sees a conversation's last answer, or all of them.

    Args:
        scoring: of one answer.
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
    """Return a scoring that grades every turn which has what the scorer needs, and folds the grades.

    Args:
        sound: grades one turn; it raises nothing.
        needs: fields of a turn.
        metrics: of the scorer, by name.
        fold: how the grades of the turns become one; `None`: `all` for pass/fail metrics, `mean` for others.
    """

    async def score(case: Case, output: Output, repeat: int) -> Sequence[Grade]:
        if output.messages is None:
            what = "the system gives no messages, so its turns are unknown"
            return [Unscored(name, "missing_messages", what) for name in metrics]
        graded: dict[str, list[tuple[int, Grade]]] = {name: [] for name in metrics}
        for turn in turns_of(case, output):
            if not all(has_field(turn.case, name) for name in needs):
                continue
            if turn.output is None:
                for name, metric in metrics.items():
                    graded[name].append((turn.number, _not_reached(metric, output)))
                continue
            for grade in await sound(turn.case, turn.output, repeat):
                graded[grade.metric].append((turn.number, grade))
        return [folded(metrics[name], grades, fold) for name, grades in graded.items()]

    return score


def _not_reached(metric: Metric, output: Output) -> Grade:
    """Return the grade of a scripted turn that the conversation did not reach: it never passes."""
    why = f"never reached: the conversation ended with {output.stop or 'an earlier turn'}"
    if not metric.votes:
        return Unscored(metric.name, "turn_not_reached", why)
    return Score(metric.name, metric.low if metric.higher_is_better else metric.high, False, why)


def folded(metric: Metric, grades: Sequence[tuple[int, Grade]], fold: Fold | None) -> Grade:
    """Return one grade for the turns of a conversation.

    A failed turn fails `all` and `worst`, whatever else could not be graded. Otherwise a turn without a grade leaves
    the conversation without one.

    Args:
        metric: what was measured.
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
    unknown = next(((turn, grade) for turn, grade in grades if isinstance(grade, Unscored)), None)
    if unknown is not None and not (failed and fold in ("all", "worst") and metric.binary):
        turn, grade = unknown
        assert isinstance(grade, Unscored)  # noqa: S101
        return Unscored(metric.name, grade.kind, f"turn {turn}: {grade.message}", usage)
    turns = tuple((turn, grade.value if isinstance(grade, Score) else None) for turn, grade in grades)
    worst = min if metric.higher_is_better else max
    shown_turn, shown = worst(known, key=lambda each: each[1].value)
    if fold == "mean":
        value = sum(grade.value for _, grade in known) / len(known)
        passed = _passes(metric, value, [grade.passed for _, grade in known])
    else:
        value, passed = shown.value, shown.passed
    failing = failed[0] if failed else (shown_turn, shown)
    reason = f"turn {failing[0]}: {failing[1].reason}" if failing[1].reason else f"turn {failing[0]}"
    details = {"turns": [_told(turn, grade) for turn, grade in grades]}
    return Score(metric.name, value, passed, reason, details, usage, turns)


def _passes(metric: Metric, value: float, marks: Sequence[bool | None]) -> bool | None:
    if metric.pass_at is not None:
        return value >= metric.pass_at if metric.higher_is_better else value <= metric.pass_at
    return None if None in marks else all(marks)


def _told(turn: int, grade: Grade) -> dict[str, object]:
    if isinstance(grade, Unscored):
        return {"turn": turn, "unscored": grade.kind, "reason": grade.message}
    return {"turn": turn, "value": grade.value, "passed": grade.passed, "reason": grade.reason}


def _usage(grades: Sequence[Grade]) -> Usage | None:
    known = [grade.usage for grade in grades if grade.usage is not None]
    return reduce(add_usage, known) if known else None
