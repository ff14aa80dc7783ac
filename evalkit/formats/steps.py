"""Read and write the steps of an answer, and derive steps from the messages of a chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalkit.formats.fields import (
    read_count,
    read_error,
    read_id,
    read_list,
    read_mapping,
    read_text,
    read_times,
    read_usage,
)
from evalkit.formats.messages import read_messages
from evalkit.formats.plain import plain
from evalkit.formats.tool_calls import read_arguments
from evalkit.text.values import shown
from evalkit.types import APPROVALS, ROLES, STEP_KINDS, Message, Step, ToolCall, Usage

CLAIMED = "claimed: the environment never had this call"
"""Error of a call that a system reports but evalkit, which runs the environment's tools, never ran."""
MOST_STEPS = 10_000
UNKNOWN_CALLS = {"tool_calls": "unknown"}
"""Details of a step whose record does not show which tools were called, such as a trace without content."""
_KEYS = {
    *("kind", "name", "id", "parent", "call_id", "turn", "arguments", "result", "error", "started_s", "ended_s"),
    *("usage", "decision", "recorded_by", "details"),
}


def read_trajectory(place: str, value: object) -> tuple[tuple[Step, ...] | None, tuple[Message, ...] | None]:
    """Return the steps, and also the messages if the list is a chat, whose items have a `role` of `ROLES`.

    Raises:
        TooLarge: There are more than 10,000 steps or 500 messages.
        ValueError: A step cannot be read; the message names the place.
    """
    if value is None:
        return None, None
    items = plain(place, read_list(place, value, MOST_STEPS))
    said = [at for at, item in enumerate(items) if isinstance(item, Mapping) and item.get("role") in ROLES]
    if said and len(said) < len(items):
        other = next(at for at in range(len(items)) if at not in said)
        raise ValueError(f"{place}: [{said[0]}] is a chat message and [{other}] a step; give the chat as `messages`")
    if said:
        messages = read_messages(place, items) or ()
        return steps_of(messages, place), messages
    return tuple(_step(f"{place}[{at}]", item) for at, item in enumerate(items)), None


def _step(place: str, value: Any, *, stored: bool = False) -> Step:
    if not isinstance(value, Mapping):
        raise ValueError(f"{place}: expected a mapping, got {shown(value)}")
    details = {key: item for key, item in value.items() if key not in _KEYS}
    kind = "other" if value.get("kind") is None else read_text(f"{place}.kind", value["kind"])
    if kind not in STEP_KINDS:
        kind, details["kind"] = "other", kind
    name = "" if value.get("name") is None else read_text(f"{place}.name", value["name"])
    if kind == "tool" and not name:
        raise ValueError(f"{place}.name: missing; a step of kind tool has the tool's name")
    decision = value.get("decision")
    if decision is not None and decision not in APPROVALS:
        raise ValueError(f"{place}.decision: expected one of {', '.join(APPROVALS)}, got {shown(decision)}")
    started_s, ended_s = read_times(place, value)
    return Step(
        kind=kind,  # type: ignore[arg-type]
        name=name,
        id=read_id(f"{place}.id", value.get("id")),
        parent=read_id(f"{place}.parent", value.get("parent")) or None,
        call_id=read_id(f"{place}.call_id", value.get("call_id")),
        turn=read_count(f"{place}.turn", value.get("turn"), 1),
        arguments=read_arguments(f"{place}.arguments", value.get("arguments")),
        result=value.get("result"),
        error=read_error(f"{place}.error", value.get("error")),
        started_s=started_s,
        ended_s=ended_s,
        usage=read_usage(f"{place}.usage", value.get("usage")),
        decision=decision,
        recorded_by="evalkit" if stored and value.get("recorded_by") == "evalkit" else "system",
        details={**details, **(read_mapping(f"{place}.details", value.get("details")) or {})},
    )


def stored_steps(items: Sequence[Any]) -> tuple[Step, ...]:
    """Return the steps of a stored row; a mapping in an older or unknown form goes into `details`."""
    return tuple(map(_stored, items))


def _stored(value: Any) -> Step:
    try:
        return _step("trajectory", value, stored=True)
    except ValueError:
        return Step(details=dict(value))


def steps_of(messages: Sequence[Message], place: str = "messages") -> tuple[Step, ...]:
    """Return the steps of a chat: each message of the assistant, and each call with its result.

    A `tool` message answers the call with its id. Without ids it answers the first call that has no result yet.

    Raises:
        ValueError: A `tool` message answers no call.
    """
    steps: list[Step] = []
    waiting: list[int] = []
    turn = 0
    for at, message in enumerate(messages):
        turn += message.role == "user"
        if message.role == "assistant":
            steps.append(Step(kind="llm", name=message.name, turn=turn or None, result=message.content or None))
            waiting += range(len(steps), len(steps) + len(message.tool_calls))
            steps += [replace(step, turn=step.turn or turn or None) for step in map(step_of, message.tool_calls)]
        elif message.role == "tool":
            found = _answered(message, [steps[open_at] for open_at in waiting])
            if found is None:
                what = f"the call {shown(message.call_id)}" if message.call_id else "a call"
                raise ValueError(f"{place}[{at}]: answers {what}, which no message before it makes")
            called = waiting.pop(found)
            steps[called] = replace(steps[called], result=[*message.parts] or message.content)
    return tuple(steps)


def step_of(call: ToolCall) -> Step:
    """Return a call as a step."""
    return Step(
        kind="tool",
        name=call.name,
        call_id=call.id,
        turn=call.turn,
        arguments=call.arguments,
        result=call.result,
        error=call.error,
        started_s=call.started_s,
        ended_s=call.ended_s,
    )


def _answered(message: Message, waiting: Sequence[Step]) -> int | None:
    """Return the position of the waiting call that a message answers."""
    if message.call_id and any(step.call_id for step in waiting):
        return next((at for at, step in enumerate(waiting) if step.call_id == message.call_id), None)
    return 0 if waiting else None


def calls_of(steps: Sequence[Step]) -> tuple[ToolCall, ...] | None:
    """Return the tool calls among steps; `None` if some step may hide one (unknown kind, `UNKNOWN_CALLS`)."""
    calls = tuple(
        ToolCall(
            step.name,
            step.arguments or {},
            step.call_id,
            step.result,
            step.error,
            step.turn,
            step.started_s,
            step.ended_s,
        )
        for step in steps
        if step.kind == "tool"
    )
    return None if not calls and any(map(_hides_calls, steps)) else calls


def _hides_calls(step: Step) -> bool:
    return step.kind == "other" or all(step.details.get(key) == value for key, value in UNKNOWN_CALLS.items())


def step_record(step: Step) -> dict[str, Any]:
    """Return a step as rows store it, without unknown values."""
    record: dict[str, Any] = {"kind": step.kind}
    for key in ("name", "id", "call_id", "details"):
        if value := getattr(step, key):
            record[key] = value
    for key in ("parent", "turn", "arguments", "result", "error", "started_s", "ended_s", "decision"):
        if (value := getattr(step, key)) is not None:
            record[key] = value
    if step.recorded_by != "system":
        record["recorded_by"] = step.recorded_by
    return record if step.usage is None else {**record, "usage": usage_record(step.usage)}


def usage_record(usage: Usage) -> dict[str, Any]:
    """Return tokens and cost as rows store them, without unknown values."""
    values = (usage.input_tokens, usage.output_tokens, usage.cost_usd, usage.model, usage.cached or None)
    keys = ("input_tokens", "output_tokens", "cost_usd", "model", "cached")
    return {key: value for key, value in zip(keys, values, strict=True) if value is not None}
