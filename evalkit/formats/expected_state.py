"""Read the calls whose effects a case expects, and what they change in the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from evalkit.formats.conversation import conversation_of
from evalkit.formats.json_paths import MISSING, Path, changes, value_at
from evalkit.types import Case, ToolCall

FROM_CALLS = "from_calls"
"""The value of `expected_state` that stands for the state after the expected calls."""
EXPECTED_CALLS = "expected_tool_calls"
FIX = "correct the calls or the state"


class ReplayFailed(Exception):
    """The state that a case expects is unknown, because its calls cannot be replayed.

    Attributes:
        fix: How to fix it.
        hangs: Whether the calls take too long.
    """

    def __init__(self, what: str, fix: str = FIX, *, hangs: bool = False) -> None:
        super().__init__(what)
        self.fix = fix
        self.hangs = hangs


@dataclass(frozen=True)
class Replayed:
    """The state of an environment before and after the calls that a case expects."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @cached_property
    def changes(self) -> Mapping[Path, Any]:
        """Path of each value that the calls change -> its new value, `MISSING` if it was removed.

        A mapping or list that replaces another value counts as one new value.
        """
        found: dict[Path, Any] = {}
        for path, was, now in changes(self.before, self.after):
            if was is not MISSING and now is MISSING:
                found[path] = value_at(self.after, tuple(map(str, path)))
            elif not any(path[:length] in found for length in range(1, len(path))):
                found[path] = now
        return found


@dataclass(frozen=True)
class CallToReplay:
    """One expected call."""

    field: str
    """Field that holds the call, such as `turns[1].expected_tool_calls`."""
    number: int
    """Number of the call in that field, from 1."""
    call: ToolCall


def read_expected_calls(field: str, value: Any) -> tuple[ToolCall, ...]:
    """Read a list of expected calls.

    Raises:
        ValueError: `what; fix`, if it has another form.
    """
    if not isinstance(value, list | tuple) or not all(map(_is_call, value)):
        raise ValueError(f"`{field}` must be a list of {{name, arguments}}; write [] where no call is expected")
    return tuple(ToolCall(call["name"], call.get("arguments") or {}) for call in value)


def calls_to_replay(case: Case) -> tuple[CallToReplay, ...]:
    """Return the calls that a case expects: those of the whole row, else those of its turns, in their order.

    Raises:
        ValueError: `what; fix`, if it has none or they have another form.
    """
    lists = {EXPECTED_CALLS: case.fields.get(EXPECTED_CALLS)}
    if lists[EXPECTED_CALLS] in (None, ""):
        turns = enumerate(conversation_of(case).turns)
        lists = {f"turns[{at}].{EXPECTED_CALLS}": turn.expect.get(EXPECTED_CALLS) for at, turn in turns}
    given = {field: value for field, value in lists.items() if value not in (None, "")}
    if not given:
        what = f"`expected_state: {FROM_CALLS}` needs the calls to replay"
        raise ValueError(f"{what}; add `{EXPECTED_CALLS}` ([] if nothing may change), or write the expected values")
    return tuple(
        CallToReplay(field, number, call)
        for field, value in given.items()
        for number, call in enumerate(read_expected_calls(field, value), 1)
    )


def _is_call(value: Any) -> bool:
    named = isinstance(value, Mapping) and isinstance(value.get("name"), str)
    return named and isinstance(value.get("arguments") or {}, Mapping)
