"""Read the expected calls of a case, and select the calls that count."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from evalkit.formats.expected_state import EXPECTED_CALLS, read_expected_calls
from evalkit.formats.steps import calls_of
from evalkit.scorers.agents.acts import Act
from evalkit.scorers.agents.matching import VACUOUS, Match
from evalkit.types import Case, Output, ToolCall, Unscored

EXPECTED = EXPECTED_CALLS
NO_CALLS = "the system does not say which tools it called"


def expected_calls(case: Case, field: str = EXPECTED) -> tuple[Act, ...]:
    """Read the expected calls.

    Raises:
        ValueError: the field has another form.
    """
    return acts_of(read_expected_calls(field, case.fields[field]))


def calls_made(output: Output) -> tuple[ToolCall, ...] | None:
    """Return the tool calls, or those among the steps; `None` if neither is known."""
    if output.tool_calls is None and output.trajectory is not None:
        return calls_of(output.trajectory)
    return output.tool_calls


def acts_of(calls: Sequence[ToolCall]) -> tuple[Act, ...]:
    """Convert calls to the form in which they are compared."""
    return tuple(Act(call.name, call.arguments) for call in calls)


def is_named(name: str, globs: Collection[str]) -> bool:
    """Return True if one of the globs, such as `get_*`, matches a name; case counts."""
    return any(fnmatchcase(name, glob) for glob in globs)


def refuse_vacuous(field: str, match: Match, n_expected: int) -> None:
    """Reject a mode that any calls would satisfy.

    Raises:
        ValueError: `what; fix`.
    """
    if match in VACUOUS and not n_expected:
        what = f"`{field}` has nothing that counts, and {match} of nothing passes anything"
        raise ValueError(f"{what}; write any_order or at_most")


def missing(metrics: Sequence[str], kind: str, message: str) -> tuple[Unscored, ...]:
    """Leave every metric of a scorer unscored."""
    return tuple(Unscored(metric, kind, message) for metric in metrics)
