"""The lines and states of batches, as OpenAI and Anthropic document them; nothing that arrives breaks the reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.llm.batch_lines import BatchLine, custom_id_of, lines_in, request_line, state_of
from evalkit.net.vendors import VENDORS, Dialect, lacks_batches

DIALECTS: tuple[Dialect, ...] = ("openai", "anthropic")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(
    "id status processing_status request_counts total output_file_id error_file_id errors data created_at".split()
)


def test_the_request_lines_are_those_of_the_documentation() -> None:
    """OpenAI wants method and path beside the body, Anthropic the parameters alone."""
    payload = {"model": "m", "messages": [{"role": "user", "content": "\u00e9"}]}
    assert json.loads(request_line("openai", "a", payload)) == {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": payload,
    }
    assert json.loads(request_line("anthropic", "a", payload)) == {"custom_id": "a", "params": payload}
    assert request_line("openai", "a", payload).count(b"\n") == 1


OPENAI = {
    "id": "batch_1",
    "object": "batch",
    "errors": None,
    "input_file_id": "file-1",
    "status": "expired",
    "output_file_id": "file-2",
    "error_file_id": "file-3",
    "created_at": 1711471533,
    "request_counts": {"total": 100, "completed": 95, "failed": 5},
}
ANTHROPIC = {
    "id": "msgbatch_1",
    "processing_status": "in_progress",
    "request_counts": {"processing": 60, "succeeded": 20, "errored": 10, "canceled": 5, "expired": 5},
    "created_at": "2024-08-20T18:37:24.100435Z",
    "results_url": None,
}


def test_a_batch_is_read_as_documented() -> None:
    """Both words for a state, both ways to count, both forms of time."""
    found = state_of("openai", OPENAI)
    assert (found.ended, found.input_file, found.files, found.n_requests) == (True, "file-1", ("file-2", "file-3"), 100)
    assert found.created_at == 1711471533
    found = state_of("anthropic", ANTHROPIC)
    assert (found.ended, found.files, found.n_requests) == (False, (), 100)
    assert found.created_at == pytest.approx(1724179044.1, abs=0.1)
    assert state_of("anthropic", {**ANTHROPIC, "processing_status": "ended"}).ended
    for status in ("validating", "in_progress", "finalizing", "cancelling"):
        assert not state_of("openai", {**OPENAI, "status": status}).ended
    data = [{"code": "token_limit_exceeded", "message": "too many", "line": None}]
    failed = state_of("openai", {**OPENAI, "status": "failed", "errors": {"object": "list", "data": data}})
    assert (failed.ended, failed.problem) == (True, "token_limit_exceeded: too many")
    with pytest.raises(ValueError, match="not a batch"):
        state_of("openai", ANTHROPIC)


LINES: list[tuple[Dialect, dict[str, Any], tuple[Any, str, int | None]]] = [
    ("openai", {"response": {"status_code": 200, "body": {"a": 1}}, "error": None}, ({"a": 1}, "", None)),
    ("openai", {"response": {"status_code": 429, "body": {"error": {"message": "slow"}}}}, (None, "http_429", 429)),
    ("openai", {"response": None, "error": {"code": "batch_expired"}}, (None, "batch_expired", None)),
    ("openai", {"response": {"status_code": 200, "body": None}}, (None, "batch_error", None)),
    ("anthropic", {"result": {"type": "succeeded", "message": {"a": 1}}}, ({"a": 1}, "", None)),
    ("anthropic", {"result": {"type": "expired"}}, (None, "batch_expired", None)),
    ("anthropic", {"result": {"type": "canceled"}}, (None, "batch_canceled", None)),
    (
        "anthropic",
        {"result": {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error"}}}},
        (None, "http_400", 400),
    ),
    (
        "anthropic",
        {"result": {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error"}}}},
        (None, "http_529", 529),
    ),
    ("anthropic", {"result": {"type": "errored", "error": {"type": "api_error"}}}, (None, "http_500", 500)),
    ("anthropic", {"result": {"type": "succeeded"}}, (None, "batch_error", None)),
]


@pytest.mark.parametrize(("dialect", "line", "expected"), LINES)
def test_an_outcome_is_a_reply_or_a_kind_of_failure(dialect: Dialect, line: dict[str, Any], expected: Any) -> None:
    """A line without a reply never reads as one."""
    data = json.dumps({"custom_id": "c", **line}).encode()
    found = next(lines_in(dialect, b"\n\xff\n" + data + b"\n{"))
    assert (found.body, found.kind, found.status) == expected


@given(st.sampled_from(DIALECTS), st.dictionaries(KEYS | st.text(max_size=5), VALUES, max_size=8))
def test_any_object_is_a_batch_or_an_error(dialect: Dialect, body: dict[str, Any]) -> None:
    """What a gateway may answer ends in a state or in a `ValueError`."""
    try:
        found = state_of(dialect, body)
    except ValueError:
        return
    assert found.id == body["id"]


@given(st.sampled_from(DIALECTS), VALUES, VALUES, st.binary(max_size=40))
def test_any_line_is_an_outcome_or_skipped(dialect: Dialect, one: Any, other: Any, rest: bytes) -> None:
    """Neither shapes nor bytes break the reader, and a failure always names its kind."""
    line = {"custom_id": "c", "response": one, "error": other, "result": {"type": "errored", "error": one}}
    data = json.dumps(line).encode() + b"\n" + rest
    found = list(lines_in(dialect, data))
    assert found[0].custom_id == "c"
    assert all(isinstance(each, BatchLine) and (each.body is not None or each.kind) for each in found)


@given(st.sampled_from(DIALECTS), st.text(), VALUES)
def test_a_line_names_its_request(dialect: Dialect, name: str, value: Any) -> None:
    """Whatever the payload holds."""
    assert custom_id_of(request_line(dialect, name, {"messages": value, "custom_id": "x"})) == name


def test_only_known_vendors_without_batches_are_refused() -> None:
    """A gateway of one's own may offer them; Azure's have another form."""
    lacking = {name for name, vendor in VENDORS.items() if lacks_batches(vendor.base_url)}
    assert lacking == VENDORS.keys() - {"openai", "anthropic", "ollama"}, "ollama's host is this machine"
    assert lacks_batches("https://gateway.example/v1") == ""
    assert lacks_batches("https://me.openai.azure.com/openai/deployments/d") == "me.openai.azure.com"
