"""The chat client against a real local server."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from evalkit.llm.client import RESAMPLE_TEMPERATURE, ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.llm.errors import JudgeError
from evalkit.net.prices import Prices
from evalkit.testing import FakeModel, Fault


class Verdict(BaseModel):
    """A small reply with a bounded score."""

    model_config = ConfigDict(extra="forbid")

    reason: str
    score: int = Field(ge=1, le=5)


class WithDefaults(BaseModel):
    """A reply with a default, a list and a nested object."""

    verdicts: list[Verdict]
    note: str | None = None
    grade: Literal["good", "bad"] = "good"


GOOD = {"reason": "fits", "score": 4}


def config_of(server: FakeModel, **changes: Any) -> ChatConfig:
    """Settings for the local server: patient, but short of breath."""
    settings = {"model": "judge-1", "base_url": server.base_url, "timeout_s": 60.0, "deadline_s": 600.0, **changes}
    return ChatConfig(**settings)


class Waits(list[float]):
    """Notes each wait instead of waiting."""

    async def __call__(self, seconds: float) -> None:
        """Note one wait."""
        self.append(seconds)
        await asyncio.sleep(0)


def ask(server: FakeModel, *, waits: Waits | None = None, times: int = 1, env: Any = None, **changes: Any) -> Any:
    """Ask the server for verdicts with one client, and give the last one back."""

    async def run() -> Any:
        async with server:
            sleep = waits if waits is not None else Waits()
            client = ChatClient(config_of(server, **changes), env=env or {}, sleep=sleep)
            async with client:
                for _ in range(times):
                    parsed = await client.structured("grade this", Verdict)
                return parsed

    return asyncio.run(run())


def failure_of(server: FakeModel, **options: Any) -> JudgeError:
    """The error that asking the server ends in."""
    with pytest.raises(JudgeError) as caught:
        ask(server, **options)
    return caught.value


def test_text_gives_reply_usage_and_price() -> None:
    """A text comes with tokens, the cost at the suite's own prices, and the model that the endpoint names."""

    async def run() -> Any:
        async with FakeModel(["hello"]) as server:
            prices = Prices(input_usd_per_million=1.0, output_usd_per_million=10.0)
            async with ChatClient(config_of(server, prices=prices), env={}) as client:
                return await client.text("hi"), server.requests

    reply, requests = asyncio.run(run())
    assert reply.text == "hello"
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (100, 10)
    assert reply.usage.cost_usd == pytest.approx(100e-6 + 100e-6)
    assert (reply.model, reply.rung) == ("judge-1", "text")
    assert requests == [
        {
            "messages": [{"role": "user", "content": "hi"}],
            "model": "judge-1",
            "temperature": 0.0,
            "seed": 0,
            "max_tokens": 1024,
        }
    ]


@pytest.mark.parametrize(
    ("usage", "changes", "expected"),
    [
        pytest.param({}, {}, (None, None, None), id="no usage reported"),
        pytest.param({"prompt_tokens": 5, "completion_tokens": 5}, {}, (5, 5, None), id="model without a price"),
        pytest.param({"prompt_tokens": True, "completion_tokens": -1}, {}, (None, None, None), id="nonsense counts"),
    ],
)
def test_unknown_cost_is_none(usage: Any, changes: Any, expected: Any) -> None:
    """What the endpoint does not report, and a price that nobody knows, is None and never 0."""
    parsed = ask(FakeModel([GOOD], usage=usage), **changes)
    assert (parsed.usage.input_tokens, parsed.usage.output_tokens, parsed.usage.cost_usd) == expected


