"""Imports of deepeval: goldens and conversations, in its three kinds of files."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from import_lab import import_text

from evalkit import Score

GOLDEN: dict[str, Any] = {
    "input": "Who may refund?",
    "actual_output": "Anna may.",
    "expected_output": "Anna",
    "retrieval_context": ["Anna refunds.", "Ben does not."],
    "context": ["Anna refunds."],
    "name": "refund",
    "comments": "seen in May",
    "source_file": None,
    "tools_called": [{"name": "staff", "type": "FUNCTION", "output": "Anna", "inputParameters": {"role": "refund"}}],
    "expected_tools": [{"name": "staff", "type": "FUNCTION", "inputParameters": {"role": "refund"}}],
    "token_cost": 0.01,
    "input_token_count": 12,
    "output_token_count": 3,
    "additional_metadata": {"topic": "refund", "tags": ["a", "b"]},
    "custom_column_key_values": {"team": "shop"},
    "expectations": None,
}
TALK: dict[str, Any] = {
    "scenario": "A customer wants money back.",
    "turns": [
        {"role": "user", "content": "Money back!"},
        {"role": "assistant", "content": "Done.", "tools_called": [{"name": "refund", "inputParameters": {"id": 7}}]},
    ],
    "expected_outcome": "It is paid.",
    "user_description": None,
    "persona": {"characteristics": "Curt.", "voice": "low"},
    "name": "talk",
    "additional_metadata": None,
}


def test_an_empty_output_is_an_answer(tmp_path: Path) -> None:
    """The system said nothing, which is not the same as an output that was not stored."""
    goldens = [GOLDEN | {"actual_output": "", "name": "silent"}, GOLDEN | {"actual_output": None, "name": "missing"}]
    made = import_text(tmp_path, "goldens.json", goldens)
    assert [(each["id"], each["output"]["text"]) for each in made.answers] == [("silent", "")]


def test_an_empty_list_is_a_value(tmp_path: Path) -> None:
    """No call was expected, none was made, and nothing was found; in a table an empty cell is a missing one."""
    nothing: dict[str, Any] = {"expected_tools": [], "tools_called": [], "retrieval_context": []}
    made = import_text(tmp_path, "goldens.json", [GOLDEN | nothing])
    assert made.golden[0]["expected_tool_calls"] == []
    assert made.answers[0]["output"]["tool_calls"] == made.answers[0]["output"]["contexts"] == []
    table = import_text(tmp_path, "goldens.csv", as_table([GOLDEN | dict.fromkeys(nothing)]), out="table")
    assert "expected_tool_calls" not in table.golden[0]
    assert table.answers[0]["output"].keys().isdisjoint({"tool_calls", "contexts"})


def as_table(rows: list[dict[str, Any]]) -> str:
    """Rows as deepeval writes them to CSV: passages are joined by bars, other lists and mappings are JSON."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                key: "|".join(value) if key in ("context", "retrieval_context") and value
                else json.dumps(value) if isinstance(value, list | dict) else value
                for key, value in row.items()
            }
        )  # fmt: skip
    return out.getvalue()


def as_lines(rows: list[dict[str, Any]]) -> str:
    """Rows as deepeval writes them to JSON Lines: only passages are joined."""
    joined = ("context", "retrieval_context")
    texts = [{key: "|".join(value) if key in joined and value else value for key, value in row.items()} for row in rows]
    return "".join(json.dumps(row) + "\n" for row in texts)


WRITTEN = {"goldens.json": json.dumps, "goldens.jsonl": as_lines, "goldens.csv": as_table}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_golden_is_a_case_with_a_stored_output(tmp_path: Path, name: str) -> None:
    """Every column has its place; the three kinds of files give the same."""
    made = import_text(tmp_path, name, WRITTEN[name]([GOLDEN]))
    assert made.golden == [
        {
            "id": "refund",
            "input": "Who may refund?",
            "reference": "Anna",
            "reference_contexts": ["Anna refunds."],
            "expected_tool_calls": [{"name": "staff", "arguments": {"role": "refund"}}],
            "cohorts": {"topic": "refund"},
            "tags": ["a", "b"],
            "team": "shop",
            "comments": "seen in May",
        }
    ]
    assert made.answers[0]["output"] == {
        "text": "Anna may.",
        "contexts": ["Anna refunds.", "Ben does not."],
        "tool_calls": [{"name": "staff", "arguments": {"role": "refund"}, "result": "Anna"}],
        "usage": {"input_tokens": 12, "output_tokens": 3, "cost_usd": 0.01},
    }
    assert made.losses == []
    assert made.written.kind == "deepeval goldens"


