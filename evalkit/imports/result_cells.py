"""Read one cell of a column of grades: a number, a pass or fail, or a named reason why it is unknown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from evalkit.golden.json_lines import Unreadable
from evalkit.text.values import one_line
from evalkit.types import MOST

_PASSES = frozenset({"true", "yes", "pass", "passed", "ok", "correct", "success"})
_FAILS = frozenset({"false", "no", "fail", "failed", "incorrect", "wrong", "failure"})
VERDICTS = (_PASSES | _FAILS) - {"true", "false", "yes", "no"}
"""Words that can only grade an answer; the others may be the answer itself."""
_EMPTY = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "-"})
_INFINITE = frozenset({"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
_ERRORS = frozenset({"error", "errored", "timeout", "timed out", "exception"})
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""Grades of inspect: correct, partially correct, incorrect, no answer."""
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Grade:
    """A cell of a column of grades."""

    value: float | None = None
    """`None` if it is unknown."""
    word: bool = False
    """Whether a word said pass or fail."""
    verdict: bool = False
    """Whether that word can be nothing but a grade: `pass`, and not `yes`."""
    letter: bool = False
    """Whether it is a letter of inspect."""
    unknown: str = ""
    """Why there is no value: `empty`, `not_finite`, `error` or `unreadable`; empty if there is one."""
    message: str = ""
    """The text of the cell."""


class NotAGrade(ValueError):
    """Raised for a cell that is neither a number, nor pass or fail, nor known to be missing."""


EMPTY = Grade(unknown="empty")


def read_grade(cell: Any, *, decimal_comma: bool = False) -> Grade:
    """Read a cell.

    Args:
        cell: text, or a value of JSON or of a typed table.
        decimal_comma: whether `0,85` is a number, as in files that are separated by semicolons.

    Raises:
        NotAGrade: it is neither a grade nor known to be missing.
    """
    if cell is None:
        return EMPTY
    if isinstance(cell, Unreadable):
        return Grade(unknown="unreadable", message=cell.what)
    if isinstance(cell, bool):
        return Grade(float(cell), word=True)
    if isinstance(cell, int | float):
        return _number(cell)
    if not isinstance(cell, str):
        raise NotAGrade("a list or an object")
    return _read_text(" ".join(cell.split()), decimal_comma)


def _read_text(text: str, decimal_comma: bool) -> Grade:
    folded = text.casefold()
    if folded in _EMPTY:
        return EMPTY
    if folded in _PASSES or folded in _FAILS:
        return Grade(float(folded in _PASSES), word=True, verdict=folded in VERDICTS)
    if folded in _ERRORS:
        return Grade(unknown="error", message=folded)
    if folded in _INFINITE:
        return Grade(unknown="not_finite", message=folded)
    if text in _LETTERS:
        return Grade(_LETTERS[text], letter=True)
    digits = text.removesuffix("%").rstrip()
    if decimal_comma and digits.count(",") == 1 and "." not in digits:
        digits = digits.replace(",", ".")
    if not _NUMBER.fullmatch(digits):
        raise NotAGrade(f"{one_line(text, _SHOWN_CHARS)!r} is neither a number nor pass or fail")
    return _number(float(digits) / (100 if text.endswith("%") else 1))


def _number(value: float) -> Grade:
    if isinstance(value, float) and not math.isfinite(value):
        return Grade(unknown="not_finite", message=str(value))
    if abs(value) >= MOST:
        raise NotAGrade("a number of 10^12 or more")
    return Grade(float(value))


def is_letters(grades: Iterable[Grade]) -> bool:
    """Tell whether every known grade is a letter of inspect."""
    known = [grade for grade in grades if grade.value is not None]
    return bool(known) and all(grade.letter for grade in known)


def is_pass_fail(grades: Iterable[Grade]) -> bool:
    """Tell whether there are grades, and all are 0 or 1."""
    known = {grade.value for grade in grades} - {None}
    return bool(known) and known <= {0.0, 1.0}