@pytest.mark.parametrize(
    ("fault", "rungs"),
    [
        pytest.param(None, ["json_schema"], id="accepted"),
        pytest.param(Fault(kind="refuse_format"), ["json_schema", "json_object"], id="400"),
        pytest.param(Fault(kind="refuse_format_500"), ["json_schema", "json_object"], id="500 of llama.cpp"),
        pytest.param(
            Fault(kind="refuse_format", rungs=("json_schema", "json_object")),
            ["json_schema", "json_object", "tool"],
            id="to the tool call",
        ),
        pytest.param(
            Fault(kind="refuse_format", rungs=("json_schema", "json_object", "tool")),
            ["json_schema", "json_object", "tool", "plain"],
            id="to plain text",
        ),
    ],
)
def test_ladder_steps_down_and_remembers(fault: Fault | None, rungs: list[str]) -> None:
    """A refused form is asked one rung lower without a wait, and the second question starts where the first ended."""
    server, waits = FakeModel([GOOD], always=fault), Waits()
    parsed = ask(server, times=2, waits=waits)
    assert parsed.value == Verdict(reason="fits", score=4)
    assert parsed.rung == rungs[-1]
    assert len(server.requests) == len(rungs) + 1
    assert waits == []


@pytest.mark.parametrize("status", [400, 404, 422])
def test_refusal_of_every_rung_is_an_error(status: int) -> None:
    """Where even plain text is refused, the last refusal is reported and nothing is retried."""
    server = FakeModel(always=Fault(kind="status", status=status, message="no such model"))
    error = failure_of(server)
    assert error.kind == f"http_{status}"
    assert "no such model" in error.message
    assert len(server.requests) == 4


@pytest.mark.parametrize("kind", ["fenced", "prose"])
@pytest.mark.parametrize("rungs", [(), ("json_schema", "json_object"), ("json_schema", "json_object", "tool")])
def test_json_is_found_in_fences_and_prose_on_every_rung(kind: Any, rungs: tuple[str, ...]) -> None:
    """Fences and prose around the object cost no further request, whatever the rung."""
    text = {"fenced": "```json\n%s\n```", "prose": "My verdict:\n%s\nBest wishes."}[kind] % json.dumps(GOOD)
    server = FakeModel([text], always=Fault(kind="refuse_format", rungs=rungs))
    assert ask(server).value.score == 4
    assert len(server.requests) == 1 + len(rungs)


def test_ignored_form_is_mended_by_a_repair_turn() -> None:
    """An endpoint that passes over response_format in silence is asked again with its reply and the fault shown."""
    server = FakeModel([GOOD], always=Fault(kind="ignore_format"))
    parsed = ask(server)
    assert parsed.value.score == 4
    roles = [turn["role"] for turn in server.requests[1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert parsed.usage.input_tokens == 200


BAD_REPLIES = {
    "prose only": "It is good.",
    "empty": "",
    "missing key": '{"score": 4}',
    "out of bounds": '{"reason": "", "score": 90}',
    "number in words": '{"reason": "", "score": "four"}',
    "boolean": '{"reason": "", "score": true}',
    "null": '{"reason": "", "score": null}',
    "fraction": '{"reason": "", "score": 4.5}',
    "not a number": '{"reason": "", "score": NaN}',
    "infinite": '{"reason": "", "score": 1e999}',
    "five of ten": '{"reason": "", "score": "5/10"}',
    "key given twice": '{"reason": "", "score": 1, "score": 5}',
    "two different verdicts": '{"reason": "a", "score": 1} {"reason": "b", "score": 5}',
    "a list": '[4, "fits"]',
    "cut object": '{"reason": "fits", "score": 4',
    "further key with another verdict": '{"reason": "", "score": 4, "final_score": 1}',
    "deep nesting": '{"a":' * 3000,
    "verdict inside its own thoughts": '<think>{"reason": "", "score": 4}</think> I pass.',
}


@pytest.mark.parametrize("text", BAD_REPLIES.values(), ids=BAD_REPLIES.keys())
def test_unusable_reply_is_an_error_after_two_repairs(text: str) -> None:
    """No unusable reply becomes a value: two repair turns are tried, then the call fails with what was wrong."""
    server = FakeModel([text])
    error = failure_of(server)
    assert error.kind == "bad_reply"
    assert len(server.requests) == 3
    assert error.usage is not None and error.usage.input_tokens == 300


class Share(BaseModel):
    """A reply whose number has no bounds."""

    share: float


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "true", '"1/2"', "null"])
def test_what_is_no_finite_number_is_refused(number: str) -> None:
    """Where the schema sets no bounds, what JSON readers take for numbers is still refused."""

    async def run() -> None:
        async with FakeModel([f'{{"share": {number}}}']) as server:
            async with ChatClient(config_of(server), env={}) as client:
                await client.structured("share?", Share)

    with pytest.raises(JudgeError, match="bad_reply"):
        asyncio.run(run())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"reason": "x", "score": 4} again: {"reason": "x", "score": 4}', id="the same verdict twice"),
        pytest.param('The form {"type": "object"} is filled: {"reason": "x", "score": 4}', id="another object before"),
        pytest.param('<think>{"reason": "", "score": 1}</think>{"reason": "x", "score": 4}', id="thoughts before"),
        pytest.param('{"reason": "brace } in { text", "score": 4}', id="braces in a text"),
    ],
)
def test_one_fitting_object_is_taken(text: str) -> None:
    """The one object that fits is the value, whatever stands around it."""
    assert ask(FakeModel([text])).value.score == 4


