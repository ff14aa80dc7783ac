"""Runs of LangSmith are read by the builder of all traces: steps, calls, tokens and conversations."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from trace_lab import output_of, steps_of

import evalkit
from evalkit import Score, Unscored
from evalkit.golden.source_file import open_source
from evalkit.traces.answers import TracedAnswer, TracedAnswers, read_answers


def run(name: str, kind: str = "chain", parent: str | None = None, *, at: float = 0.0, **more: Any) -> dict[str, Any]:
    """A run of one second of the trace `t`, or of the one that its id names before a hyphen."""
    trace = more.pop("trace", "t")
    made = {
        "id": name, "trace_id": trace, "parent_run_id": parent, "run_type": kind, "name": name, "error": None,
        "start_time": f"2026-11-01T09:00:{at:09.6f}", "end_time": f"2026-11-01T09:00:{at + 1:09.6f}",
        "inputs": {}, "outputs": None, "extra": {"metadata": {}}, "reference_example_id": None,
    }  # fmt: skip
    return {**made, **more}


def lc(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    """A message as LangChain serialises it."""
    where = ["langchain", "schema", "messages", f"{kind.title()}Message"]
    return {"lc": 1, "type": "constructor", "id": where, "kwargs": {"content": content, "type": kind.lower(), **more}}


def generated(message: dict[str, Any]) -> dict[str, Any]:
    """What a chat model returns in LangChain."""
    return {"generations": [[{"text": "", "message": message}]], "llm_output": None}


ASKS = lc("ai", "", tool_calls=[{"name": "get_order", "args": {"order_id": "A-17"}, "id": "c1"}])
RESULT = {"output": {"type": "tool", "content": '{"total": 20}', "tool_call_id": "c1", "status": "success"}}
AGENT = [
    run(
        "agent", inputs={"messages": [["user", "Refund A-17"]], "lang": "en"}, reference_example_id="e1",
        outputs={"messages": [{"type": "human", "content": "Refund A-17"}, {"type": "ai", "content": "Refunded."}]},
        prompt_tokens=126, completion_tokens=36, at=0, end_time="2026-11-01T09:00:09",
    ),
    run(
        "gpt-4o", "llm", "agent", at=1, inputs={"messages": [[lc("human", "Refund A-17")]]}, outputs=generated(ASKS),
        prompt_tokens=50, completion_tokens=16, total_cost="0.002",
    ),
    run("get_order", "tool", "agent", at=2, inputs={"input": "{'order_id': 'A-17'}"}, outputs=RESULT),
    run(
        "gpt-4o-2", "llm", "agent", at=3, inputs={"messages": [[lc("human", "Refund A-17")]]},
        outputs=generated(lc("ai", "Refunded.", usage_metadata={"input_tokens": 76, "output_tokens": 20})),
        total_cost=0.001,
    ),
]  # fmt: skip
"""An agent that asks a model, calls a tool, and asks the model again; the second run has its tokens in the message."""


def read(folder: Path, *rows: Any, name: str = "runs.jsonl") -> TracedAnswers:
    """Read some runs."""
    file = folder / name
    text = "".join(json.dumps(row) + "\n" for row in rows) if name.endswith("l") else json.dumps([*rows])
    file.write_text(text, encoding="utf-8")
    return read_answers([open_source(file, name)])


def only(folder: Path, *rows: Any) -> TracedAnswer:
    """The only answer of some runs, of which nothing is odd."""
    found = read(folder, *rows)
    assert found.notes == ()
    (answer,) = found.answers
    return answer


def test_an_agent_of_langchain(tmp_path: Path) -> None:
    """Tokens and cost of the model's runs count once, and not again with those of the chain around them."""
    answer = only(tmp_path, *AGENT)
    output = output_of(answer)
    assert (answer.case, answer.asked, output["text"]) == ("e1", ("Refund A-17",), "Refunded.")
    assert output["usage"] == {"input_tokens": 126, "output_tokens": 36, "cost_usd": 0.003}
    assert output["latency_s"] == 9.0
    (call,) = steps_of(answer, "tool")
    assert (call["name"], call["arguments"], call["result"]) == ("get_order", {"order_id": "A-17"}, {"total": 20})
    assert call["call_id"] == "c1"
    assert [step["kind"] for step in output["trajectory"]] == ["node", "llm", "tool", "llm"]


