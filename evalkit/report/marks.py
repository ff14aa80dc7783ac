"""Read scorers' marks on single turns and steps of a conversation, and the turn that a text names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.types import Row, Score, Unscored

_TURN = re.compile(r"(?:after )?turn (\d+)(?:: |$)")


@dataclass(frozen=True, slots=True)
class Mark:
    """A scorer's mark on one turn or one step."""

    metric: str
    reason: str = ""
    value: float | None = None
    passed: bool | None = None
    unscored: str = ""
    """Kind of a missing score."""
    turn: int | None = None
    step: int | None = None
    """Position in the trajectory, from 0."""


def marks_of(grades: Iterable[Score | Unscored]) -> list[Mark]:
    """Return scorers' marks on single turns and steps: grades by turn, and violations of a policy."""
    found: list[Mark] = []
    for grade in grades:
        if isinstance(grade, Unscored):
            number, why = turn_named(grade.message)
            found.append(Mark(grade.metric, why, unscored=grade.kind, turn=number))
        else:
            found += [_grade_of_turn(grade.metric, item) for item in _mappings(grade.details.get("turns"))]
            found += [_violation(grade.metric, item) for item in _mappings(grade.details.get("violations"))]
    return [mark for mark in found if mark.turn is not None or mark.step is not None]


def turn_named(text: str) -> tuple[int | None, str]:
    """Return the turn that a reason or a message begins with (`turn 3: why`), and the rest of the text."""
    found = _TURN.match(text)
    return (int(found[1]), text[found.end() :]) if found else (None, text)


def said_of_turn(text: str) -> tuple[str, str]:
    """Return `turn 3` or `after turn 3`, as a text begins with it, and the rest of the text."""
    found = _TURN.match(text)
    return (found[0].removesuffix(": "), text[found.end() :]) if found else ("", text)


def failing_turn(grade: Score | Unscored) -> int | None:
    """Return the turn that caused a grade: the one that its reason names, else the first with a failing mark."""
    number, _ = turn_named(grade.reason if isinstance(grade, Score) else grade.message)
    if number is not None:
        return number
    marks = (mark.turn for mark in marks_of([grade]) if mark.passed is False and mark.turn is not None)
    return min(marks, default=None)


def value_at(score: Score, turn: int | None) -> float:
    """Return the value of a score for a turn, or for the whole conversation if that is unknown."""
    found = next((value for number, value in score.turns if number == turn), None)
    return score.value if found is None else found


def first_failing(row: Row, grades: Iterable[Score | Unscored]) -> int | None:
    """Return the first turn that went wrong, `None` if it is unknown or the row is not a conversation.

    Args:
        row: its failure, if there is one, names the turn.
        grades: those that make the row fail.
    """
    if row.failure is not None:
        return turn_named(row.failure.message)[0]
    return min((turn for grade in grades if (turn := failing_turn(grade)) is not None), default=None)


def at_turn(number: int | None, text: str) -> str:
    """Write `turn 3: text`, or the text alone for no turn."""
    return text if number is None else f"turn {number}: {without_turn(text, number)}"


def without_turn(text: str, number: int | None) -> str:
    """Return a reason without its turn: at the beginning, after a step, and before a part."""
    _, rest = turn_named(text)
    return rest if number is None else re.sub(rf", turn {number}(?=\))|(?<=; )turn {number}: ", "", rest)


def _mappings(items: object) -> list[Mapping[str, Any]]:
    """Return the mappings of a list, because details of a scorer may have any form."""
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list | tuple) else []


def _grade_of_turn(metric: str, item: Mapping[str, Any]) -> Mark:
    value, passed, quote = item.get("value"), item.get("passed"), item.get("quote")
    return Mark(
        metric,
        " ".join(filter(None, (str(item.get("reason") or ""), f"“{quote}”" if quote else ""))),
        float(value) if isinstance(value, int | float) else None,
        passed if isinstance(passed, bool) else None,
        str(item.get("unscored") or ""),
        _count(item.get("turn")),
    )


def _violation(metric: str, item: Mapping[str, Any]) -> Mark:
    """Read one violation of a policy; its step is counted from 1."""
    rule, what, why = (str(item.get(key) or "") for key in ("rule", "what", "why"))
    reason = ": ".join(filter(None, (rule, what))) + (f" ({why})" if why else "")
    step = _count(item.get("step"))
    return Mark(metric, reason, passed=False, turn=_count(item.get("turn")), step=None if step is None else step - 1)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
