"""Calls from traces: one a trace, once it is complete, whichever lines and files its spans come in."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monitor_lab import MonitorLab
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "traces"))

from trace_lab import document, event, key_values, model, span

from evalkit.cli.app import app
from evalkit.monitor.calls import AMOUNTS
from evalkit.monitor.sampled_texts import sampled_rows
from evalkit.monitor.series import day_of

TEXT = """\
name: shop
logs: {format: otlp}
cohorts: {tier: app.tier}
scorers: [{length: {max: 12}}]
"""
NOW = 1_700_000_000.0
FIRST = day_of("2023-11-14")


def trace(number: int) -> str:
    """The id of a trace."""
    return f"{number:032x}"


def line(*spans: dict[str, Any]) -> str:
    """One export."""
    return json.dumps(document(*spans))


def root(number: int, at: int = 0, **more: Any) -> dict[str, Any]:
    """The span that begins a trace: an agent."""
    attributes = {"gen_ai.operation.name": "invoke_agent", "app.tier": "gold", "gen_ai.conversation.id": f"c{number}"}
    return span(1, 0, attributes, name="invoke_agent", trace=trace(number), at=(at, at + 5), **more)


def reply(number: int, at: int = 1, said: str | None = "hello") -> dict[str, Any]:
    """The call of its model."""
    return model(2, 1, said, trace=trace(number), at=(at, at + 1))


def tool(number: int, at: int = 2, *, failed: bool = False) -> dict[str, Any]:
    """The call of a tool."""
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    status = {"status": {"code": 2, "message": "no such page"}} if failed else {}
    return span(3, 1, attributes, name="execute_tool search", trace=trace(number), at=(at, at + 1), **status)


@pytest.fixture
def lab(tmp_path: Path) -> MonitorLab:
    """A monitor of traces, an hour after the first of them."""
    made = MonitorLab(tmp_path, TEXT)
    made.now = NOW + 3_600
    return made


def export(lab: MonitorLab, *lines: str, name: str = "traces.jsonl", age: float = 3_600) -> None:
    """Append exports to a log that last grew some seconds ago."""
    file = lab.log(lines, name)
    os.utime(file, (lab.now - age, lab.now - age))


def test_a_trace_is_one_call(lab: MonitorLab) -> None:
    """Question, answer, session, cohort, steps, tool errors, tokens and seconds."""
    export(lab, line(reply(1), tool(1), tool(1, failed=True) | {"spanId": f"{4:016x}"}), line(root(1)))
    taken = lab.take()
    assert (taken.n_read, taken.n_scored, taken.notes) == (1, 1, ())
    (found,) = lab.observed()
    amounts = {name: found.metrics[name][0] for name in AMOUNTS}
    assert (amounts["steps"], amounts["tool_errors"], amounts["latency_s"]) == (2, 1, 5)
    assert (amounts["input_tokens"], amounts["output_tokens"]) == (10, 2)
    (row,) = sampled_rows(lab.folder, [FIRST])
    assert row.output is not None
    assert (row.case.input, row.output.text, row.case.fields["at"]) == ("hi", "hello", NOW)
    assert len(lab.observed()[0].cohorts["tier"]) == 1


def evaluated(number: int, at: int, value: float | None, label: str = "", **more: Any) -> dict[str, Any]:
    """A log record with the result of an evaluator, about a span or a response."""
    said: dict[str, Any] = {"gen_ai.evaluation.name": "Relevance", "gen_ai.evaluation.explanation": "private words"}
    said |= {} if value is None else {"gen_ai.evaluation.score.value": value}
    said |= {"gen_ai.evaluation.score.label": label} if label else {}
    ids = {"traceId": trace(number), "spanId": f"{2:016x}"} if "response" not in more else {}
    said |= {"gen_ai.response.id": more["response"]} if "response" in more else {}
    time = str(1_700_000_000_000_000_000 + at * 1_000_000_000)
    return {**ids, "eventName": "gen_ai.evaluation.result", "timeUnixNano": time, "attributes": key_values(said)}


def test_results_of_evaluators_are_scores_of_the_call(lab: MonitorLab) -> None:
    """Of an event or a log record, by trace and span or by the id of the response; calls without one do not count."""
    scorers = """scorers:
  - recorded: {name: relevance, at: recorded.Relevance.value, judge: azure, scale: [0, 1], pass: 0.5,
              when: {has: [recorded]}}
  - recorded: {name: label, at: recorded.Relevance.label, judge: azure, levels: {relevant: 1, not_relevant: 0},
              when: {has: [recorded]}}
