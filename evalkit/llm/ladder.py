"""Ask an endpoint for JSON, strictest form first, and detect a refusal."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import BaseModel

from evalkit.net.request_fields import REFUSING_STATUSES, is_too_long

Rung = Literal["json_schema", "json_object", "tool", "plain"]
RUNGS: tuple[Rung, ...] = ("json_schema", "json_object", "tool", "plain")
TOOL_NAME = "reply"
MAX_REPAIRS = 2
SHOWN_CHARS = 4_000
ENOUGH_REFUSALS = 2
"""Number of questions refused on a rung but accepted on a lower one before the rung is no longer used."""

UNDECODABLE = frozenset(
    "minLength maxLength minItems maxItems minimum maximum exclusiveMinimum exclusiveMaximum pattern".split()
)
"""Keywords that strict decoders of several vendors reject with status 400."""

FORM_REFUSALS = REFUSING_STATUSES | {404}
# llama.cpp's Python server answers an unknown response_format with status 500 and a validation message.
REFUSAL_IN_500 = re.compile(r"response_format|json_schema|tool_choice|validation", re.IGNORECASE)

FORM_WORDS = re.compile(r"response.?format|output.?(format|config)|json|schema|tool|function|logprob", re.IGNORECASE)


def is_refusal(status: int, message: str) -> bool:
    """Return whether a response refuses the requested form, and not the length of the prompt or every request."""
    if is_too_long(status, message):
        return False
    return status in FORM_REFUSALS or (status == 500 and bool(REFUSAL_IN_500.search(message)))


def names_form(message: str) -> bool:
    """Return whether a refusal is about the requested form; otherwise it may be about this case."""
    return bool(FORM_WORDS.search(message))


def strict_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of a model in the dialect that strict decoders accept.

    Every object is closed (`additionalProperties: false`), lists all its properties as required, and has no defaults.
    """
    closed: dict[str, Any] = _closed(schema.model_json_schema())
    return closed


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(part) for part in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, Any] = {}
    for key, part in node.items():
        if key in {"properties", "$defs"} and isinstance(part, dict):
            result[key] = {name: _closed(inner) for name, inner in part.items()}
        elif key != "default":
            result[key] = _closed(part)
    if isinstance(result.get("properties"), dict):
        result["additionalProperties"] = False
        result["required"] = list(result["properties"])
    return result


def form_of(rung: Rung, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the request that ask for `schema` on one rung."""
    if rung == "json_schema":
        named = {"name": TOOL_NAME, "strict": True, "schema": _decodable(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    if rung == "json_object":
        # llama.cpp's grammar uses `schema` beside the type; others ignore it, or refuse and are asked on a lower rung.
        return {"response_format": {"type": "json_object", "schema": schema}}
    if rung == "tool":
        function = {"name": TOOL_NAME, "description": "Give the reply.", "parameters": schema}
        choice = {"type": "function", "function": {"name": TOOL_NAME}}
        return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}
    return {}


def _decodable(node: Any) -> Any:
    """Return the schema without parts that strict decoders reject; the reply is still checked against all of it."""
    if isinstance(node, list):
        return [_decodable(part) for part in node]
    if not isinstance(node, dict):
        return node
    named = {"properties", "$defs"}
    return {
        key: {name: _decodable(inner) for name, inner in part.items()} if key in named else _decodable(part)
        for key, part in node.items()
        if key not in UNDECODABLE
    }


def with_instruction(messages: list[dict[str, str]], schema: dict[str, Any]) -> list[dict[str, str]]:
    """Add the requested form to the system turn.

    It is sent on every rung, so that an endpoint that silently ignores `response_format` still knows what to write. It
    comes at the end of the static text, so that a vendor's prefix cache applies.
    """
    text = f"Reply with one JSON object and nothing else. It must fit this JSON Schema:\n{json.dumps(schema)}"
    if messages and messages[0]["role"] == "system":
        first = {"role": "system", "content": f"{messages[0]['content']}\n\n{text}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def chars_sent(messages: list[dict[str, str]], schema: type[BaseModel]) -> int:
    """Return the length of the turns of a question, with the requested form."""
    return sum(len(turn["content"]) for turn in with_instruction(messages, strict_schema(schema)))


def repair_turns(said: str, problem: str) -> list[dict[str, str]]:
    """Return the turns that show the model its unusable reply and the fault."""
    ask = f"Your reply cannot be used: {problem}. Reply again with one JSON object that fits the schema, nothing else."
    return [{"role": "assistant", "content": said[:SHOWN_CHARS] or "(empty)"}, {"role": "user", "content": ask}]
