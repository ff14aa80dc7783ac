"""Run an OpenAI-compatible model server inside the test process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from aiohttp import web

from evalkit.testing.batch_api import BatchApi
from evalkit.testing.faults import TEXT_FAULTS, Fault, exchange_fault, rung_of, spoil
from evalkit.testing.instances import instance_of, requested_schema
from evalkit.testing.messages_api import chat_form, message_form, problem_of

Reply = str | Mapping[str, Any]
Replies = Callable[[dict[str, Any]], Reply] | Sequence[Reply]
Shape = Callable[[Mapping[str, Any]], dict[str, Any]]
Logprobs = Callable[[dict[str, Any], str], Sequence[Mapping[str, float]]]

EMBEDDING_SIZE = 8


class FakeModel:
    """Answers `POST /v1/chat/completions`, `/v1/messages` and `/v1/embeddings` on a free port of the loopback address.

    Use it as `async with FakeModel() as server` in the running loop, or as `with FakeModel() as server` in a thread of
    its own, for tests of programs. A rule sees a message request in the words of the chat API. A reply is a text, a
    mapping that is sent as JSON, or `{"tool_calls": [{"name", "arguments"}]}` if the request offers tools. Without
    `replies` it is the smallest valid instance of the schema that was asked for, or `ok`.

    Args:
        replies: A rule `request -> reply`, or a script; the last reply of a script is repeated.
        faults: Faults of the first requests, one each; `None` is a good reply.
        always: Fault for all other requests.
        usage: `usage` of every reply; an empty mapping reports none.
        logprobs: A rule `(request, reply text) -> tokens` for requests that ask for probabilities, each token a mapping
            from alternatives to probabilities, the chosen one first. Without it the server ignores such requests
            silently, as many servers do.
        latency_s: Seconds before each answer.
        port: Port to listen on, 0 for a free one; a server that replaces another can keep its address.

    Attributes:
        requests: Every decoded chat or embedding request, in order of arrival.
        headers: The headers of each request.
        in_flight: Requests being answered now.
        most_in_flight: Largest number of requests at once.
        batches: The batch APIs of both vendors; requests in batches are answered by `replies`, without faults.
    """

    def __init__(  # noqa: PLR0913 - each names another way to answer
        self,
        replies: Replies | None = None,
        *,
        faults: Sequence[Fault | None] = (),
        always: Fault | None = None,
        usage: Mapping[str, Any] | None = None,
        logprobs: Logprobs | None = None,
        latency_s: float = 0.0,
        port: int = 0,
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.in_flight = self.most_in_flight = 0
        self._replies = replies
        self._faults = list(faults)
        self._always = always
        self._usage = usage if usage is not None else {"prompt_tokens": 100, "completion_tokens": 10}
        self._logprobs = logprobs
        self._latency_s = latency_s
        self._script_at = 0
        self._port = port
        self.batches = BatchApi(self._batched)
        self._runner: web.AppRunner | None = None
        self._thread: _ServerThread | None = None

    @property
    def base_url(self) -> str:
        """Address for `base_url` of a client."""
        return f"http://127.0.0.1:{self._port}/v1"

    def heal(self) -> None:
        """End every fault."""
        self._faults, self._always = [], None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/embeddings", self._embeddings)
        self.batches.add_routes(app.router)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def __enter__(self) -> Self:
        self._thread = _ServerThread(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.stop()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._counted(request, await self._journal(request), dict)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        body = await self._journal(request)
        if problem := problem_of(body, request.headers):
            error = {"type": "invalid_request_error", "message": problem}
            return web.json_response({"type": "error", "error": error}, status=400)
        return await self._counted(request, chat_form(body), message_form)

    async def _counted(self, request: web.Request, body: dict[str, Any], shape: Shape) -> web.StreamResponse:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._latency_s)
            return await self._answer(request, body, shape)
        finally:
            self.in_flight -= 1

    async def _journal(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        return body

    async def _answer(self, request: web.Request, body: dict[str, Any], shape: Shape) -> web.StreamResponse:
        fault = self._next_fault()
        if fault is not None and fault.kind not in TEXT_FAULTS:
            failed = await exchange_fault(fault, request, body)
            if failed is not None:
                return failed
            fault = None
        reply = self._chosen(body)
        if body.get("tools") and isinstance(reply, Mapping) and "tool_calls" in reply:
            return await self._answer_with_calls(request, body, shape, reply["tool_calls"])
        text, finish, refusal = reply if isinstance(reply, str) else json.dumps(reply), "stop", None
        if fault is not None:
            text, finish, refusal = spoil(fault, text, body)
        if body.get("stream"):
            pieces = [{"content": text[at : at + 8]} for at in range(0, len(text), 8)]
            return await self._stream(request, body, pieces, finish)
        return web.json_response(shape(self._completion(body, text, finish, refusal)))

    async def _answer_with_calls(
        self, request: web.Request, body: dict[str, Any], shape: Shape, wanted: Sequence[Mapping[str, Any]]
    ) -> web.StreamResponse:
        calls = [_call(one, at, f"call_{len(self.requests)}_{at}") for at, one in enumerate(wanted)]
        if body.get("stream"):
            return await self._stream(request, body, [{"tool_calls": [call]} for call in calls], "tool_calls")
        completion = self._completion(body, "", "tool_calls", None)
        completion["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": calls}
        return web.json_response(shape(completion))

    def _next_fault(self) -> Fault | None:
        return self._faults.pop(0) if self._faults else self._always

    def _chosen(self, body: dict[str, Any]) -> Reply:
        if callable(self._replies):
            return self._replies(body)
        if self._replies:
            self._script_at += 1
            return self._replies[min(self._script_at, len(self._replies)) - 1]
        schema = requested_schema(body)
        return "ok" if schema is None else json.dumps(instance_of(schema))

    def _completion(self, body: dict[str, Any], text: str, finish: str, refusal: str | None) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": refusal}
        if rung_of(body) == "tool" and refusal is None:
            call = {"name": body["tools"][0]["function"]["name"], "arguments": text}
            message = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": call}]}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        if body.get("logprobs") and self._logprobs:
            choice["logprobs"] = {"content": [_token(one) for one in self._logprobs(body, text)]}
        return {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": self._usage or None}

    def _batched(self, body: dict[str, Any], is_message: bool) -> dict[str, Any]:
        asked = chat_form(body) if is_message else body
        reply = self._chosen(asked)
        text = reply if isinstance(reply, str) else json.dumps(reply)
        completion = self._completion(asked, text, "stop", None)
        return message_form(completion) if is_message else completion

    async def _stream(
        self, request: web.Request, body: dict[str, Any], pieces: Sequence[dict[str, Any]], finish: str
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        deltas: list[tuple[dict[str, Any], str | None]] = [(piece, None) for piece in pieces]
        for delta, reason in [({"role": "assistant"}, None), *deltas, ({}, finish)]:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            await _send_event(response, {"model": body["model"], "choices": [choice]})
        if (body.get("stream_options") or {}).get("include_usage"):
            await _send_event(response, {"model": body["model"], "choices": [], "usage": self._usage})
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await self._journal(request)
        fault = self._next_fault()
        if fault is not None and fault.kind not in TEXT_FAULTS:
            failed = await exchange_fault(fault, request, body)
            if failed is not None:
                return failed
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        data = [{"object": "embedding", "index": index, "embedding": _vector(text)} for index, text in enumerate(texts)]
        usage = {"prompt_tokens": 3 * len(texts), "total_tokens": 3 * len(texts)}
        return web.json_response({"object": "list", "model": body["model"], "data": data, "usage": usage})


async def _send_event(response: web.StreamResponse, event: Mapping[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")


def _call(wanted: Mapping[str, Any], index: int, call_id: str) -> dict[str, Any]:
    function = {"name": wanted["name"], "arguments": json.dumps(wanted.get("arguments", {}))}
    return {"index": index, "id": call_id, "type": "function", "function": function}


def _vector(text: str) -> list[float]:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return [byte / 127.5 - 1.0 for byte in digest[:EMBEDDING_SIZE]]


def _token(alternatives: Mapping[str, float]) -> dict[str, Any]:
    """Return one token of a reply in the wire format."""
    top = [{"token": text, "logprob": math.log(share)} for text, share in alternatives.items()]
    return {**top[0], "top_logprobs": top}


class _ServerThread:
    """Runs one server in its own thread and event loop."""

    def __init__(self, server: FakeModel) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-model", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(server.__aenter__(), self._loop).result(timeout=10)

    def stop(self) -> None:
        """Stop the server, its loop and its thread."""
        asyncio.run_coroutine_threadsafe(self._server.__aexit__(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