"""
    lab.file.write_text(TEXT.partition("scorers")[0] + scorers, encoding="utf-8")
    spans = [each for number in range(1, 5) for each in (root(number, number), reply(number, number))]
    spans[1]["events"] = [event("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "Relevance"})]
    spans[1]["events"][0]["attributes"] += key_values({"gen_ai.evaluation.score.value": 0.25})
    spans[5]["attributes"] += key_values({"gen_ai.response.id": "resp-2"})
    logs = (evaluated(2, 9, 0.75, "relevant"), evaluated(3, 9, 1.0, "not_relevant", response="resp-2"))
    export(lab, json.dumps(document(*spans, logs=(*logs, evaluated(3, 9, 1.0, response="resp-9")))))
    taken = lab.take()
    assert taken.n_scored == 4
    assert any("an evaluation of a response that is not in the file" in each.what for each in taken.notes)
    (found,) = lab.observed()
    values = {name: sorted(column[~np.isnan(column)].tolist()) for name, column in found.metrics.items()}
    assert (values["relevance"], values["relevance.passed"]) == ([0.25, 0.75, 1.0], [0.0, 1.0, 1.0])
    assert (values["label"], values["label.scored"]) == ([0.0, 1.0], [0.0, 1.0, 1.0])
    export(lab, json.dumps({"resourceLogs": document(logs=(evaluated(4, 99, 1.0),))["resourceLogs"]}), name="b.jsonl")
    late = lab.take()
    assert (late.n_read, [note.what for note in late.notes if "logs of a span" in note.what] != []) == (0, True)
    assert b"private words" not in b"".join(file.read_bytes() for file in lab.folder.rglob("*") if file.is_file())


def test_a_trace_waits_for_its_root_and_counts_once(lab: MonitorLab) -> None:
    """While a log grows, spans without their root are not a call; others of the same line count meanwhile."""
    export(lab, line(reply(1), root(2, -100), reply(2, -99)), age=1)
    first = lab.take()
    assert (first.n_scored, first.n_double) == (1, 0)
    assert lab.take().n_read == 0
    export(lab, line(root(1)))
    last = lab.take()
    assert (last.n_scored, last.n_double, last.n_refused) == (1, 0, 0)
    assert lab.take().n_read == 0
    assert len(set(lab.ids())) == 2


def test_spans_of_a_trace_may_be_in_two_files(lab: MonitorLab) -> None:
    """As after a rotation of the collector's file."""
    export(lab, line(reply(1)), name="a.jsonl")
    export(lab, line(root(1)), name="b.jsonl")
    assert lab.take().n_scored == 1


def test_a_trace_without_a_root_is_refused_after_ten_minutes(lab: MonitorLab) -> None:
    """With its place."""
    export(lab, line(reply(1)), age=500)
    assert lab.take().n_read == 0
    export(lab, line(root(2, 700), reply(2, 701)), age=500)
    taken = lab.take()
    assert (taken.n_scored, taken.n_refused) == (1, 1)
    assert trace(1) in taken.refused[0].place
    assert "is missing" in taken.refused[0].what