def test_a_golden_without_an_output_waits_for_a_system(tmp_path: Path) -> None:
    """The suite calls bot.py; what was retrieved belongs to the case then."""
    made = import_text(tmp_path, "g.json", [{**GOLDEN, "actual_output": None}])
    assert made.suite["system"] == {"command": ["python3", "bot.py"]}
    assert made.golden[0]["contexts"] == ["Anna refunds.", "Ben does not."]
    assert [place for place, _ in made.losses] == ["g.json [0] tools_called"]
    assert not (made.folder / "answers.jsonl").exists()


DESCRIBED = {**TALK, "persona": None, "user_description": "Curt."}


@pytest.mark.parametrize(
    ("name", "text", "lost"),
    [
        ("c.json", json.dumps([TALK]), ["a simulated user has words alone"]),
        ("c.csv", as_table([DESCRIBED]), []),
        ("c.jsonl", as_lines([DESCRIBED]), []),
    ],
)
def test_a_conversation_has_a_user_with_a_goal(tmp_path: Path, name: str, text: str, lost: list[str]) -> None:
    """Its stored turns are replayed; a voice is no words, and is listed."""
    made = import_text(tmp_path, name, text)
    (row,) = made.golden
    assert row["user"] == {"goal": "A customer wants money back.\nIt is reached when: It is paid.", "persona": "Curt."}
    assert [what for _, what in made.losses] == lost
    assert made.written.kind == "deepeval conversations"
    (stored,) = made.run().values()
    assert stored.output is not None
    assert stored.output.text == "Done."
    assert [(call.name, call.arguments) for call in stored.output.tool_calls or ()] == [("refund", {"id": 7})]


def test_a_conversation_without_answers_is_to_be_led(tmp_path: Path) -> None:
    """A model plays the user, who begins with the first turn."""
    made = import_text(tmp_path, "c.json", [{**TALK, "turns": TALK["turns"][:1], "persona": None}])
    assert made.golden[0]["user"]["opening"] == "Money back!"
    assert made.suite["conversation"] == {"max_turns": 20, "user": {"chat": "gpt-4o"}}
    assert "name the model that you want under `conversation:`" in made.read("IMPORT.md")


def test_what_a_column_cannot_hold_is_listed(tmp_path: Path) -> None:
    """Its place is the row and the column; the rest of the row is carried over."""
    text = as_table([GOLDEN]).replace('[{""name"": ""staff"", ""type"": ""FUNCTION"", ""inputP', "[{")
    made = import_text(tmp_path, "g.csv", text)
    assert made.losses == [("g.csv:2 expected_tools", "not the JSON that this column holds")]
    assert made.counts == {"case": (1, 1), "output": (1, 1)}


plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="|"), min_size=1)
words = plain.filter(lambda text: bool(text.strip()) and text == text.strip())
names = st.text("abcdefg", min_size=1, max_size=8)
calls = st.lists(
    st.builds(
        lambda name, arguments: {"name": name, "type": "FUNCTION", "inputParameters": arguments},
        names,
        st.dictionaries(names, st.integers(-(2**50), 2**50) | words | st.booleans(), max_size=3),
    ),
    min_size=1,
    max_size=3,
)
goldens = st.fixed_dictionaries(
    {
        "input": words,
        "actual_output": words | st.none(),
        "expected_output": words | st.none(),
        "retrieval_context": st.lists(words, min_size=1, max_size=3) | st.none(),
        "context": st.lists(words, min_size=1, max_size=3) | st.none(),
        "name": names | st.none(),
        "tools_called": st.none() | calls,
        "expected_tools": st.none() | calls,
        "additional_metadata": st.none() | st.dictionaries(names, names | st.integers(0, 9), min_size=1, max_size=3),
    }
)


@settings(max_examples=15)
@given(st.lists(goldens, min_size=1, max_size=4))
def test_the_kind_of_file_makes_no_difference(rows: list[dict[str, Any]]) -> None:
    """JSON, JSON Lines and CSV of the same goldens give the same cases and outputs, none of them lost."""
    found = []
    for name, write in WRITTEN.items():
        with tempfile.TemporaryDirectory() as folder:
            made = import_text(Path(folder), name, write(rows))
            answers = made.answers if (made.folder / "answers.jsonl").exists() else []
            found.append((made.golden, answers))
            assert made.counts["case"] == (len(rows), len(rows))
    assert found[0] == found[1] == found[2]
    assert [row["input"] for row in found[0][0]] == [row["input"] for row in rows]
    answered = [row["actual_output"] for row in rows if row["actual_output"]]
    assert [row["output"]["text"] for row in found[0][1]] == answered


def test_calls_are_scored(tmp_path: Path) -> None:
    """The default scorers read what was imported: calls and reference."""
    made = import_text(tmp_path, "g.json", [GOLDEN])
    (row,) = made.run().values()
    match, words = row.scores["tool_calls.match"], row.scores["token_f1"]
    assert isinstance(match, Score)
    assert isinstance(words, Score)
    assert (match.value, round(words.value, 3)) == (1.0, 0.667)
