"""Traces that real tools wrote: tool calls, tokens, nodes, sessions and turns are those that the file itself says."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "imports"))
from import_lab import Import, bytes_of, import_file

import evalkit
from evalkit import Score

DATA = Path(__file__).parents[3] / "shared" / "data" / "interop"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the files of other tools are not on this machine")
FILES = {
    "openinference_langgraph.otlp.json": (2, 126, 36),
    "openinference_openai_agents.otlp.json": (2, 126, 36),
    "genai_openai_agents.otlp.json": (2, 126, 36),
    "genai_pydantic_ai.otlp.json": (2, 178, 34),
    "genai_conversation.otlp.jsonl": (4, 600, 60),
}
"""File -> tool calls, input tokens, output tokens."""
ROWS = ("golden.jsonl", "answers.jsonl")


def imported(folder: Path, name: str, **more: Any) -> Import:
    """Import a file twice; both times the same bytes."""
    (folder / "pyproject.toml").touch()
    first, second = (import_file(DATA / name, folder / out, **more) for out in ("a", "b"))
    assert bytes_of(first.folder) == bytes_of(second.folder)
    return first


def steps(made: Import, kind: str) -> list[dict[str, Any]]:
    """The steps of a kind of the only output."""
    (answer,) = made.answers
    return [step for step in answer["output"]["trajectory"] if step["kind"] == kind]


@pytest.mark.parametrize("name", FILES)
def test_calls_and_tokens(tmp_path: Path, name: str) -> None:
    """As the file says, each once."""
    made = imported(tmp_path, name)
    calls, input_tokens, output_tokens = FILES[name]
    assert made.counts == {"case": (1, 1), "output": (1, 1)}
    assert len(steps(made, "tool")) == calls
    usage = made.answers[0]["output"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (input_tokens, output_tokens)
    assert made.losses == []
    assert "refund" in made.answers[0]["output"]["text"]


def test_langgraph(tmp_path: Path) -> None:
    """The call of one argument has its key; a failed call its error; nodes in their order."""
    made = imported(tmp_path, "openinference_langgraph.otlp.json")
    assert made.golden[0]["id"] == "refund-01"
    assert made.golden[0]["input"] == "Please refund order A-17."
    get, refund = steps(made, "tool")
    assert (get["name"], get["arguments"], get["call_id"]) == ("get_order", {"order_id": "A-17"}, "call_1")
    assert get["result"] == {"order_id": "A-17", "total": 20, "status": "returned"}
    assert (refund["name"], refund["error"]) == ("refund", "Error: approval missing")
    assert refund["arguments"] == {"order_id": "A-17", "amount": 20}
    assert [step["name"] for step in steps(made, "node")] == ["agent", "tools", "agent", "tools", "agent"]


@pytest.mark.parametrize(("change", "passes"), [("as it is", True), ("without the read between", False)])
def test_a_conversation_of_two_traces(tmp_path: Path, change: str, passes: bool) -> None:
    """Two turns, four calls; the refund is tried again after a read, which the policy asks for."""
    source = tmp_path / "talk.otlp.jsonl"
    text = (DATA / "genai_conversation.otlp.jsonl").read_text()
    if change != "as it is":
        records = [json.loads(line) for line in text.splitlines()]
        spans = records[1]["resourceSpans"][0]["scopeSpans"][0]["spans"]
        spans[:] = [span for span in spans if span["name"] != "execute_tool get_order"]
        text = "".join(json.dumps(record) + "\n" for record in records)
    source.write_text(text)
    (tmp_path / "pyproject.toml").touch()
    made = import_file(source, tmp_path / "out")
    assert made.golden[0]["id"] == "refund-7"
    assert made.golden[0]["turns"] == [{"user": "I want my money back for A-17."}, {"user": "Yes, please."}]
    calls = steps(made, "tool")
    assert [(call["name"], call["turn"], call.get("error")) for call in calls if call["name"] == "refund"] == [
        ("refund", 2, "timeout"),
        ("refund", 2, None),
    ]
    assert calls[-1]["result"] == {"refund_id": "R1"}
    (tmp_path / "out" / "policy.yaml").write_text("no_blind_retry: {of: [refund], reads: [get_order]}\n")
    suite = tmp_path / "out" / "policy-suite.yaml"
    suite.write_text(
        "name: policy\ngolden: golden.jsonl\nsystem: {replay: ../talk.otlp.jsonl}\nconversation: {max_turns: 20}\n"
        "scorers:\n  - policy: {file: policy.yaml}\n  - steps: {kinds: [tool], max: 12}\n  - loops\n"
        "  - budget: {input_tokens: 600, output_tokens: 60}\n"
        "gate:\n  - pass_rate: {min: 0.5}\n"
    )
    (row,) = evalkit.run(suite, out=tmp_path / "run", baseline="none").rows()
    verdict = row.scores["policy"]
    assert isinstance(verdict, Score)
    assert verdict.passed is passes
    assert all(isinstance(score, Score) for score in row.scores.values())
    assert [score.value for name, score in row.scores.items() if name.startswith("steps")] == [len(calls)]


def test_an_interrupt_that_a_person_answered(tmp_path: Path) -> None:
    """Two traces of one session are one case, with one approval, of the call that was asked for."""
    made = imported(tmp_path, "openinference_interrupt.otlp.json")
    assert made.counts == {"case": (1, 1), "output": (1, 1)}
    assert (made.golden[0]["id"], made.golden[0]["input"]) == ("thread-9", "A-17")
    (approval,) = steps(made, "approval")
    assert (approval["name"], approval["arguments"]) == ("refund", {"order_id": "A-17", "amount": 20})
    assert approval["decision"] == "approved"
    output = made.answers[0]["output"]
    assert output["text"] == "refunded"
    assert "interrupt" not in output
    assert not any("error" in step for step in output["trajectory"])


@pytest.mark.parametrize("name", [*FILES, "openinference_interrupt.otlp.json"])
def test_order_case_of_ids_and_files_change_nothing(tmp_path: Path, name: str) -> None:
    """Every span shuffled, ids in upper case, split over two files: the same bytes."""
    made = imported(tmp_path, name)
    spans = []
    text = (DATA / name).read_text()
    for record in [json.loads(line) for line in text.splitlines()] if name.endswith("l") else [json.loads(text)]:
        for resource in record["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                spans += [
                    {"resource": resource["resource"], "scopeSpans": [{**scope, "spans": [span]}]}
                    for span in scope["spans"]
                ]
    random.Random(name).shuffle(spans)
    upper = re.compile(r'("(?:traceId|spanId|parentSpanId)": ")([0-9a-f]+)')
    lines = [
        upper.sub(lambda found: found[1] + found[2].upper(), json.dumps({"resourceSpans": [span]})) + "\n"
        for span in spans
    ]
    first, second = tmp_path / "first.otlp.jsonl", tmp_path / "second.otlp.jsonl"
    first.write_text("".join(lines[::2]))
    second.write_text("".join(lines[1::2]))
    split = import_file(first, tmp_path / "split", more=(second,))
    assert {each: split.read(each) for each in ROWS} == {each: made.read(each) for each in ROWS}
    assert split.losses == []


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    line = [sys.executable, "-m", "evalkit", *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ})


def test_the_command(tmp_path: Path) -> None:
    """Import with the observed calls, then run: the trace passes; with another expectation it fails."""
    (tmp_path / "pyproject.toml").touch()
    source = str(DATA / "genai_conversation.otlp.jsonl")
    made = command(tmp_path, "import", source, "--out", "out", "--expect-observed", "--strict")
    assert made.returncode == 0, made.stderr
    assert "genai_conversation.otlp.jsonl: OTLP traces\n  cases    1 of 1\n  outputs  1 of 1\n" in made.stdout
    (tmp_path / "out" / "suite.yaml").write_text(
        (tmp_path / "out" / "suite.yaml").read_text().replace("  - no_regression: {baseline: main}\n", "")
    )
    assert command(tmp_path, "check", "out/suite.yaml").returncode == 0
    passed = command(tmp_path, "run", "out/suite.yaml", "--out", "run")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    golden = tmp_path / "out" / "golden.jsonl"
    golden.write_text(golden.read_text().replace('"amount": 20', '"amount": 30'))
    assert command(tmp_path, "run", "out/suite.yaml", "--out", "other").returncode == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[:9_000], "damaged.otlp.json:1:"),
        (lambda text: text.replace('"intValue": "41"', '"doubleValue": NaN'), "NaN is not a JSON number"),
        (lambda text: text.replace("resourceSpans", "resourceSpan"), "no format is recognised"),
    ],
    ids=["cut", "NaN", "another key"],
)
def test_a_damaged_file_ends_with_2(tmp_path: Path, change: Any, said: str) -> None:
    """With file and line, and without a traceback."""
    text = (DATA / "openinference_langgraph.otlp.json").read_text()
    (tmp_path / "damaged.otlp.json").write_text(change(text))
    ended = command(tmp_path, "import", "damaged.otlp.json", "--out", "out")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
