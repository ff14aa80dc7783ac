"""What a reply, an endpoint or a budget may try, and what must come of it all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from evalkit.errors import InputError
from evalkit.formats.usage import add_usage
from evalkit.llm.budget import Budget, BudgetReached
from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.llm.errors import JudgeError
from evalkit.llm.wire import find_value
from evalkit.net.prices import Prices
from evalkit.testing import FakeModel, Fault
from evalkit.types import Usage

PRICES = Prices(input_usd_per_million=10.0, output_usd_per_million=0.0)


class Verdict(BaseModel):
    """A small form."""

    reason: str
    score: int


@pytest.mark.parametrize(
    "text",
    [
        'For example {"reason":"good","score":5}. My verdict: {"reason":"bad","score":"0"}',
        'draft {"reason":"good","score":5} hmm no </think> {"reason":"bad","score":"poor"}',
        'draft {"reason":"good","score":5} then really {"reason":"wrong, it is bad","sco',
        '{"reason":"r","score":5} A poor answer would get {"score": 1}',
        '<think>draft {"reason":"good","score":5}',
    ],
)
def test_a_draft_is_not_the_verdict(text: str) -> None:
    """A reply whose last word does not fit, or is cut, is sent back; the draft before it never counts."""
    with pytest.raises(ValueError, match=r"JSON object|score: Input should be"):
        find_value(text, Verdict)


def test_thoughts_before_the_reply_are_passed_over() -> None:
    """What a reasoning model thinks aloud first is not a second verdict, and a flood of it costs no time."""
    said = '<think>maybe {"reason":"x","score":2}</think>\n{"reason":"y","score":4}'
    assert find_value(said, Verdict).score == 4
    with pytest.raises(ValueError, match="no JSON object"):
        find_value("<think>" * 200_000, Verdict)


def asked(server: FakeModel, questions: int, *, budget: Budget | None = None, **config: Any) -> list[Any]:
    """Answers, or errors, of several questions at once."""

    async def run() -> list[Any]:
        settings = ChatConfig(**{"model": "m", "base_url": server.base_url, "prices": PRICES, **config})
        async with ChatClient(settings, env={}, concurrency=4, budget=budget) as client:
            tasks = [asyncio.ensure_future(client.structured(f"q{number}", Verdict)) for number in range(questions)]
            await asyncio.wait(tasks)
            return [task.exception() or task.result() for task in tasks]

    return asyncio.run(run())


GOOD = {"reason": "r", "score": 3}


def test_a_budget_holds_for_questions_that_wait_already() -> None:
    """Fifty questions for four slots and money for five: no more than the slots are beyond it."""
    budget = Budget(0.005)
    with FakeModel([GOOD], latency_s=0.01) as server:
        ended = asked(server, 50, budget=budget)
    assert len(server.requests) <= 5 + 4
    assert sum(isinstance(each, BudgetReached) for each in ended) >= 41


def test_an_endpoint_that_tells_no_tokens_is_charged_what_it_may_cost() -> None:
    """Silence is not free of charge; the row's own cost stays unknown."""
    budget = Budget(0.01)
    prices = Prices(input_usd_per_million=0.0, output_usd_per_million=1.0)
    with FakeModel([GOOD], usage={}) as server:
        ended = asked(server, 60, budget=budget, prices=prices, max_tokens=1000)
    assert budget.reached
    assert len(server.requests) <= 10 + 4
    assert all(each.usage.cost_usd is None for each in ended if not isinstance(each, BaseException))


def test_kept_replies_add_nothing_to_fresh_ones() -> None:
    """A sum of both is what this run spent; of kept ones alone, what they cost then."""
    fresh, kept = Usage(cost_usd=0.5, input_tokens=5), Usage(cost_usd=0.2, input_tokens=2, cached=True)
    assert add_usage(fresh, kept) == add_usage(kept, fresh) == fresh
    assert add_usage(kept, kept) == Usage(cost_usd=0.4, input_tokens=4, cached=True)


def rungs(server: FakeModel) -> list[str]:
    """The forms that were asked for."""
    return [(each.get("response_format") or {}).get("type", "other") for each in server.requests]


def test_one_case_that_is_refused_does_not_change_how_others_are_asked() -> None:
    """A 400 about one case is not about the form."""
    odd = Fault(kind="status", status=400, message="the input holds a character that is not allowed")
    with FakeModel([GOOD], faults=[None, odd]) as server:
        asked(server, 1)
        asked_twice = asked(server, 8)
    assert not [each for each in asked_twice if isinstance(each, BaseException)]
    assert rungs(server).count("json_object") == 1


def test_a_renamed_limit_takes_no_attempt_and_no_rung() -> None:
    """The question is sent again as it was, also where no retry is allowed."""
    renamed = Fault(kind="status", status=400, message="use max_completion_tokens instead of max_tokens")
    with FakeModel([GOOD], faults=[renamed]) as server:
        ended = asked(server, 6, max_retries=0)
    assert not [each for each in ended if isinstance(each, BaseException)]
    assert set(rungs(server)) == {"json_schema"}


@pytest.mark.parametrize("key", ["sk-1\nX-Admin: yes", "sk-ä"])
def test_a_key_that_cannot_be_one_is_named_before_the_first_call(key: str) -> None:
    """And is not shown."""
    config = ChatConfig(model="m", base_url="http://127.0.0.1/v1", api_key_env="KEY")
    with pytest.raises(InputError, match="KEY cannot be a key") as caught:
        ChatClient(config, env={"KEY": key})
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://a..b/v1", "http://host:99999/v1", f"http://{'a' * 70}.example/v1"])
def test_an_address_that_cannot_be_is_named(url: str) -> None:
    """Such hosts and ports would fail in the middle of a run."""
    with pytest.raises(ValueError, match="base_url"):
        ChatConfig(model="m", base_url=url)


def test_the_same_kind_of_error_when_nothing_is_retried() -> None:
    """With no retry at all a failure is still that failure."""
    with FakeModel(always=Fault(kind="status", status=503)) as server:
        (ended,) = asked(server, 1, max_retries=0)
    assert isinstance(ended, JudgeError)
    assert ended.kind == "http_503"


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "the request exceeds the available context size, try increasing it",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (40000) exceeds the maximum number of tokens allowed (32768).",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
    ],
)
def test_a_prompt_beyond_the_window_is_named_as_that(message: str) -> None:
    """As vendors and servers say it: one call, no lower rung, and nothing about the temperature."""
    with FakeModel(always=Fault(kind="status", status=400, message=message)) as server:
        (error,) = asked(server, 1)
    assert isinstance(error, JudgeError)
    assert error.kind == "prompt_too_long"
    assert "longer than the model's window" in error.message
    assert "temperature" not in error.message
    assert len(server.requests) == 1


def test_an_error_with_the_status_in_its_body_is_tried_again() -> None:
    """A router's 200 may hold the provider's 503; without a status the reply is no verdict."""
    with FakeModel([GOOD]) as server:
        whole, bodies = server._completion, [{"error": {"message": "overloaded", "code": 503}}]
        server._completion = lambda *given: bodies.pop() if bodies else whole(*given)  # type: ignore[method-assign]
        (parsed,) = asked(server, 1)
        assert parsed.value.score == 3
        server._completion = lambda *_: {"error": {"message": "no"}}  # type: ignore[method-assign]
        (refused,) = asked(server, 1)
    assert (refused.kind, refused.message) == ("bad_reply", "the reply is an error: no")
