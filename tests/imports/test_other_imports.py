"""Imports of lm-eval, OpenAI evals, LangSmith, ADK and MLflow."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from import_lab import import_file, import_text, rows_of

from evalkit import Score
from evalkit.errors import InputError


def lines(*rows: Any) -> str:
    """Rows as JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


LM_EVAL: dict[str, Any] = {
    "doc_id": 3, "doc": {"question": "2+3?", "answer": "5", "level": "easy"}, "target": "5",
    "arguments": [["Q: 2+3?\nA:", {"until": ["\n"]}]], "resps": [["It is 5"]], "filtered_resps": ["5"],
    "filter": "strict-match", "metrics": ["exact_match"], "exact_match": 1.0, "doc_hash": "a",
}  # fmt: skip


def test_lm_eval(tmp_path: Path) -> None:
    """A document is a case for each filter, with its prompt, its filtered response and its score."""
    other = {**LM_EVAL, "filter": "flexible", "filtered_resps": ["6"], "exact_match": 0.0}
    named = {**LM_EVAL, "doc_id": 4, "arguments": {"gen_args_0": {"arg_0": "Q: 1?", "arg_1": {}}}, "target": 5}
    made = import_text(tmp_path, "samples_sums.jsonl", lines(LM_EVAL, other, named))
    assert made.golden[0] == {
        "id": "doc-3", "input": "Q: 2+3?\nA:", "reference": "5", "var_answer": "5", "level": "easy",
        "cohorts": {"filter": "strict-match"}, "recorded": {"exact_match": 1.0},
    }  # fmt: skip
    assert [(row["id"], row["output"]["text"]) for row in made.answers] == [
        ("doc-3", "5"),
        ("doc-3-2", "6"),
        ("doc-4", "5"),
    ]
    assert made.golden[2]["reference"] == "5"


def test_lm_eval_choices_are_refused(tmp_path: Path) -> None:
    """A choice by log-likelihood has no text to grade."""
    choice = {**LM_EVAL, "resps": [[[-1.5, False]], [[-0.5, True]]], "filtered_resps": [[-1.5, False], [-0.5, True]]}
    with pytest.raises(InputError, match=r"s.jsonl:1: a choice by log-likelihood, which has no text"):
        import_text(tmp_path, "s.jsonl", lines(choice))
    assert import_text(tmp_path, "t.jsonl", lines(choice, LM_EVAL)).counts["case"] == (2, 1)


