"""Mark tool results that are errors if only their text says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from evalkit.text.escaping import cut
from evalkit.text.patterns import compile_pattern, well_formed
from evalkit.types import Output, Step, ToolCall

OPTION = "tool_error"
_ERROR_CHARS = 500
_Made = TypeVar("_Made", ToolCall, Step)


def check_tool_error(pattern: str | None) -> None:
    """Check the pattern of a system.

    Raises:
        ValueError: `tool_error: what; fix`.
    """
    if pattern is None:
        return
    if compile_pattern(OPTION, pattern).search(""):
        raise ValueError(f"{OPTION}: {pattern!r} also matches an empty result; write one such as ^Error")


def with_tool_errors(output: Output, pattern: str | None) -> Output:
    """Set the error of each tool call and step whose result is an error.

    Args:
        output: the answer of the system.
        pattern: RE2, found anywhere in a result that is an error: in a text, in the texts of a list of parts, else in
            the JSON of the result. `None` leaves the output unchanged.
    """
    if pattern is None:
        return output
    calls, steps = output.tool_calls, output.trajectory
    return replace(
        output,
        tool_calls=None if calls is None else tuple(_marked(call, pattern) for call in calls),
        trajectory=None
        if steps is None
        else tuple(_marked(step, pattern) if step.kind == "tool" else step for step in steps),
    )


def _marked(made: _Made, pattern: str) -> _Made:
    if made.error is not None or made.result is None:
        return made
    text = _text(made.result)
    found = compile_pattern(OPTION, pattern).search(well_formed(text))
    return replace(made, error=cut(text, _ERROR_CHARS) if text.strip() else "a blank result") if found else made


def _text(result: Any) -> str:
    if isinstance(result, str):
        return result
    if isinstance(result, list):
        texts = [part["text"] for part in result if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
        if texts:
            return "\n".join(texts)
    return json.dumps(result, ensure_ascii=False)
