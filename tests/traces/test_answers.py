"""Answers of traces: usage once, calls with their arguments, interrupts, sessions, turns and text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trace_lab import document, event, model, only, output_of, read, span, steps_of

from evalkit.systems.output import to_output
from evalkit.types import Failure, Output

AGENT = {"gen_ai.operation.name": "invoke_agent"}
TOTAL = {"gen_ai.usage.input_tokens": 99, "gen_ai.usage.output_tokens": 9}
SILENT = {"gen_ai.usage.input_tokens": None, "gen_ai.usage.output_tokens": None}
GRAPH = {"openinference.span.kind": "CHAIN", "session.id": "t-1", "input.value": "refund A-17", "output.value": "asked"}
RESUMED = {"graph": None, "update": None, "goto": []}


@pytest.mark.parametrize(
    ("spans", "tokens"),
    [
        ([span(1, 0, {**AGENT, **TOTAL}, at=(1, 9)), model(2, 1), model(3, 1)], (20, 4)),
        ([span(1, 0, {**AGENT, **TOTAL}, at=(1, 9)), model(2, 1, attributes=SILENT)], (99, 9)),
        ([span(1, 0, AGENT, at=(1, 9)), model(2, 1), model(3, 1, attributes=SILENT)], (None, None)),
        ([span(1, 0, {**AGENT, **TOTAL}, at=(1, 9)), model(2, 1), model(3, 1, attributes=SILENT)], (None, None)),
        ([model(1, at=(1, 9)), model(2, 1)], (10, 2)),
        ([model(1, at=(1, 9)), model(2, 1, attributes=SILENT)], (10, 2)),
        ([span(1, 0, {**AGENT, **TOTAL}, at=(1, 9)), span(2, 1, {**AGENT, **TOTAL}, at=(2, 8)), model(3, 2)], (10, 2)),
        ([model(1), span(2, 1, {"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 5})], (10, 2)),
        ([model(1, attributes={"gen_ai.usage.input_tokens": -1})], (None, 2)),
        ([model(1, attributes={"gen_ai.usage.input_tokens": True})], (None, 2)),
        ([model(1, attributes={"gen_ai.usage.input_tokens": 41.0})], (41, 2)),
        (
            [
                span(1, 0, {**AGENT, "gen_ai.aggregated_usage.input_tokens": 50}, at=(1, 9)),
                model(2, 1, attributes=SILENT),
            ],
            (None, None),
        ),
    ],
)
def test_tokens_are_counted_once(tmp_path: Path, spans: list[dict[str, Any]], tokens: tuple[int | None, ...]) -> None:
    """Those of model calls without a model call below; an agent's only if no model below it reports any."""
    usage = output_of(only(tmp_path, *spans)).get("usage", {})
    assert (usage.get("input_tokens"), usage.get("output_tokens")) == tokens


