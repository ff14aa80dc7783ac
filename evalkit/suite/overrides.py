"""Override options of a suite by flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Problem, what_and_fix

if TYPE_CHECKING:
    from evalkit.suite.model import Suite


def with_overrides(suite: Suite, overrides: Mapping[str, float]) -> Suite:
    """Return the suite with options overridden by flags.

    Raises:
        InputError: an option does not accept the value.
    """
    given = dict(overrides)
    timeout_s = given.pop("timeout_s", None)
    try:
        suite = suite if timeout_s is None else suite.with_timeout(timeout_s)
        options = dataclasses.replace(suite.options, **given)  # type: ignore[arg-type]
        if "concurrency" in given:
            systems = (dataclasses.replace(each, concurrency=None) for each in suite.systems)
            suite = dataclasses.replace(suite, systems=tuple(systems))
        policy = dataclasses.replace(suite.policy, repeats=options.repeat)
        return dataclasses.replace(suite, options=options, policy=policy)
    except ValueError as error:
        key, _, rest = str(error).partition(": ")
        raise InputError(Problem(f"--{key}", *what_and_fix(rest))) from None