def test_a_failed_root_is_a_failed_call(lab: MonitorLab) -> None:
    """It has no answer, and is not graded."""
    export(lab, line(root(1, status={"code": 2, "message": "timeout"}), reply(1, said=None)))
    assert lab.take().n_scored == 1
    (found,) = lab.observed()
    assert found.metrics["error"].tolist() == [1.0]
    assert not found.drawn.any()


def test_traces_without_texts_or_models_are_said(lab: MonitorLab) -> None:
    """A health check is no call; a trace without content counts, and rules that read its text leave it unscored."""
    health = span(1, 0, {"http.route": "/health"}, name="GET /health", trace=trace(9))
    empty = reply(1, said=None)
    empty["attributes"] = [each for each in empty["attributes"] if not each["key"].endswith("messages")]
    export(lab, line(health), line(root(1), empty), "{broken", json.dumps({"x": 1}))
    taken = lab.take()
    assert (taken.n_scored, taken.n_refused) == (1, 2)
    said = " ".join(map(str, taken.refused))
    assert "not JSON" in said
    assert "neither spans nor logs" in said
    notes = " ".join(note.what for note in taken.notes)
    assert "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT" in notes
    assert "1 traces without a model" in notes
    (found,) = lab.observed()
    assert (found.metrics["length.scored"][0], found.metrics["input_tokens"][0]) == (0.0, 10)


def test_ids_in_base64_are_those_in_hex(lab: MonitorLab) -> None:
    """A trace whose line has its id in base64 is not counted twice."""
    import base64

    def coded(each: dict[str, Any]) -> dict[str, Any]:
        keys = {"traceId", "spanId", "parentSpanId"} & each.keys()
        return {**each, **{key: base64.b64encode(bytes.fromhex(each[key])).decode() for key in keys}}

    export(lab, line(coded(root(1)), coded(reply(1))), age=1)
    assert lab.take().n_scored == 0
    os.utime(lab.logs / "traces.jsonl", (lab.now - 60, lab.now - 60))
    assert lab.take().n_scored == 1
    assert lab.take().n_read == 0


@pytest.mark.parametrize("key", ["traceId", "spanId"])
def test_spans_without_ids_are_refused(lab: MonitorLab, key: str) -> None:
    """Each is counted with its line, once, beside the traces that can be read."""
    bad = [reply(2) | {key: value} for value in ("zz", "", 5)]
    export(lab, line(root(1), reply(1)), line(*bad), json.dumps({"resourceSpans": [5]}))
    taken = lab.take()
    assert (taken.n_scored, taken.n_refused) == (1, 4)
    assert [each.place.rpartition(":")[2] for each in taken.refused] == ["2", "2", "2", "3"]
    assert not any("hex digits" in note.what for note in taken.notes)
    assert not taken.is_enough
    assert lab.take().n_refused == 0


def test_waiting_lines_are_bounded(lab: MonitorLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 64 MiB, incomplete traces are taken as they are: refused without a root."""
    monkeypatch.setattr("evalkit.monitor.trace_source.MOST_WAITING_BYTES", 1_000)
    export(lab, *(line(reply(number)) for number in range(1, 50)), age=1)
    taken = lab.take()
    assert (taken.n_scored, taken.n_refused) == (0, 49)


def test_a_stream_ends_and_all_its_traces_with_it(lab: MonitorLab) -> None:
    """Standard input does not grow."""
    data = "\n".join([line(reply(1)), line(root(1)), line(reply(2))]).encode()
    taken = lab.take("-", stdin=data)
    assert (taken.n_scored, taken.n_refused) == (1, 1)


def test_a_trace_that_is_not_complete_is_reported(lab: MonitorLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as 0 rows: the next take reads it."""
    monkeypatch.chdir(lab.root)
    monkeypatch.setattr("time.time", lambda: NOW + 10)
    export(lab, line(reply(1), root(1)), age=-3_590)
    ended = CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", "logs"])
    assert ended.output == "1 trace waits for its last span; take again in 30 seconds\n"
