"""Imports of LangSmith's tables in CSV: data sets, and experiments as its own library flattens them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from import_lab import import_text

from evalkit.operations.compare_files import Comparing, compare_files

TABLE = (
    ",inputs.question,inputs.lang,outputs.answer,error,reference.answer,feedback.correct,feedback.tone,"
    "execution_time,example_id,id\n"
    "0,Open?,en,At 9.,,At 9.,True,0.5,1.25,e1,r1\n"
    "1,Closed?,de,,\"ValueError('x')\",At 6.,,,,e2,r2\n"
)
"""As pandas writes what `ExperimentResults.to_pandas` returns, with its index."""


def test_an_experiment_is_cases_with_stored_outputs(tmp_path: Path) -> None:
    """Inputs are fields, references references, feedback recorded; a run that failed is a failed call."""
    made = import_text(tmp_path, "results.csv", TABLE)
    assert made.written.kind == "LangSmith experiment"
    assert made.golden == [
        {
            "id": "e1", "input": "Open?", "lang": "en", "reference": "At 9.",
            "recorded": {"correct": True, "tone": 0.5},
        },
        {"id": "e2", "input": "Closed?", "lang": "de", "reference": "At 6."},
    ]  # fmt: skip
    assert made.answers[0]["output"] == {"text": "At 9.", "latency_s": 1.25}
    assert made.answers[1]["failure"]["message"] == "ValueError('x')"
    assert made.losses == []


def test_an_experiment_that_langsmith_really_flattens(tmp_path: Path) -> None:
    """Its own function and pandas; lists and mappings are Python literals in such a file."""
    import pandas as pd
    from langsmith.evaluation._runner import _flatten_experiment_results

    run = SimpleNamespace(
        outputs={"messages": [{"role": "assistant", "content": "Hello"}]}, error=None, end_time=None,
        reference_example_id="e1", id="r1",
    )  # fmt: skip
    example = SimpleNamespace(inputs={"messages": [{"role": "user", "content": "Hi"}]}, outputs={"text": "Hello"})
    feedback = {"results": [SimpleNamespace(key="correct", score=1.0, value=None)]}
    rows: Any = [{"run": run, "example": example, "evaluation_results": feedback}]
    text = pd.DataFrame(_flatten_experiment_results(rows)).to_csv(index=False)
    made = import_text(tmp_path, "results.csv", text)
    assert made.golden[0]["input"] == [{"role": "user", "content": "Hi"}]
    assert made.answers[0]["output"]["text"] == "Hello"
    assert made.golden[0]["recorded"] == {"correct": 1.0}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("d.csv", "id,inputs.question,outputs.answer,metadata.topic\nx1,Open?,At 9.,hours\n"),
        ("d.csv", 'id,inputs,outputs,metadata.topic\nx1,"{""question"": ""Open?""}","{""answer"": ""At 9.""}",hours\n'),
        (
            "d.jsonl",
            json.dumps({"id": "x1", "inputs": {"question": "Open?"}, "outputs": {"answer": "At 9."},
                        "metadata": {"topic": "hours"}}) + "\n",
        ),
    ],
)  # fmt: skip
def test_a_data_set(tmp_path: Path, name: str, text: str) -> None:
    """Outputs of a data set are references; in JSON Lines, no id of the data set is needed."""
    made = import_text(tmp_path, name, text)
    assert made.written.kind == "LangSmith examples"
    assert made.golden == [{"id": "x1", "input": "Open?", "reference": "At 9.", "cohorts": {"topic": "hours"}}]


@pytest.mark.parametrize("score", ["nan", "1e400", "-Infinity"])
def test_a_feedback_or_a_time_that_is_not_finite_is_listed(tmp_path: Path, score: str) -> None:
    """With its place, and neither is stored as a text."""
    text = (
        f"inputs.q,outputs.a,reference.a,feedback.right,feedback.note,execution_time\nWhen?,9,9,{score},good,{score}\n"
    )
    made = import_text(tmp_path, "e.csv", text)
    assert made.answers[0]["recorded"] == {"note": "good"}
    assert "latency_s" not in made.answers[0]["output"]
    assert made.losses == [
        ("e.csv:2", f"the feedback 'right': {score!r} is not a finite number"),
        ("e.csv:2", f"the `execution_time` {score!r} is not a number of at least 0"),
    ]


def test_several_runs_of_an_example_are_repeats(tmp_path: Path) -> None:
    """`num_repetitions=2` gives two rows an example."""
    second = TABLE.splitlines()[1].replace(",r1", ",r9")
    made = import_text(tmp_path, "results.csv", f"{TABLE}{second}\n")
    assert [(row["id"], row["repeat"]) for row in made.answers] == [("e1", 0), ("e2", 0), ("e1", 1)]


def table(folder: Path, name: str, passed: list[bool], *, ids: bool = True) -> Path:
    """An experiment of some cases, in an order of its own."""
    rows = [
        f"Q{n}?,a,{'At 9.' if ok else 'No.'},{ok},{f'e{n},' if ids else ''}{name}-{n}" for n, ok in enumerate(passed)
    ]
    head = f"inputs.question,outputs.answer,reference.answer,feedback.correct,{'example_id,' if ids else ''}id"
    file = folder / name
    file.write_text("\n".join([head, *reversed(rows), ""]), encoding="utf-8")
    return file


@pytest.mark.parametrize("ids", [True, False])
def test_experiments_are_compared(tmp_path: Path, ids: bool) -> None:
    """By the ids of their examples, or by what they ask; the id of a run names no case. By hand: 10 of 40 break."""
    old = table(tmp_path, "old.csv", [True] * 40, ids=ids)
    new = table(tmp_path, "new.csv", [n % 4 != 0 for n in range(40)], ids=ids)
    found = compare_files(Comparing(before=str(old), after=str(new)), tmp_path / "out")
    drops = [check.drop.value for check in found.decision.checks if check.metric == "scores_correct" and check.drop]
    assert drops == [pytest.approx(0.25)]
    assert found.decision.outcome == "blocked"
