"""Read and write messages of a chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.formats.fields import read_id, read_list, read_mapping, read_text
from evalkit.formats.plain import plain
from evalkit.formats.tool_calls import call_record, chat_call, read_calls
from evalkit.text.values import shown
from evalkit.types import ROLES, Case, Message

MOST_MESSAGES = 500
_KEYS = {"role", "content", "tool_calls", "tool_call_id", "call_id", "name", "parts", "details"}


def read_messages(place: str, value: object, most: int | None = MOST_MESSAGES) -> tuple[Message, ...] | None:
    """Return messages given in the form of rows or in that of the chat protocol, or `None` if there are none.

    Raises:
        TooLarge: There are more than `most`.
        ValueError: A message cannot be read; the error names the place.
    """
    if value is None:
        return None
    messages = plain(place, read_list(place, value, most))
    return tuple(_message(f"{place}[{at}]", message) for at, message in enumerate(messages))


def _message(place: str, value: Any) -> Message:
    if not isinstance(value, Mapping):
        raise ValueError(f"{place}: expected {{role, content}}, got {shown(value)}")
    role = value.get("role")
    if role not in ROLES:
        raise ValueError(f"{place}.role: expected one of {', '.join(ROLES)}, got {shown(role)}")
    calls = read_calls(f"{place}.tool_calls", value.get("tool_calls")) or ()
    if calls and role != "assistant":
        raise ValueError(f"{place}.tool_calls: only an assistant calls tools, the role is {role}")
    details = {key: item for key, item in value.items() if key not in _KEYS and item not in (None, "", [], {})}
    content = value.get("content") if value.get("parts") is None else value["parts"]
    parts = _parts(f"{place}.content", content) if isinstance(content, list) else ()
    if parts:
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    elif content is None and role == "assistant" and (calls or details):
        text = ""
    else:
        text = read_text(f"{place}.content", content)
    answered = value.get("tool_call_id") if value.get("call_id") is None else value["call_id"]
    return Message(
        role,
        text,
        calls,
        read_id(f"{place}.tool_call_id", answered),
        "" if value.get("name") is None else read_text(f"{place}.name", value["name"]),
        parts,
        {**details, **(read_mapping(f"{place}.details", value.get("details")) or {})},
    )


def _parts(place: str, parts: list[Any]) -> tuple[Mapping[str, Any], ...]:
    for at, part in enumerate(parts):
        if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
            raise ValueError(f"{place}[{at}]: expected a part such as {{type: text, text: ...}}, got {shown(part)}")
        if part["type"] == "text":
            read_text(f"{place}[{at}].text", part.get("text"))
    if not parts:
        raise ValueError(f"{place}: a list without a part; write the text")
    return tuple(parts)


def message_record(message: Message) -> dict[str, Any]:
    """Return a message as rows store it, without empty values."""
    optional = {
        "tool_calls": [call_record(call) for call in message.tool_calls],
        "call_id": message.call_id,
        "name": message.name,
        "parts": message.parts,
        "details": message.details,
    }
    return {"role": message.role, "content": message.content} | {key: value for key, value in optional.items() if value}


def chat_message(message: Message) -> dict[str, Any]:
    """Return a whole message as the chat protocol writes it."""
    chat: dict[str, Any] = {"role": message.role, "content": [*message.parts] or message.content}
    if message.tool_calls:
        chat["content"] = chat["content"] or None
        chat["tool_calls"] = [chat_call(call) for call in message.tool_calls]
    if message.call_id:
        chat["tool_call_id"] = message.call_id
    if message.name:
        chat["name"] = message.name
    return {**message.details, **chat}


def input_of(case: Case) -> str | list[dict[str, Any]]:
    """Return the input as systems and custom scorers get it: a string, or messages of the chat protocol."""
    return case.input if isinstance(case.input, str) else [chat_message(message) for message in case.input]


def text_of(message: Message) -> str:
    """Return a message as one text: its content, the types of its other parts, and its calls."""
    others = [f"[{part['type']}]" for part in message.parts if part["type"] != "text"]
    calls = [f"calls {call.name} {chat_call(call)['function']['arguments']}" for call in message.tool_calls]
    return "\n".join(filter(None, [message.content, *others, *calls])) or message.content
