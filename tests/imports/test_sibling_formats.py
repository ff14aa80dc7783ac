"""Files of other versions of the same tools, in the shape that these versions write, with content of our own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "traces"))
from import_lab import Import, import_text, rows_of
from test_other_imports import lines
from trace_lab import document, span

from evalkit import Score
from evalkit.operations.compare_files import Comparing, compare_files


def graded(question: str, text: str | None, ok: bool, provider: str = "openai:gpt-4") -> dict[str, Any]:
    """A result of promptfoo before version 3: without its test, and without the number of its column."""
    part = {"pass": ok, "score": float(ok), "reason": "", "assertion": {"type": "contains", "value": "9"}}
    return {
        "provider": {"id": provider}, "prompt": {"raw": f"Answer: {question}", "display": "Answer: {{q}}"},
        "vars": {"q": question}, "success": ok, "score": float(ok), "latencyMs": 500, "namedScores": {"hours": 1},
        "response": {} if text is None else {"output": text, "tokenUsage": {"prompt": 8, "completion": 4}},
        "gradingResult": None if text is None else {"pass": ok, "score": float(ok), "componentResults": [part]},
        **({"error": "API call error: 500"} if text is None else {}),
    }  # fmt: skip


BEFORE_3 = [
    graded("Open?", "At 9", True),
    graded("Sunday?", "closed", False),
    graded("Open?", "9 am", True, "openai:gpt-3.5"),
    graded("Sunday?", None, False, "openai:gpt-3.5"),
]
PROMPTFOO: dict[str, Any] = {
    "version 1": {"version": 1, "results": BEFORE_3, "stats": {"successes": 2, "failures": 2}, "table": {}},
    "version 2": {"results": {"version": 2, "results": BEFORE_3, "stats": {}, "table": {}}, "config": {}},
    "of a program": {
        "id": "eval-1", "config": {"prompts": ["Answer: {{q}}"], "providers": []}, "prompts": [], "persisted": True,
        "results": [
            {
                **row, "promptIdx": at // 2, "testIdx": at % 2,
                "failureReason": 0 if row["success"] else 2 if "error" in row else 1,
                "testCase": {"vars": row["vars"], "assert": [{"type": "contains", "value": "9"}]},
            }
            for at, row in enumerate(BEFORE_3)
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", PROMPTFOO)
def test_results_of_promptfoo(tmp_path: Path, kind: str) -> None:
    """By hand: 1 of 2 passes in the first column, the only answer in the second; checks agree with its verdicts."""
    made = import_text(tmp_path, "out.json", PROMPTFOO[kind])
    assert made.counts == {"case": (2, 2), "assertion": (2, 2), "output": (4, 4)}
    assert [each["name"].rpartition(" / ")[2] for each in made.suites] == ["openai:gpt-4", "openai:gpt-3.5"]
    assert [row["recorded"]["pass"] for row in made.answers] == [True, False]
    assert made.answers[0]["output"]["usage"] == {"input_tokens": 8, "output_tokens": 4}
    assert rows_of(made.folder / "answers-2.jsonl")[1]["failure"]["message"] == "API call error: 500"
    passed = {name: row.scores["checks"] for name, row in made.run().items()}
    assert {name: grade.passed for name, grade in passed.items() if isinstance(grade, Score)} == {
        "test-1": True, "test-2": False,
    }  # fmt: skip
    assert made.losses == []


SAMPLE: dict[str, Any] = {
    "id": 1, "epoch": 1, "input": "Open at nine?", "target": "Yes", "metadata": {}, "store": {},
    "messages": [{"role": "user", "content": "tc://aa"}, {"role": "assistant", "content": "No"}],
    "output": {"model": "m", "choices": [{"message": {"role": "assistant", "content": "No"}, "stop_reason": "stop"}]},
    "scores": {"match": {"value": "I", "answer": "No"}, "rubric": {"value": {"tone": 0.5, "fact": "C"}}},
    "transcript": {
        "content": {"aa": "Open at nine?"},
        "events": [
            {"event": "sample_init", "timestamp": "2024-10-15T12:53:13-04:00"},
            *[
                {
                    "event": "model", "model": "m", "timestamp": "2024-10-15T12:53:14-04:00",
                    "output": {"usage": {"input_tokens": 33, "output_tokens": 1, "total_tokens": 34}},
                }
            ]
            * 2,
        ],
    },
}  # fmt: skip


def log(*samples: Any, version: int = 2) -> dict[str, Any]:
    """A log of inspect of 2024."""
    evaluation = {"task": "hours", "model": "m", "config": {}, "dataset": {}}
    return {"version": version, "status": "success", "eval": evaluation, "plan": {}, "samples": [*samples]}


def test_a_log_of_inspect_of_2024(tmp_path: Path) -> None:
    """The answer is in the first choice, events and long texts in a transcript; tokens are those of the calls."""
    made = import_text(tmp_path, "log.json", log(SAMPLE))
    output = made.answers[0]["output"]
    assert (output["text"], output["messages"][0]["content"]) == ("No", "Open at nine?")
    assert output["usage"] == {"input_tokens": 66, "output_tokens": 2, "model": "m"}
    assert made.golden[0]["recorded"] == {"match": 0.0, "rubric.tone": 0.5, "rubric.fact": 1.0}


def test_a_log_of_inspect_of_version_1(tmp_path: Path) -> None:
    """It has one score, without a name."""
    first = {key: value for key, value in SAMPLE.items() if key not in ("scores", "transcript")}
    made = import_text(tmp_path, "log.json", log({**first, "score": {"value": "C"}}, version=1))
    assert made.golden[0]["recorded"] == {"score": 1.0}
    assert "usage" not in made.answers[0]["output"]


def test_samples_of_lm_eval_before_they_list_their_metrics(tmp_path: Path) -> None:
    """Numbers beside the known keys are the metrics."""
    row = {
        "doc_id": 0, "doc": {"question": "2+3?"}, "target": "5", "arguments": [["2+3?", {"until": ["\n"]}]],
        "resps": [["5"]], "filtered_resps": ["5"], "exact_match": 1.0, "f1": 0.5,
    }  # fmt: skip
    made = import_text(tmp_path, "samples.jsonl", lines(row))
    assert made.golden[0]["recorded"] == {"exact_match": 1.0, "f1": 0.5}


TURNS = [
    {
        "query": "Roll a die", "reference": "I rolled 3", "expected_intermediate_agent_responses": [],
        "expected_tool_use": [{"tool_name": "roll_die", "tool_input": {"sides": 6}}],
    },
    {"query": "Thanks", "reference": "Welcome", "expected_tool_use": []},
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "name"),
    [(TURNS, "case-1"), ([{"name": "dice", "data": TURNS, "initial_session": {"state": {"n": 1}}}], "dice")],
)
def test_sessions_of_adk(tmp_path: Path, value: Any, name: str) -> None:
    """As ADK wrote them before eval sets; the calls of each turn are expected, also none."""
    made = import_text(tmp_path, "dice.test.json", value)
    assert made.golden[0]["id"] == name
    assert made.golden[0]["turns"] == [
        {
            "user": "Roll a die", "reference": "I rolled 3",
            "expected_tool_calls": [{"name": "roll_die", "arguments": {"sides": 6}}],
        },
        {"user": "Thanks", "reference": "Welcome", "expected_tool_calls": []},
    ]  # fmt: skip
    assert made.golden[0].get("state") == ({"n": 1} if name == "dice" else None)


def test_an_eval_set_of_adk_with_keys_of_sessions(tmp_path: Path) -> None:
    """Files written by hand mix the two; what has no counterpart is listed."""
    turn = {
        "user_content": {"parts": [{"text": "Roll"}]}, "final_response": {"parts": [{"text": "3"}]},
        "expected_tool_use": [{"name": "roll_die", "args": {}}],
        "expected_intermediate_agent_responses": [{"author": "a", "text": "rolling"}],
    }  # fmt: skip
    made = import_text(tmp_path, "d.evalset.json", {"eval_cases": [{"eval_id": "c", "conversation": [turn]}]})
    assert made.golden[0]["turns"][0]["expected_tool_calls"] == [{"name": "roll_die", "arguments": {}}]
    assert [what for _, what in made.losses] == ["`expected_intermediate_agent_responses` has no counterpart"]


def old_span(name: str, parent: str | None, start: float, kind: str, **attributes: Any) -> dict[str, Any]:
    """A span of MLflow 2."""
    return {
        "name": name, "context": {"span_id": name, "trace_id": "t"}, "parent_id": parent, "status_code": "OK",
        "start_time": int(start * 1e9), "end_time": int((start + 1) * 1e9), "status_message": "", "events": [],
        "attributes": {f"mlflow.{key}": json.dumps(value) for key, value in {"spanType": kind, **attributes}.items()},
    }  # fmt: skip


def test_a_trace_of_mlflow_2(tmp_path: Path) -> None:
    """Spans have a context; the tokens of nested models count once."""
    used = {"input_tokens": 5, "output_tokens": 2}
    spans = [
        old_span("predict", None, 1, "CHAIN", spanInputs={"question": "Open?"}, spanOutputs="At 9"),
        old_span("outer", "predict", 1.2, "LLM", **{"chat.tokenUsage": used}),
        old_span("inner", "outer", 1.3, "CHAT_MODEL", **{"chat.tokenUsage": used}),
    ]
    info = {"request_id": "tr-1", "timestamp_ms": 1, "execution_time_ms": 1500, "status": "OK", "tags": {"team": "a"}}
    made = import_text(tmp_path, "trace.json", {"info": info, "data": {"spans": spans}})
    assert (made.golden[0]["id"], made.golden[0]["input"]) == ("tr-1", "Open?")
    output = made.answers[0]["output"]
    assert (output["text"], output["usage"], output["latency_s"]) == ("At 9", used, 1.5)
    assert [step.get("parent") for step in output["trajectory"]] == [None, "predict", "outer"]
    assert made.losses == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "r.csv",
            "question,contexts,answer,ground_truth,faithfulness,answer_relevancy\n"
            "Open?,\"['At 9 daily.', 'Or later']\",At 9,At 9.,0.5,\n",
        ),
        (
            "r.json",
            json.dumps([{"question": "Open?", "contexts": ["At 9 daily.", "Or later"], "answer": "At 9",
                         "ground_truths": ["At 9."], "faithfulness": 0.5}]),
        ),
    ],
)  # fmt: skip
def test_samples_of_ragas_01(tmp_path: Path, name: str, text: str) -> None:
    """Under their former names; an empty score is no score."""
    made = import_text(tmp_path, name, text)
    assert made.written.kind == "ragas samples"
    assert made.golden[0]["recorded"] == {"faithfulness": 0.5}
    assert made.golden[0]["reference"] in ("At 9.", ["At 9."])
    assert made.answers[0]["output"] == {"text": "At 9", "contexts": ["At 9 daily.", "Or later"]}


def test_calls_of_deepeval_under_both_names(tmp_path: Path) -> None:
    """`model_dump` writes other names than `save_as`; arguments are never lost."""
    call = {"name": "get", "input_parameters": {"id": 1}, "output": "x"}
    made = import_text(
        tmp_path, "g.json", [{"input": "q", "expected_output": "b", "actual_output": "a", "tools_called": [call]}]
    )
    assert made.answers[0]["output"]["tool_calls"] == [{"name": "get", "arguments": {"id": 1}, "result": "x"}]


EVENTS = [
    {"spec": {"eval_name": "hours.dev", "completion_fns": ["m"], "run_id": "r"}},
    {"event_id": 0, "sample_id": "hours.0", "type": "sampling", "data": {"prompt": "Open?", "sampled": ["At 9"]}},
    {"event_id": 1, "sample_id": "hours.0", "type": "match", "data": {"correct": True, "expected": "At 9"}},
    {
        "event_id": 2, "sample_id": "hours.1", "type": "sampling",
        "data": {"prompt": [{"role": "user", "content": "Sunday?"}], "sampled": ["At 9"]},
    },
    {"event_id": 3, "sample_id": "hours.1", "type": "match", "data": {"correct": False, "expected": "closed"}},
    {"event_id": 4, "sample_id": "hours.2", "type": "match", "data": {"correct": False}},
    {"final_report": {"accuracy": 0.5}},
]  # fmt: skip


def test_events_of_openai_evals(tmp_path: Path) -> None:
    """By hand: 1 of 2 is right, as the report of the run says; a sample that was not sampled is listed."""
    made = import_text(tmp_path, "events.jsonl", lines(*EVENTS))
    assert [(row["id"], row["reference"], row["recorded"]["correct"]) for row in made.golden] == [
        ("hours.0", ["At 9"], True), ("hours.1", ["closed"], False),
    ]  # fmt: skip
    assert [row["output"]["text"] for row in made.answers] == ["At 9", "At 9"]
    assert made.losses == [("events.jsonl:6", "the sample 'hours.2' was not sampled")]
    assert made.suite["name"] == "hours.dev"


def traced(folder: Path, *spans: dict[str, Any]) -> Import:
    """Import spans."""
    return import_text(folder, "t.otlp.json", document(*spans))


def test_spans_of_adk(tmp_path: Path) -> None:
    """Its models' requests and replies, and its tools' arguments and results, are attributes of its own."""
    start = "gcp.vertex.agent."
    ask = {"contents": [{"role": "user", "parts": [{"text": "Roll"}]}]}
    reply = {
        "content": {"role": "model", "parts": [{"text": "It is 3."}]},
        "usage_metadata": {"prompt_token_count": 50, "candidates_token_count": 16},
    }
    model = {f"{start}llm_request": json.dumps(ask), f"{start}llm_response": json.dumps(reply)}
    tokens = {"gen_ai.usage.input_tokens": 50, "gen_ai.usage.output_tokens": 16}
    made = traced(
        tmp_path,
        span(1, 0, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "dice"}, at=(1, 9)),
        span(2, 1, {"gen_ai.request.model": "g", f"{start}session_id": "s1", **model}, name="call_llm", at=(2, 4)),
        span(3, 2, {"gen_ai.operation.name": "generate_content", "gen_ai.request.model": "g", **tokens}, at=(3, 4)),
        span(
            4,
            1,
            {
                "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "roll_die",
                f"{start}tool_call_args": '{"sides": 6}', f"{start}tool_response": '{"result": 3}',
            },
            at=(5, 6),
        ),
    )  # fmt: skip
    output = made.answers[0]["output"]
    assert (made.golden[0]["id"], made.golden[0]["input"], output["text"]) == ("s1", "Roll", "It is 3.")
    assert (output["usage"]["input_tokens"], output["usage"]["output_tokens"]) == (50, 16)
    (call,) = [step for step in output["trajectory"] if step["kind"] == "tool"]
    assert (call["arguments"], call["result"]) == ({"sides": 6}, {"result": 3})


def test_spans_of_pydantic_ai_before_its_messages_had_parts(tmp_path: Path) -> None:
    """Messages are events in a text; a tool's span has no operation."""
    events = [
        {"event.name": "gen_ai.user.message", "role": "user", "content": "Roll", "gen_ai.message.index": 0},
        {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": "It is 3."}},
    ]
    tokens = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3}
    made = traced(
        tmp_path,
        span(
            1, 0, {"agent_name": "dice", "final_result": "It is 3.", "all_messages_events": "[]", **tokens}, at=(1, 9)
        ),
        span(2, 1, {"gen_ai.operation.name": "chat", "events": json.dumps(events), **tokens}, at=(2, 3)),
        span(
            3,
            1,
            {"gen_ai.tool.name": "roll_die", "tool_arguments": '{"sides": 6}', "tool_response": "3"},
            name="running tool",
            at=(4, 5),
        ),
    )
    output = made.answers[0]["output"]
    assert (made.golden[0]["input"], output["text"]) == ("Roll", "It is 3.")
    assert output["usage"] == {"input_tokens": 7, "output_tokens": 3}
    assert [(step["kind"], step["name"]) for step in output["trajectory"]] == [
        ("agent", "dice"), ("llm", "work"), ("tool", "roll_die"),
    ]  # fmt: skip
    assert output["trajectory"][2]["arguments"] == {"sides": 6}


def test_a_sibling_is_compared_too(tmp_path: Path) -> None:
    """Results of promptfoo 2 against those of the next run, by what they ask."""
    files = []
    for name, right in (("old", 40), ("new", 24)):
        rows = [graded(f"{'x' * (n + 1)}?", "At 9", n < right) for n in range(40)]
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps({"results": {"version": 2, "results": rows}, "config": {}}), encoding="utf-8")
    found = compare_files(Comparing(before=str(files[0]), after=str(files[1])), tmp_path / "out")
    drops = [check.drop.value for check in found.decision.checks if check.metric == "pass" and check.drop]
    assert drops == [pytest.approx(16 / 40)]
