"""Find what the user said in a trace, and what the system answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalkit.traces.attributes import message_of
from evalkit.traces.meaning import SpanMeaning
from evalkit.traces.tree import TraceTree
from evalkit.types import Message

QUESTIONS = ("input", "question", "query", "prompt", "text", "message", "user_input")
"""Names under which a traced function gets the question."""
ANSWERS = ("answer", "output", "text", "response", "result", "content")
"""Names under which a traced function returns the answer."""


def user_texts(trace: TraceTree) -> tuple[Message, ...]:
    """Return the texts of user and assistant up to the user's last one, as the first span with messages has them."""
    for at, own in enumerate(trace.meanings):
        said = [*_asked(own, at == trace.top)]
        users = [number for number, message in enumerate(said) if message.role == "user"]
        if users:
            return tuple(said[: users[-1] + 1])
    return ()


def user_text(trace: TraceTree) -> str | None:
    """Return what the user said last before the trace; `None` if it does not hold it."""
    said = user_texts(trace)
    return said[-1].content if said else None


def _asked(own: SpanMeaning, is_top: bool) -> Iterator[Message]:
    messages = own.asked
    if messages is None and is_top:
        messages = tuple(_given(own.given))
    for message in messages or ():
        if message.role in ("user", "assistant") and message.content.strip():
            yield Message(message.role, message.content)


def _given(value: Any) -> Iterator[Message]:
    """Yield the messages in the input of a traced function: a chat, a text, or a mapping with one of the two."""
    if isinstance(value, Mapping):
        if isinstance(value.get("messages"), list):
            yield from _chat(value["messages"])
            return
        name = next((key for key in QUESTIONS if key in value), None)
        inner = value if name is None else value[name]
        value = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)
    if isinstance(value, list):
        chat = [*_chat(value)]
        if chat:
            yield from chat
            return
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.strip():
        yield Message("user", value)


def _chat(values: list[Any]) -> Iterator[Message]:
    for each in values:
        message = chat_message(each)
        if message is not None:
            yield message


def chat_message(value: Any) -> Message | None:
    """Return a message of a chat: a mapping with its role, one of LangChain, or a pair of role and content."""
    if isinstance(value, list) and len(value) == 2:
        return message_of(value[0], value[1])
    if not isinstance(value, Mapping):
        return None
    inner = value.get("data", value.get("kwargs"))
    inner = inner if isinstance(inner, Mapping) else value
    role = value.get("role", inner.get("type", value.get("type")))
    return message_of(role, inner.get("content"))


def text_of_turn(traces: Sequence[TraceTree]) -> str | None:
    """Return the answer to the user: the one that the root states, the last text of a model, or the output of the root.

    It is empty if the traces show that there was none, and `None` if they do not show it.
    """
    shown = False
    for trace in reversed(traces):
        if (stated := trace.meanings[trace.root].answer) is not None:
            return stated
        for own in reversed(trace.meanings):
            if own.kind == "llm" and own.replied is not None:
                shown = True
                if words := _words(own.replied):
                    return words
        own = trace.meanings[trace.top]
        found = _words(own.replied or ()) or _returned(own.returned)
        if found is not None:
            return found
    return "" if shown else None


def _words(messages: Sequence[Message]) -> str | None:
    """Return the texts of a reply; `None` if it has none."""
    return "\n".join(message.content for message in messages if message.content.strip()) or None


def _returned(value: Any) -> str | None:
    """Return the answer in the output of a traced function."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        name = next((key for key in ANSWERS if isinstance(value.get(key), str)), None)
        if name is not None:
            return str(value[name])
        messages = value.get("messages")
        last = chat_message(messages[-1]) if isinstance(messages, list) and messages else None
        if last is not None and last.role == "assistant":
            return last.content
    return json.dumps(value, ensure_ascii=False)
