"""Read the value that a function of the project returned as a grade."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from evalkit.formats.plain import plain
from evalkit.text.values import key_names, one_line, shown
from evalkit.types import MOST, Metric, Score, Unscored, Usage

KEYS = ("value", "score", "passed", "reason")
REASON_CHARS = 4_000
_SLACK = 1e-9


def read_grade(value: object, metric: Metric, place: str) -> Score | Unscored:
    """Read a returned value: a bool, a number, a `Score`, an `Unscored`, a mapping of `KEYS`, or `None`.

    Args:
        value: returned value.
        metric: metric of the function; a `Score` or `Unscored` gets its name.
        place: file and line of the function, for the beginning of messages.

    Returns:
        `Unscored` of kind `no_grade` for `None`, and of kind `scorer_error` for a value of another type, a number that
        is not finite or outside the metric's range, or a verdict that contradicts the value.
    """
    try:
        return _read(value, metric, place)
    except (ValueError, OverflowError) as error:
        return Unscored(metric.name, "scorer_error", f"{place}: {one_line(error)}")


def read_own(grade: object) -> Score | Unscored:
    """Check a grade of a package's scorer, so that it can be stored.

    Raises:
        ValueError: it is not a `Score` or `Unscored`, or its reason, details or usage cannot be stored.
    """
    if isinstance(grade, Unscored):
        return Unscored(grade.metric, one_line(grade.kind), one_line(grade.message), _usage(grade.usage))
    if not isinstance(grade, Score):
        raise ValueError(f"returned {shown(grade)}; return a Score or an Unscored")
    if not isinstance(grade.passed, bool | None):
        raise ValueError(f"returned passed={shown(grade.passed)}; return True, False or None")
    details = plain("details", grade.details)
    return Score(grade.metric, grade.value, grade.passed, _reason(grade.reason), details, _usage(grade.usage))


def _read(value: object, metric: Metric, place: str) -> Score | Unscored:
    if value is None:
        return Unscored(metric.name, "no_grade", f"{place}: returned nothing")
    if isinstance(value, Unscored):
        return Unscored(metric.name, one_line(value.kind), one_line(value.message), _usage(value.usage))
    if isinstance(value, Score):
        details = plain("details", value.details)
        return _graded(metric, value.value, value.passed, _reason(value.reason), details, _usage(value.usage))
    if isinstance(value, Mapping):
        return _of_mapping(value, metric)
    return _graded(metric, value, None, f"returned {one_line(value, 60)}")


def _of_mapping(value: Mapping[Any, Any], metric: Metric) -> Score:
    if unknown := [key for key in value if key not in KEYS]:
        raise ValueError(f"returned the unknown key {shown(unknown[0])}; the keys are {', '.join(KEYS)}")
    if "value" in value and "score" in value:
        raise ValueError("returned both `value` and `score`; return one of them")
    number, passed = value.get("value", value.get("score")), value.get("passed")
    if number is None and passed is not None and metric.binary:
        number = passed
    if number is None:
        raise ValueError(f"returned {{{key_names(value)}}} without a `value`")
    return _graded(metric, number, passed, _reason(value.get("reason") or ""))


def _graded(
    metric: Metric,
    given: object,
    passed: object,
    reason: str,
    details: Mapping[str, Any] | None = None,
    usage: Usage | None = None,
) -> Score:
    value = _number(given)
    if not metric.low - _SLACK <= value <= metric.high + _SLACK:
        fix = "set `metric: {low: ..., high: ...}`"
        raise ValueError(f"returned {value:g}, outside {metric.low:g} to {metric.high:g}; {fix}")
    if metric.binary and value not in (0.0, 1.0):
        fix = "for a graded scorer set `min:`, or `metric: {binary: false}`"
        raise ValueError(f"returned {value:g}, but a pass/fail scorer returns True or False; {fix}")
    own = _passes(value, metric)
    if passed is not None:
        said = bool(_number(passed))
        if own is None:
            raise ValueError("returned `passed`, but the scorer has no pass mark; set `min:` or `max:`")
        if said != own:
            mark = "its value" if metric.pass_at is None else f"the pass mark {metric.pass_at:g}"
            raise ValueError(f"returned {value:g} and passed={said}, which contradicts {mark}")
    return Score(metric.name, value, own, reason, details or {}, usage)


def _passes(value: float, metric: Metric) -> bool | None:
    if metric.binary:
        return value == 1.0
    if metric.pass_at is None:
        return None
    return value >= metric.pass_at if metric.higher_is_better else value <= metric.pass_at


def _number(value: object) -> float:
    if not isinstance(value, bool | numbers.Real) and callable(item := getattr(value, "item", None)):
        try:
            value = item()  # a scalar of NumPy or PyTorch
        except Exception:
            raise ValueError(f"returned {shown(value)}, which is not one number") from None
    if not isinstance(value, bool | numbers.Real | Decimal):
        raise ValueError(
            f"returned {shown(value)}; return True, False, a number, a Score, or {{value, passed, reason}}"
        )
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"returned {number}, which is not a finite number")
    return number


def _reason(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"returned a reason that is {shown(value)}; return a text")
    text = str.__str__(value)
    return text if len(text) <= REASON_CHARS else text[: REASON_CHARS - 1] + "…"


def _usage(usage: object) -> Usage | None:
    if usage is None:
        return None
    if not isinstance(usage, Usage):
        raise ValueError(f"returned a usage that is {shown(usage)}; return a Usage")
    for amount in (usage.input_tokens, usage.output_tokens, usage.cost_usd):
        if amount is not None and not (isinstance(amount, int | float) and 0 <= amount < MOST):
            raise ValueError(f"returned a usage with {shown(amount)}")
    return usage
