"""Read chat completions in OpenAI's form, as many servers write it: whole, or as the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evalkit.formats.fields import read_id
from evalkit.text.values import one_line, shown

Part = Literal["message", "delta"]


@dataclass
class Completion:
    """What the first choice said, gathered whole or event by event."""

    text: str = ""
    refusal: str = ""
    tool_calls: dict[int, dict[str, str]] = field(default_factory=dict)
    """Position -> {id, name, arguments as JSON text}."""
    usage: Mapping[str, Any] | None = None
    model: str | None = None
    finish_reason: str | None = None

    def add(self, body: Any, part: Part) -> None:
        """Add a whole reply (`message`) or one event of a stream (`delta`).

        Raises:
            ValueError: The body is not a completion, or it is an error.
        """
        if not isinstance(body, Mapping):
            raise ValueError(f"expected an object with `choices`, got {shown(body)}")
        if body.get("error"):
            raise ValueError(f"the reply is an error: {error_text(body)}")
        if isinstance(body.get("usage"), Mapping):
            self.usage = body["usage"]
        if isinstance(body.get("model"), str):
            self.model = body["model"]
        choices = body.get("choices")
        if not isinstance(choices, list) or (not choices and part == "message"):
            raise ValueError(f"no `choices`, there is {shown(body)}")
        if choices:  # the last event of a stream has none, only the usage
            self._add_choice(choices[0], part)

    def _add_choice(self, choice: Any, part: Part) -> None:
        message = choice.get(part) if isinstance(choice, Mapping) else None
        if message is None and part == "delta":
            message = {}
        if not isinstance(message, Mapping):
            raise ValueError(f"no `choices[0].{part}`, there is {shown(choice)}")
        if isinstance(choice.get("finish_reason"), str):
            self.finish_reason = choice["finish_reason"]
        self.text += _text(message.get("content"))
        self.refusal += _text(message.get("refusal"))
        calls = message.get("tool_calls") or []
        if not isinstance(calls, list):
            raise ValueError(f"tool_calls: expected a list, got {shown(calls)}")
        for at, call in enumerate(calls):
            self._add_tool_call(at, call)

    def _add_tool_call(self, at: int, call: Any) -> None:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            raise ValueError(f"tool_calls[{at}]: no `function`, there is {shown(call)}")
        position = call.get("index")
        key = position if isinstance(position, int) else at
        merged = self.tool_calls.setdefault(key, {"id": "", "name": "", "arguments": ""})
        merged["id"] = merged["id"] or read_id(f"tool_calls[{at}].id", call.get("id"))
        merged["name"] += _text(function.get("name"))
        merged["arguments"] += _arguments(function.get("arguments"))


def _text(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, list):  # some servers give parts
        return "".join(_text(part.get("text")) for part in content if isinstance(part, Mapping))
    if not isinstance(content, str):
        raise ValueError(f"expected text as content, got {shown(content)}")
    return content


def _arguments(given: object) -> str:
    """JSON text; some servers give the object itself."""
    return json.dumps(given, ensure_ascii=False) if isinstance(given, Mapping) else _text(given)


def error_text(body: Any) -> str:
    """Find the message in an error body of any shape, in one line."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if isinstance(error, Mapping):
        error = error.get("message") or error.get("detail") or error
    return one_line(error if isinstance(error, str) else json.dumps(error, ensure_ascii=False))
