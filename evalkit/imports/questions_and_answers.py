"""Find the question and the answer in the inputs and outputs that tracing tools store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evalkit.imports.ids_and_fields import own_field
from evalkit.traces.attributes import words_of
from evalkit.traces.texts import ANSWERS, QUESTIONS

_QUESTIONS = (*QUESTIONS, "messages")
_TYPES = {"human": "user", "ai": "assistant", **{role: role for role in ("system", "tool", "user", "assistant")}}


def asked_fields(inputs: Any) -> dict[str, Any]:
    """Return the fields of some inputs; the one with the question is the input."""
    given = inputs if isinstance(inputs, Mapping) else {"input": inputs}
    name = next((key for key in _QUESTIONS if key in given), next(iter(given)) if len(given) == 1 else None)
    value = given if name is None else given[name]
    fields = {own_field(str(key)): each for key, each in given.items() if name is not None and key != name}
    return {"input": text_or_chat(value), **fields}


def text_or_chat(value: Any) -> Any:
    """Return a text or a chat as it is, and any other value as JSON text."""
    if isinstance(value, str) or value is None:
        return value
    messages = [chat_message(each) for each in value] if isinstance(value, list) and value else [None]
    return messages if None not in messages else json.dumps(value, ensure_ascii=False)


def chat_message(value: Any) -> dict[str, Any] | None:
    """Return a message of LangChain, serialised, plain or a pair, in our form; `None` if it is not one."""
    if isinstance(value, list) and len(value) == 2:
        value = {"role": value[0], "content": value[1]}
    if not isinstance(value, Mapping):
        return None
    data, role = value.get("data"), value.get("role", value.get("type"))
    inner = data if isinstance(data, Mapping) else value
    content = inner.get("content")
    if (
        isinstance(content, list)
        and content
        and all(isinstance(part, Mapping) and part.get("type") == "text" for part in content)
    ):
        content = words_of(content)
    kind = _TYPES.get(role) if isinstance(role, str) else None
    if kind is None or not isinstance(content, str):
        return None
    more = {name: inner[name] for name in ("tool_calls", "tool_call_id") if inner.get(name)}
    return {"role": kind, "content": content, **more}


def answer_text(outputs: Any) -> str | None:
    """Return the answer in some outputs: the value under a name for it, else all of them as JSON text."""
    if outputs is None or isinstance(outputs, str):
        return outputs
    if isinstance(outputs, Mapping):
        name = next((key for key in ANSWERS if key in outputs), next(iter(outputs)) if len(outputs) == 1 else None)
        value = outputs if name is None else outputs[name]
        messages = outputs.get("messages")
        if (
            name in (None, "messages")
            and isinstance(messages, list)
            and messages
            and (last := chat_message(messages[-1]))
        ):
            value = last["content"]
        elif (said := chat_message(value)) is not None:
            value = said["content"]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(outputs, ensure_ascii=False)
