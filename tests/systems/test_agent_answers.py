"""Every kind of system gives the same steps, calls, messages and state for the same answer."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
from aiohttp import web

from evalkit.formats.messages import chat_message, read_messages
from evalkit.formats.rows import encode_row
from evalkit.systems import ChatSystem, CommandSystem, HttpSystem, PythonSystem, ReplaySystem
from evalkit.types import Failure, Message, Output, Row, Step, ToolCall, Usage

ANSWER = {
    "text": "Refused.",
    "tool_calls": [{"name": "refund", "arguments": {"id": "A-17"}, "id": "c1", "error": "denied: no approval"}],
    "trajectory": [
        {"kind": "llm", "name": "planner", "usage": {"input_tokens": 3}, "started_s": 0, "ended_s": 0.5},
        {
            "kind": "tool",
            "name": "refund",
            "call_id": "c1",
            "arguments": {"id": "A-17"},
            "error": "denied: no approval",
        },
        {"kind": "approval", "name": "refund", "decision": "rejected", "asked": "ann"},
    ],
    "messages": [{"role": "assistant", "content": "Refused."}],
    "state": {"A-17": "returned"},
    "stop": "done",
    "interrupt": {"tool": "refund"},
}
OUTPUT = Output(
    text="Refused.",
    tool_calls=(ToolCall("refund", {"id": "A-17"}, "c1", error="denied: no approval"),),
    trajectory=(
        Step(kind="llm", name="planner", usage=Usage(input_tokens=3), started_s=0.0, ended_s=0.5),
        Step(kind="tool", name="refund", call_id="c1", arguments={"id": "A-17"}, error="denied: no approval"),
        Step(kind="approval", name="refund", decision="rejected", details={"asked": "ann"}),
    ),
    messages=(Message("assistant", "Refused."),),
    state={"A-17": "returned"},
    stop="done",
    interrupt={"tool": "refund"},
)
CHAT = [
    {
        "role": "user",
        "content": [{"type": "text", "text": "And this?"}, {"type": "image_url", "image_url": {"url": "u"}}],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
    },
    {"role": "tool", "content": "20", "tool_call_id": "c1"},
]


def untimed(output):
    """An output without what the call and its replay add."""
    return replace(output, latency_s=None, replayed=False)


def python(shared, code):
    """A python system of its own module."""
    name = f"bot_{abs(hash(code))}"
    (shared.root / f"{name}.py").write_text(code, encoding="utf-8")
    return PythonSystem(python=f"{name}:answer")


def command(code):
    """A program that reads the case and prints its answer."""
    return CommandSystem(command=(sys.executable, "-c", code))


def test_a_function(shared, ask, case):
    """A python system returns the mapping."""
    (output,) = ask(python(shared, f"def answer(input): return {ANSWER!r}"), shared, case())
    assert untimed(output) == OUTPUT


def test_a_program(shared, ask, case):
    """A command prints it as JSON."""
    (output,) = ask(command(f"print({json.dumps(ANSWER)!r})"), shared, case())
    assert untimed(output) == OUTPUT


def test_a_service(shared, serve, case):
    """An HTTP service answers it under any names."""

    async def handler(request):
        return web.json_response({"a": {f"my_{key}": value for key, value in ANSWER.items()}})

    pick = {key: f"a.my_{key}" for key in ANSWER}
    (output,) = serve(handler, lambda url: HttpSystem(http=url, pick=pick), shared, case())
    assert untimed(output) == OUTPUT


@pytest.mark.parametrize("stored", ["by hand", "by a run"])
def test_stored_answers(stored, shared, ask, case):
    """A file of answers and the rows of a run replay it."""
    line = json.dumps({"id": "c1", "output": ANSWER}).encode() + b"\n"
    if stored == "by a run":
        line = encode_row(Row(case=case(digest="d"), output=OUTPUT))
    (shared.root / "answers.jsonl").write_bytes(line)
    system = ReplaySystem(replay="answers.jsonl")
    assert system.problems(shared) == []
    (output,) = ask(system, shared, case())
    assert output.replayed
    assert untimed(output) == OUTPUT


def test_the_row_itself(shared, ask, case):
    """A golden row may hold it as its stored answer."""
    (output,) = ask(ReplaySystem(), shared, case(fields={"output": ANSWER}))
    assert untimed(output) == OUTPUT


def test_a_malformed_stored_answer_is_named_before_the_first_call(shared):
    """The line, the place in the answer and what is expected there."""
    broken = {**ANSWER, "trajectory": [{"kind": "tool", "name": "f", "turn": "first"}]}
    (shared.root / "answers.jsonl").write_text(json.dumps({"id": "c1", "output": broken}), encoding="utf-8")
    (problem,) = ReplaySystem(replay="answers.jsonl").problems(shared)
    assert str(problem).startswith(
        "answers.jsonl:1: `output`: trajectory[0].turn: expected a whole number of at least 1, got str 'first'"
    )


def test_a_chat_endpoint_gives_the_ids_of_its_calls(shared, serve, case):
    """Whole replies and streamed ones keep the id of each call."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}

    async def handler(request):
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})

    async def streaming(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        first = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"x"'}}
        for part, finish in ((first, None), ({"index": 0, "function": {"arguments": ": 1}"}}, "tool_calls")):
            event = {"choices": [{"index": 0, "delta": {"tool_calls": [part]}, "finish_reason": finish}]}
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    for answer, stream in ((handler, False), (streaming, True)):
        (output,) = serve(answer, lambda url, s=stream: ChatSystem(chat="m", base_url=url, stream=s), shared, case())
        assert output.tool_calls == (ToolCall("f", {"x": 1}, "c1"),)


def test_a_chat_reaches_functions_and_programs_whole(shared, ask, case):
    """Both get the messages as a chat endpoint would."""
    row = case(read_messages("input", CHAT))
    assert [chat_message(message) for message in row.input] == CHAT
    echo = python(shared, "import json\ndef answer(input): return json.dumps(input)")
    (by_function,) = ask(echo, shared, row)
    (by_program,) = ask(command("import json, sys; print(json.dumps([json.load(sys.stdin)['input']]))"), shared, row)
    assert json.loads(by_function.text) == CHAT
    assert json.loads(by_program.text) == [CHAT]


def test_a_picture_stands_in_a_longer_text_as_json(shared, serve, case):
    """Where a chat with more than texts is put into a longer text, nothing of it is dropped."""

    async def handler(request):
        return web.json_response({"answer": (await request.json())["q"]})

    row = case(read_messages("input", CHAT))
    (output,) = serve(handler, lambda url: HttpSystem(http=url, body={"q": "> {{input}}"}), shared, row)
    assert json.loads(output.text.removeprefix("> ")) == CHAT


def test_steps_count_towards_the_size_of_an_answer(shared, ask, case):
    """An answer with a short text and large results is too large, as one with a long text is."""
    code = "def answer(input): return {'text': 'a', 'trajectory': [{'result': 'x' * 500}] * 3}"
    small = replace(python(shared, code), max_bytes=1_000)
    (ended,) = ask(small, shared, case())
    assert isinstance(ended, Failure) and ended.kind == "too_large"
    (output,) = ask(replace(small, max_bytes=5_000), shared, case())
    assert isinstance(output, Output)


def test_a_value_that_lies_is_read_as_it_is(shared, ask, case):
    """Mappings and texts of classes of the system's own become plain values in the row."""
    code = """
import collections
class Text(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__
class Map(collections.UserDict): pass
def answer(input):
    step = Map(kind="tool", name=Text("f"), arguments=Map(x=Text("y")), result=(1, Text("z")))
    return {"text": "a", "trajectory": (step,), "state": Map(a=Map())}
"""
    (output,) = ask(python(shared, code), shared, case())
    (step,) = output.trajectory
    assert (step.name, step.arguments, step.result, output.state) == ("f", {"x": "y"}, [1, "z"], {"a": {}})
    assert {type(step.name), type(step.arguments), type(step.arguments["x"]), type(step.result[1])} == {str, dict}
