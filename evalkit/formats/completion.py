"""Read chat completions in OpenAI's form, as many servers write it: whole, or as the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evalkit.formats.fields import read_id
from evalkit.formats.thoughts import without_thoughts
from evalkit.text.values import one_line, shown
from evalkit.types import MOST

Part = Literal["message", "delta"]
_NEW_LIMIT = "max_completion_tokens"
_THOUGHTS = ("thinking", "reasoning")
"""Types of the parts of a content that hold thoughts."""


@dataclass
class CalledTool:
    """A tool call as a model writes it: the arguments are JSON text that may be broken."""

    id: str
    name: str
    arguments: str
    position: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are an object that is closed."""
        try:
            return isinstance(json.loads(self.arguments), dict)
        except (ValueError, RecursionError):
            return False

    def extend(self, piece: CalledTool) -> None:
        """Add the next piece of a stream; a repeated name counts once."""
        self.id = self.id or piece.id
        if not self.arguments and piece.name != self.name:
            self.name = piece.name if piece.name.startswith(self.name) else self.name + piece.name
        self.arguments += piece.arguments


class ReplyError(ValueError):
    """Raised for a body that is an error, although the status of its reply is a good one.

    Attributes:
        status: The status that the body names, 400 to 599; `None` if it names none.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__(f"the reply is an error: {error_text(body)}")
        code = body["error"].get("code") if isinstance(body["error"], Mapping) else None
        number = int(code) if isinstance(code, str) and code.isdecimal() and len(code) == 3 else code
        is_status = isinstance(number, int) and not isinstance(number, bool) and 400 <= number <= 599
        self.status: int | None = number if is_status else None


@dataclass
class Completion:
    """The first choice of a completion, read whole or event by event."""

    text: str = ""
    refusal: str = ""
    tool_calls: list[CalledTool] = field(default_factory=list)
    usage: Mapping[str, Any] | None = None
    model: str | None = None
    finish_reason: str | None = None
    thought: bool = False
    """Whether the model gave thoughts beside its text (`reasoning_content` or `reasoning`)."""

    @property
    def answer(self) -> str:
        """The text without the thoughts before it."""
        return without_thoughts(self.text)

    def add(self, body: Any, part: Part) -> None:
        """Add a whole reply (`message`) or one event of a stream (`delta`).

        Raises:
            ValueError: The body is not a completion; `ReplyError` if it is an error.
        """
        if not isinstance(body, Mapping):
            raise ValueError(f"expected an object with `choices`, got {shown(body)}")
        if body.get("error"):
            raise ReplyError(body)
        if isinstance(body.get("usage"), Mapping):
            self.usage = body["usage"]
        if isinstance(body.get("model"), str):
            self.model = body["model"]
        choices = body.get("choices")
        if choices is None and part == "delta" and self.usage is not None:
            return  # some servers count the tokens in an event of its own
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
        self.thought = self.thought or any(message.get(name) for name in ("reasoning_content", "reasoning"))
        calls = message.get("tool_calls") or []
        if not calls and isinstance(message.get("function_call"), Mapping):  # the form before `tool_calls`
            calls = [{"function": message["function_call"]}]
        if not isinstance(calls, list):
            raise ValueError(f"tool_calls: expected a list, got {shown(calls)}")
        for at, call in enumerate(calls):
            function = call.get("function") if isinstance(call, Mapping) else None
            if part == "delta" and isinstance(call, Mapping) and function is None:
                function = {}
            if not isinstance(function, Mapping):
                raise ValueError(f"tool_calls[{at}]: no `function`, there is {shown(call)}")
            found = CalledTool(
                read_id(f"tool_calls[{at}].id", call.get("id")),
                _text(function.get("name")),
                _arguments(function.get("arguments")),
                _position(call.get("index")),
            )
            open_call = self._continued(found) if part == "delta" else None
            if open_call is None:
                self.tool_calls.append(found)
            else:
                open_call.extend(found)

    def _continued(self, piece: CalledTool) -> CalledTool | None:
        """Find the call that a piece of a stream belongs to; `None` for the first piece of a call.

        OpenAI numbers the calls. Other servers omit the number, give each call the number 0, repeat the name, or give
        each piece its own id. So a piece with a name begins another call only if the arguments before it are complete.
        """
        same = [each for each in self.tool_calls if piece.position in (None, each.position)]
        if piece.id and (known := [each for each in same if each.id == piece.id]):
            return known[-1]
        if not same:
            return None
        last = same[-1]
        ends = last.is_whole and (piece.arguments or (piece.id and last.id))
        return None if piece.name and ends else last


def _text(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, list):  # some servers give parts; those of thoughts are left out
        parts = [part for part in content if isinstance(part, Mapping) and part.get("type") not in _THOUGHTS]
        return "".join(_text(part.get("text")) for part in parts)
    if not isinstance(content, str):
        raise ValueError(f"expected text as content, got {shown(content)}")
    return content


def _arguments(given: object) -> str:
    """Return JSON text; some servers give the object itself."""
    if given is None or isinstance(given, str):
        return given or ""
    return json.dumps(given, ensure_ascii=False)


def _position(index: object) -> int | None:
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def cached_tokens(usage: Mapping[str, Any] | None) -> int:
    """Return the number of cached input tokens; 0 if the vendor reports none, or an implausible number."""
    counted = usage or {}
    details = counted.get("prompt_tokens_details")
    told = details.get("cached_tokens") if isinstance(details, Mapping) else counted.get("prompt_cache_hit_tokens")
    return told if isinstance(told, int) and not isinstance(told, bool) and 0 <= told < MOST else 0


def error_text(body: Any) -> str:
    """Find the message in an error body of any shape, in one line."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if isinstance(error, Mapping):
        error = error.get("message") or error.get("detail") or error
    if isinstance(error, list):
        error = _listed(error) or error
    return one_line(error if isinstance(error, str) else json.dumps(error, ensure_ascii=False))


def _listed(errors: list[Any]) -> str:
    """Return the problems of FastAPI's `detail`, without the request that it repeats."""
    told = [each for each in errors if isinstance(each, Mapping) and isinstance(each.get("msg"), str)]
    return "; ".join(f"{'.'.join(map(str, each.get('loc') or ()))}: {each['msg']}" for each in told)


def refusal_text(body: bytes) -> str:
    """Return the text of a refusal about the fields of a request: the parameter that it names, else its message.

    A message may also name fields that are not refused, so the parameter takes precedence. Only the message says what
    to send instead.
    """
    try:
        read = json.loads(body)
        error = read.get("error") if isinstance(read, Mapping) else None
        param = error.get("param") if isinstance(error, Mapping) else None
        text = error_text(read)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    if not isinstance(param, str) or not param:
        return text
    return f"{param}; use {_NEW_LIMIT}" if _NEW_LIMIT in text else param