def test_repair_turn_names_the_fault() -> None:
    """The repair turn tells the model which field is wrong."""
    server = FakeModel(['{"reason": "", "score": 90}', GOOD])
    assert ask(server).value.score == 4
    assert "score" in server.requests[1]["messages"][-1]["content"]


def test_cut_reply_says_raise_max_tokens() -> None:
    """A reply that ended at the limit is not repaired but reported with its fix."""
    server = FakeModel([GOOD], always=Fault(kind="truncated"))
    error = failure_of(server, max_tokens=64)
    assert error.kind == "truncated"
    assert "64 tokens; raise max_tokens" in error.message
    assert len(server.requests) == 1


def test_refusal_is_an_error() -> None:
    """A model that declines gives no value, at once."""
    error = failure_of(FakeModel([GOOD], always=Fault(kind="refusal")))
    assert error.kind == "refusal"


def test_redirect_is_not_followed() -> None:
    """A key is not carried to wherever a server points."""

    async def run() -> tuple[JudgeError, list[Any]]:
        async with FakeModel([GOOD]) as other:
            there = Fault(kind="status", status=307, location=f"{other.base_url}/chat/completions")
            async with FakeModel(always=there) as server:
                async with ChatClient(config_of(server), env={}) as client:
                    with pytest.raises(JudgeError) as caught:
                        await client.text("hi")
            return caught.value, other.requests

    error, carried = asyncio.run(run())
    assert (error.kind, carried) == ("http_307", [])


def test_retries_end() -> None:
    """A server that never recovers is asked max_retries + 1 times."""
    server = FakeModel(always=Fault(kind="status", status=503, message="overloaded"))
    error = failure_of(server, max_retries=3)
    assert (error.kind, len(server.requests)) == ("http_503", 4)
    assert "overloaded" in error.message and "4 attempts" in error.message


@pytest.mark.parametrize("kind", ["silent", "drip"])
def test_silent_and_dripping_servers_time_out(kind: Any) -> None:
    """Neither silence nor a byte now and then holds a call beyond its timeout."""
    server = FakeModel(always=Fault(kind=kind))
    error = failure_of(server, timeout_s=0.2, max_retries=1)
    assert error.kind == "timeout"
    assert len(server.requests) == 2


def test_deadline_ends_a_question_while_retries_are_left() -> None:
    """Waits count towards the deadline: the call fails before a wait that would pass it."""
    server, waits = FakeModel(always=Fault(kind="status", status=503)), Waits()
    error = failure_of(server, waits=waits, deadline_s=10.0, max_retries=100)
    assert error.kind == "http_503"
    assert "raise deadline_s" in error.message
    assert sum(waits) < 10


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        pytest.param("30", 30.0, 32.0, id="seconds"),
        pytest.param("0", 0.5, 2.5, id="zero"),
        pytest.param("-5", 0.5, 2.5, id="negative"),
        pytest.param("soon", 0.5, 2.5, id="garbage"),
        pytest.param("Fri, 01 Jan 1999 00:00:00 GMT", 0.5, 2.5, id="date in the past"),
        pytest.param(None, 0.5, 2.5, id="absent"),
    ],
)
def test_retry_after_is_kept_with_jitter_on_top(retry_after: str | None, least: float, most: float) -> None:
    """The wait is never shorter than asked, and differs between clients."""
    server = FakeModel([GOOD], faults=[Fault(kind="status", status=429, retry_after=retry_after)])
    waits = Waits()
    ask(server, waits=waits)
    assert least < waits[0] < most


