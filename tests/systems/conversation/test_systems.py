"""Every kind of system is talked to turn by turn."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace

import pytest
from aiohttp import web

from evalkit.systems import ChatSystem, CommandSystem, HttpSystem, PythonSystem, Shared
from evalkit.systems.conversation.loop import ConversationSetup, conversing
from evalkit.systems.conversation.mocks import MockEnvironment
from evalkit.systems.conversation.settings import ConversationSettings
from evalkit.types import Case, Failure
from tests.systems.conftest import serving

TURNS = {"turns": [{"user": "Refund A-17"}, {"user": "Yes."}]}
ROW = Case(id="c", input="Refund A-17", fields=TURNS)


@pytest.fixture
def shared(tmp_path) -> Shared:
    """A project whose suite has conversations."""
    return Shared(root=tmp_path, project=tmp_path, concurrency=4, env={}, converses=True)


def lead(system, shared, setup=None, case=ROW):
    """Hold one conversation with a system."""

    async def held():
        assert system.problems(shared) == []
        async with system.open(shared) as answer:
            return await conversing(answer, setup or ConversationSetup(settings=ConversationSettings()))(case, 0)

    return asyncio.run(held())


def lead_served(handler, make_system, shared, setup=None, case=ROW):
    """Hold one conversation with a system that has a server."""

    async def held():
        async with serving(handler) as url, make_system(url).open(shared) as answer:
            return await conversing(answer, setup or ConversationSetup(settings=ConversationSettings()))(case, 0)

    return asyncio.run(held())


def test_a_function_that_takes_the_message(tmp_path, shared) -> None:
    """`input` is not needed in a conversation."""
    (tmp_path / "turnbot.py").write_text(
        "async def answer(message, turn, session, resume): return f'{turn} {message} {len(session)} {resume}'\n",
        encoding="utf-8",
    )
    system = PythonSystem(python="turnbot:answer")
    assert lead(system, shared).text == "2 Yes. 36 None"
    (problem,) = system.problems(replace(shared, converses=False))
    assert "takes no `input`" in problem.what


def test_a_program_is_told_of_the_turn(shared) -> None:
    """One process a turn; `done` ends the conversation."""
    code = (
        "import json, sys; it = json.load(sys.stdin); "
        "print(json.dumps({'text': f\"{it['turn']} {it['message']} {len(it['input'])} {it['resume']}\", "
        "'done': it['turn'] == 1}))"
    )
    ended = lead(CommandSystem(command=(sys.executable, "-c", code)), shared)
    assert (ended.text, ended.stop) == ("1 Refund A-17 1 None", "agent_done")


def test_a_service_keeps_the_conversation_under_its_session(shared) -> None:
    """The session may stand in the URL, where it is quoted; each turn sends the new message."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.path, await request.json()))
        return web.json_response({"text": f"answer {len(seen)}"})

    def system(url):
        body = {"text": "{{message}}", "turn": "{{turn}}"}
        return HttpSystem(http=url + "/threads/{{session}}/runs", body=body)

    ended = lead_served(handler, system, shared)
    assert ended.text == "answer 2"
    (first, one), (second, two) = seen
    assert first == second
    assert first.startswith("/threads/") and len(first.split("/")[2]) == 36
    assert (one, two) == ({"text": "Refund A-17", "turn": 1}, {"text": "Yes.", "turn": 2})


@pytest.mark.parametrize(("value", "path"), [("a/b?c", "/x/a%2Fb%3Fc"), ("ü", "/x/%C3%BC")])
def test_a_field_in_the_url_stays_one_part_of_it(shared, value, path) -> None:
    """Whatever the case holds."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.json_response({"text": "ok"})

    case = replace(ROW, fields={"turns": [{"user": "x"}], "key": value})
    lead_served(handler, lambda url: HttpSystem(http=url + "/x/{{key}}"), shared, case=case)
    assert seen == [path]


@pytest.mark.parametrize("value", ["..", ".", ""])
def test_a_field_that_would_change_the_url_is_refused(shared, value) -> None:
    """Two dots are another resource."""

    async def handler(request: web.Request) -> web.Response:
        raise AssertionError(request.raw_path)

    case = replace(ROW, fields={"turns": [{"user": "x"}], "key": value})
    ended = lead_served(handler, lambda url: HttpSystem(http=url + "/x/{{key}}"), shared, case=case)
    assert (ended.kind, ended.message) == (
        "bad_field",
        f"turn 1: the URL needs {{{{key}}}}, which is {value!r} here",
    )


def test_an_answered_interrupt_is_sent_with_its_own_body(shared) -> None:
    """As LangGraph's server wants it: either an input or a command."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        body = await request.json()
        seen.append(body)
        if "command" in body:
            return web.json_response({"say": "Refunded.", "ask": None})
        return web.json_response({"say": "", "ask": {"id": "q", "tool": "refund", "arguments": {"amount": 20}}})

    def system(url):
        return HttpSystem(
            http=url,
            body={"input": "{{message}}"},
            resume_body={"command": {"resume": "{{resume.decision}}", "with": "{{resume.arguments}}"}},
            pick={"text": "say", "interrupt": "ask"},
        )

    case = replace(
        ROW, fields={"turns": [{"user": "Refund"}], "approvals": [{"tool": "refund", "decision": "approve"}]}
    )
    ended = lead_served(handler, system, shared, case=case)
    assert seen == [{"input": "Refund"}, {"command": {"resume": "approve", "with": {"amount": 20}}}]
    assert (ended.text, ended.interrupt) == ("Refunded.", None)
    assert [step.decision for step in ended.trajectory] == ["approved"]


