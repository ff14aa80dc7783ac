"""Imports of ragas: samples of one turn and of several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from import_lab import import_text

from evalkit import Score

SAMPLE: dict[str, Any] = {
    "user_input": "Who may refund?",
    "retrieved_contexts": ["Anna refunds.", "It's Ben's."],
    "reference_contexts": ["Anna refunds."],
    "response": "Anna may.",
    "reference": "Anna",
    "synthesizer_name": "single_hop",
    "faithfulness": 0.75,
}
TALK: dict[str, Any] = {
    "user_input": [
        {"content": "Refund 7", "type": "human"},
        {"content": "Looking", "type": "ai", "tool_calls": [{"name": "get", "args": {"id": 7}}]},
        {"content": "found", "type": "tool"},
        {"content": "Shall I?", "type": "ai"},
        {"content": "Yes", "type": "human"},
        {"content": "Done.", "type": "ai", "tool_calls": [{"name": "refund", "args": {"id": 7}}]},
    ],
    "reference": "It is refunded",
    "reference_tool_calls": [{"name": "refund", "args": {"id": 7}}],
    "reference_topics": ["refund"],
}


def as_table(row: dict[str, Any]) -> str:
    """A sample as pandas writes it: lists are Python literals."""
    cells = [str(value) for value in row.values()]
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    return ",".join(row) + "\n" + ",".join(quoted) + "\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [("s.jsonl", json.dumps(SAMPLE)), ("s.json", json.dumps([SAMPLE])), ("s.csv", as_table(SAMPLE))],
)
def test_a_sample_is_a_case_with_a_stored_output(tmp_path: Path, name: str, text: str) -> None:
    """Scores of ragas are recorded, and decide nothing; a table's Python lists are read, not evaluated."""
    made = import_text(tmp_path, name, text)
    assert made.golden == [
        {
            "id": "case-1",
            "input": "Who may refund?",
            "reference": "Anna",
            "reference_contexts": ["Anna refunds."],
            "cohorts": {"synthesizer": "single_hop"},
            "recorded": {"faithfulness": 0.75},
        }
    ]
    assert made.answers == [
        {
            "id": "case-1",
            "repeat": 0,
            "output": {"text": "Anna may.", "contexts": ["Anna refunds.", "It's Ben's."]},
            "recorded": {"faithfulness": 0.75},
        }
    ]
    assert made.losses == []


def test_rubrics_of_a_sample_are_those_of_its_case(tmp_path: Path) -> None:
    """As the metrics of ragas read them; other forms are listed."""
    rubrics = {"score1_description": "wrong", "score5_description": "right"}
    made = import_text(tmp_path, "s.jsonl", json.dumps({**SAMPLE, "rubrics": rubrics}))
    assert made.golden[0]["rubrics"] == rubrics
    made = import_text(tmp_path, "t.jsonl", json.dumps({**SAMPLE, "rubrics": "none"}), "t")
    assert made.losses == [("t.jsonl:1 rubrics", "rubrics that are not a mapping")]


@pytest.mark.parametrize("cell", ["__import__('os').system('touch x')", "['a', 1]", "[" * 5_000, "['a'"])
def test_a_cell_that_is_no_list_of_texts_is_listed(tmp_path: Path, cell: str) -> None:
    """Nothing in it is run."""
    made = import_text(tmp_path, "s.csv", as_table({**SAMPLE, "retrieved_contexts": cell}))
    assert made.losses == [("s.csv:2 retrieved_contexts", "not a list of texts")]
    assert "contexts" not in made.answers[0]["output"]
    assert not Path("x").exists()


def test_a_conversation_has_turns_and_stored_messages(tmp_path: Path) -> None:
    """The user's messages are the turns; calls are paired with what the tools said."""
    made = import_text(tmp_path, "m.jsonl", json.dumps(TALK))
    assert made.golden[0]["turns"] == [{"user": "Refund 7"}, {"user": "Yes"}]
    assert made.golden[0]["expected_tool_calls"] == [{"name": "refund", "arguments": {"id": 7}}]
    (row,) = made.run().values()
    assert row.output is not None
    assert row.output.text == "Done."
    assert [(call.name, call.result) for call in row.output.tool_calls or ()] == [("get", "found"), ("refund", None)]


def test_a_message_of_an_unknown_kind_is_listed(tmp_path: Path) -> None:
    """And so is a conversation in which nobody asks."""
    odd = {**TALK, "user_input": [*TALK["user_input"], {"content": "x", "type": "system"}]}
    none = {**TALK, "user_input": [{"content": "Hello", "type": "ai"}]}
    made = import_text(tmp_path, "m.jsonl", f"{json.dumps(odd)}\n{json.dumps(none)}\n")
    assert made.losses == [
        ("m.jsonl:1 user_input[6]", "a message of neither human, ai nor tool"),
        ("m.jsonl:2", "a conversation in which nobody asks"),
    ]
    assert made.counts["case"] == (2, 1)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_what_is_empty_in_a_sample(tmp_path: Path, suffix: str) -> None:
    """In JSON an empty answer and an empty list are what the system gave; an empty cell of a table is a missing one."""
    sample = {"user_input": "q", "response": "", "retrieved_contexts": [], "reference": "r"}
    text = json.dumps(sample) if suffix == "jsonl" else as_table(sample)
    made = import_text(tmp_path, f"s.{suffix}", text)
    if suffix == "jsonl":
        assert [row["output"] for row in made.answers] == [{"text": "", "contexts": []}]
    else:
        assert made.counts == {"case": (1, 1)}


def test_an_empty_list_of_expected_calls_is_an_expectation(tmp_path: Path) -> None:
    """No call is expected, and one that was made fails."""
    talk = {**TALK, "reference_tool_calls": []}
    made = import_text(tmp_path, "s.json", [talk])
    assert made.golden[0]["expected_tool_calls"] == []
    (row,) = made.run().values()
    match = row.scores["tool_calls.match"]
    assert isinstance(match, Score)
    assert match.passed is False
