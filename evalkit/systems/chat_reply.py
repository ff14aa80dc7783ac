"""Read replies of an OpenAI-compatible chat endpoint, whole or streamed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.formats.completion import Completion, ReplyError
from evalkit.formats.fields import parse_json
from evalkit.formats.tool_calls import read_arguments
from evalkit.net.exchange import read_capped, too_large
from evalkit.net.retry import ExchangeFailed
from evalkit.systems.base import CallFailed
from evalkit.systems.output import to_output
from evalkit.text.values import one_line
from evalkit.types import Failure, Output

if TYPE_CHECKING:
    import aiohttp


@dataclass
class ChatReply(Completion):
    """A reply, with the time of its first token."""

    first_token_at: float | None = None
    """`time.perf_counter` of the first piece of a streamed answer."""


async def read_chat(response: aiohttp.ClientResponse, max_bytes: int) -> ChatReply:
    """Read one reply; if streaming was requested but the reply is not streamed, read it in one piece.

    Raises:
        CallFailed: `bad_output` or `too_large`.
        ExchangeFailed: The stream ended before the answer did, or the body holds an error with its status.
    """
    reply = ChatReply()
    try:
        if response.content_type != "text/event-stream":
            body = parse_json(await read_capped(response, max_bytes))
            reply.add(body, "message")
            return reply
        await _read_stream(reply, response, max_bytes)
    except ReplyError as error:
        if error.status is not None:
            raise ExchangeFailed.within_body(error.status, str(error)) from None
        raise CallFailed("bad_output", one_line(error)) from None
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
        reply.add(parse_json(data), "delta")
        if reply.first_token_at is None and (reply.text or reply.refusal or reply.tool_calls):
            reply.first_token_at = time.perf_counter()
    if reply.finish_reason is None:
        raise ExchangeFailed("bad_output", "the stream ended before the answer did", fate="lost")


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


def to_chat_output(reply: ChatReply, started: float, *, offers_tools: bool) -> Output | Failure:
    """Convert a reply to an output; a mistake of the model is its `fault`.

    Args:
        reply: What was read.
        started: `time.perf_counter` when the request was sent.
        offers_tools: Whether the request offered tools, so that a reply without a call says that none was called.
    """
    counted = reply.usage or {}
    text = reply.answer or reply.refusal
    calls, broken = _calls(reply)
    fault = broken or (None if text.strip() or calls else _no_answer(reply))
    return to_output(
        {
            "text": text,
            "usage": {
                "input_tokens": counted.get("prompt_tokens"),
                "output_tokens": counted.get("completion_tokens"),
                "model": reply.model,
            },
            "tool_calls": calls if calls or fault or offers_tools else None,
            "stop": reply.finish_reason,
            "fault": fault,
            "ttft_s": None if reply.first_token_at is None else reply.first_token_at - started,
        }
    )


def _calls(reply: ChatReply) -> tuple[list[dict[str, str]], str | None]:
    """Return the tool calls that can be read, and the fault of the first one that cannot."""
    calls, broken = [], None
    for at, called in enumerate(reply.tool_calls):
        call = {"id": called.id, "name": called.name, "arguments": called.arguments}
        try:
            if not called.name:
                raise ValueError("no name")
            read_arguments(f"tool_calls[{at}].arguments", called.arguments)
        except ValueError as error:
            cut = "; the reply was cut at its token limit" if _is_cut(reply) else ""
            place = "" if called.name else f"tool_calls[{at}]: "
            broken = broken or f"broken_tool_call: {place}{one_line(error)}{cut}"
        else:
            calls.append(call)
    return calls, broken


def _is_cut(reply: ChatReply) -> bool:
    return (reply.finish_reason or "").lower() in ("length", "max_tokens")


def _no_answer(reply: ChatReply) -> str:
    """Return why a reply has neither text nor a tool call."""
    said = f"finish_reason is {one_line(reply.finish_reason, 40)}" if reply.finish_reason else "no finish_reason"
    if _is_cut(reply):
        return f"out_of_tokens: the model used all its tokens before it answered ({said}); raise max_tokens"
    if reply.thought or reply.text.strip():
        return f"no_answer: the model gave thoughts, and no answer after them; {said}"
    return f"no_answer: the model gave neither text nor a tool call; {said}"
