"""Find the tool calls of a trace, with the arguments and results that its spans and messages have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.traces.attributes import arguments_of, decoded, words_of
from evalkit.traces.tree import TraceTree
from evalkit.traces.usage import is_outer_model
from evalkit.types import ToolCall

_STOPPED = ("stop", "end_turn", "length", "max_tokens", "content_filter")
"""Reasons to stop that are not the call of a tool."""


@dataclass(frozen=True, slots=True)
class TraceCalls:
    """The tool calls of a trace.

    Attributes:
        made: Position of the span that ran a tool -> its call.
        asked: Position of a model call -> the calls that it asked for and no span ran.
        are_known: Whether the trace shows that there are no other calls.
    """

    made: Mapping[int, ToolCall]
    asked: Mapping[int, tuple[ToolCall, ...]]
    are_known: bool


@dataclass(slots=True)
class _Asked:
    at: int
    call: ToolCall
    is_run: bool = False


def calls_of_trace(trace: TraceTree) -> TraceCalls:
    """Return the calls that tools ran; without any, those that models asked for, whose end is unknown."""
    outer = is_outer_model(trace)
    models = [at for at, own in enumerate(trace.meanings) if own.kind == "llm" and not outer[at]]
    asked = [
        _Asked(at, call) for at in models for message in trace.meanings[at].replied or () for call in message.tool_calls
    ]
    made = {at: _run(trace, at, asked) for at, own in enumerate(trace.meanings) if own.kind == "tool"}
    if made:
        return TraceCalls(made, {}, True)
    waiting: dict[int, tuple[ToolCall, ...]] = {}
    results = _results(trace)
    for each in asked:
        call = each.call
        answered = ToolCall(call.name, call.arguments, call.id, results.get(call.id) if call.id else None)
        waiting[each.at] = (*waiting.get(each.at, ()), answered)
    known = bool(models) and all(_says_which_calls(trace, at) for at in models)
    return TraceCalls({}, waiting, known or bool(waiting))


def _says_which_calls(trace: TraceTree, at: int) -> bool:
    own = trace.meanings[at]
    return own.replied is not None or bool(own.finished and set(own.finished) <= set(_STOPPED))


def _run(trace: TraceTree, at: int, asked: list[_Asked]) -> ToolCall:
    """Return the call that a tool's span ran.

    Its arguments are its own, else those of the model's call with its id, else of the next call of its name that
    nothing ran yet, else its input.
    """
    span, own = trace.spans[at], trace.meanings[at]
    name = own.name or span.name.removeprefix("execute_tool ") or "tool"
    result, error, call_id = _tool_message(own.result)
    call_id = own.call_id or call_id
    same_id = (each for each in asked if call_id and each.call.id == call_id)
    same_name = (each for each in asked if each.call.name == name and not each.is_run and each.at < at)
    found = next(same_id, None) or (None if call_id and own.call_id else next(same_name, None))
    if found is not None:
        found.is_run = True
    if own.arguments is not None:
        arguments = arguments_of(own.arguments)
    elif found is not None:
        arguments = dict(found.call.arguments)
    else:
        arguments = arguments_of(own.given)
    call_id = call_id or (found.call.id if found is not None else "")
    return ToolCall(name, arguments, call_id, decoded(result), error)


def _tool_message(result: Any) -> tuple[Any, str | None, str]:
    """Return the content, error and call of a result, which LangChain writes as a serialised message."""
    inner = result.get("data", result.get("kwargs", result)) if isinstance(result, Mapping) else None
    if not isinstance(inner, Mapping) or "tool_call_id" not in inner:
        return result, None, ""
    content = inner.get("content")
    failed = inner.get("status") == "error"
    call_id = inner["tool_call_id"]
    error = (words_of(content).strip() or "failed") if failed else None
    return content, error, call_id if isinstance(call_id, str) else ""


def _results(trace: TraceTree) -> dict[str, Any]:
    """Return what later messages say that calls returned, by the id of the call."""
    return {
        message.call_id: decoded(message.content)
        for own in trace.meanings
        for message in own.asked or ()
        if message.role == "tool" and message.call_id
    }