OPENAI: list[dict[str, Any]] = [
    {"input": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Open?"}], "ideal": "At 9."},
    {"input": "On Sunday?", "ideal": ["closed", "no"], "topic": "hours"},
]


def test_openai_evals(tmp_path: Path) -> None:
    """A chat or a text, with one right answer or several; other keys stay fields."""
    made = import_text(tmp_path, "s.jsonl", lines(*OPENAI))
    assert made.golden == [
        {"id": "case-1", "input": OPENAI[0]["input"], "reference": ["At 9."]},
        {"id": "case-2", "input": "On Sunday?", "reference": ["closed", "no"], "topic": "hours"},
    ]
    assert made.suite["system"] == {"command": ["python3", "bot.py"]}


EXAMPLES: list[dict[str, Any]] = [
    {
        "id": "e1", "dataset_id": "d", "inputs": {"question": "Refund A-17", "lang": "en"},
        "outputs": {"answer": "Refunded", "amount": 20}, "metadata": {"topic": "refund", "dataset_split": ["base"]},
    },
    {
        "id": "e2", "dataset_id": "d", "inputs": {"messages": [{"type": "human", "data": {"content": "Hi"}}]},
        "outputs": {"messages": [{"role": "assistant", "content": "Hello"}], "n": 1}, "attachments": {"a.png": {}},
    },
]  # fmt: skip
RUNS: list[dict[str, Any]] = [
    {
        "id": "r1", "trace_id": "r1", "run_type": "chain", "name": "agent", "dotted_order": "1", "prompt_tokens": 40,
        "completion_tokens": 12, "total_cost": 0.01, "inputs": {"question": "Refund A-17"},
        "outputs": {"answer": "Refunded 20"}, "reference_example_id": "e1", "feedback_stats": {"ok": {"avg": 1}},
        "start_time": "2026-11-01T09:00:00", "end_time": "2026-11-01T09:00:02.500000",
    },
    {
        "id": "r2", "trace_id": "r1", "parent_run_id": "r1", "run_type": "tool", "name": "get_order",
        "dotted_order": "1.2", "inputs": {"input": "{\"id\": 7}"}, "outputs": {"output": {"total": 20}},
        "start_time": "2026-11-01T09:00:01+00:00", "end_time": "2026-11-01T10:00:02+01:00",
    },
    {
        "id": "r3", "trace_id": "r3", "run_type": "chain", "inputs": {"question": "Hi"}, "outputs": None,
        "error": "boom", "start_time": "2026-11-01T09:01:00Z", "end_time": "2026-11-01T09:01:01Z",
    },
    {
        "id": "r4", "trace_id": "gone", "parent_run_id": "gone", "run_type": "llm",
        "start_time": "2026-11-01T09:02:00Z", "end_time": "2026-11-01T09:02:01Z",
    },
]  # fmt: skip


def test_langsmith_examples(tmp_path: Path) -> None:
    """The input that asks, the output that answers; what else they hold stays."""
    made = import_text(tmp_path, "examples.jsonl", lines(*EXAMPLES))
    assert made.golden == [
        {
            "id": "e1", "input": "Refund A-17", "lang": "en", "reference": "Refunded", "expected_amount": 20,
            "cohorts": {"topic": "refund", "split": "base"},
        },
        {"id": "e2", "input": [{"role": "user", "content": "Hi"}], "reference": "Hello"},
    ]  # fmt: skip
    assert [place for place, _ in made.losses] == ["examples.jsonl:2 attachments"]


def test_langsmith_examples_in_the_forms_of_langchain(tmp_path: Path) -> None:
    """Pairs, serialised messages and parts of text are chats; an answer may be a message; calls are kept."""
    call = {"name": "get", "args": {"id": 1}, "id": "c1", "type": "tool_call"}
    made = import_text(tmp_path, "examples.jsonl", lines(
        {"id": "a", "dataset_id": "d", "inputs": {"messages": [["human", "Hi"], ["ai", "Yes?"], ["human", "Go"]]},
         "outputs": {"output": {"type": "ai", "data": {"content": "Done"}}}},
        {"id": "b", "dataset_id": "d", "outputs": None, "inputs": {"messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"type": "ai", "data": {"content": "", "tool_calls": [call]}},
            {"type": "tool", "data": {"content": "1", "tool_call_id": "c1"}}, {"role": "user", "content": "Go"}]}},
        {"id": "c", "dataset_id": "d", "outputs": None, "inputs": {"messages": [["x", "y"], ["human", "z"]]}},
    ))  # fmt: skip
    first, second, third = made.golden
    assert [turn["content"] for turn in first["input"]] == ["Hi", "Yes?", "Go"]
    assert first["reference"] == "Done"
    assert [turn["role"] for turn in second["input"]] == ["user", "assistant", "tool", "user"]
    assert second["input"][1]["tool_calls"] == [call]
    assert third["input"] == '[["x", "y"], ["human", "z"]]'


def test_langsmith_runs(tmp_path: Path) -> None:
    """A root run is a stored output, with the runs below it as steps; its tokens count once."""
    made = import_text(tmp_path, "runs.jsonl", lines(*RUNS))
    rows = {row["id"]: row for row in made.answers}
    assert rows["e1"]["output"] == {
        "text": "Refunded 20",
        "trajectory": [
            {
                "kind": "node", "name": "agent", "id": "r1", "turn": 1, "started_s": 0.0, "ended_s": 2.5,
                "usage": {"input_tokens": 40, "output_tokens": 12, "cost_usd": 0.01},
            },
            {
                "kind": "tool", "name": "get_order", "id": "r2", "parent": "r1", "turn": 1, "result": {"total": 20},
                "arguments": {"id": 7}, "started_s": 1.0, "ended_s": 2.0,
            },
        ],
        "usage": {"input_tokens": 40, "output_tokens": 12, "cost_usd": 0.01},
        "latency_s": 2.5,
    }  # fmt: skip
    assert rows["r3"]["failure"] == {"kind": "error", "message": "boom"}
    assert rows["gone"]["output"]["trajectory"][0]["details"]["incomplete"] is True
    assert {row["id"]: row["input"] for row in made.golden}["e1"] == "Refund A-17"
    whats = [what for _, what in made.losses]
    assert "means of feedback, not single verdicts" in whats
    assert "is part of a span that is not in the file: the output is marked as incomplete" in whats


