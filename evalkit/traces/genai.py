"""Read spans that follow the GenAI conventions of OpenTelemetry, 1.28 and later.

Source: open-telemetry/semantic-conventions-genai, `docs/gen-ai/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from evalkit.traces.attributes import (
    arguments_of,
    call_of,
    count,
    decoded,
    message_of,
    python_calls,
    text,
)
from evalkit.traces.meaning import Feedback, SpanMeaning
from evalkit.traces.otlp import EVALUATION
from evalkit.traces.span import TracedSpan
from evalkit.types import Message, StepKind, ToolCall

_KINDS: Mapping[str, StepKind] = {
    **dict.fromkeys(("chat", "generate_content", "text_completion"), "llm"),
    "execute_tool": "tool",
    **dict.fromkeys(("invoke_agent", "create_agent"), "agent"),
    **dict.fromkeys(("invoke_workflow", "plan"), "node"),
    **dict.fromkeys(("retrieval", "search_memory"), "retrieval"),
    "embeddings": "embedding",
}
_DETAILS = "gen_ai.client.inference.operation.details"
_SILENT = ("text", "reasoning", "tool_call", "tool_call_response")
_CALL_AS_TEXT = "ResponseFunctionToolCall"
"""Class of the OpenAI SDK, whose calls opentelemetry-instrumentation-openai-agents-v2 writes as texts."""


def meaning_of(span: TracedSpan) -> SpanMeaning | None:
    """Return what a span means; `None` if it has no attribute of this convention."""
    told = [event.attributes for event in span.events if event.name == _DETAILS]
    given = {key: value for attributes in [*told, span.attributes] for key, value in attributes.items()}
    verdicts = tuple(_verdicts(span))
    if not any(key.startswith("gen_ai.") for key in given):
        return SpanMeaning(verdicts=verdicts) if verdicts else None
    operation = text(given, "gen_ai.operation.name")
    kind = None if operation is None else _KINDS.get(operation, "other")
    faults: list[str] = []
    reasons = given.get("gen_ai.response.finish_reasons")
    return SpanMeaning(
        kind=kind,
        name=_name(given, kind),
        call_id=text(given, "gen_ai.tool.call.id"),
        arguments=given.get("gen_ai.tool.call.arguments"),
        result=decoded(given.get("gen_ai.tool.call.result")),
        asked=_messages(given, "gen_ai.input.messages", faults) or _messages(given, "pydantic_ai.all_messages", faults),
        replied=_messages(given, "gen_ai.output.messages", faults),
        finished=tuple(map(str, reasons)) if isinstance(reasons, list) else None,
        returned=given.get("final_result"),
        input_tokens=count(given, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        output_tokens=count(given, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        session=text(given, "gen_ai.conversation.id"),
        documents=_documents(given),
        verdicts=verdicts,
        faults=tuple(faults),
    )


def _name(given: Mapping[str, Any], kind: StepKind | None) -> str | None:
    if kind == "llm" or kind == "embedding":
        return text(given, "gen_ai.response.model", "gen_ai.request.model")
    names = {"tool": "gen_ai.tool.name", "agent": "gen_ai.agent.name", "node": "gen_ai.workflow.name"}
    return text(given, names[kind]) if kind in names else None


def _messages(given: Mapping[str, Any], key: str, faults: list[str]) -> tuple[Message, ...] | None:
    if (value := decoded(given.get(key))) is None:
        return None
    if not isinstance(value, list):
        faults.append(f"`{key}`, which is not a list of messages (the emitter may have cut it)")
        return None
    return tuple(message for each in value for message in _message(each, key, faults))


def _message(value: Any, key: str, faults: list[str]) -> Iterator[Message]:
    """Yield a message of ours for a message in parts, and one for each result of a tool in it."""
    given = value if isinstance(value, Mapping) else {}
    role = given.get("role")
    content = given.get("parts", given.get("content"))
    parts = content if isinstance(content, list) else [{"type": "text", "content": content}]
    texts: list[str] = []
    calls: list[ToolCall | None] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "tool_call":
            calls.append(call_of(part.get("name"), part.get("arguments"), part.get("id")))
        elif kind == "tool_call_response":
            answer = part.get("response", part.get("result"))
            result = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
            if (answered := message_of("tool", result, (), part.get("id"))) is not None:
                yield answered
        elif kind == "text" and isinstance(words := part.get("content", part.get("text")), str):
            called = [*_call_in(words)]
            calls += called
            texts += [] if called else [words]
        elif kind not in _SILENT:
            faults.append(f"a part of `{key}` that is not text ({str(kind)[:40]})")
    if texts or calls or not parts:
        message = message_of(role, "\n".join(texts), tuple(calls))
        if message is None:
            faults.append(f"a message of `{key}` with the role {str(role)[:40]}")
        else:
            yield message


def _call_in(words: str) -> Iterator[ToolCall | None]:
    """Yield the call that a text is: an emitter writes it as the SDK shows it."""
    if words.startswith(f"{_CALL_AS_TEXT}("):
        for name, values in python_calls(words):
            if name == _CALL_AS_TEXT:
                yield call_of(values.get("name"), values.get("arguments"), values.get("call_id"))


def _documents(given: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    value = decoded(given.get("gen_ai.retrieval.documents"))
    if not isinstance(value, list):
        return None
    return tuple(
        {"id": each.get("id"), "text": each.get("content", each.get("text")), "score": each.get("score")}
        for each in value
        if isinstance(each, Mapping)
    )


def _verdicts(span: TracedSpan) -> Iterator[Feedback]:
    for event in span.events:
        if event.name == EVALUATION:
            given = {**event.attributes, **arguments_of(event.body)}
            value = given.get("gen_ai.evaluation.score.value")
            yield Feedback(
                name=text(given, "gen_ai.evaluation.name") or "evaluation",
                value=float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None,
                label=text(given, "gen_ai.evaluation.score.label") or "",
                reason=text(given, "gen_ai.evaluation.explanation") or "",
                by="",
                rater="",
                of_the_answer=True,
            )
