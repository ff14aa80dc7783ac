"""Read the inputs of metric libraries from a case and an output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.types import Case, Output

Call = tuple[str, Mapping[str, Any]]
"""Name and arguments of a tool call."""


class Missing(Exception):
    """The case or the output lacks an input of a metric; `kind` names it."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


def filled(value: Any, kind: str, message: str) -> Any:
    """Return the value, or `Missing` if no part of it has text."""
    texts = [value] if isinstance(value, str) else list(value or ())
    if not any(str(text).strip() for text in texts):
        raise Missing(kind, message)
    return value


def answer_of(output: Output) -> str:
    """Return the answer; an empty answer is `Missing`, although libraries give it 0, 1 or an error."""
    filled(output.text, "not_applicable", "the answer is empty")
    return output.text


def references_of(case: Case) -> list[str]:
    """Return the acceptable answers that hold any text, at least one."""
    references = [text for text in case.reference if text.strip()]
    if not references:
        raise Missing("missing_reference", "the metric compares with a reference; give the case one")
    return references


def texts_of(case: Case, name: str) -> list[str]:
    """Return a case field that is a list of texts."""
    value = case.fields.get(name)
    texts = [value] if isinstance(value, str) else list(value or ())
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise Missing(f"missing_{name}", f"the case has no `{name}`; add a list of texts")
    return texts


def expected_calls(case: Case) -> list[Call]:
    """Return the tool calls that the case expects: names, or {name, arguments}."""
    value = case.fields.get("expected_tool_calls")
    if not isinstance(value, Sequence) or isinstance(value, str):
        fix = "the case has no `expected_tool_calls`; add a list, [] where none is right"
        raise Missing("missing_expected_tool_calls", fix)
    return [_call(item) for item in value]


def _call(item: Any) -> Call:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and isinstance(item.get("name"), str):
        arguments: Any = next((item[key] for key in ("arguments", "args") if key in item), {})
        if isinstance(arguments, Mapping):
            return item["name"], arguments
    raise Missing("bad_expected_tool_calls", "`expected_tool_calls` must be a list of {name: ..., arguments: {...}}")


def made_calls(output: Output) -> list[Call]:
    """Return the tool calls that the system reports; a missing report is different from an empty one."""
    if output.tool_calls is None:
        raise Missing("missing_tool_calls", "the system reports no tool calls; return `tool_calls`, [] for none")
    return [(call.name, call.arguments) for call in output.tool_calls]