def asking(number: int, parent: int, *calls: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    """A model that asks for calls: id, name, arguments."""
    parts = [{"type": "tool_call", "id": own, "name": name, "arguments": given} for own, name, given in calls]
    said = json.dumps([{"role": "assistant", "parts": parts}])
    return model(number, parent, said=None, attributes={"gen_ai.output.messages": said})


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ({"gen_ai.tool.call.arguments": '{"x": 0}', "gen_ai.tool.call.id": "c2"}, {"x": 0}),
        ({"gen_ai.tool.call.id": "c2"}, {"x": 2}),
        ({}, {"x": 1}),
        ({"input.value": '{"x": 3}'}, {"x": 1}),
        ({"gen_ai.tool.name": "put", "input.value": '{"x": 3}'}, {"x": 3}),
        ({"gen_ai.tool.name": "put", "input.value": "A-17"}, {"input": "A-17"}),
        ({"gen_ai.tool.name": "put"}, {}),
        ({"gen_ai.tool.call.arguments": "not JSON"}, {"input": "not JSON"}),
        ({"gen_ai.tool.call.arguments": '{"x": NaN}'}, {"input": '{"x": NaN}'}),
        ({"gen_ai.tool.call.arguments": "[" * 2_000}, {"input": "[" * 2_000}),
        ({"gen_ai.tool.call.arguments": "[" * 400 + "]" * 400}, {"input": "[" * 400 + "]" * 400}),
    ],
)
def test_arguments(tmp_path: Path, tool: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Its own; those of the model's call with its id; of the next call of its name; its input."""
    asked = asking(2, 1, ("c1", "get", {"x": 1}), ("c2", "get", {"x": 2}))
    run = span(3, 1, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get", **tool})
    answer = only(tmp_path, span(1, 0, AGENT, at=(1, 9)), asked, run)
    assert answer.output is not None
    (step,) = steps_of(answer, "tool")
    assert step["arguments"] == arguments
    assert isinstance(to_output(answer.output), Output)


def test_two_calls_of_one_name_are_paired_in_order(tmp_path: Path) -> None:
    """Without ids the first call that ran is the first that was asked for."""
    tool = {"openinference.span.kind": "TOOL", "tool.name": "get", "input.value": "A"}
    asked = asking(2, 1, ("c1", "get", {"x": 1}), ("c2", "get", {"x": 2}))
    answer = only(tmp_path, span(1, 0, AGENT, at=(1, 9)), asked, span(3, 1, tool), span(4, 1, tool))
    assert [(step["call_id"], step["arguments"]) for step in steps_of(answer, "tool")] == [
        ("c1", {"x": 1}),
        ("c2", {"x": 2}),
    ]


def test_calls_are_known_only_if_a_span_shows_it(tmp_path: Path) -> None:
    """Without content nobody knows which tools a model called; a reply without a call says that there was none."""
    said = only(tmp_path, model(1))
    silent = only(tmp_path, model(1, said=None))
    stopped = only(tmp_path, model(1, said=None, attributes={"gen_ai.response.finish_reasons": ["stop"]}))
    called = only(tmp_path, model(1, said=None, attributes={"gen_ai.response.finish_reasons": ["tool_calls"]}))
    assert [each.calls for each in (said, silent, stopped, called)] == [(), None, (), None]
    assert to_output(said.output).tool_calls == ()  # type: ignore[union-attr]
    root = span(1, 0, {**AGENT, "openinference.span.kind": "AGENT", "output.value": "done"}, at=(1, 9))
    hidden = only(tmp_path, root, model(2, 1, said=None))
    assert (hidden.calls, to_output(hidden.output).tool_calls) == (None, None)  # type: ignore[union-attr]


def test_an_answer_without_content_is_unknown(tmp_path: Path) -> None:
    """Not an empty text, which would pass whatever asks that something is not said; its steps are known."""
    unknown = output_of(only(tmp_path, model(1, said=None)))
    assert (unknown["text"], unknown["text_known"]) == ("", False)
    assert unknown["usage"] == {"input_tokens": 10, "output_tokens": 2, "model": "toy"}
    assert "text_known" not in output_of(only(tmp_path, model(1, said="")))
    assert output_of(only(tmp_path, model(1, said="")))["text"] == ""


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ("plain", "plain"),
        ('{"answer": "a", "x": 1}', "a"),
        ('{"output": "b"}', "b"),
        ('{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "c"}]}', "c"),
        ('{"messages": [{"type": "ai", "data": {"content": "d"}}]}', "d"),
        ('{"x": 1}', '{"x": 1}'),
        ("[1]", "[1]"),
    ],
)
def test_text_of_a_trace_without_a_model(tmp_path: Path, returned: str, text: str) -> None:
    """The output of the root: a text, or the value under a name for an answer."""
    root = {"openinference.span.kind": "CHAIN", "input.value": "q", "output.value": returned}
    assert output_of(only(tmp_path, span(1, 0, root)))["text"] == text


def graph(number: int, trace: str, **changed: Any) -> dict[str, Any]:
    """The root of a graph."""
    return span(number, 0, {**GRAPH, **changed}, trace=trace * 32, at=(number, number + 2))


def asked_for(
    number: int, root: int, trace: str, payload: str, kind: str = "langgraph.errors.GraphInterrupt"
) -> dict[str, Any]:
    """A node that asks a person."""
    said = f"(Interrupt(value={payload}, id='i-{number}'),)"
    raised = event("exception", {"exception.type": kind, "exception.message": said})
    node = {"openinference.span.kind": "CHAIN", "session.id": "t-1"}
    return span(number, root, node, trace=trace * 32, events=[raised], status={"code": 2, "message": said})


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        ({"decision": "approve"}, "approved"),
        ({"approved": False}, "rejected"),
        ({"type": "edit", "args": {}}, "edited"),
        ({"decisions": [{"type": "reject"}]}, "rejected"),
        ({"decision": "perhaps"}, None),
        (True, None),
        ("yes", None),
    ],
)
def test_decisions(tmp_path: Path, answer: Any, decision: str | None) -> None:
    """A resumed run is no turn of the user; a decision is taken only from a name for one."""
    payload = "{'tool': 'refund', 'arguments': {'amount': 20}}"
    resumed = graph(5, "2", **{"input.value": json.dumps({**RESUMED, "resume": answer}), "output.value": "done"})
    found = only(tmp_path, graph(1, "1"), asked_for(2, 1, "1", payload), resumed)
    (step,) = steps_of(found, "approval")
    assert (step["name"], step["arguments"], step.get("decision")) == ("refund", {"amount": 20}, decision)
    assert (found.asked, output_of(found)["text"]) == (("refund A-17",), "done")
    assert "interrupt" not in output_of(found)
    assert not [step for step in output_of(found)["trajectory"] if "error" in step]


