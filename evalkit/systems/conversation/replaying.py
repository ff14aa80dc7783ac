"""Replay the calls that a case expects in an environment of its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from evalkit.formats.conversation import conversation_of
from evalkit.formats.expected_state import EXPECTED_CALLS, FROM_CALLS, Replayed, ReplayFailed, calls_to_replay
from evalkit.formats.json_paths import Pattern, path_pattern
from evalkit.systems.conversation.environment import MakeEnvironment, Recorder, ToolError
from evalkit.text.values import one_line
from evalkit.types import Case

FIX_ENVIRONMENT = "correct the environment, the calls or the state"


def replayed(make: MakeEnvironment, case: Case) -> Replayed:
    """Return the state before and after the expected calls.

    Args:
        make: function that builds the environment.
        case: case with the initial state and the calls.

    Raises:
        ValueError: `what; fix`, if the case has no calls that can be read.
        ReplayFailed: the environment cannot be made, or a call fails.
    """
    calls = calls_to_replay(case)
    state = copy.deepcopy(dict(conversation_of(case).state or {}))
    try:
        environment = Recorder(make(state))
        before = environment.state
    except Exception as error:
        raise ReplayFailed(f"the environment cannot be made: {_named(error)}", FIX_ENVIRONMENT) from None
    for each in calls:
        failed = f"replaying `{each.field}` failed at call {each.number}, {each.call.name}"
        try:
            environment.call(each.call.name, each.call.arguments)
        except ToolError as error:
            raise ReplayFailed(f"{failed}: {one_line(error) or 'ToolError'}") from None
        except Exception as error:
            raise ReplayFailed(f"{failed}: {_named(error)}", FIX_ENVIRONMENT) from None
    return Replayed(before, _after(environment))


def expected_values(case: Case, make: MakeEnvironment | None) -> Mapping[Pattern, Any]:
    """Return the values that a case expects of the state by path, `MISSING` for a value that must be removed.

    Args:
        case: case with the values, or with the calls that lead to them.
        make: function that builds the environment; `None` if the suite has none, so that no calls can be replayed.

    Raises:
        ValueError: `what; fix`, for a path or calls that cannot be read.
        ReplayFailed: see `replayed`.
    """
    expected = case.fields.get("expected_state")
    if isinstance(expected, Mapping):
        return {path_pattern("state", path): value for path, value in expected.items()}
    if expected != FROM_CALLS or make is None:
        return {}
    return {tuple(map(str, path)): value for path, value in replayed(make, case).changes.items()}


def _after(environment: Recorder) -> Mapping[str, Any]:
    try:
        return environment.state
    except Exception as error:
        what = f"replaying `{EXPECTED_CALLS}` failed: the state cannot be read: {_named(error)}"
        raise ReplayFailed(what, FIX_ENVIRONMENT) from None


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}"
