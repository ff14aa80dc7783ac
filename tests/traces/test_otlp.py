"""Spans in OTLP/JSON: every form that emitters write, and what is odd about a trace is named."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from trace_lab import TRACE, document, event, model, only, output_of, read, span, steps_of

from evalkit.traces.otlp import attributes_of


def whats(found: Any) -> list[str]:
    """The notes without their places."""
    return [note.what for note in found.notes]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"stringValue": "a"}, "a"),
        ({"boolValue": False}, False),
        ({"intValue": "9223372036854775807"}, 9223372036854775807),
        ({"intValue": 7}, 7),
        ({"doubleValue": 0.5}, 0.5),
        ({"doubleValue": "NaN"}, None),
        ({}, None),
        ({"bytesValue": "AQI="}, "AQI="),
        ({"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "b"}]}}, [1, "b"]),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": [{"key": "x", "value": {"boolValue": True}}]}}, {"x": True}),
    ],
)
def test_each_kind_of_value(value: dict[str, Any], plain: Any) -> None:
    """64-bit integers are decimal strings or numbers; an empty value is null."""
    faults: list[str] = []
    assert attributes_of([{"key": "k", "value": value}], faults) == {"k": plain}
    assert faults == []


@pytest.mark.parametrize(
    "value",
    [{"intValue": "x"}, {"intValue": True}, {"intValue": "9" * 400}, {"stringValue": 1}, {"other": 1}, "x", [1], 7],
)
def test_a_value_of_no_kind_is_named(tmp_path: Path, value: Any) -> None:
    """It is unknown, and the note names span and key."""
    odd = model(1)
    odd["attributes"].append({"key": "mine", "value": value})
    found = read(tmp_path, document(odd))
    assert whats(found) == ["not read: the value of 'mine'"]
    assert found.notes[0].place == f"0.otlp.json trace {TRACE} span 0000000000000001"


def test_ids_in_base64_and_enums_by_name_are_read_with_a_warning(tmp_path: Path) -> None:
    """As protobuf's own JSON writes them; one note for a file."""
    root, tool = model(1), span(2, 1, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get"})
    tool["status"] = {"code": "STATUS_CODE_ERROR", "message": "gone"}
    for each in (root, tool):
        for key in {"traceId", "spanId", "parentSpanId"} & each.keys():
            each[key] = base64.b64encode(bytes.fromhex(each[key])).decode()
        each["kind"] = "SPAN_KIND_CLIENT"
    found = read(tmp_path, document(root, tool))
    assert [what.partition(",")[0] for what in whats(found)] == ["ids in base64", "enums by their names"]
    (answer,) = found.answers
    assert answer.case == TRACE
    assert [step["error"] for step in steps_of(answer, "tool")] == ["gone"]


def test_the_last_of_a_repeated_span_counts(tmp_path: Path) -> None:
    """An exporter that tries again writes a span twice, also into another file."""
    found = read(tmp_path, document(model(1, said="first")), document(model(1, said="second")))
    assert [output_of(answer)["text"] for answer in found.answers] == ["second"]
    assert output_of(found.answers[0])["usage"] == {"input_tokens": 10, "output_tokens": 2, "model": "toy"}


def test_what_is_odd_about_a_trace_is_named(tmp_path: Path) -> None:
    """Orphans, several roots, a span without an end, one that ends before it starts; there is still an answer."""
    found = read(
        tmp_path,
        document(
            model(1),
            span(2, 99, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get"}),
            span(3, 0, {"gen_ai.operation.name": "invoke_agent"}, endTimeUnixNano="0"),
            model(4, 1, at=(9, 8)),
        ),
    )
    said = {
        what.partition(":")[0]: note.place.rpartition("span ")[2]
        for what, note in zip(whats(found), found.notes, strict=True)
    }
    assert said == {
        "is part of a span that is not in the file": f"{2:016x}",
        "begins a trace that has several beginnings": f"{1:016x}, {3:016x}",
        "has no end": f"{3:016x}",
        "ends before it starts": f"{4:016x}",
    }
    (answer,) = found.answers
    (tool,), (agent,) = steps_of(answer, "tool"), steps_of(answer, "agent")
    assert tool["details"] == {"incomplete": True}
    assert agent["error"] == "unfinished"
    assert "latency_s" in output_of(answer)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_cycle_of_parents_is_named(tmp_path: Path, length: int) -> None:
    """A span that is part of itself, directly or by way of others."""
    spans = [model(at + 1, (at + 1) % length + 1) for at in range(length)]
    found = read(tmp_path, document(*spans))
    assert whats(found) == ["is part of itself: it is read as a beginning"]
    assert len(steps_of(found.answers[0], "llm")) == length


@pytest.mark.slow
def test_a_chain_of_20_000_parents(tmp_path: Path) -> None:
    """Nothing recurses; an answer of more than 10,000 steps is then refused by its reader."""
    spans = [span(at, at - 1, {"gen_ai.operation.name": "invoke_agent"}) for at in range(1, 20_001)]
    found = read(tmp_path, document(*spans, model(20_001, 20_000)))
    assert len(output_of(found.answers[0])["trajectory"]) == 20_001
    assert output_of(found.answers[0])["usage"]["input_tokens"] == 10


def test_logs_are_joined_to_their_span(tmp_path: Path) -> None:
    """Content may be in a log record; one about a span that is not there is named."""
    messages = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "from a log"}]}])
    log = {
        "traceId": TRACE.upper(),
        "spanId": f"{1:016x}",
        "timeUnixNano": "1700000001000000000",
        "eventName": "gen_ai.client.inference.operation.details",
        "attributes": [{"key": "gen_ai.output.messages", "value": {"stringValue": messages}}],
    }
    answer = only(tmp_path, model(1, said=None), logs=(log,))
    assert output_of(answer)["text"] == "from a log"
    lost = read(tmp_path, document(model(1), logs=({**log, "spanId": f"{9:016x}"},)))
    assert whats(lost) == ["logs of a span that is not in the file"]


