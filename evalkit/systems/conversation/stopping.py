"""Decide whether a rule of the suite ends a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from evalkit.formats.json_paths import Pattern, holds_at, path_pattern
from evalkit.systems.conversation.settings import StopRule
from evalkit.text.patterns import compile_pattern, well_formed
from evalkit.types import Step


def stops(
    rules: Sequence[StopRule],
    text: str,
    steps: Sequence[Step],
    state: Mapping[str, Any] | None,
    expected: Mapping[Pattern, Any],
) -> bool:
    """Return True if a rule ends the conversation after an answer.

    Args:
        rules: rules of the suite.
        text: the answer.
        steps: those of the current turn.
        state: state of the world; `None` if it is unknown, so that no rule about it holds.
        expected: path -> value, of the case; `MISSING` for a value that must be removed.
    """
    return any(_holds(rule, text, steps, state, expected) for rule in rules)


def _holds(
    rule: StopRule, text: str, steps: Sequence[Step], state: Mapping[str, Any] | None, expected: Mapping[Pattern, Any]
) -> bool:
    if rule.tool is not None:
        return any(step.kind == "tool" and fnmatchcase(step.name, rule.tool) for step in steps)
    if rule.says is not None:
        return compile_pattern("says", rule.says).search(well_formed(text)) is not None
    if isinstance(rule.state, Mapping):
        expected = {path_pattern("state", path): value for path, value in rule.state.items()}
    return state is not None and bool(expected) and all(holds_at(state, *each) for each in expected.items())
