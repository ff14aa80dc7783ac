"""Define the faults of the fake model."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

FaultKind = Literal[
    "status",
    "reset",
    "reset_in_body",
    "drip",
    "silent",
    "endless",
    "gzip_bomb",
    "not_json",
    "empty",
    "fenced",
    "prose",
    "truncated",
    "refusal",
    "refuse_format",
    "refuse_format_500",
    "ignore_format",
]
TEXT_FAULTS = frozenset({"fenced", "prose", "truncated", "refusal", "ignore_format"})
"""Faults of the reply's text; all others are faults of the exchange."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        kind: `status` answers `status`; `reset` and `reset_in_body` drop the connection; `drip` sends a byte now and
            then, `silent` nothing, `endless` without end; `gzip_bomb` a body that unpacks to `size` bytes; `not_json`
            an HTML page with status 200; `empty` no body. `fenced`, `prose`, `truncated` and `refusal` change the
            text of the reply. `refuse_format` answers 400 to every rung in `rungs`, `refuse_format_500` does it with
            status 500 as llama.cpp's Python server does; `ignore_format` answers prose unless the turns ask for JSON
            again.
        status: Status of `status`.
        retry_after: Retry-After header of `status`.
        location: Location header of `status`.
        message: Error message of `status`.
        rungs: The forms that are refused: `json_schema`, `json_object`, `tool`.
        size: Unpacked size of the bomb, in bytes.
    """

    kind: FaultKind
    status: int = 503
    retry_after: str | None = None
    location: str | None = None
    message: str = "try later"
    rungs: tuple[str, ...] = ("json_schema",)
    size: int = 64 * 1024 * 1024


def rung_of(request: Mapping[str, Any]) -> str:
    """Return the form that a chat request asks for: `json_schema`, `json_object`, `tool` or `plain`."""
    if request.get("tool_choice"):
        return "tool"
    return str((request.get("response_format") or {}).get("type", "plain"))


async def exchange_fault(fault: Fault, request: web.Request, body: Mapping[str, Any]) -> web.StreamResponse | None:
    """Answer with a fault of the exchange; `None` if this one lets the request through."""
    if fault.kind in {"refuse_format", "refuse_format_500"}:
        return _refused_form(fault, body)
    if fault.kind == "status":
        wanted = {"Retry-After": fault.retry_after, "Location": fault.location}
        headers = {name: value for name, value in wanted.items() if value is not None}
        return web.json_response({"error": {"message": fault.message}}, status=fault.status, headers=headers)
    if fault.kind == "not_json":
        return web.Response(text="<html><body>It works!</body></html>", content_type="text/html")
    if fault.kind == "empty":
        return web.Response(body=b"", content_type="application/json")
    if fault.kind == "gzip_bomb":
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return web.Response(body=_bomb(fault.size), headers=headers)
    return await _broken_stream(fault, request)


def _bomb(size: int) -> bytes:
    """Gzip `size` blanks, a mebibyte at a time, so that the server itself stays small."""
    packer = zlib.compressobj(9, wbits=31)
    piece = b" " * (1 << 20)
    return b"".join([packer.compress(piece) for _ in range(size >> 20)]) + packer.flush()


def _refused_form(fault: Fault, body: Mapping[str, Any]) -> web.Response | None:
    if rung_of(body) not in fault.rungs:
        return None
    if fault.kind == "refuse_format":
        return web.json_response({"error": {"message": f"{rung_of(body)} is not supported"}}, status=400)
    said = "[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': \"Input should be 'text'\"}]"
    return web.json_response({"error": {"message": said, "type": "internal_server_error"}}, status=500)


async def _broken_stream(fault: Fault, request: web.Request) -> web.StreamResponse:
    if fault.kind == "reset":
        _drop(request)
        return web.Response()
    if fault.kind == "silent":
        await asyncio.Event().wait()  # until the client gives up, or the server stops
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    if fault.kind == "reset_in_body":
        await response.write(b'{"choices": [')
        _drop(request)
        return response
    piece, pause_s = (b" ", 0.05) if fault.kind == "drip" else (b" " * 65536, 0.0)
    while True:
        await response.write(piece)
        await asyncio.sleep(pause_s)


def _drop(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def spoil(fault: Fault, text: str, request: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Change a good reply.

    Returns:
        Text, finish reason, refusal.
    """
    if fault.kind == "fenced":
        return f"```json\n{text}\n```", "stop", None
    if fault.kind == "prose":
        return f"Here is my verdict:\n{text}\nI hope that this helps.", "stop", None
    if fault.kind == "truncated":
        return text[: len(text) // 2], "length", None
    if fault.kind == "refusal":
        return "", "stop", "I cannot help with that."
    asked_again = "cannot be used" in json.dumps(request["messages"][-1])
    return (text if asked_again else "I would say that it is rather good."), "stop", None
