"""Read spans of older flavours: message events up to 1.36, Pydantic AI, OpenLLMetry, and the AI SDK of Vercel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from evalkit.traces.attributes import call_of, count, decoded, message_of, numbered, text
from evalkit.traces.meaning import SpanMeaning
from evalkit.traces.span import SpanEvent, TracedSpan
from evalkit.types import Message, StepKind, ToolCall

_SAID = ("gen_ai.system.message", "gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.tool.message")
_CHOICE = "gen_ai.choice"
_TRACELOOP: Mapping[str, StepKind] = {"workflow": "node", "task": "node", "agent": "agent", "tool": "tool"}
_REQUESTS: Mapping[str, StepKind] = {"chat": "llm", "completion": "llm", "embedding": "embedding"}
_INNER = (".doGenerate", ".doStream", ".doEmbed")
"""Ends of the operations of Vercel's SDK that call a model; the operation around them is the whole loop."""


def meaning_of_events(span: TracedSpan) -> SpanMeaning | None:
    """Return what the message events of a span, or logs about it, say; `None` if it has none."""
    asked = [_of_event(event) for event in span.events if event.name in _SAID]
    replied = [_of_choice(event) for event in span.events if event.name == _CHOICE]
    if not asked and not replied:
        return None
    return SpanMeaning(asked=_known(asked) if asked else None, replied=_known(replied) if replied else None)


def meaning_of_pydantic_ai(span: TracedSpan) -> SpanMeaning | None:
    """Return what the attributes of Pydantic AI up to version 2 of its instrumentation say; `None` without them."""
    given = span.attributes
    listed = decoded(given.get("events", given.get("all_messages_events")))
    is_tool = "gen_ai.tool.name" in given and ("tool_arguments" in given or "tool_response" in given)
    is_agent = "agent_name" in given and ("final_result" in given or "all_messages_events" in given)
    events = [
        SpanEvent(str(each.get("event.name")), None, each)
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, Mapping)
    ]
    said = meaning_of_events(replace(span, events=tuple(events))) if events else None
    if said is None and not is_tool and not is_agent:
        return None
    found = said or SpanMeaning()
    return replace(
        found,
        kind="tool" if is_tool else "agent" if is_agent else None,
        name=text(given, "gen_ai.tool.name") if is_tool else text(given, "agent_name") if is_agent else None,
        call_id=text(given, "gen_ai.tool.call.id") if is_tool else None,
        arguments=given.get("tool_arguments"),
        result=decoded(given.get("tool_response")),
        replied=found.replied if not is_agent else None,
        returned=given.get("final_result"),
    )


def _known(messages: list[Message | None]) -> tuple[Message, ...]:
    return tuple(message for message in messages if message is not None)


def _content(event: SpanEvent) -> dict[str, Any]:
    attributes = {key: decoded(value) for key, value in event.attributes.items()}
    body = decoded(event.body)
    return {**attributes, **(body if isinstance(body, Mapping) else {})}


def _of_event(event: SpanEvent) -> Message | None:
    given = _content(event)
    role = given.get("role") or event.name.split(".")[1]
    return message_of(role, given.get("content"), _calls(given.get("tool_calls")), given.get("id"))


def _of_choice(event: SpanEvent) -> Message | None:
    given = _content(event)
    said = decoded(given.get("message"))
    inner = said if isinstance(said, Mapping) else {"content": said if said is not None else given.get("content")}
    calls = inner.get("tool_calls", given.get("tool_calls"))
    return message_of("assistant", decoded(inner.get("content")), _calls(calls))


def _calls(value: Any) -> tuple[ToolCall | None, ...]:
    """Return calls in the form of the chat protocol."""
    found = decoded(value)
    made = []
    for each in found if isinstance(found, list) else ():
        if isinstance(each, Mapping):
            function = each.get("function")
            inner = function if isinstance(function, Mapping) else each
            made.append(call_of(inner.get("name"), inner.get("arguments"), each.get("id")))
    return tuple(made)