def test_an_interrupt_that_nobody_answered(tmp_path: Path) -> None:
    """The output waits for a person."""
    found = only(tmp_path, graph(1, "1"), asked_for(2, 1, "1", "{'tool': 'refund', 'arguments': {'amount': 20}}"))
    assert output_of(found)["interrupt"] == {
        "id": "i-2",
        "tool": "refund",
        "arguments": {"amount": 20},
        "payload": {"tool": "refund", "arguments": {"amount": 20}},
    }


@pytest.mark.parametrize(
    "payload",
    [
        "__import__('os').system('touch x')",
        "Order('A-17')",
        "(" * 5_000,
        "'a'" * 9_000,
        "-" * 9_000 + "1",
        "a" + ".b" * 9_000,
    ],
)
def test_a_question_is_only_parsed(tmp_path: Path, payload: str) -> None:
    """What is no literal stays text; nothing is run."""
    found = only(tmp_path, graph(1, "1"), asked_for(2, 1, "1", payload))
    assert "tool" not in output_of(found)["interrupt"]


@pytest.mark.parametrize("kind", ["langgraph.errors.ParentCommand", "langgraph.errors.GraphBubbleUp"])
def test_steering_is_no_error(tmp_path: Path, kind: str) -> None:
    """LangGraph hands over by raising."""
    found = only(tmp_path, graph(1, "1"), asked_for(2, 1, "1", "1", kind))
    assert not [step for step in output_of(found)["trajectory"] if "error" in step]
    assert "interrupt" not in output_of(found)


def test_a_session_is_one_answer_in_the_order_of_time(tmp_path: Path) -> None:
    """Each trace with a message of the user is a turn, whose tokens and time it has."""
    turns = [
        {**model(number, trace=f"{number:032x}"), "attributes": model(number, said=f"a{number}")["attributes"]}
        for number in (3, 1, 2)
    ]
    for each in turns:
        each["attributes"].append({"key": "session.id", "value": {"stringValue": "s"}})
    answer = only(tmp_path, *turns)
    output = output_of(answer)
    assert (answer.case, answer.asked, output["text"]) == ("s", ("hi", "hi", "hi"), "a3")
    assert [message["content"] for message in output["messages"]] == ["hi", "a1", "hi", "a2", "hi", "a3"]
    assert output["messages"][1]["details"]["usage"] == {"input_tokens": 10, "output_tokens": 2, "model": "toy"}
    assert output["usage"]["input_tokens"] == 30
    assert [step["turn"] for step in output["trajectory"]] == [1, 2, 3]
    assert [step["started_s"] for step in output["trajectory"]] == [0.0, 1.0, 2.0]
    assert output["latency_s"] == 3.0


def test_traces_of_one_case_are_its_repeats(tmp_path: Path) -> None:
    """Without a session each trace is an answer; a session with two cases is two."""
    case = {"evalkit.case_id": "c"}
    alone = read(tmp_path, document(*(model(at, trace=f"{at:032x}", attributes=case) for at in (1, 2))))
    assert [answer.case for answer in alone.answers] == ["c", "c"]
    shared = {"session.id": "s"}
    mixed = read(
        tmp_path,
        document(*(model(at, trace=f"{at:032x}", attributes={**shared, "evalkit.case_id": str(at)}) for at in (1, 2))),
    )
    assert [answer.case for answer in mixed.answers] == ["1", "2"]


def test_the_case_may_be_named_in_the_metadata_or_the_resource(tmp_path: Path) -> None:
    """A process for each case can name it in the environment."""
    named = model(1, attributes={"openinference.span.kind": "LLM", "metadata": '{"evalkit.case_id": 7}'})
    assert only(tmp_path, named).case == "7"
    content = document(model(1))
    content["resourceSpans"][0]["resource"]["attributes"].append(
        {"key": "evalkit.case_id", "value": {"stringValue": "from the resource"}}
    )
    assert [answer.case for answer in read(tmp_path, content).answers] == ["from the resource"]


def test_a_chat_with_history_keeps_it(tmp_path: Path) -> None:
    """A trace whose first model got a whole chat asks with this chat."""
    said = [("user", "a"), ("assistant", "b"), ("user", "c")]
    messages = json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in said])
    answer = only(tmp_path, model(1, said=None, attributes={"gen_ai.input.messages": messages}))
    assert [(message.role, message.content) for message in answer.history] == said
    assert answer.asked == ("c",)


