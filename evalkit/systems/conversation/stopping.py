"""Decide whether a rule of the suite ends a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from evalkit.formats.json_paths import MISSING, path_pattern, value_at
from evalkit.formats.json_values import equal_json
from evalkit.systems.conversation.settings import StopRule
from evalkit.text.patterns import compile_pattern, well_formed
from evalkit.types import Step


def stops(
    rules: Sequence[StopRule],
    text: str,
    steps: Sequence[Step],
    state: Mapping[str, Any] | None,
    expected: Mapping[str, Any],
) -> bool:
    """Return True if a rule ends the conversation after an answer.

    Args:
        rules: rules of the suite.
        text: the answer.
        steps: those of the current turn.
        state: state of the world; `None` if it is unknown, so that no rule about it holds.
        expected: path -> value, of the case.
    """
    return any(_holds(rule, text, steps, state, expected) for rule in rules)


def _holds(
    rule: StopRule, text: str, steps: Sequence[Step], state: Mapping[str, Any] | None, expected: Mapping[str, Any]
) -> bool:
    if rule.tool is not None:
        return any(step.kind == "tool" and fnmatchcase(step.name, rule.tool) for step in steps)
    if rule.says is not None:
        return compile_pattern("says", rule.says).search(well_formed(text)) is not None
    wanted = expected if rule.state == "expected" else rule.state
    return state is not None and isinstance(wanted, Mapping) and bool(wanted) and _is_as(state, wanted)


def _is_as(state: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    found = ((value_at(state, path_pattern("state", path)), value) for path, value in wanted.items())
    return all(there is not MISSING and equal_json(there, value) for there, value in found)