def test_traces_without_a_model_are_counted_not_read(tmp_path: Path) -> None:
    """A health check is no case."""
    other = span(7, name="GET /health", trace="1" * 32)
    found = read(tmp_path, document(model(1), other, {**other, "traceId": "2" * 32}))
    assert len(found.answers) == 1
    assert whats(found) == ["2 traces without a model, tool, agent or node (the first is named)"]


@pytest.mark.parametrize(
    "record",
    [
        {"resourceSpans": 7},
        {"resourceSpans": [7]},
        {"resourceSpans": [{"scopeSpans": [{"spans": {}}]}]},
        document({"traceId": "xyz", "spanId": "1"}),
        document({**model(1), "traceId": "0" * 32}),
        document({**model(1), "spanId": None}),
    ],
)
def test_what_is_no_span_is_named(tmp_path: Path, record: dict[str, Any]) -> None:
    """With the file."""
    found = read(tmp_path, record)
    assert found.answers == ()
    assert len(found.notes) == 1
    assert found.notes[0].place.startswith("0.otlp.json")


def test_attributes_that_were_dropped_are_named(tmp_path: Path) -> None:
    """The SDK keeps 128 attributes of a span and counts the others."""
    found = read(tmp_path, document({**model(1), "droppedAttributesCount": 3}))
    assert whats(found) == ["not read: attributes that the emitter dropped"]


def test_messages_that_were_cut_are_named(tmp_path: Path) -> None:
    """A limit on the length of attributes cuts JSON in two."""
    found = read(
        tmp_path,
        document(model(1, attributes={"gen_ai.tool.definitions": "[", "gen_ai.output.messages": '[{"ro'}, said=None)),
    )
    assert "which is not a list of messages" in whats(found)[0]
    assert found.answers[0].output is not None
    assert found.answers[0].output["text_known"] is False


def test_an_exception_that_was_handled_is_no_error(tmp_path: Path) -> None:
    """Only the status, or `error.type`, says that a span failed; the exception then says why."""
    raised = [event("exception", {"exception.type": "KeyError", "exception.message": "no A-17"})]
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get"}
    handled = only(tmp_path, model(1), span(2, 1, tool, events=raised))
    failed = only(tmp_path, model(1), span(2, 1, tool, events=raised, status={"code": 2, "message": "m"}))
    typed = only(tmp_path, model(1), span(2, 1, {**tool, "error.type": "timeout"}))
    assert [step.get("error") for each in (handled, failed, typed) for step in steps_of(each, "tool")] == [
        None,
        "no A-17",
        "timeout",
    ]
