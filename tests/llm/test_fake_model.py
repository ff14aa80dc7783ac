"""The model server for tests."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from evalkit.testing import FakeModel, Fault


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a request with the standard library."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
    connection.request("POST", urlsplit(url).path, json.dumps(body), {"Content-Type": "application/json"})
    decoded: dict[str, Any] = json.load(connection.getresponse())
    connection.close()
    return decoded


def test_thread_form_serves_blocking_clients() -> None:
    """`with FakeModel()` serves programs and blocking clients, and keeps what they sent."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    with FakeModel(lambda request: request["messages"][0]["content"].upper()) as server:
        reply = post(f"{server.base_url}/chat/completions", body)
    assert reply["choices"][0]["message"]["content"] == "HI"
    assert server.requests == [body]


def test_script_repeats_its_last_reply() -> None:
    """A script is answered in order, then its last reply again."""
    with FakeModel(["one", {"two": 2}]) as server:
        said = [
            post(f"{server.base_url}/chat/completions", {"model": "m", "messages": []})["choices"][0]["message"][
                "content"
            ]
            for _ in range(3)
        ]
    assert said == ["one", '{"two": 2}', '{"two": 2}']


def test_embeddings_are_the_same_for_the_same_text() -> None:
    """Each text has its own vector, in the order of the request."""
    with FakeModel() as server:
        reply = post(f"{server.base_url}/embeddings", {"model": "e", "input": ["a", "b", "a"]})
    vectors = [item["embedding"] for item in reply["data"]]
    assert vectors[0] == vectors[2] != vectors[1]
    assert [item["index"] for item in reply["data"]] == [0, 1, 2]


def test_stream_sends_pieces_usage_and_end() -> None:
    """With stream=true the reply comes as events, the usage last where it is asked for."""

    async def run() -> list[str]:
        async with FakeModel(["a reply of some length"]) as server, aiohttp.ClientSession() as session:
            body = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
            async with session.post(f"{server.base_url}/chat/completions", json=body) as response:
                assert response.content_type == "text/event-stream"
                return (await response.text()).split("\n\n")

    events = [line.removeprefix("data: ") for line in asyncio.run(run()) if line]
    assert events[-1] == "[DONE]"
    decoded = [json.loads(event) for event in events[:-1]]
    deltas = [choice["delta"].get("content", "") for event in decoded for choice in event["choices"]]
    assert "".join(deltas) == "a reply of some length"
    assert decoded[-1]["usage"]["prompt_tokens"] == 100


def test_faults_come_first_then_the_rule() -> None:
    """Scripted faults are spent one per request."""

    async def run() -> list[int]:
        async with FakeModel(faults=[Fault(kind="status", status=500), None]) as server:
            async with aiohttp.ClientSession() as session:
                statuses = []
                for _ in range(3):
                    body = {"model": "m", "messages": []}
                    async with session.post(f"{server.base_url}/chat/completions", json=body) as response:
                        statuses.append(response.status)
                return statuses

    assert asyncio.run(run()) == [500, 200, 200]


def test_agent_with_tools_is_answered_with_calls_or_text() -> None:
    """Tools that the request only offers are called if the reply says so; a text stays a text."""
    calls = {"tool_calls": [{"name": "look", "arguments": {"x": 1}}, {"name": "stop"}]}
    body = {"model": "m", "messages": [], "tools": [{"type": "function", "function": {"name": "first"}}]}
    with FakeModel([calls, "done"]) as server:
        asked, told = (post(f"{server.base_url}/chat/completions", body)["choices"][0] for _ in range(2))
    assert asked["finish_reason"] == "tool_calls"
    made = [
        (call["function"]["name"], json.loads(call["function"]["arguments"])) for call in asked["message"]["tool_calls"]
    ]
    assert made == [("look", {"x": 1}), ("stop", {})]
    assert len({call["id"] for call in asked["message"]["tool_calls"]}) == 2
    assert told["message"] == {"role": "assistant", "content": "done", "refusal": None}


def test_calls_of_an_agent_are_streamed() -> None:
    """A streamed reply with calls has them in its events."""
    body = {"model": "m", "messages": [], "stream": True, "tools": [{"type": "function", "function": {"name": "look"}}]}

    async def run() -> list[str]:
        async with FakeModel([{"tool_calls": [{"name": "look"}]}]) as server, aiohttp.ClientSession() as session:
            async with session.post(f"{server.base_url}/chat/completions", json=body) as response:
                return (await response.text()).split("\n\n")

    decoded = [json.loads(line.removeprefix("data: ")) for line in asyncio.run(run()) if line and "[DONE]" not in line]
    choices = [event["choices"][0] for event in decoded]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", [])]
    assert [(call["index"], call["function"]["name"]) for call in calls] == [(0, "look")]
    assert choices[-1]["finish_reason"] == "tool_calls"
