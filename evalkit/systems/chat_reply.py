"""Read replies of an OpenAI-compatible chat endpoint, whole or streamed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.formats.fields import parse_json, read_id
from evalkit.net.exchange import read_capped, too_large
from evalkit.systems.base import CallFailed
from evalkit.systems.output import to_output
from evalkit.text.values import one_line, shown
from evalkit.types import Failure, Output

if TYPE_CHECKING:
    import aiohttp


@dataclass
class ChatReply:
    """What a reply said, gathered whole or piece by piece."""

    text: str = ""
    tool_calls: dict[int, dict[str, str]] = field(default_factory=dict)
    """Position -> {id, name, arguments as JSON text}."""
    usage: Mapping[str, Any] | None = None
    model: str | None = None
    finish_reason: str | None = None
    first_token_at: float | None = None
    """`time.perf_counter` of the first piece of a streamed answer."""


async def read_chat(response: aiohttp.ClientResponse, max_bytes: int) -> ChatReply:
    """Read one reply; an endpoint that does not stream although it was asked to is read whole.

    Raises:
        CallFailed: `bad_output` or `too_large`.
    """
    reply = ChatReply()
    try:
        if response.content_type != "text/event-stream":
            body = parse_json((await read_capped(response, max_bytes)).decode("utf-8"))
            _add(reply, body, "message")
            return reply
        await _read_stream(reply, response, max_bytes)
    except ValueError as error:
        raise CallFailed("bad_output", one_line(error)) from None
    return reply


async def _read_stream(reply: ChatReply, response: aiohttp.ClientResponse, max_bytes: int) -> None:
    async for line in _lines(response, max_bytes):
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        _add(reply, parse_json(data.decode("utf-8")), "delta")
        if reply.first_token_at is None and (reply.text or reply.tool_calls):
            reply.first_token_at = time.perf_counter()
    if reply.finish_reason is None:
        raise ValueError("the stream ended before the answer did")


async def _lines(response: aiohttp.ClientResponse, max_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    rest = b""
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise too_large(max_bytes)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest


def _add(reply: ChatReply, body: Any, part: str) -> None:
    """Add a whole reply (`part` is `message`) or one event of a stream (`delta`)."""
    if not isinstance(body, Mapping):
        raise ValueError(f"expected an object with `choices`, got {shown(body)}")
    if body.get("error"):
        raise ValueError(f"the reply is an error: {_error_text(body['error'])}")
    if isinstance(body.get("usage"), Mapping):
        reply.usage = body["usage"]
    if isinstance(body.get("model"), str):
        reply.model = body["model"]
    choices = body.get("choices")
    if not isinstance(choices, list) or (not choices and part == "message"):
        raise ValueError(f"no `choices`, there is {shown(body)}")
    if choices:  # the last event of a stream has none, only the usage
        _add_choice(reply, choices[0], part)


def _error_text(error: object) -> str:
    message = error.get("message") if isinstance(error, Mapping) else error
    return one_line(message if message else error, 300)


def _add_choice(reply: ChatReply, choice: Any, part: str) -> None:
    message = choice.get(part) if isinstance(choice, Mapping) else None
    if message is None and part == "delta":
        message = {}
    if not isinstance(message, Mapping):
        raise ValueError(f"no `choices[0].{part}`, there is {shown(choice)}")
    if isinstance(choice.get("finish_reason"), str):
        reply.finish_reason = choice["finish_reason"]
    reply.text += _text(message.get("content")) or _text(message.get("refusal"))
    for at, call in enumerate(message.get("tool_calls") or ()):
        _add_tool_call(reply, at, call)


def _text(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, list):  # some servers give parts
        return "".join(_text(part.get("text")) for part in content if isinstance(part, Mapping))
    if not isinstance(content, str):
        raise ValueError(f"expected text as content, got {shown(content)}")
    return content


def _add_tool_call(reply: ChatReply, at: int, call: Any) -> None:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise ValueError(f"tool_calls[{at}]: no `function`, there is {shown(call)}")
    position = call.get("index")
    key = position if isinstance(position, int) else at
    merged = reply.tool_calls.setdefault(key, {"id": "", "name": "", "arguments": ""})
    for part in ("name", "arguments"):
        merged[part] += _text(function.get(part))
    merged["id"] = merged["id"] or read_id(f"tool_calls[{at}].id", call.get("id"))


def to_chat_output(reply: ChatReply, started: float) -> Output | Failure:
    """The answer in a reply.

    Args:
        reply: What was read.
        started: `time.perf_counter` when the request was sent.

    Returns:
        The output, or `Failure("empty_reply")` where there is neither text nor tool call.
    """
    if not reply.text and not reply.tool_calls:
        why = f"finish_reason is {one_line(reply.finish_reason, 40)}" if reply.finish_reason else "no finish_reason"
        return Failure("empty_reply", f"the model gave neither text nor a tool call; {why}")
    counted = reply.usage or {}
    return to_output(
        {
            "text": reply.text,
            "usage": {
                "input_tokens": counted.get("prompt_tokens"),
                "output_tokens": counted.get("completion_tokens"),
                "model": reply.model,
            },
            "tool_calls": [reply.tool_calls[at] for at in sorted(reply.tool_calls)] or None,
            "ttft_s": None if reply.first_token_at is None else reply.first_token_at - started,
        }
    )
