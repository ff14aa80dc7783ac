"""Say which number an option takes, with a line to copy, if it was given something else."""

from __future__ import annotations

import copy
import math
from typing import Any

import typer

_WHOLE, _ANY = ("int", "int range", "integer", "integer range"), ("float", "float range")
"""Names of the types of numbers, in each version of typer."""
_UNITS = {"SECONDS": "a number of seconds", "USD": "a number of US dollars"}


def explain_numbers(command: Any) -> None:
    """Let every option of a command, or of a group of commands, that takes a number explain what it takes."""
    for each in getattr(command, "commands", {}).values():
        explain_numbers(each)
    for option in command.params:
        if option.param_type_name == "option" and option.type.name in (*_WHOLE, *_ANY):
            _explain(option)


def _explain(option: Any) -> None:
    kind = option.type = copy.copy(option.type)  # other options may share it
    convert, message = kind.convert, f"is not {_expected(option)}; write {option.opts[0]} {_example(option)}"

    def explained(value: Any, param: Any, ctx: Any) -> Any:
        try:
            number = convert(value, param, ctx)
        except typer.BadParameter:
            number = math.nan
        if isinstance(number, float) and not math.isfinite(number):
            kind.fail(f"{str(value)!r} {message}", param, ctx)
        return number

    kind.convert = explained


def _expected(option: Any) -> str:
    kind = option.type
    what = _UNITS.get(option.metavar) or ("a whole number" if kind.name in _WHOLE else "a number")
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    ends = [f"{word} {end:,}" for word, end in (("of at least", low), ("of at most", high)) if end is not None]
    return " ".join([what, " and ".join(ends).replace(" and of ", " and ")]).strip()


def _example(option: Any) -> str:
    """Return the default, or else the smallest whole number that the option takes."""
    if isinstance(option.default, int | float):
        return f"{option.default:g}"
    return str(math.ceil(getattr(option.type, "min", None) or 1))