def test_langsmith_examples_with_their_runs(tmp_path: Path) -> None:
    """`--answers` names the runs; one without an example is listed."""
    (tmp_path / "runs.jsonl").write_text(lines(*RUNS), encoding="utf-8")
    made = import_text(tmp_path, "examples.jsonl", lines(*EXAMPLES), answers=tmp_path / "runs.jsonl")
    assert made.suite["system"] == {"replay": "answers.jsonl"}
    assert [row["id"] for row in made.answers] == ["e1"]
    assert made.counts["output"] == (3, 1)
    assert made.golden[0]["reference"] == "Refunded"
    with pytest.raises(InputError, match=r"--answers runs.jsonl: traces hold their own answers"):
        import_file(tmp_path / "runs.jsonl", tmp_path / "x", answers=tmp_path / "runs.jsonl")
    with pytest.raises(InputError, match=r"--answers examples.jsonl: is for LangSmith only"):
        import_file(tmp_path / "examples.jsonl", tmp_path / "x", answers=tmp_path / "examples.jsonl")


ADK: dict[str, Any] = {
    "evalSetId": "shop",
    "evalCases": [
        {
            "evalId": "talk",
            "conversation": [
                {
                    "userContent": {"parts": [{"text": "Refund A-17"}, {"inlineData": {"data": "x"}}], "role": "user"},
                    "finalResponse": {"parts": [{"text": "thinking", "thought": True}, {"text": "Sure?"}]},
                    "intermediateData": {"toolUses": [{"name": "get_order", "args": {"orderId": "A-17"}}]},
                },
                {"userContent": {"parts": [{"text": "Yes"}]}, "intermediateData": {"toolUses": []}},
            ],
            "sessionInput": {"appName": "shop", "state": {"orders": {"A-17": {"Status": "new"}}}},
            "finalSessionState": {"orders": {"A-17": {"Status": "refunded"}}, "log": {"a b": 1}, "": 1},
            "rubrics": [{"rubricId": "r", "rubricContent": {"textProperty": "The answer is polite."}}],
        },
        {
            "evalId": "played",
            "conversationScenario": {
                "startingPrompt": "Hello",
                "conversationPlan": "Get the money.",
                "userPersona": "Curt.",
            },
        },
        {"evalId": "empty", "conversation": []},
    ],
}


def test_adk(tmp_path: Path) -> None:
    """Turns with the calls of each, a user with a plan, state before and after; names of the user's own are kept."""
    made = import_text(tmp_path, "shop.evalset.json", ADK)
    assert made.golden[0] == {
        "id": "talk",
        "turns": [
            {
                "user": "Refund A-17",
                "reference": "Sure?",
                "expected_tool_calls": [{"name": "get_order", "arguments": {"orderId": "A-17"}}],
            },
            {"user": "Yes", "expected_tool_calls": []},
        ],
        "state": {"orders": {"A-17": {"Status": "new"}}},
        "expected_state": {"orders.A-17.Status": "refunded", "log": {"a b": 1}},
        "for_judge": True,
    }
    assert made.golden[1]["user"] == {"goal": "Get the money.", "persona": "Curt.", "opening": "Hello"}
    assert [next(iter(each)) for each in made.suite["scorers"]] == ["tool_calls", "token_f1", "state", "judge"]
    assert "The answer is polite." in made.read("rubrics/judge.md")
    assert made.losses == [
        ("shop.evalset.json eval_cases[0].conversation[0].user_content", "`inline_data` is not text"),
        ("shop.evalset.json eval_cases[0].final_session_state", "'' is not a path"),
        ("shop.evalset.json eval_cases[2]", "neither a conversation with text nor a scenario"),
    ]