@pytest.mark.parametrize("status", [500, 502, 504])
@pytest.mark.parametrize("options", [{"idempotent": True}, {"method": "PUT"}, {}])
def test_a_turn_whose_outcome_is_unknown_is_not_sent_twice(shared, status, options) -> None:
    """A service that keeps the session may have taken it, whatever the suite says of asking twice."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.Response(status=status)

    def system(url):
        return HttpSystem(http=url, body={"m": "{{message}}", "s": "{{session}}"}, **options)

    async def held():
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with system(url).open(shared) as answer:
                return await conversing(answer, ConversationSetup(settings=ConversationSettings()))(ROW, 0)
        finally:
            await runner.cleanup()

    ended = asyncio.run(held())
    assert isinstance(ended, Failure)
    assert (ended.kind, len(seen)) == (f"http_{status}", 1)
    assert ended.message.startswith("turn 1: ")


def test_a_turn_that_was_turned_away_is_sent_again(shared) -> None:
    """A service that is busy has not taken it."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(1)
        if len(seen) == 1:
            return web.Response(status=503, headers={"Retry-After": "0"})
        return web.json_response({"text": "ok"})

    def system(url):
        return HttpSystem(http=url, body={"m": "{{message}}", "s": "{{session}}"})

    ended = lead_served(handler, system, shared)
    assert (ended.text, len(seen), ended.attempts) == ("ok", 3, 2)


def test_a_model_gets_the_tools_of_the_environment(shared, orders) -> None:
    """Evalkit runs what it calls; nothing of our own is sent with the messages."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        body = await request.json()
        seen.append(body)
        if body["messages"][-1]["role"] == "user" and len(seen) == 1:
            function = {"name": "get_order", "arguments": '{"order_id": "A-17"}'}
            call = {"id": "k1", "type": "function", "function": function}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        else:
            message = {"role": "assistant", "content": f"answer {len(seen)}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 2}})

    setup = ConversationSetup(
        settings=ConversationSettings(), make_environment=lambda state: MockEnvironment(orders, state), runs_tools=True
    )
    case = replace(ROW, fields={**TURNS, "state": {"orders": {"A-17": {"status": "returned"}}}})
    ended = lead_served(handler, lambda url: ChatSystem(chat="m", base_url=url), shared, setup, case)
    assert [tool["function"]["name"] for tool in seen[0]["tools"]] == ["get_order", "refund"]
    assert [message["role"] for message in seen[-1]["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert json.loads(seen[-1]["messages"][2]["content"]) == {"status": "returned"}
    assert {key for body in seen for message in body["messages"] for key in message} <= {
        *("role", "content", "tool_calls", "tool_call_id", "name")
    }
    assert ended.text == "answer 3"
    assert (ended.usage.input_tokens, ended.usage.output_tokens) == (30, 6)
    assert [(step.kind, step.name, step.turn) for step in ended.trajectory if step.kind == "tool"] == [
        ("tool", "get_order", 1)
    ]


def test_a_service_may_use_the_word_done_for_other_things(shared) -> None:
    """Ollama ends every reply with it; it ends a conversation only under `pick`."""

    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"text": "ok", "done": True, "done_reason": "stop"})

    assert lead_served(handler, lambda url: HttpSystem(http=url), shared).stop == "script_end"
    picked = lead_served(handler, lambda url: HttpSystem(http=url, pick={"text": "text", "done": "done"}), shared)
    assert picked.stop == "agent_done"
