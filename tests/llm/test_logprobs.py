"""Probabilities of a reply's tokens, from endpoints that show them, pass over the wish, or refuse it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.llm.wire import Parsed, read_tokens
from evalkit.testing import FakeModel, Fault


class Level(BaseModel):
    """A reply."""

    score: int


REPLY = {"score": 4}


def spread(_: dict[str, Any], text: str) -> Sequence[Mapping[str, float]]:
    """The reply as three tokens, the level between two."""
    return [{'{"score": ': 1.0}, {"4": 0.75, "5": 0.25}, {"}": 1.0}]


def ask(server: FakeModel, times: int = 1, *, logprobs: bool = True) -> list[Parsed[Level]]:
    """Ask one client several times in a row."""

    async def run() -> list[Parsed[Level]]:
        async with server:
            config = ChatConfig(model="m", base_url=server.base_url, max_retries=0)
            async with ChatClient(config, env={}) as client:
                return [await client.structured("q", Level, logprobs=logprobs) for _ in range(times)]

    return asyncio.run(run())


def test_probabilities_are_read_token_by_token() -> None:
    """Each token comes with what might have stood in its place."""
    (parsed,) = ask(FakeModel([REPLY], logprobs=spread))
    assert parsed.tokens is not None
    assert [token.text for token in parsed.tokens] == ['{"score": ', "4", "}"]
    assert parsed.tokens[1].alternatives == pytest.approx({"4": 0.75, "5": 0.25})


def test_nobody_asks_unless_told_to() -> None:
    """A plain question sends no wish for probabilities."""
    server = FakeModel([REPLY], logprobs=spread)
    assert ask(server, logprobs=False)[0].tokens is None
    assert "logprobs" not in server.requests[0]


def test_an_endpoint_that_passes_over_the_wish_is_asked_once() -> None:
    """No probabilities in a good reply: the value counts, and the wish is not repeated."""
    server = FakeModel([REPLY])
    replies = ask(server, 3)
    assert [(each.value.score, each.tokens) for each in replies] == [(4, None)] * 3
    assert [request.get("logprobs") for request in server.requests] == [True, None, None]


def test_an_endpoint_that_refuses_them_is_asked_without() -> None:
    """A 400 that names them costs one exchange, not the rung."""
    server = FakeModel([REPLY], faults=[Fault(kind="status", status=400, message="logprobs are not supported")])
    replies = ask(server, 2)
    assert [(each.value.score, each.rung) for each in replies] == [(4, "json_schema")] * 2
    assert [request.get("logprobs") for request in server.requests] == [True, None, None]


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"content": []},
        {"content": [{"token": "4", "logprob": 1.5, "top_logprobs": []}]},
        {"content": [{"token": "4", "logprob": float("nan"), "top_logprobs": []}]},
        {"content": [{"token": "4", "logprob": True, "top_logprobs": []}]},
        {"content": [{"token": "4", "logprob": "-0.1", "top_logprobs": []}]},
        {"content": [{"token": "4", "logprob": -0.1}]},
        {"content": "4"},
    ],
)
def test_unsound_probabilities_are_none(logprobs: Any) -> None:
    """What is not a probability is unknown, never a number."""
    assert read_tokens({"choices": [{"logprobs": logprobs}]}) is None
