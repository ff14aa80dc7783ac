"""Implement the fake model's batch APIs: files and batches of OpenAI, message batches of Anthropic."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web

from evalkit.testing.messages_api import problem_of

LineFault = Literal["missing", "expired", "canceled", "error_500", "error_413", "error_400"]
Ending = Literal["completed", "failed", "expired", "cancelled"]
CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ERRORS = {
    "error_500": (500, "api_error", "Internal server error"),
    "error_413": (413, "request_too_large", "the request is too large"),
    "error_400": (400, "invalid_request_error", "output format: not supported"),
}


@dataclass
class FakeBatch:
    """A batch that the fake model was sent."""

    id: str
    requests: list[dict[str, Any]]
    """Lines, each with `custom_id` and `body` or `params`."""
    created_at: float
    input_file: str = ""
    n_looks: int = 0
    ending: Ending = "completed"
    problem: str = ""
    lines: list[dict[str, Any]] | None = None
    """The results, in the reverse order of the requests; `None` until the batch has ended."""


@dataclass
class BatchApi:
    """Takes batches, and answers their requests once they have been looked at often enough.

    Attributes:
        reply: Answers one request: `(body, is_message) -> body of the reply`.
        looks: Looks at a batch before it has ended.
        line_fault: A rule `(number of the batch from 1, of its request from 0) -> fault`; `None` for a good line.
        endings: How the first batches end, one each; those after them are completed.
        problem: Code of the problem of a failed batch.
        refusals: `(method and path, status)` of the next refused requests, such as `("POST /v1/batches", 429)`.
        lost: Number of next batches that are created, but whose creation is answered with status 500.
        batches: Every batch that was created.
        answered: The body of every request that was answered in a batch, each of which a vendor would charge.
    """

    reply: Callable[[dict[str, Any], bool], dict[str, Any]]
    looks: int = 1
    line_fault: Callable[[int, int], LineFault | None] = lambda batch, request: None
    endings: list[Ending] = field(default_factory=list)
    problem: str = "invalid_json_line"
    refusals: list[tuple[str, int]] = field(default_factory=list)
    lost: int = 0
    batches: list[FakeBatch] = field(default_factory=list)
    answered: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the APIs below `/v1`."""
        router.add_post("/v1/files", self._refusing(self._upload))
        router.add_get("/v1/files/{id}/content", self._refusing(self._content))
        router.add_post("/v1/batches", self._refusing(self._create))
        router.add_get("/v1/batches", self._refusing(self._list))
        router.add_get("/v1/batches/{id}", self._refusing(self._look))
        router.add_post("/v1/messages/batches", self._refusing(self._create_messages))
        router.add_get("/v1/messages/batches", self._refusing(self._list_messages))
        router.add_get("/v1/messages/batches/{id}", self._refusing(self._look_messages))
        router.add_get("/v1/messages/batches/{id}/results", self._refusing(self._results))

    def _refusing(self, handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            for at, (what, status) in enumerate(self.refusals):
                if f"{request.method} {request.path}".startswith(what):
                    del self.refusals[at]
                    return web.json_response({"error": {"message": f"refused with {status}"}}, status=status)
            response: web.StreamResponse = await handler(request)
            return response

        return handle

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        if form["purpose"] != "batch" or not isinstance(file, web.FileField):
            return web.json_response({"error": {"message": "purpose: not batch"}}, status=400)
        name = f"file-{len(self.files) + 1}"
        self.files[name] = file.file.read()
        return web.json_response({"id": name, "object": "file", "purpose": "batch", "bytes": len(self.files[name])})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        data = self.files.get(body.get("input_file_id"))
        if data is None or body.get("endpoint") != "/v1/chat/completions" or body.get("completion_window") != "24h":
            return web.json_response({"error": {"message": "no such file, endpoint or window"}}, status=400)
        lines = [json.loads(line) for line in data.splitlines()]
        names = [line["custom_id"] for line in lines]
        sound = all(line["method"] == "POST" and line["url"] == body["endpoint"] for line in lines)
        batch = self._new("batch", lines, body["input_file_id"])
        if not sound or len(set(names)) < len(names):
            batch.ending, batch.problem = "failed", "invalid_request"
        return self._created(batch, _openai(batch))

    async def _create_messages(self, request: web.Request) -> web.Response:
        lines = (await request.json())["requests"]
        for line in lines:
            problem = problem_of(line["params"], request.headers)
            if problem or not CUSTOM_ID.fullmatch(line["custom_id"]):
                error = {"type": "invalid_request_error", "message": problem or "custom_id: wrong pattern"}
                return web.json_response({"type": "error", "error": error}, status=400)
        batch = self._new("msgbatch", lines)
        return self._created(batch, _message_batch(batch))

    def _new(self, prefix: str, lines: list[dict[str, Any]], file: str = "") -> FakeBatch:
        ending = self.endings.pop(0) if self.endings else "completed"
        moment = datetime.now(UTC).timestamp()
        batch = FakeBatch(f"{prefix}_{len(self.batches) + 1}", lines, moment, file, ending=ending)
        batch.problem = self.problem if ending == "failed" else ""
        self.batches.append(batch)
        return batch

    def _created(self, batch: FakeBatch, record: dict[str, Any]) -> web.Response:
        if self.lost:
            self.lost -= 1
            return web.json_response({"error": {"message": "Internal server error"}}, status=500)
        return web.json_response(record)

    def _found(self, request: web.Request) -> FakeBatch:
        for batch in self.batches:
            if batch.id == request.match_info["id"]:
                return batch
        raise web.HTTPNotFound(text=json.dumps({"error": {"message": "no such batch"}}))

    def _looked(self, batch: FakeBatch, *, is_message: bool) -> FakeBatch:
        batch.n_looks += 1
        if batch.n_looks > self.looks and batch.lines is None:
            number = self.batches.index(batch) + 1
            cut = len(batch.requests) // 2 if batch.ending in ("expired", "cancelled") else None
            batch.lines = []
            for at, line in enumerate(batch.requests if batch.ending != "failed" else ()):
                fault = self.line_fault(number, at)
                if cut is not None and at >= cut:
                    fault = "expired" if batch.ending == "expired" else "canceled"
                if fault != "missing":
                    batch.lines.insert(0, self._line(line, fault, is_message=is_message))
        return batch

    def _line(self, line: Mapping[str, Any], fault: LineFault | None, *, is_message: bool) -> dict[str, Any]:
        custom_id = line["custom_id"]
        if fault is None:
            body = line["params" if is_message else "body"]
            self.answered.append(body)
            reply = self.reply(body, is_message)
            if is_message:
                return {"custom_id": custom_id, "result": {"type": "succeeded", "message": reply}}
            return {"custom_id": custom_id, "response": {"status_code": 200, "body": reply}, "error": None}
        if fault in _ERRORS:
            status, kind, said = _ERRORS[fault]
            error = {"type": kind, "message": said}
            if is_message:
                inner = {"type": "error", "error": error}
                return {"custom_id": custom_id, "result": {"type": "errored", "error": inner}}
            return {
                "custom_id": custom_id,
                "response": {"status_code": status, "body": {"error": error}},
                "error": None,
            }
        if is_message:
            return {"custom_id": custom_id, "result": {"type": fault}}
        code = "batch_expired" if fault == "expired" else "batch_cancelled"
        return {"custom_id": custom_id, "response": None, "error": {"code": code, "message": f"the batch {fault}"}}

    async def _look(self, request: web.Request) -> web.Response:
        return web.json_response(_openai(self._looked(self._found(request), is_message=False)))

    async def _look_messages(self, request: web.Request) -> web.Response:
        return web.json_response(_message_batch(self._looked(self._found(request), is_message=True)))

    async def _list(self, request: web.Request) -> web.Response:
        return self._page(request, "after", [_openai(batch) for batch in self.batches if batch.input_file])

    async def _list_messages(self, request: web.Request) -> web.Response:
        return self._page(request, "after_id", [_message_batch(each) for each in self.batches if not each.input_file])

    def _page(self, request: web.Request, cursor: str, records: list[dict[str, Any]]) -> web.Response:
        newest = records[::-1]
        ids = [each["id"] for each in newest]
        start = ids.index(request.query[cursor]) + 1 if cursor in request.query else 0
        end = start + int(request.query.get("limit", "20"))
        return web.json_response({"data": newest[start:end], "has_more": end < len(newest)})

    async def _content(self, request: web.Request) -> web.Response:
        kind, _, batch_id = request.match_info["id"].partition("-of-")
        lines = next(each.lines or [] for each in self.batches if each.id == batch_id)
        wanted = [each for each in lines if (_is_good(each)) == (kind == "output")]
        return web.Response(text="".join(json.dumps(each) + "\n" for each in wanted))

    async def _results(self, request: web.Request) -> web.Response:
        batch = self._found(request)
        if batch.lines is None:
            raise web.HTTPNotFound(text=json.dumps({"error": {"message": "no results yet"}}))
        return web.Response(text="".join(json.dumps(each) + "\n" for each in batch.lines))


def _is_good(line: Mapping[str, Any]) -> bool:
    return (line["response"] or {}).get("status_code") == 200


def _openai(batch: FakeBatch) -> dict[str, Any]:
    lines = batch.lines
    good = [each for each in lines or () if _is_good(each)]
    problem = {"code": batch.problem, "message": "the batch was rejected", "line": None, "param": None}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "errors": {"object": "list", "data": [problem]} if batch.ending == "failed" and lines is not None else None,
        "input_file_id": batch.input_file,
        "completion_window": "24h",
        "status": "in_progress" if lines is None else batch.ending,
        "output_file_id": f"output-of-{batch.id}" if good else None,
        "error_file_id": f"error-of-{batch.id}" if lines and len(good) < len(lines) else None,
        "created_at": int(batch.created_at),
        "request_counts": {"total": len(batch.requests), "completed": len(good), "failed": 0},
    }


def _message_batch(batch: FakeBatch) -> dict[str, Any]:
    ended = batch.lines is not None
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": {
            "processing": 0 if ended else len(batch.requests),
            "succeeded": len(batch.requests) if ended else 0,
            "errored": 0,
            "canceled": 0,
            "expired": 0,
        },
        "created_at": datetime.fromtimestamp(batch.created_at, UTC).isoformat(),
        "results_url": f"https://api.anthropic.com/v1/messages/batches/{batch.id}/results" if ended else None,
    }
