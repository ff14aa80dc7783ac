"""Score how many steps an answer took, and how that compares with the calls it needed."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from evalkit.formats.steps import step_of
from evalkit.scorers.agents.expected import EXPECTED, NO_CALLS, calls_made, expected_calls, is_named
from evalkit.scorers.rules.rule import check_share
from evalkit.text.numbers import plural
from evalkit.types import Case, Metric, Output, Score, Step, StepKind, Unscored

NO_STEPS = "the system does not say which steps it took"


def steps_of_kinds(output: Output, kinds: Collection[StepKind]) -> tuple[Step, ...] | None:
    """Return the steps of some kinds in order, or `None` if they are not known.

    Tool calls that are reported without steps count as steps of kind `tool`. If there are steps of other kinds, the
    position of the calls among them is not known.
    """
    given = output.trajectory
    calls = calls_made(output)
    tools = any(step.kind == "tool" for step in given or ())
    if "tool" in kinds and (calls is None or (calls and not tools)):
        return tuple(map(step_of, calls)) if calls and set(kinds) == {"tool"} else None
    if given is None:
        return () if set(kinds) == {"tool"} else None
    return tuple(step for step in given if step.kind in kinds)


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Count the steps of an answer, so that `no_regression` can watch for drift.

    The value is the number of steps of the given `kinds`, 0 or more; `step: search_*` counts only those whose name fits
    the glob. Fewer is better, unless only `min` is given. The answer passes within `min` and `max`, both included;
    without them, the value has no pass mark. If the steps are not known, the answer is unscored.

    It cannot see whether a step was needed; `efficiency` compares with the expected calls.
    """

    name: str = "steps"
    kinds: tuple[StepKind, ...] = ("tool",)
    """Kinds of steps that count."""
    step: str = "*"
    """Glob of the names that count, such as `search_*`."""
    min: int | None = None
    """Smallest number that passes."""
    max: int | None = None
    """Largest number that passes."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    shorthand: ClassVar[str] = "max"

    def __post_init__(self) -> None:
        if set(self.name) & set("*?["):
            raise ValueError(f"name: {self.name!r} is the name of the metric; write the glob of the steps as `step`")
        if not self.kinds:
            raise ValueError("kinds: the list is empty; name one, such as `tool`")
        for bound in ("min", "max"):
            if (getattr(self, bound) or 0) < 0:
                raise ValueError(f"{bound}: expected 0 or more, got {getattr(self, bound)}; leave it out for no bound")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min: {self.min} is above max {self.max}; swap them")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The number of steps."""
        least_only = self.max is None and self.min is not None
        mark = self.min if least_only else self.max
        return (Metric(self.name, high=math.inf, higher_is_better=least_only, unit="steps", pass_at=mark),)

    @property
    def needs(self) -> frozenset[str]:
        """No case field."""
        return frozenset()

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Count the steps of the given kinds."""
        steps = steps_of_kinds(output, self.kinds)
        if steps is None:
            return Unscored(self.name, "missing_trajectory", NO_STEPS)
        n = sum(is_named(step.name, (self.step,)) for step in steps)
        both = (("at least", self.min), ("at most", self.max))
        bounds = [f"{word} {bound}" for word, bound in both if bound is not None]
        passed = (self.min is None or n >= self.min) and (self.max is None or n <= self.max)
        need = f", needs {' and '.join(bounds)}" if bounds else ""
        return Score(self.name, float(n), passed if bounds else None, plural(n, "step") + need)


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """Compare the number of tool calls made with the number expected.

    The value is expected / made, at most 1: 1 for no more calls than expected, 0.5 for twice as many. No call expected
    and none made is 1; if only one side has calls, the value is 0. The answer passes if the value reaches `min`.

    It cannot see whether the calls are the right ones; `tool_calls` can.
    """

    name: str = "efficiency"
    field: str = EXPECTED
    """The case field with the expected calls."""
    min: float | None = None
    """Smallest value that passes; without it, the value has no pass mark."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    shorthand: ClassVar[str] = "min"

    def __post_init__(self) -> None:
        check_share("min", self.min)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The one metric, from 0 to 1."""
        return (Metric(self.name, pass_at=self.min),)

    @property
    def needs(self) -> frozenset[str]:
        """The expected calls."""
        return frozenset({self.field})

    def check_case(self, case: Case) -> None:
        """Reject a row whose expected calls have the wrong form."""
        if self.field in case.fields:
            expected_calls(case, self.field)

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Divide the expected calls by the calls made."""
        if self.field not in case.fields:
            return Unscored(self.name, f"missing_{self.field}", f"the case has no `{self.field}`")
        calls = calls_made(output)
        if calls is None:
            return Unscored(self.name, "missing_tool_calls", NO_CALLS)
        n_expected, n_made = len(expected_calls(case, self.field)), len(calls)
        value = min(1.0, n_expected / n_made) if n_made else float(not n_expected)
        passed = None if self.min is None else value >= self.min
        return Score(self.name, value, passed, f"{plural(n_made, 'call')} made, {n_expected} expected")