def test_two_traces_may_share_the_ids_of_spans(tmp_path: Path) -> None:
    """Then the ids of steps name their trace too, so that none is part of another trace."""
    spans = [
        each
        for number in (1, 2)
        for each in (
            span(1, 0, {**AGENT, "session.id": "s"}, trace=f"{number:032x}", at=(number, number + 9)),
            model(2, 1, trace=f"{number:032x}", at=(number, number + 1)),
        )
    ]
    trajectory = output_of(only(tmp_path, *spans))["trajectory"]
    assert len({step["id"] for step in trajectory}) == 4
    assert [step["parent"] for step in trajectory if "parent" in step] == [
        f"{number:032x}-{1:016x}" for number in (1, 2)
    ]


@pytest.mark.slow
def test_more_steps_than_an_answer_may_have(tmp_path: Path) -> None:
    """10,001 steps are refused by the reader of answers, with the number."""
    spans = [model(at, 1 if at > 1 else 0) for at in range(1, 10_002)]
    ended = to_output(only(tmp_path, *spans).output)
    assert isinstance(ended, Failure)
    assert (ended.kind, "10,001 items" in ended.message) == ("too_large", True)


def test_a_web_framework_may_begin_the_trace(tmp_path: Path) -> None:
    """Input and output are those of the first span that a convention knows."""
    chain = {"openinference.span.kind": "CHAIN", "input.value": "q", "output.value": "a"}
    answer = only(tmp_path, span(1, 0, name="POST /chat", at=(1, 9)), span(2, 1, chain))
    assert (answer.asked, output_of(answer)["text"]) == (("q",), "a")


@pytest.mark.parametrize("key", ["evalkit.case_id", "session.id"])
def test_a_trace_of_a_whole_experiment_is_taken_apart(tmp_path: Path, key: str) -> None:
    """Each case, or conversation, is an answer; what is around them belongs to none."""
    spans = [span(1, 0, name="experiment", at=(1, 90))]
    for number in (10, 20):
        spans += [
            span(number, 1, AGENT, at=(number, number + 9)),
            model(number + 1, number, said=f"a{number}", attributes={key: f"c{number}"}),
            span(number + 2, number + 1, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get"}),
        ]
    found = read(tmp_path, document(*spans))
    assert [note.what for note in found.notes] == ["1 trace without a model, tool, agent or node (the first is named)"]
    assert [(each.case, output_of(each)["text"]) for each in found.answers] == [("c10", "a10"), ("c20", "a20")]
    for each in found.answers:
        assert [step["kind"] for step in output_of(each)["trajectory"]] == ["agent", "llm", "tool"]
        assert output_of(each)["usage"]["input_tokens"] == 10


def test_an_agent_inside_with_a_conversation_of_its_own_stays(tmp_path: Path) -> None:
    """The root belongs to a conversation, so everything below it does."""
    root = {**AGENT, "gen_ai.conversation.id": "outer"}
    inner = {**AGENT, "gen_ai.conversation.id": "inner"}
    answer = only(tmp_path, span(1, 0, root, at=(1, 9)), span(2, 1, inner, at=(2, 8)), model(3, 2))
    assert (answer.case, len(output_of(answer)["trajectory"])) == ("outer", 3)


@pytest.mark.parametrize("odd", [[1], {"a": 1}, None, 7, "[" * 5_000])
def test_odd_messages(tmp_path: Path, odd: Any) -> None:
    """Whatever a message or a part of it is, it is named or left out."""
    said: list[Any] = [
        odd,
        {"role": odd, "parts": [{"type": odd}]},
        {"role": "assistant", "parts": odd},
        {"role": "assistant", "parts": [odd, {"type": "tool_call", "name": odd, "arguments": odd, "id": odd}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": odd, "response": odd}]},
    ]
    for messages in ([each] for each in said):
        given = {"gen_ai.output.messages": json.dumps(messages), "gen_ai.input.messages": json.dumps(messages)}
        (answer,) = read(tmp_path, document(model(1, said=None, attributes=given))).answers
        assert answer.output is None or isinstance(to_output(answer.output), Output)


def test_a_question_with_an_odd_escape_warns_nobody(tmp_path: Path) -> None:
    """Python warns of it when it parses; the text is not ours."""
    found = only(tmp_path, graph(1, "1"), asked_for(2, 1, "1", "{'tool': 'a\\d'}"))
    assert output_of(found)["interrupt"]["tool"] == "a\\d"