def span(
    name: str, kind: str, parent: str | None = None, start: int = 0, end: int = 1, **values: Any
) -> dict[str, Any]:
    """One span as MLflow writes it: every attribute is JSON text."""
    attributes = {"mlflow.spanType": kind, **{f"mlflow.{key}": value for key, value in values.items()}}
    return {
        "span_id": name, "parent_span_id": parent, "name": name, "start_time_unix_nano": start * 10**9,
        "end_time_unix_nano": end * 10**9, "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": {key.replace("chat_", "chat."): json.dumps(value) for key, value in attributes.items()},
    }  # fmt: skip


def note(name: str, value: Any, kind: str = "HUMAN", who: str = "ann") -> dict[str, Any]:
    """One assessment."""
    return {"assessment_name": name, "feedback": {"value": value}, "source": {"source_type": kind, "source_id": who}}


USAGE = {"input_tokens": 40, "output_tokens": 12}
TRACE: dict[str, Any] = {
    "info": {
        "trace_id": "tr-1",
        "execution_duration_ms": 2500,
        "trace_metadata": {"mlflow.trace.session": "s"},
        "tags": {"topic": "refund", "mlflow.x": "y"},
        "assessments": [
            note("right", True),
            note("tone", 4),
            note("odd", "blue"),
            note("safe", False, "LLM_JUDGE", "gpt"),
        ],
    },
    "data": {
        "spans": [
            span("tool", "TOOL", "agent", 2, 3, spanInputs={"id": 7}, spanOutputs={"total": 20}),
            span("inner", "CHAT_MODEL", "outer", 1, 2, chat_tokenUsage=USAGE),
            span("outer", "LLM", "agent", 1, 2, chat_tokenUsage=USAGE),
            span("agent", "AGENT", None, 1, 4, spanInputs={"question": "Refund 7"}, spanOutputs="Refunded 20 EUR."),
        ]
    },
}


def test_mlflow_traces(tmp_path: Path) -> None:
    """Steps in the order of time, tokens of the innermost model calls, people's feedback as labels of the answer."""
    made = import_text(tmp_path, "trace.json", TRACE)
    output = made.answers[0]["output"]
    assert output["usage"] == USAGE
    assert output["latency_s"] == 2.5
    assert [(step["kind"], step["name"], step.get("started_s")) for step in output["trajectory"]] == [
        ("agent", "agent", 0.0), ("llm", "outer", 0.0), ("llm", "inner", 0.0), ("tool", "tool", 1.0),
    ]  # fmt: skip
    assert made.answers[0]["recorded"] == {"safe": {"value": False, "by": "gpt"}}
    digest = hashlib.sha256(b"Refunded 20 EUR.").hexdigest()
    assert [(row["scorer"], row["label"], row["rater"], row["answer_sha256"] == digest, row["rater_kind"])
            for row in rows_of(made.folder / "labels.jsonl")] == [
        ("right", "pass", "ann", True, "person"), ("tone", 4.0, "ann", True, "person"),
    ]  # fmt: skip
    assert [what for _, what in made.losses] == ["odd of ann: feedback that is neither pass or fail nor a number"]
    assert made.golden[0]["cohorts"] == {"topic": "refund"}


def test_a_label_of_an_unnamed_person(tmp_path: Path) -> None:
    """It is one all the same."""
    trace = json.loads(json.dumps(TRACE))
    trace["info"]["assessments"] = [note(" ", True, who="")]
    made = import_text(tmp_path, "trace.json", trace)
    (row,) = rows_of(made.folder / "labels.jsonl")
    assert (row["scorer"], row["rater"]) == ("assessment", "unknown")