def test_waiting_call_frees_its_slot() -> None:
    """With one slot, a call that was turned away lets the next one through before it tries again."""
    order: list[str] = []

    async def run() -> None:
        def reply(request: dict[str, Any]) -> str:
            order.append(request["messages"][-1]["content"])
            return "ok"

        async with FakeModel(reply, faults=[Fault(kind="status", status=429)]) as server:
            turned_away, second_done = asyncio.Event(), asyncio.Event()

            async def sleep(_: float) -> None:
                turned_away.set()
                await second_done.wait()

            async with ChatClient(config_of(server), env={}, concurrency=1, sleep=sleep) as client:
                first = asyncio.create_task(client.text("first"))
                await turned_away.wait()
                await client.text("second")
                second_done.set()
                await first

    asyncio.run(asyncio.wait_for(run(), timeout=600))
    assert order == ["second", "first"]


def test_concurrency_is_bounded() -> None:
    """No more exchanges are in flight than there are slots."""

    async def run() -> FakeModel:
        async with FakeModel(latency_s=0.01) as server:
            async with ChatClient(config_of(server), env={}, concurrency=3) as client:
                await asyncio.gather(*(client.text(str(number)) for number in range(12)))
            return server

    server = asyncio.run(run())
    assert len(server.requests) == 12
    assert server.most_in_flight <= 3


@pytest.mark.parametrize("kind", ["gzip_bomb", "endless"])
def test_huge_reply_is_cut_off(kind: Any) -> None:
    """A body that unpacks or streams without end fails at the cap, without being held in memory."""
    server = FakeModel(always=Fault(kind=kind, size=256 * 1024 * 1024))
    tracemalloc.start()
    error = failure_of(server)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.kind == "too_large"
    assert len(server.requests) == 1
    assert peak < 32 * 1024 * 1024


@pytest.mark.parametrize("kind", ["not_json", "empty"])
def test_status_200_without_json_is_an_error(kind: Any) -> None:
    """A page of another server is not a reply, and the error points at base_url."""
    error = failure_of(FakeModel(always=Fault(kind=kind)))
    assert error.kind == "bad_reply"
    assert "base_url" in error.message


def test_error_object_with_status_200_is_an_error() -> None:
    """An error that comes with status 200 and no choices is reported in its own words."""

    async def run() -> None:
        async with FakeModel() as server:
            server._completion = lambda *_: {"error": {"message": "provider is down"}}  # type: ignore[method-assign]
            async with ChatClient(config_of(server), env={}) as client:
                await client.text("hi")

    with pytest.raises(JudgeError, match="bad_reply: the reply is an error: provider is down"):
        asyncio.run(run())


def test_samples_differ_in_seed_and_temperature() -> None:
    """A further sample gets another seed, and a temperature at which a seed matters."""

    async def run() -> list[dict[str, Any]]:
        async with FakeModel() as server:
            async with ChatClient(config_of(server, seed=40), env={}) as client:
                for sample in range(3):
                    await client.text("hi", sample=sample)
            return server.requests

    requests = asyncio.run(run())
    assert [request["seed"] for request in requests] == [40, 41, 42]
    assert [request["temperature"] for request in requests] == [0.0, RESAMPLE_TEMPERATURE, RESAMPLE_TEMPERATURE]


def test_null_sampling_fields_are_not_sent() -> None:
    """Models that refuse temperature or seed are asked without."""
    server = FakeModel([GOOD])
    ask(server, temperature=None, seed=None)
    assert {"temperature", "seed"}.isdisjoint(server.requests[0])


