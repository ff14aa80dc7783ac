"""Score how often tools fail, and whether the agent recovers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from evalkit.scorers.agents.expected import NO_CALLS, calls_made, missing
from evalkit.scorers.rules.rule import check_share
from evalkit.text.numbers import plural
from evalkit.types import Case, Metric, Output, Score, ToolCall, Unscored

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class ToolErrors:
    """Measure the share of tool calls that ended with an error.

    The value is errors / calls, from 0 to 1, and less is better; the answer passes up to `max`. A second metric,
    `<name>.recovered`, is the share of the errors after which the same tool succeeded; it has no pass mark and does not
    count towards coverage. An answer without a call is unscored, and one without an error has no `<name>.recovered`.
    Give the scorer `when:` or `advisory: true` if some cases need no tool.

    An error is the `error` of a call that the system reports, or that its `tool_error` finds. A question to a person
    (`interrupt`) and an approval are not errors.

    It cannot see an error that a tool returns as a normal result.
    """

    name: str = "tool_errors"
    max: float | None = None
    """Largest share that passes; without it, the value has no pass mark."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    shorthand: ClassVar[str] = "max"

    def __post_init__(self) -> None:
        check_share("max", self.max)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The share of errors, and of those that were followed by a success."""
        return (
            Metric(self.name, higher_is_better=False, pass_at=self.max),
            Metric(f"{self.name}.recovered", diagnostic=True),
        )

    @property
    def needs(self) -> frozenset[str]:
        """No case field."""
        return frozenset()

    def score(self, case: Case, output: Output) -> tuple[Score | Unscored, ...]:
        """Count errors, and look for a later success of the same tool."""
        share, recovered = (metric.name for metric in self.metrics)
        calls = calls_made(output)
        if calls is None:
            return missing((share, recovered), "missing_tool_calls", NO_CALLS)
        if not calls:
            return missing((share, recovered), "no_call", "no tool was called")
        errors = [call for call in calls if call.error is not None]
        value = len(errors) / len(calls)
        told = "; ".join(f"{call.name}: {call.error}" for call in errors[:_SHOWN])
        reason = f"{plural(len(errors), 'error')} in {plural(len(calls), 'call')}{f': {told}' if told else ''}"
        first = Score(share, value, None if self.max is None else value <= self.max, reason)
        if not errors:
            return first, Unscored(recovered, "no_error", "no call ended with an error")
        n = _recovered(calls)
        return first, Score(recovered, n / len(errors), None, f"{n} of {plural(len(errors), 'error')} recovered")


def _recovered(calls: Sequence[ToolCall]) -> int:
    succeeded: set[str] = set()
    n = 0
    for call in reversed(calls):
        if call.error is None:
            succeeded.add(call.name)
        else:
            n += call.name in succeeded
    return n