def test_the_order_and_the_nesting_of_runs_do_not_matter(tmp_path: Path) -> None:
    """Shuffled, in a list, or nested as `child_runs`: the same answer."""
    wanted = output_of(only(tmp_path, *AGENT))
    for seed in range(5):
        rows = random.Random(seed).sample(AGENT, len(AGENT))
        assert output_of(only(tmp_path, *rows)) == wanted
    (listed,) = read(tmp_path, *AGENT, name="runs.json").answers
    assert listed.output == wanted
    assert output_of(only(tmp_path, {**AGENT[0], "child_runs": AGENT[1:]})) == wanted


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"generations": [[{"text": "a", "message": lc("ai", "a")}]]}, "a"),
        ({"generations": [{"text": "b"}]}, "b"),
        ({"choices": [{"message": {"role": "assistant", "content": "c"}}]}, "c"),
        ({"role": "assistant", "content": [{"type": "text", "text": "d"}]}, "d"),
        ({"content": [{"type": "text", "text": "e"}], "role": "assistant", "usage": {"input_tokens": 1}}, "e"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "f"}]}, "f"),
        ({"output": "g"}, "g"),
        ({"output": {"type": "ai", "content": "h"}}, "h"),
        (lc("ai", "i"), "i"),
    ],
)
def test_what_a_model_replied(tmp_path: Path, outputs: Any, said: str) -> None:
    """In each form that tracers store: LangChain's, chat completions, Anthropic's, and plain."""
    assert output_of(only(tmp_path, run("m", "llm", outputs=outputs)))["text"] == said


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"answer": "a", "n": 1}, "a"),
        ({"reply": "b"}, "b"),
        ({"output": {"role": "assistant", "content": "c"}}, "c"),
        ({"messages": [lc("ai", "d")]}, "d"),
        ({"a": 1, "b": 2}, '{"a": 1, "b": 2}'),
    ],
)
def test_what_a_chain_answered(tmp_path: Path, outputs: Any, said: str) -> None:
    """What the root states counts, whatever a model inside said."""
    inner = run("m", "llm", "r", at=0.5, outputs={"output": "inner"})
    text = output_of(only(tmp_path, run("r", outputs=outputs), inner))["text"]
    assert text == (said if not said.startswith("{") else "inner")


def test_a_root_that_failed_is_a_failed_call(tmp_path: Path) -> None:
    """Even if a model said something before; an interrupt of LangGraph is not an error."""
    inner = run("m", "llm", "r", at=0.5, outputs={"output": "half"})
    failed = only(tmp_path, run("r", error="ValueError('boom')Traceback (most recent call last): ..."), inner)
    assert failed.output is None
    assert failed.failure == "ValueError('boom')Traceback (most recent call last): ..."
    waits = only(tmp_path, run("r", error="GraphInterrupt((Interrupt(value={'tool': 'refund'}, id='i1'),))"), inner)
    assert output_of(waits)["interrupt"]["tool"] == "refund"


def test_the_runs_of_a_thread_are_a_conversation(tmp_path: Path) -> None:
    """By `thread_id` in the metadata; the `session_id` of a run is its project, and no conversation."""
    thread = {"metadata": {"thread_id": "th"}}
    rows = [
        run(f"r{n}", trace=f"r{n}", at=n, inputs={"question": f"q{n}"}, outputs={"answer": f"a{n}"}, extra=thread,
            session_id="project")
        for n in range(2)
    ]  # fmt: skip
    answer = only(tmp_path, *rows)
    assert (answer.case, answer.asked) == ("th", ("q0", "q1"))
    assert [message["content"] for message in output_of(answer)["messages"]] == ["q0", "a0", "q1", "a1"]
    assert len(read(tmp_path, *[{**row, "extra": {}} for row in rows]).answers) == 2


def test_the_passages_of_a_retriever_are_contexts(tmp_path: Path) -> None:
    """Documents of LangChain, with id and score where they have them."""
    documents = [{"page_content": "Open at 9.", "metadata": {"score": 0.9}, "id": "d1", "type": "Document"}]
    answer = only(
        tmp_path,
        run("r", outputs={"answer": "9"}),
        run("s", "retriever", "r", at=0.5, outputs={"documents": documents}),
    )
    assert output_of(answer)["contexts"] == [{"id": "d1", "text": "Open at 9.", "score": 0.9}]