def test_renamed_token_limit_is_learned() -> None:
    """An endpoint that wants max_completion_tokens says so once, and gets it from then on."""
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server = FakeModel([GOOD], faults=[Fault(kind="status", status=400, message=message)])
    assert ask(server, times=2).rung == "json_schema"
    limits = [(request.get("max_tokens"), request.get("max_completion_tokens")) for request in server.requests]
    assert limits == [(1024, None), (None, 1024), (None, 1024)]


def test_schema_is_closed_and_complete() -> None:
    """The schema on the wire closes every object, requires every property and holds no default."""

    async def run() -> tuple[Any, dict[str, Any]]:
        async with FakeModel() as server:
            async with ChatClient(config_of(server), env={}) as client:
                parsed = await client.structured("grade", WithDefaults)
            return parsed, server.requests[0]["response_format"]["json_schema"]

    parsed, sent = asyncio.run(run())
    schema = sent["schema"]
    assert sent["strict"] is True
    assert schema["required"] == ["verdicts", "note", "grade"]
    assert schema["additionalProperties"] is False and schema["$defs"]["Verdict"]["additionalProperties"] is False
    assert '"default"' not in json.dumps(schema)
    assert parsed.value.verdicts == [Verdict(reason="text", score=1)]


KEY = "sk-canary/4+2=secret"


@pytest.mark.parametrize("echo", [KEY, "sk-canary%2F4%2B2%3Dsecret", "c2stY2FuYXJ5LzQrMj1zZWNyZXQ="])
@pytest.mark.parametrize("status", [401, 400, 503])
def test_key_is_sent_but_never_shown(status: int, echo: str) -> None:
    """The key travels in the header; an error that echoes it, also quoted or in base64, does not show it."""
    server = FakeModel(always=Fault(kind="status", status=status, message=f"bad key {echo}"))
    error = failure_of(server, env={"JUDGE_KEY": KEY}, api_key_env="JUDGE_KEY", max_retries=1)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert "[redacted]" in str(error)
    assert "canary" not in f"{error!r} {error}" and "c2stY2Fu" not in str(error)


def test_key_in_a_refusal_is_not_shown() -> None:
    """A reply that repeats the key is redacted as well."""
    error = failure_of(FakeModel([f"your key is {KEY}"]), env={"JUDGE_KEY": KEY}, api_key_env="JUDGE_KEY")
    assert KEY not in str(error)


@pytest.mark.parametrize("env", [{}, {"JUDGE_KEY": ""}, {"JUDGE_KEY": "  "}])
def test_without_a_key_no_question_is_asked(env: dict[str, str]) -> None:
    """Each question ends as `no_key`, which names the variable; nothing is sent."""
    server = FakeModel([GOOD])
    error = failure_of(server, env=env, api_key_env="JUDGE_KEY")
    fix = "export JUDGE_KEY=... before the run"
    assert (error.kind, error.message) == ("no_key", f"no key: environment variable JUDGE_KEY is not set; {fix}")
    assert not server.requests


def test_closed_client_says_how_to_open_it() -> None:
    """A client without a session raises instead of guessing."""
    client = ChatClient(ChatConfig(model="m", base_url="http://127.0.0.1/v1"), env={})
    with pytest.raises(RuntimeError, match="async with ChatClient"):
        asyncio.run(client.text("hi"))


def test_lone_surrogates_and_controls_can_be_asked() -> None:
    """Text that is not valid Unicode, or holds NUL and line separators, reaches the server as it is."""
    text = "a\ud800b\x00c\u2028d"

    async def run() -> Any:
        async with FakeModel() as server:
            async with ChatClient(config_of(server), env={}) as client:
                await client.text(text)
            return server.requests[0]["messages"][0]["content"]

    assert asyncio.run(run()) == text


def test_line_breaks_within_strings_are_read() -> None:
    """Models, and servers that hold them to JSON, write raw control characters into a reason."""
    parsed = ask(FakeModel(['{"reason": "first line\nsecond\tline \x03", "score": 3}']))
    assert parsed.value.reason == "first line\nsecond\tline \x03"
