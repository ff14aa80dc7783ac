"""Read the attributes that Google's Agent Development Kit adds to its spans: `gcp.vertex.agent.*`.

Source: `google.adk.telemetry.tracing`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from evalkit.traces.attributes import call_of, decoded, message_of, text, whole
from evalkit.traces.meaning import SpanMeaning
from evalkit.traces.span import TracedSpan
from evalkit.types import Message, ToolCall

_START = "gcp.vertex.agent."
_REDACTED = "{}"
"""Stands in every attribute with content if the user turned content off."""


def meaning_of_adk(span: TracedSpan) -> SpanMeaning | None:
    """Return what the attributes say; `None` if a span has none."""
    given = {key.removeprefix(_START): value for key, value in span.attributes.items() if key.startswith(_START)}
    if not given:
        return None
    request, response = (_content(given, key) for key in ("llm_request", "llm_response"))
    is_model = "llm_request" in given or "llm_response" in given
    used = _mapping(_mapping(response).get("usage_metadata", _mapping(response).get("usageMetadata")))
    contents = _mapping(request).get("contents")
    asked = [message for each in (contents if isinstance(contents, list) else ()) for message in _messages(each)]
    return SpanMeaning(
        kind="llm" if is_model else None,
        arguments=_content(given, "tool_call_args"),
        result=_content(given, "tool_response"),
        asked=tuple(asked) or None,
        replied=None if response is None else tuple(_messages(_mapping(response).get("content"))),
        input_tokens=whole(used.get("prompt_token_count", used.get("promptTokenCount"))),
        output_tokens=whole(used.get("candidates_token_count", used.get("candidatesTokenCount"))),
        session=text(given, "session_id"),
    )


def _content(given: Mapping[str, Any], key: str) -> Any:
    value = given.get(key)
    return None if value in (None, "", _REDACTED, "<not specified>") else decoded(value)


def _messages(value: Any) -> Iterator[Message]:
    """Yield a message for the text and calls of a content, and one for each result of a tool in it."""
    content = _mapping(value)
    parts = [_mapping(each) for each in content.get("parts") or ()] if isinstance(content.get("parts"), list) else []
    calls: list[ToolCall | None] = []
    for part in parts:
        called = _mapping(part.get("function_call", part.get("functionCall")))
        answered = _mapping(part.get("function_response", part.get("functionResponse")))
        if called:
            calls.append(call_of(called.get("name"), called.get("args"), called.get("id")))
        if answered:
            said = json.dumps(answered.get("response"), ensure_ascii=False)
            if (message := message_of("tool", said, (), answered.get("id"))) is not None:
                yield message
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str) and not part.get("thought")]
    if (texts or calls) and (message := message_of(content.get("role"), "\n".join(texts), tuple(calls))) is not None:
        yield message


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
