"""`tool_error` of a system says which results of its tools are errors, whatever kind the system is."""

import json
import sys
from dataclasses import replace

import pytest
from aiohttp import web

from evalkit.formats.rows import encode_row
from evalkit.systems import ChatSystem, CommandSystem, HttpSystem, PythonSystem, ReplaySystem
from evalkit.systems.output import to_output
from evalkit.systems.tool_errors import with_tool_errors
from evalkit.types import Output, Row, Step, ToolCall

ANSWER = {
    "text": "Done.",
    "messages": [
        {"role": "user", "content": "Refund A-17."},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "name": "refund", "args": {"id": "A-17"}}]},
        {"role": "tool", "content": "Error: no approval", "tool_call_id": "1"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "2", "name": "refund", "args": {"id": "A-17"}}]},
        {"role": "tool", "content": "No Error: refunded", "tool_call_id": "2"},
        {"role": "assistant", "content": "Done."},
    ],
}
ERRORS = ["Error: no approval", None]


def errors(output):
    """Errors of the calls, which are those of the steps."""
    assert isinstance(output, Output), output
    calls = [call.error for call in output.tool_calls]
    assert calls == [step.error for step in output.trajectory if step.kind == "tool"]
    return calls


def test_python_and_command(shared, ask, case):
    """What a function returns, and what a program prints."""
    (shared.root / "errs.py").write_text(f"def answer(input): return {ANSWER!r}", encoding="utf-8")
    (output,) = ask(PythonSystem(python="errs:answer", tool_error="^Error"), shared, case())
    assert errors(output) == ERRORS
    code = f"print({json.dumps(ANSWER)!r})"
    (output,) = ask(CommandSystem(command=(sys.executable, "-c", code), tool_error="^Error"), shared, case())
    assert errors(output) == ERRORS


def test_http(shared, serve, case):
    """What a service replies."""

    async def handler(request):
        return web.json_response(ANSWER)

    pick = {"text": "text", "messages": "messages"}
    (output,) = serve(handler, lambda url: HttpSystem(http=url, pick=pick, tool_error="^Error"), shared, case())
    assert errors(output) == ERRORS


@pytest.mark.parametrize("stored", ["golden", "by hand", "by a run"])
def test_replay(stored, shared, ask, case):
    """Stored answers, in a row, a file or a run."""
    if stored == "golden":
        (output,) = ask(ReplaySystem(tool_error="^Error"), shared, case(fields={"output": ANSWER}))
        assert errors(output) == ERRORS
        return
    line = json.dumps({"id": "c1", "output": ANSWER}).encode() + b"\n"
    if stored == "by a run":
        line = encode_row(Row(case=case(digest="d"), output=to_output(ANSWER)))
    (shared.root / "answers.jsonl").write_bytes(line)
    (output,) = ask(ReplaySystem(replay="answers.jsonl", tool_error="^Error"), shared, case())
    assert errors(output) == ERRORS


def test_without_the_key_nothing_is_an_error(shared, ask, case):
    """A text is a text until the suite says otherwise."""
    (output,) = ask(ReplaySystem(), shared, case(fields={"output": ANSWER}))
    assert errors(output) == [None, None]


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ("Error", "Error"),
        ("all well", None),
        ([{"type": "text", "text": "Error: a"}, {"type": "image"}], "Error: a"),
        ({"Error": 1}, None),
        (None, None),
        (7, None),
        ("Error " + "x" * 1000, "Error " + "x" * 493 + "…"),
    ],
)
def test_results(result, error):
    """Texts, parts, and other values as JSON; a long error is cut, the result is whole."""
    call = ToolCall("f", result=result)
    (found,) = with_tool_errors(Output(text="", tool_calls=(call,)), "^Error").tool_calls
    assert found == replace(call, error=error)


def test_json_results_and_known_errors():
    """A pattern may look into JSON; an error that the system reports stays, and a model's text is no result."""
    steps = (
        Step(kind="tool", name="f", result={"error": "no such order"}),
        Step(kind="tool", name="f", result="Error", error="denied: no approval"),
        Step(kind="llm", result="Error: I cannot"),
    )
    found = with_tool_errors(Output(text="", trajectory=steps), '^\\{"error"|^Error').trajectory
    assert [step.error for step in found] == ['{"error": "no such order"}', "denied: no approval", None]


def test_calls_given_beside_the_chat_get_their_results():
    """`tool_calls` without results have those of the same calls in the messages."""
    given = [{"name": "refund", "arguments": {"id": "A-17"}}, {"name": "refund", "arguments": {"id": "B-1"}}]
    output = to_output({**ANSWER, "tool_calls": given})
    assert [call.result for call in output.tool_calls] == ["Error: no approval", None]
    assert output.tool_calls[0].turn == 1


def test_steps_get_the_errors_of_the_calls_given_beside_them():
    """Scorers of calls and of steps see the same errors, wherever the system reports them."""
    given = [{"name": "refund", "arguments": {"id": "A-17"}, "error": "denied: no approval"}]
    given += [{"name": "refund", "arguments": {"id": "A-17"}, "result": "ok"}]
    output = to_output({**ANSWER, "tool_calls": given})
    assert errors(output) == ["denied: no approval", None]
    steps = [step for step in output.trajectory if step.kind == "tool"]
    assert [step.result for step in steps] == ["Error: no approval", "No Error: refunded"]


@pytest.mark.parametrize("pattern", ["(?=x)", "x*", "["])
def test_a_pattern_that_cannot_work_is_refused(pattern):
    """Before the first call, with the key and the fix."""
    for make in (ReplaySystem, lambda **key: ChatSystem(chat="m", base_url="https://h", **key)):
        with pytest.raises(ValueError, match=r"^tool_error: .+; .+"):
            make(tool_error=pattern)


def test_it_is_part_of_the_system(shared):
    """Another pattern is another system; none at all is the system of before."""
    plain, marked = (
        system.fingerprint(shared)
        for system in (
            CommandSystem(command="cat", tool_error=None),
            CommandSystem(command="cat", tool_error="^Error"),
        )
    )
    assert plain == CommandSystem(command="cat").fingerprint(shared) != marked
