"""The Messages API as a second dialect, against a server that refuses what the real one refuses."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from evalkit.llm.anthropic import from_reply
from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.llm.errors import JudgeError
from evalkit.llm.wire import tokens_of
from evalkit.testing import FakeModel, Fault


class Verdict(BaseModel):
    """A form that strict output takes."""

    reason: str
    score: Literal[1, 2, 3, 4, 5]


class Bounded(BaseModel):
    """A form with a bound, which strict output refuses."""

    score: Annotated[int, Field(ge=1, le=5)]


GOOD = {"reason": "r", "score": 4}


def ask(server: FakeModel, schema: type[BaseModel] = Verdict, *, sample: int = 0, **changes: Any) -> Any:
    """One question in this dialect."""

    async def run() -> Any:
        async with server:
            settings = {"model": "claude-x", "base_url": server.base_url, "dialect": "anthropic", **changes}
            config = ChatConfig(**{"timeout_s": 60.0, "max_retries": 1, **settings})
            async with ChatClient(config, env={"KEY": "sk-secret"}, sleep=asyncio.sleep) as client:
                return await client.structured("grade this", schema, sample=sample, logprobs=True)

    return asyncio.run(run())


def test_the_request_is_what_the_api_takes() -> None:
    """System apart from the turns, the key in its own header, a version, no seed; the schema as output format."""
    server = FakeModel([GOOD])
    parsed = ask(server, api_key_env="KEY", temperature=1.7, max_tokens=77)
    (request,), (headers,) = server.requests, server.headers
    assert parsed.value == Verdict(**GOOD)
    assert (parsed.rung, parsed.tokens) == ("json_schema", None)
    assert request.keys() == {"model", "max_tokens", "messages", "system", "temperature", "output_config"}
    assert request["messages"] == [{"role": "user", "content": "grade this"}]
    assert (request["max_tokens"], request["temperature"]) == (77, 1.0)
    assert headers["x-api-key"] == "sk-secret"
    assert headers["anthropic-version"] == "2023-06-01"
    assert "Authorization" not in headers


def test_bounds_are_left_out_of_strict_output_and_held_all_the_same() -> None:
    """The API refuses such keywords; a reply beyond the bound is sent back."""
    server = FakeModel([{"score": 9}, {"score": 5}])
    parsed = ask(server, Bounded)
    assert (parsed.value, parsed.rung) == (Bounded(score=5), "json_schema")
    assert "maximum" not in json.dumps(server.requests[0]["output_config"])


def test_where_strict_output_is_refused_a_tool_is_forced() -> None:
    """The next rung that the API has is a tool call; there is none for JSON of any form."""
    server = FakeModel([{"score": 5}], always=Fault(kind="refuse_format"))
    parsed = ask(server, Bounded)
    assert (parsed.value, parsed.rung) == (Bounded(score=5), "tool")
    assert len(server.requests) == 2
    assert server.requests[1]["tool_choice"] == {"type": "tool", "name": "reply"}
    assert server.requests[1]["tools"][0]["input_schema"]["properties"]["score"]["maximum"] == 5


def test_a_plain_reply_is_repaired() -> None:
    """Where both forms are refused, text is read, and sent back once it does not fit."""
    refusal = Fault(kind="refuse_format", rungs=("json_schema", "tool"))
    parsed = ask(FakeModel(["I say four.", '```json\n{"reason": "r", "score": 4}\n```'], always=refusal))
    assert (parsed.value, parsed.rung) == (Verdict(**GOOD), "plain")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(kind="truncated"), "truncated"),
        (Fault(kind="refusal"), "refusal"),
        (Fault(kind="status", status=529), "http_529"),
        (Fault(kind="status", status=401), "http_401"),
        (Fault(kind="not_json"), "bad_reply"),
        (Fault(kind="empty"), "bad_reply"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else value,
)
def test_failures_have_the_same_kinds(fault: Fault, kind: str) -> None:
    """A cut, declined or failed message is not a value, whatever the dialect."""
    with pytest.raises(JudgeError) as caught:
        ask(FakeModel([GOOD], always=fault), max_retries=0)
    assert caught.value.kind == kind


def test_tokens_from_the_providers_cache_are_input() -> None:
    """Input is what was sent, however much of it was read from, or written to, the provider's cache."""
    usage = {
        "input_tokens": 10,
        "output_tokens": 3,
        "cache_read_input_tokens": 400,
        "cache_creation_input_tokens": 50,
    }
    body = {"type": "message", "model": "m", "content": [], "stop_reason": "end_turn", "usage": usage}
    read = from_reply(body)["usage"]
    assert (read["prompt_tokens"], read["completion_tokens"]) == (460, 3)
    assert read["prompt_tokens_details"] == {"cached_tokens": 400}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "error", "error": {"message": "x"}},
        {"type": "message", "content": None},
        {"type": "message", "content": ["text", 5, {"type": "thinking", "thinking": "hm"}], "usage": "none"},
    ],
    ids=str,
)
def test_odd_bodies_become_no_reply(body: dict[str, Any]) -> None:
    """Whatever comes with status 200, reading it raises nothing but a judge's failure."""
    from evalkit.llm.wire import read_body

    try:
        assert read_body(from_reply(body)).text == ""
    except JudgeError as error:
        assert error.kind == "bad_reply"


def test_another_sample_is_warmer() -> None:
    """Without a seed, only the temperature makes a second opinion."""
    server = FakeModel([GOOD])
    ask(server, sample=2)
    assert server.requests[0]["temperature"] == 0.3


def test_the_fake_server_speaks_as_the_vendors_own_library_reads() -> None:
    """The library's types take the messages of the test server, so that these tests say something of the real API."""
    library = pytest.importorskip("anthropic")

    async def run() -> Any:
        async with FakeModel([GOOD]) as server:
            client = library.AsyncAnthropic(api_key="k", base_url=server.base_url.removesuffix("/v1"))
            turns = [{"role": "user", "content": "hi"}]
            return await client.messages.create(model="m", max_tokens=9, messages=turns)

    message = asyncio.run(run())
    assert message.content[0].text == '{"reason": "r", "score": 4}'
    assert message.stop_reason == "end_turn"


@pytest.mark.parametrize("absurd", [10**400, 2**63, 1e308, -1, True, "9", [9], {"n": 9}, None])
@pytest.mark.parametrize("key", ["input_tokens", "cache_read_input_tokens", "output_tokens"])
def test_an_absurd_number_of_tokens_is_unknown(key: str, absurd: object) -> None:
    """It is neither counted nor priced, and the reply is read all the same."""
    usage = {"input_tokens": 3, "output_tokens": 4, key: absurd}
    body = {"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn", "usage": usage}
    counted = tokens_of(from_reply(body))
    assert all(each is None or 0 <= each < 10**12 for each in counted)
    chat = {"prompt_tokens": absurd, "completion_tokens": absurd, "prompt_tokens_details": {"cached_tokens": absurd}}
    assert tokens_of({"usage": chat}) == (None, None, 0)
