"""Read and write tool calls, in the form of rows and in that of the chat protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evalkit.formats.fields import parse_json, read_count, read_error, read_id, read_list, read_text, read_times
from evalkit.formats.plain import plain
from evalkit.text.values import shown
from evalkit.types import ToolCall

MOST_CALLS = 10_000


def read_calls(place: str, value: object) -> tuple[ToolCall, ...] | None:
    """Return the calls of an output or a message, or `None` if it does not report any.

    Raises:
        TooLarge: There are more than 10,000.
        ValueError: A call cannot be read; the message names the place.
    """
    if value is None:
        return None
    calls = plain(place, read_list(place, value, MOST_CALLS))
    return tuple(_call(f"{place}[{at}]", call) for at, call in enumerate(calls))


def _call(place: str, value: Any) -> ToolCall:
    # The chat protocol nests name and arguments in `function` and writes the arguments as JSON text.
    call = value.get("function", value) if isinstance(value, Mapping) else None
    if not isinstance(call, Mapping) or "name" not in call:
        raise ValueError(f"{place}: expected {{name, arguments}}, got {shown(value)}")
    started_s, ended_s = read_times(place, value)
    return ToolCall(
        read_text(f"{place}.name", call["name"]),
        read_arguments(f"{place}.arguments", _arguments(place, call)) or {},
        read_id(f"{place}.id", value.get("id")),
        value.get("result"),
        read_error(f"{place}.error", value.get("error")),
        read_count(f"{place}.turn", value.get("turn"), 1),
        started_s,
        ended_s,
    )


def _arguments(place: str, call: Mapping[str, Any]) -> Any:
    """Return the arguments, which LangChain calls `args`."""
    if call.get("arguments") is not None and call.get("args") is not None:
        raise ValueError(f"{place}: both `arguments` and `args`; keep one of the two")
    return call.get("args") if call.get("arguments") is None else call["arguments"]


def read_arguments(place: str, value: Any) -> Mapping[str, Any] | None:
    """Return arguments given as a mapping or as JSON text, or `None` if there are none."""
    if isinstance(value, str):
        value = plain(place, parse_json(value, place)) if value.strip() else None
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{place}: expected a mapping, got {shown(value)}")
    return value


def call_record(call: ToolCall) -> dict[str, Any]:
    """Return a call as rows store it, without unknown values."""
    record: dict[str, Any] = {"name": call.name, "arguments": call.arguments}
    for key in ("result", "error", "turn", "started_s", "ended_s"):
        if (value := getattr(call, key)) is not None:
            record[key] = value
    return record | ({"id": call.id} if call.id else {})


def chat_call(call: ToolCall) -> dict[str, Any]:
    """Return a call as the chat protocol writes it."""
    function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    return {**({"id": call.id} if call.id else {}), "type": "function", "function": function}