@pytest.mark.parametrize("kind", [None, 5, [], {}, "x", True, 10**30, "9999-99-99T00:00:00", float("1e300")])
def test_odd_values_are_notes_or_unknown(tmp_path: Path, kind: Any) -> None:
    """There is no traceback, whatever a key holds."""
    for key in AGENT[1]:
        for at, row in enumerate(AGENT):
            changed = [*AGENT[:at], {**row, key: kind}, *AGENT[at + 1 :]]
            for answer in read(tmp_path, *changed).answers:
                assert answer.output is not None or answer.failure


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ("{'a': (1, 2)}", {"a": [1, 2]}),
        ("{'a': None, 'b': True}", {"a": None, "b": True}),
        ("{'a': {1, 2}}", {"input": "{'a': {1, 2}}"}),
        ("{'a': b'x'}", {"input": "{'a': b'x'}"}),
        ("{'a': 1j}", {"input": "{'a': 1j}"}),
        ("{" + "(" * 9, {"input": "{" + "(" * 9}),
        ("{'a': open('x')}", {"input": "{'a': open('x')}"}),
    ],
)
def test_arguments_that_python_wrote(tmp_path: Path, given: str, arguments: Any) -> None:
    """A literal that JSON has is read; any other text stays text, and none is run."""
    answer = only(tmp_path, run("r", outputs={"answer": "a"}), run("t", "tool", "r", at=0.5, inputs={"input": given}))
    assert steps_of(answer, "tool")[0]["arguments"] == arguments


def test_cycles_orphans_and_repeated_runs_are_named(tmp_path: Path) -> None:
    """As of other traces: each once, with its place."""
    cycle = [run("a", parent="b"), run("b", parent="a", at=1)]
    assert "is part of itself" in read(tmp_path, *cycle).notes[0].what
    assert "is part of a span that is not in the file" in read(tmp_path, run("a", parent="gone")).notes[0].what
    twice = read(tmp_path, run("a", outputs={"answer": "1"}), run("a", outputs={"answer": "2"}))
    assert [output_of(answer)["text"] for answer in twice.answers] == ["2"]


def project(folder: Path, scorers: str, rows: list[dict[str, Any]]) -> Path:
    """A suite that replays runs for one case."""
    (folder / "pyproject.toml").touch()
    (folder / "runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    call = {"name": "get_order", "arguments": {"order_id": "A-17"}}
    case = {"id": "e1", "input": "Refund A-17", "expected_tool_calls": [call], "required": ["Refunded"]}
    (folder / "golden.jsonl").write_text(json.dumps(case) + "\n", encoding="utf-8")
    suite = folder / "suite.yaml"
    suite.write_text(
        "name: s\ngolden: golden.jsonl\nsystem: {replay: runs.jsonl}\n"
        f"scorers: [{scorers}]\ngate: [pass_rate: 0.5]\n",
        encoding="utf-8",
    )
    return suite


def test_runs_are_replayed_without_an_import(tmp_path: Path) -> None:
    """`system: {replay: runs.jsonl}` takes them by the id of their example."""
    suite = project(tmp_path, "tool_calls: {match: any_order}, keywords: 1.0", AGENT)
    (row,) = evalkit.run(suite, out=tmp_path / "run", baseline="none").rows()
    assert row.state == "scored"
    assert all(isinstance(grade, Score) and grade.passed is not False for grade in row.scores.values())


def test_runs_without_content_are_judged_by_what_was_done(tmp_path: Path) -> None:
    """Tool calls decide; a scorer of texts has no grade, and never that of an empty text."""
    hidden = [{**row, "outputs": None, "inputs": {}} if row["run_type"] != "tool" else row for row in AGENT]
    suite = project(tmp_path, "tool_calls: {match: any_order}, loops", hidden)
    (row,) = evalkit.run(suite, out=tmp_path / "run", baseline="none").rows()
    assert row.state == "scored"
    grade = row.scores["tool_calls.match"]
    assert isinstance(grade, Score)
    assert grade.value == 1.0
    suite = project(tmp_path, "tool_calls: {match: any_order}, length: {max: 5}, not_contains: {any: [sorry]}", hidden)
    (row,) = evalkit.run(suite, out=tmp_path / "texts", baseline="none").rows()
    assert row.state == "unscored"
    unknown = {name for name, grade in row.scores.items() if isinstance(grade, Unscored) and grade.kind == "no_text"}
    assert unknown == {"length", "not_contains"}


@pytest.mark.parametrize("shape", ["star", "chain", "cycle", "orphans"])
@pytest.mark.slow
def test_ten_thousand_runs_of_one_trace(tmp_path: Path, shape: str) -> None:
    """Of any shape: one answer with a step a run, and notes that name a few runs and count the others."""
    n = 10_000
    parents = {
        "star": lambda at: None if at == 0 else "r0",
        "chain": lambda at: None if at == 0 else f"r{at - 1}",
        "cycle": lambda at: f"r{(at + 1) % n}",
        "orphans": lambda at: f"gone-{at}",
    }
    rows = [run(f"r{at}", parent=parents[shape](at), outputs={"output": "x"}) for at in range(n)]
    found = read(tmp_path, *rows)
    (answer,) = found.answers
    assert len(output_of(answer)["trajectory"]) == n
    assert all(len(note.place) < 300 for note in found.notes)
