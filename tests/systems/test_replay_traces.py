"""Traces as systems: the answer of a case is that of the trace that names it."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "traces"))
from trace_lab import TRACE, document, model, span

import evalkit
from evalkit import Score, Unscored
from evalkit.errors import InputError
from evalkit.systems import ReplaySystem
from evalkit.types import Failure, Output

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund"}
NAME = "traces.otlp.jsonl"


def write(folder: Path, *spans: dict[str, Any], name: str = NAME) -> None:
    """Write each span as a line."""
    (folder / name).write_text("".join(json.dumps(document(each)) + "\n" for each in spans), encoding="utf-8")


def trace(number: int, **attributes: Any) -> dict[str, Any]:
    """A trace of one model's call."""
    return model(1, said=f"answer {number}", trace=f"{number:032x}", at=(number, number + 1), attributes=attributes)


def test_answers_are_found_by_case_session_or_trace(tmp_path, shared, ask, case):
    """In this order; several traces of a case are its repeats."""
    write(
        tmp_path,
        trace(1, **{"evalkit.case_id": "a", "session.id": "s-1"}),
        trace(2, **{"session.id": "s-2"}),
        trace(3),
        trace(4, **{"evalkit.case_id": "a", "session.id": "s-4"}),
    )
    system = ReplaySystem(replay=NAME)
    assert system.problems(shared) == []
    first = ask(system, shared, *(case(id=name) for name in ("a", "s-1", "s-2", f"{3:032x}", "b")))
    assert [each.text if isinstance(each, Output) else each.kind for each in first] == [
        "answer 1",
        "answer 1",
        "answer 2",
        "answer 3",
        "not_recorded",
    ]
    second = ask(system, shared, case(id="a"), case(id="s-2"), repeat=1)
    assert [each.text if isinstance(each, Output) else each.kind for each in second] == ["answer 4", "not_recorded"]
    assert all(each.replayed for each in first if isinstance(each, Output))


def test_a_session_with_two_cases_names_neither(tmp_path, shared, ask, case):
    """An id that could be several answers is none."""
    write(tmp_path, *(trace(at, **{"evalkit.case_id": str(at), "session.id": "s"}) for at in (1, 2)))
    (ended,) = ask(ReplaySystem(replay=NAME), shared, case(id="s"))
    assert isinstance(ended, Failure)
    assert ended.kind == "not_recorded"


def test_the_text_of_an_answer_without_content_is_unknown(tmp_path, shared, ask, case):
    """It is an answer with steps to grade, and never scored as an empty text."""
    write(tmp_path, model(1, said=None))
    (ended,) = ask(ReplaySystem(replay=NAME), shared, case(id=TRACE))
    assert isinstance(ended, Output)
    assert (ended.text, ended.text_known) == ("", False)


@pytest.mark.parametrize("name", ["traces.json", "traces.otlp.jsonl.gz", "traces.txt", "with a mark.jsonl"])
def test_traces_are_known_by_their_content(tmp_path, shared, ask, case, name):
    """Packed, in one object, after a byte order mark, whatever the name."""
    text = json.dumps(document(model(1)), indent=2 if name.endswith((".json", ".txt")) else None)
    data = text.encode("utf-8-sig" if "mark" in name else "utf-8")
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    (ended,) = ask(ReplaySystem(replay=name), shared, case(id=TRACE))
    assert isinstance(ended, Output)
    assert ended.text == "hello"


def test_rows_that_speak_of_traces_are_rows(tmp_path, shared, ask, case):
    """Only the beginning of a file says what it is."""
    (tmp_path / NAME).write_text('{"id": "a", "output": "\\"resourceSpans\\": [] "}\n', encoding="utf-8")
    (ended,) = ask(ReplaySystem(replay=NAME), shared, case(id="a"))
    assert isinstance(ended, Output)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(document(model(1)))[:-30] + "\n", f"{NAME}:1:"),
        ('{"resourceSpans": [NaN]}', "NaN is not a JSON number"),
        ('{"resourceSpans": ' + "[" * 500 + "]" * 500 + "}", "nested deeper"),
        ('{"resourceSpans": []}', "no trace with a model"),
        (json.dumps(document(span(1, name="GET /"))), "no trace with a model"),
    ],
    ids=["cut", "NaN", "deep", "empty", "others"],
)
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path, shared, ask, case, text, said):
    """Before the first call, with its place."""
    (tmp_path / NAME).write_text(text, encoding="utf-8")
    system = ReplaySystem(replay=NAME)
    assert [said in str(problem) for problem in system.problems(shared)] == [True]
    with pytest.raises(InputError, match=NAME):
        ask(system, shared, case(id="a"))


def test_the_content_is_part_of_the_fingerprint(tmp_path, shared):
    """Another file of traces is another system."""
    write(tmp_path, trace(1))
    system = ReplaySystem(replay=NAME)
    before = system.fingerprint(shared)
    write(tmp_path, trace(2))
    assert before != system.fingerprint(shared)


def test_traces_are_scored_as_any_answer(tmp_path):
    """Calls, steps, policy, loops and budget read the typed steps; a case without a trace fails."""
    (tmp_path / "pyproject.toml").touch()
    calls = [
        span(at, 1, {**TOOL, "gen_ai.tool.call.arguments": '{"order": "A-17"}'}, trace="a" * 32) for at in (3, 4, 5)
    ]
    root = span(1, 0, {"gen_ai.operation.name": "invoke_agent", "evalkit.case_id": "a"}, trace="a" * 32, at=(1, 9))
    silent = [
        span(1, 0, {"openinference.span.kind": "AGENT", "output.value": "ok", "evalkit.case_id": "b"}, at=(1, 9)),
        model(2, 1, said=None),
    ]
    write(tmp_path, root, model(2, 1, said="Refunded.", trace="a" * 32), *calls, *silent)
    rows = [{"id": each, "input": "refund", "expected_tool_calls": []} for each in ("a", "b", "c")]
    (tmp_path / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "policy.yaml").write_text("forbid: [refund]\n")
    (tmp_path / "suite.yaml").write_text(
        f"name: traced\ngolden: golden.jsonl\nsystem: {{replay: {NAME}}}\nscorers:\n"
        "  - tool_calls: {match: any_order}\n  - policy: {file: policy.yaml}\n  - loops\n"
        "  - steps: {kinds: [tool], max: 2}\n  - budget: {input_tokens: 10, seconds: 9}\ngate:\n  - pass_rate: 0.5\n"
    )
    found = evalkit.run(tmp_path / "suite.yaml", out=tmp_path / "run", baseline="none")
    a, b, c = found.rows()
    passed = {name: score.passed for name, score in a.scores.items() if isinstance(score, Score)}
    assert {name: passed[name] for name in ("tool_calls.match", "policy", "loops.cycle", "steps", "budget")} == {
        "tool_calls.match": False,
        "policy": False,
        "loops.cycle": False,
        "steps": False,
        "budget": True,
    }
    unknown = {name for name, score in b.scores.items() if isinstance(score, Unscored)}
    assert {"tool_calls.match", "policy", "loops.cycle"} <= unknown
    assert c.failure is not None
    assert c.failure.kind == "not_recorded"
