"""Steps, tool calls and messages: read from an answer, stored, and read back."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.formats.line import body_of, seal
from evalkit.formats.messages import chat_message, message_record, read_messages, text_of
from evalkit.formats.rows import decode_row, encode_row
from evalkit.formats.steps import read_trajectory, step_record
from evalkit.systems.output import to_output
from evalkit.types import (
    APPROVALS,
    ROLES,
    STEP_KINDS,
    Case,
    Failure,
    Message,
    Output,
    Row,
    Step,
    ToolCall,
    Usage,
)

texts = st.text(max_size=8)
words = st.text(min_size=1, max_size=8).filter(str.strip)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(texts, values, max_size=3)
details = st.dictionaries(
    texts.map("x_{}".format), values.filter(lambda value: value not in (None, "", [], {})), max_size=2
)
spans = st.lists(st.floats(0, 1e6), min_size=2, max_size=2).map(sorted) | st.just([None, None])
calls = st.builds(
    lambda span, **rest: ToolCall(**rest, started_s=span[0], ended_s=span[1]),
    spans,
    name=texts,
    arguments=mappings,
    id=texts,
    result=values,
    error=st.none() | words,
    turn=st.none() | st.integers(1, 9),
)
usages = st.builds(
    Usage, input_tokens=st.none() | st.integers(0, 9), cost_usd=st.none() | st.floats(0, 1), model=st.none() | texts
)
steps = st.builds(
    lambda span, **rest: Step(**rest, started_s=span[0], ended_s=span[1]),
    spans,
    kind=st.sampled_from(STEP_KINDS),
    name=words,
    id=texts,
    parent=st.none() | words,
    call_id=texts,
    turn=st.none() | st.integers(1, 9),
    arguments=st.none() | mappings,
    result=values,
    error=st.none() | words,
    usage=st.none() | usages,
    decision=st.none() | st.sampled_from(APPROVALS),
    details=details,
)
part_lists = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, texts)
    | st.just({"type": "image_url", "image_url": {"url": "u"}}),
    min_size=1,
    max_size=3,
)


@st.composite
def messages(draw: Any) -> Message:
    """Any message that a chat may hold."""
    role = draw(st.sampled_from(ROLES))
    parts = tuple(draw(st.just([]) | part_lists))
    text = "\n".join(part["text"] for part in parts if part["type"] == "text") if parts else draw(texts)
    made = tuple(draw(st.lists(calls, max_size=2))) if role == "assistant" else ()
    return Message(role, text, made, draw(texts), draw(texts), parts, draw(details))


outputs = st.builds(
    Output,
    text=texts,
    tool_calls=st.none() | st.lists(calls, max_size=2).map(tuple),
    trajectory=st.none() | st.lists(steps, max_size=3).map(tuple),
    messages=st.none() | st.lists(messages(), max_size=3).map(tuple),
    state=st.none() | mappings,
    stop=st.none() | texts,
    interrupt=st.none() | mappings,
)


def plain(value: Any) -> Any:
    """A value as JSON gives it back: lists for tuples."""
    return json.loads(json.dumps(value))


@given(outputs, st.lists(messages(), min_size=1, max_size=3).filter(lambda said: any(each.content for each in said)))
def test_a_stored_row_is_read_back_as_it_was(output: Output, said: list[Message]) -> None:
    """Storing and reading a row changes nothing, and the same row always gives the same bytes."""
    row = Row(case=Case(id="a", digest="d", input=tuple(said)), output=output)
    line = encode_row(row)
    assert (found := decode_row(line)) is not None
    assert found == row
    assert encode_row(found) == line


@given(steps)
def test_a_stored_step_is_one_that_a_system_may_give(step: Step) -> None:
    """What is stored of a step reads as the same step in an answer."""
    assert read_trajectory("trajectory", [plain(step_record(step))]) == ((step,), None)


@given(messages())
def test_a_message_keeps_everything_on_its_way_to_a_chat_endpoint(message: Message) -> None:
    """A message reads as itself from its stored form and from the chat protocol, which leaves out results of calls."""
    assert read_messages("input", [plain(message_record(message))]) == (message,)
    sent = plain(chat_message(message))
    (again,) = read_messages("input", [sent]) or ()
    asked = tuple(ToolCall(call.name, call.arguments, call.id) for call in message.tool_calls)
    same = {each.name: getattr(message, each.name) for each in fields(Message)} | {"tool_calls": asked}
    assert again == Message(**same)


def test_an_answer_without_these_fields_has_the_bytes_of_before() -> None:
    """Rows of answers that say nothing of steps and chats are written as earlier versions wrote them."""
    output = Output(text="a", tool_calls=(ToolCall("f", {"x": 1}),))
    row = Row(case=Case(id="c", digest="d", input=(Message("user", "q"),)), output=output)
    body = (
        b'{"v":1,"repeat":0,"case":{"id":"c","digest":"d","input":[{"role":"user","content":"q"}],'
        b'"kind":"golden","severity":"medium"},"output":{"text":"a","tool_calls":[{"name":"f","arguments":{"x":1}}]},'
        b'"scores":{}}'
    )
    assert body in encode_row(row)


@pytest.mark.parametrize(
    "step",
    [{"thought": "x", "action": {"tool": "f"}}, {"kind": 5, "error": False}, {"kind": "tool"}, {"turn": 0, "name": []}],
)
def test_a_step_of_an_earlier_version_is_kept_as_it_is(step: dict[str, Any]) -> None:
    """Any mapping could be a step once; a stored one is kept whole and its row stays readable."""
    row = Row(case=Case(id="c", digest="d", input="q"), output=Output(text="a", trajectory=(Step(name="here"),)))
    body = json.loads(body_of(encode_row(row)) or b"")
    body["output"]["trajectory"] = [step]
    found = decode_row(seal(json.dumps(body, separators=(",", ":")).encode()))
    assert found is not None and found.output is not None
    assert found.output.trajectory == (Step(details=step),)
    again = decode_row(encode_row(found))
    assert again == found


CHAT = [
    {"role": "user", "content": "Refund A-17"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "get_order", "arguments": '{"id": "A-17"}'}},
            {"id": "2", "type": "function", "function": {"name": "get_user", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "2", "content": "Ann"},
    {"role": "tool", "tool_call_id": "1", "content": "20 EUR"},
    {"role": "assistant", "content": "Shall I?"},
    {"role": "user", "content": "Yes."},
    {"role": "assistant", "content": "", "tool_calls": [{"name": "refund", "args": {"id": "A-17"}}]},
    {"role": "tool", "content": [{"type": "text", "text": "done"}]},
    {"role": "assistant", "content": "Refunded."},
]


@pytest.mark.parametrize("key", ["messages", "trajectory"])
def test_a_chat_reads_as_steps_and_calls(key: str) -> None:
    """A chat gives the answer, the steps and the calls; results find their calls by id, else in order."""
    output = to_output({key: CHAT})
    assert isinstance(output, Output)
    assert output.text == "Refunded."
    assert output.messages is not None and len(output.messages) == 9
    assert output.tool_calls == (
        ToolCall("get_order", {"id": "A-17"}, "1", "20 EUR", turn=1),
        ToolCall("get_user", {}, "2", "Ann", turn=1),
        ToolCall("refund", {"id": "A-17"}, "", [{"type": "text", "text": "done"}], turn=2),
    )
    assert output.trajectory is not None
    assert [(step.kind, step.name, step.turn) for step in output.trajectory] == [
        ("llm", "", 1),
        ("tool", "get_order", 1),
        ("tool", "get_user", 1),
        ("llm", "", 1),
        ("llm", "", 2),
        ("tool", "refund", 2),
        ("llm", "", 2),
    ]


@pytest.mark.parametrize(
    ("answer", "made"),
    [
        ({"trajectory": []}, ()),
        ({"trajectory": [{"kind": "llm"}]}, ()),
        ({"trajectory": [{"kind": "tool", "name": "f"}]}, (ToolCall("f"),)),
        ({"trajectory": [{"thought": "x"}]}, None),
        ({"trajectory": [{"thought": "x"}], "tool_calls": [{"name": "f"}]}, (ToolCall("f"),)),
        ({"messages": [{"role": "assistant", "content": "a"}]}, ()),
    ],
)
def test_calls_are_the_tool_steps_where_a_system_gives_steps_alone(answer: dict[str, Any], made: object) -> None:
    """Steps of a known kind without a tool among them are no call made; steps of unknown kinds say nothing."""
    output = to_output({"text": "a", **answer})
    assert isinstance(output, Output)
    assert output.tool_calls == made


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


CYCLE: dict[str, Any] = {}
CYCLE["again"] = CYCLE
BAD = [
    ({"trajectory": [{"kind": 1}]}, "trajectory[0].kind: expected a string, got int 1"),
    ({"trajectory": [{"kind": "tool"}]}, "trajectory[0].name: missing"),
    ({"trajectory": [{"name": 3}]}, "trajectory[0].name: expected a string, got int 3"),
    ({"trajectory": [{"turn": 0}]}, "trajectory[0].turn: expected a whole number of at least 1, got int 0"),
    ({"trajectory": [{"arguments": [1]}]}, "trajectory[0].arguments: expected a mapping, got list"),
    ({"trajectory": [{"arguments": "{"}]}, "trajectory[0].arguments: not JSON"),
    ({"trajectory": [{"error": True}]}, "trajectory[0].error: expected a string, got bool True"),
    ({"trajectory": [{"error": ""}]}, "trajectory[0].error: empty; write null if it succeeded"),
    ({"trajectory": [{"started_s": math.nan}]}, "trajectory[0].started_s: JSON cannot hold float nan"),
    ({"trajectory": [{"started_s": 2, "ended_s": 1}]}, "trajectory[0].ended_s: 1 is before `started_s`, 2"),
    ({"trajectory": [{"usage": {"tokens": 1}}]}, "trajectory[0].usage: unknown key str 'tokens'"),
    ({"trajectory": [{"decision": "maybe"}]}, "trajectory[0].decision: expected one of approved, rejected"),
    ({"trajectory": [{"details": 1}]}, "trajectory[0].details: expected a mapping, got int 1"),
    ({"trajectory": [{"id": 1.5}]}, "trajectory[0].id: expected a string, got float 1.5"),
    ({"trajectory": [{"result": CYCLE}]}, "nested deeper than 50"),
    ({"trajectory": [{"result": nested(99)}]}, "nested deeper than 50"),
    ({"trajectory": [CHAT[0], {"kind": "tool", "name": "f"}]}, "[0] is a chat message and [1] a step"),
    (
        {"trajectory": [{"kind": "tool", "name": "f"}], "tool_calls": []},
        "tool_calls: 0 given, and 1 step of kind tool",
    ),
    ({"tool_calls": [{"name": "f", "id": []}]}, "tool_calls[0].id: expected a string, got list"),
    ({"tool_calls": [{"name": "f", "error": {}}]}, "tool_calls[0].error: expected a string"),
    ({"tool_calls": [{"name": "f", "result": {1}}]}, "tool_calls[0].result: JSON cannot hold set"),
    ({"tool_calls": [{"name": "f", "args": {}, "arguments": {}}]}, "both `arguments` and `args`"),
    ({"messages": "hello"}, "messages: expected a list, got str 'hello'"),
    ({"messages": [{"role": "human", "content": "a"}]}, "messages[0].role: expected one of system, developer, user"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content: expected a string, got None"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content: a list without a part"),
    ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0]: expected a part such as"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text: expected a string"),
    ({"messages": [{"role": "user", "content": "a", "tool_calls": [{"name": "f"}]}]}, "only an assistant calls tools"),
    ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0]: answers a call, which no message before it makes"),
    ({"messages": [*CHAT[:2], {"role": "tool", "content": "a", "tool_call_id": "9"}]}, "answers the call str '9'"),
    ({"state": ["a"]}, "state: expected a mapping, got list"),
    ({"state": {"x": math.inf}}, "state.x: JSON cannot hold float inf"),
    ({"state": CYCLE}, "nested deeper than 50"),
    ({"stop": True}, "stop: expected a string, got bool True"),
    ({"interrupt": "ask"}, "interrupt: expected a mapping, got str 'ask'"),
]


@pytest.mark.parametrize(("answer", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_a_malformed_answer_fails_with_the_place(answer: dict[str, Any], message: str) -> None:
    """A value of another type, NaN, a value in itself or too deep is `bad_output` and named, never guessed."""
    ended = to_output({"text": "a", **answer})
    assert isinstance(ended, Failure), ended
    assert ended.kind == "bad_output"
    assert message in ended.message


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"trajectory": [{}] * 10_001}, "trajectory: 10,001 items, at most 10,000 are read"),
        ({"trajectory": [CHAT[0]] * 501}, "trajectory: 501 items, at most 500 are read"),
        ({"messages": [CHAT[0]] * 501}, "messages: 501 items, at most 500 are read"),
        ({"tool_calls": [{"name": "f"}] * 10_001}, "tool_calls: 10,001 items, at most 10,000 are read"),
    ],
)
def test_an_answer_with_too_many_parts_is_too_large(answer: dict[str, Any], message: str) -> None:
    """More steps, messages or calls than any answer has are a failure of their own."""
    assert to_output({"text": "a", **answer}) == Failure("too_large", message)


@pytest.mark.slow
def test_a_list_that_holds_one_list_many_times_is_refused_soon() -> None:
    """Sixteen million values in a few lists are counted, not copied, whichever steps they are spread over."""
    value: Any = [1] * 100
    for _ in range(4):
        value = [value] * 100
    ended = to_output({"text": "a", "trajectory": [{"result": value}] * 10_000})
    assert isinstance(ended, Failure) and "more than 1,000,000 values" in ended.message


def test_the_text_of_a_message_names_what_is_no_text() -> None:
    """A judge and a rater see calls and pictures of a message by name."""
    image = {"type": "image_url", "image_url": {"url": "u"}}
    said = Message("assistant", "See:", (ToolCall("f", {"x": 1}),), parts=({"type": "text", "text": "See:"}, image))
    assert text_of(said) == 'See:\n[image_url]\ncalls f {"x": 1}'
    assert text_of(Message("user", "q")) == "q"
    assert text_of(Message("user", "")) == ""
