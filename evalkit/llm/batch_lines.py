"""Read and write the lines of the batch formats of OpenAI and Anthropic.

Sources: https://platform.openai.com/docs/api-reference/batch, https://docs.claude.com/en/api/creating-message-batches
(version 2023-06-01).
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from evalkit.net.vendors import Dialect
from evalkit.text.escaping import cut

MOST_REQUESTS = 10_000
"""Most requests of one batch; OpenAI accepts 50,000 and Anthropic 100,000."""
MOST_BYTES = 50_000_000
"""Most bytes of the requests of one batch; OpenAI accepts 200 MB and Anthropic 256 MB."""
CHAT_PATH = "/v1/chat/completions"
"""Path that OpenAI's format names for each request, whatever the address of the endpoint."""
QUEUE_FULL = "token_limit_exceeded"
"""OpenAI's code of a batch that was rejected because too many tokens wait in other batches."""
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Anthropic's type of an error -> the status that a direct call would have."""


@dataclass(frozen=True)
class BatchState:
    """A batch as its endpoint describes it.

    Attributes:
        id: Id of the batch at its endpoint.
        status: The endpoint's word for its state.
        ended: Whether no more replies will come.
        input_file: Id of the file with its requests; empty if the endpoint has no such files.
        files: Ids of the files with replies and errors.
        n_requests: Number of requests, `None` if it is not known yet.
        created_at: Seconds since 1970; `None` if unknown.
        problem: Code and message of the first problem of the whole batch; empty if there is none.
    """

    id: str
    status: str
    ended: bool
    input_file: str
    files: tuple[str, ...]
    n_requests: int | None
    created_at: float | None
    problem: str


@dataclass(frozen=True)
class BatchLine:
    """The outcome of one request of a batch.

    Attributes:
        custom_id: Name that the request was given.
        body: The reply, as to a direct call; `None` if there is none.
        kind: Why there is none: `http_<status>`, `batch_expired`, `batch_canceled` or `batch_error`; else empty.
        status: Status of a failed request, `None` if it has none.
        said: What the endpoint says about the failure, as JSON or text.
    """

    custom_id: str
    body: Mapping[str, Any] | None
    kind: str = ""
    status: int | None = None
    said: str = ""


def request_line(dialect: Dialect, custom_id: str, payload: Mapping[str, Any]) -> bytes:
    """Return the line of one request, with its line feed."""
    if dialect == "anthropic":
        line: dict[str, Any] = {"custom_id": custom_id, "params": payload}
    else:
        line = {"custom_id": custom_id, "method": "POST", "url": CHAT_PATH, "body": payload}
    return json.dumps(line, ensure_ascii=True).encode("ascii") + b"\n"


def custom_id_of(line: bytes) -> str:
    """Return the name of a request in its line; empty if the line cannot be read."""
    found = _object(line).get("custom_id")
    return found if isinstance(found, str) else ""


def state_of(dialect: Dialect, body: Mapping[str, Any]) -> BatchState:
    """Read a batch.

    Raises:
        ValueError: It is not a batch.
    """
    batch_id, counts = body.get("id"), body.get("request_counts")
    status = body.get("processing_status" if dialect == "anthropic" else "status")
    if not isinstance(batch_id, str) or not isinstance(status, str):
        raise ValueError("the reply is not a batch; check base_url and dialect")
    counts = counts if isinstance(counts, Mapping) else {}
    if dialect == "anthropic":
        numbers = [counts.get(name) for name in ("processing", "succeeded", "errored", "canceled", "expired")]
        known = [number for number in numbers if isinstance(number, int)]
        total = sum(known) if len(known) == len(numbers) else None
        return BatchState(batch_id, status, status == "ended", "", (), total, _seconds(body.get("created_at")), "")
    files = [body.get("output_file_id"), body.get("error_file_id")]
    total = counts.get("total")
    return BatchState(
        batch_id,
        status,
        status in _ENDED,
        str(body.get("input_file_id") or ""),
        tuple(each for each in files if isinstance(each, str) and each),
        total if isinstance(total, int) and total > 0 else None,
        _seconds(body.get("created_at")),
        _problem(body.get("errors")),
    )


def _seconds(value: Any) -> float | None:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _problem(errors: Any) -> str:
    data = errors.get("data") if isinstance(errors, Mapping) else None
    first = data[0] if isinstance(data, list) and data and isinstance(data[0], Mapping) else {}
    return cut(": ".join(str(first[key]) for key in ("code", "message") if first.get(key)), 500)


def lines_in(dialect: Dialect, data: bytes) -> Iterator[BatchLine]:
    """Read the outcomes in a file of results or errors, in any order; lines that cannot be read are skipped."""
    for line in data.split(b"\n"):
        found = _object(line)
        custom_id = found.get("custom_id")
        if isinstance(custom_id, str):
            yield _anthropic(custom_id, found) if dialect == "anthropic" else _openai(custom_id, found)


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line) if line.strip() else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _openai(custom_id: str, found: Mapping[str, Any]) -> BatchLine:
    response, error = found.get("response"), found.get("error")
    if isinstance(response, Mapping):
        body, status = response.get("body"), response.get("status_code")
        if status == 200 and isinstance(body, Mapping):
            return BatchLine(custom_id, body)
        if isinstance(status, int) and status >= 400:
            return BatchLine(custom_id, None, f"http_{status}", status, _said(body))
    code = error.get("code") if isinstance(error, Mapping) else None
    kind = {"batch_expired": "batch_expired", "batch_cancelled": "batch_canceled"}.get(str(code), "batch_error")
    return BatchLine(custom_id, None, kind, None, _said({"error": error}) if error else "a line without a reply")


def _anthropic(custom_id: str, found: Mapping[str, Any]) -> BatchLine:
    result = found.get("result")
    result = result if isinstance(result, Mapping) else {}
    message, kind = result.get("message"), result.get("type")
    if kind == "succeeded" and isinstance(message, Mapping):
        return BatchLine(custom_id, message)
    if kind in ("canceled", "expired"):
        return BatchLine(custom_id, None, f"batch_{kind}", None, f"the request was {kind} before it was answered")
    error = result.get("error")
    error = error if isinstance(error, Mapping) else {}
    inner = error.get("error") if isinstance(error.get("error"), Mapping) else error
    status = _STATUSES.get(str(inner.get("type"))) if isinstance(inner, Mapping) else None
    said = _said({"error": inner}) if inner else "a line without a reply"
    return BatchLine(custom_id, None, f"http_{status}" if status else "batch_error", status, said)


def _said(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body)


def names_in(custom_id: str) -> tuple[str, str]:
    """Return the names of question and form in the name of a request."""
    _, name, form = custom_id.split("-") if custom_id.count("-") == 2 else ("", "", "")
    return name, form


def forms_in(file: Path) -> dict[str, str]:
    """Return question -> form of each request in a file; empty if there is no file."""
    if not file.exists():
        return {}
    with file.open("rb") as lines:
        return dict(names_in(custom_id_of(line)) for line in lines)


def is_of(custom_id: str, questions: Container[str]) -> bool:
    """Return whether the name of a request is that of one of these questions."""
    return names_in(custom_id)[0] in questions