def test_mlflow_traces_that_are_not_whole(tmp_path: Path) -> None:
    """A trace without a root, and two of one session, are listed; a failed root is a failed call."""
    rootless = {**TRACE, "data": {"spans": TRACE["data"]["spans"][:1]}}
    failed = json.loads(json.dumps(TRACE))
    failed["data"]["spans"][-1]["status"] = {"code": "STATUS_CODE_ERROR", "message": "boom"}
    made = import_text(tmp_path, "traces.json", [TRACE, rootless, failed])
    assert made.counts["case"] == (3, 2)
    assert made.answers[1]["failure"]["message"] == "boom"
    assert [what for _, what in made.losses if "odd" not in what] == [
        "a trace without a root span", "another trace of the session 's': each is a case of its own",
    ]  # fmt: skip


RECORDS: list[dict[str, Any]] = [
    {
        "dataset_record_id": "a",
        "inputs": {"question": "Who refunds?"},
        "expectations": {
            "expected_response": "Anna", "expected_facts": ["Anna"], "guidelines": ["Be polite."],
            "expected_tool_calls": [{"name": "staff", "arguments": {"role": "refund"}}],
        },
        "outputs": {"answer": "Anna does."},
        "tags": {"team": "shop"},
    },
    {"inputs": {"goal": "A refund", "persona": "Curt.", "context": {"order": 7}}, "expectations": {"limit": 3}},
]  # fmt: skip


def test_mlflow_records(tmp_path: Path) -> None:
    """Expectations are the reference, required facts, expected calls and a rubric; a goal makes a simulated user."""
    made = import_text(tmp_path, "records.json", RECORDS)
    assert made.golden[0] == {
        "id": "a", "input": "Who refunds?", "reference": "Anna", "required": ["Anna"], "cohorts": {"team": "shop"},
        "expected_tool_calls": [{"name": "staff", "arguments": {"role": "refund"}}], "for_judge": True,
    }  # fmt: skip
    assert made.golden[1] == {
        "id": "case-2", "user": {"goal": "A refund", "persona": "Curt.", "facts": {"order": "7"}}, "limit": 3,
    }  # fmt: skip
    assert made.answers[0]["output"]["text"] == "Anna does."
    grade = made.run()["a"].scores["keywords"]
    assert isinstance(grade, Score)
    assert grade.value == 1.0


def test_mlflow_traces_are_read_as_other_traces(tmp_path: Path) -> None:
    """What is odd about the spans is listed; without a tool's span nobody knows which tools were called."""
    trace = json.loads(json.dumps(TRACE))
    spans = trace["data"]["spans"]
    del spans[0]
    spans[0]["end_time_unix_nano"] = None
    spans[1]["parent_span_id"] = "gone"
    made = import_text(tmp_path, "trace.json", trace)
    output = made.answers[0]["output"]
    assert [step.get("error") for step in output["trajectory"]] == [None, None, "unfinished"]
    assert output["trajectory"][0]["details"] == {"tool_calls": "unknown"}
    assert [what.partition(":")[0] for _, what in made.losses] == [
        "is part of a span that is not in the file", "has no end", "odd of ann",
    ]  # fmt: skip


def test_an_empty_output_of_mlflow_is_an_answer(tmp_path: Path) -> None:
    """A system that said nothing did so, one that returned nothing failed, and what nobody traced is unknown."""
    empty, nothing, missing = (json.loads(json.dumps(TRACE)) for _ in range(3))
    nothing["data"]["spans"][-1]["attributes"]["mlflow.spanOutputs"] = "null"
    empty["data"]["spans"][-1]["attributes"]["mlflow.spanOutputs"] = json.dumps("")
    del missing["data"]["spans"][-1]["attributes"]["mlflow.spanOutputs"]
    made = import_text(tmp_path, "traces.json", [empty, nothing, missing])
    assert [row.get("output", {}).get("text") for row in made.answers] == ["", None, ""]
    assert made.answers[1]["failure"]["message"] == "no output"
    assert made.answers[2]["output"]["text_known"] is False
    records = [{"inputs": {"question": "q"}, "expectations": {"a": 1}, "outputs": each} for each in ("", None)]
    stored = import_text(tmp_path, "records.json", records, "other")
    assert [row["output"]["text"] for row in stored.answers] == [""]