def meaning_of_openllmetry(span: TracedSpan) -> SpanMeaning | None:
    """Return what the attributes of OpenLLMetry say; `None` if a span has none."""
    given = span.attributes
    keys = ("traceloop.", "gen_ai.prompt.", "gen_ai.completion.", "llm.request.type")
    if not any(key.startswith(keys) for key in given):
        return None
    kind = _TRACELOOP.get(text(given, "traceloop.span.kind") or "")
    kind = kind or _REQUESTS.get(text(given, "llm.request.type") or "")
    properties = {
        key.removeprefix("traceloop.association.properties."): value
        for key, value in given.items()
        if key.startswith("traceloop.association.properties.")
    }
    entered, left = decoded(given.get("traceloop.entity.input")), decoded(given.get("traceloop.entity.output"))
    reasons = [each.get("finish_reason") for each in numbered(given, "gen_ai.completion")]
    called = entered.get("inputs", entered) if isinstance(entered, Mapping) else entered
    returned = left.get("outputs", left.get("output", left)) if isinstance(left, Mapping) else left
    return SpanMeaning(
        kind=kind,
        name=text(given, "traceloop.entity.name") if kind in ("tool", "agent", "node") else None,
        arguments=called if kind == "tool" else None,
        result=returned if kind == "tool" else None,
        asked=_numbered_messages(given, "gen_ai.prompt"),
        replied=_numbered_messages(given, "gen_ai.completion", "assistant"),
        finished=tuple(each for each in reasons if isinstance(each, str)) or None,
        given=called,
        returned=returned,
        input_tokens=count(given, "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
        output_tokens=count(given, "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
        session=text(properties, "session_id", "thread_id", "conversation_id"),
        metadata=properties,
    )


def _numbered_messages(given: Mapping[str, Any], prefix: str, role: str = "user") -> tuple[Message, ...] | None:
    found = [
        message_of(
            each.get("role", role),
            decoded(each.get("content")),
            tuple(
                call_of(call.get("name"), call.get("arguments"), call.get("id"))
                for call in numbered(each, "tool_calls")
            ),
            each.get("tool_call_id"),
        )
        for each in numbered(given, prefix)
    ]
    return _known(found) if found else None


def meaning_of_vercel(span: TracedSpan) -> SpanMeaning | None:
    """Return what the attributes of Vercel's AI SDK say; `None` if a span has none."""
    given = span.attributes
    if not any(key.startswith("ai.") for key in given):
        return None
    operation = text(given, "ai.operationId") or span.name
    kind: StepKind = "agent"
    if "ai.toolCall.name" in given or operation == "ai.toolCall":
        kind = "tool"
    elif operation.startswith("ai.embed"):
        kind = "embedding"
    elif operation.endswith(_INNER):
        kind = "llm"
    reason = text(given, "ai.response.finishReason")
    metadata = {
        key.removeprefix("ai.telemetry.metadata."): value
        for key, value in given.items()
        if key.startswith("ai.telemetry.metadata.")
    }
    return SpanMeaning(
        kind=kind,
        name=text(given, "ai.toolCall.name") if kind == "tool" else text(given, "ai.response.model", "ai.model.id")
        if kind in ("llm", "embedding") else text(given, "ai.telemetry.functionId"),
        call_id=text(given, "ai.toolCall.id"),
        arguments=given.get("ai.toolCall.args"),
        result=decoded(given.get("ai.toolCall.result")),
        asked=_vercel_prompt(given),
        replied=_vercel_reply(given),
        finished=None if reason is None else (reason,),
        input_tokens=count(given, "ai.usage.inputTokens", "ai.usage.promptTokens"),
        output_tokens=count(given, "ai.usage.outputTokens", "ai.usage.completionTokens"),
        session=text(metadata, "sessionId", "session_id", "threadId", "conversationId"),
        metadata=metadata,
    )  # fmt: skip


def _vercel_prompt(given: Mapping[str, Any]) -> tuple[Message, ...] | None:
    prompt = decoded(given.get("ai.prompt"))
    inner = prompt if isinstance(prompt, Mapping) else {}
    messages = decoded(given.get("ai.prompt.messages", inner.get("messages")))
    if isinstance(messages, list):
        found = [message_of(each.get("role"), each.get("content")) for each in messages if isinstance(each, Mapping)]
        return _known(found)
    words = inner.get("prompt", prompt if isinstance(prompt, str) else None)
    return (Message("user", words),) if isinstance(words, str) else None


def _vercel_reply(given: Mapping[str, Any]) -> tuple[Message, ...] | None:
    words, calls = text(given, "ai.response.text"), decoded(given.get("ai.response.toolCalls"))
    if words is None and not isinstance(calls, list):
        return None
    return (Message("assistant", words or "", tuple(_vercel_calls(calls))),)


def _vercel_calls(value: Any) -> Iterator[ToolCall]:
    for each in value if isinstance(value, list) else ():
        if isinstance(each, Mapping):
            call = call_of(each.get("toolName"), each.get("args", each.get("input")), each.get("toolCallId"))
            if call is not None:
                yield call
