"""Cases that stand in a declared training set."""

import json
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Never

import pytest

sys.path.append(str(Path(__file__).parents[1] / "bad_inputs"))

from bad_lab import CASES, Lab, jsonl

from evalkit.errors import InputError
from evalkit.golden.overlap import overlap
from evalkit.golden.read import GoldenSet, GoldenSource, open_golden


def golden_of(folder: Path, inputs: list[object]) -> GoldenSet:
    """A checked set of these inputs."""
    file = folder / "cases.jsonl"
    file.write_text(jsonl([{"id": f"c{i}", "input": each} for i, each in enumerate(inputs)]), encoding="utf-8")
    return open_golden(GoldenSource(path="cases.jsonl"), file, "cases.jsonl")


def test_the_same_question_in_another_form_is_found(tmp_path: Path) -> None:
    """NFC, case and white space do not matter; of a conversation the last question counts; words do."""
    turns = [{"role": "user", "content": "first"}, {"role": "user", "content": "STRASSE"}]
    golden = golden_of(tmp_path, ["Où est l'\u00c9cole ?", "Who?", turns, "another  one"])
    train = tmp_path / "train.jsonl"
    chat = {"messages": [{"role": "user", "content": "straße"}, {"role": "assistant", "content": "Who?"}]}
    rows = [{"prompt": "none of them"}, chat, {"prompt": "  où EST\n l'e\u0301cole ? "}, {"prompt": "anotherone"}]
    train.write_text(jsonl(rows), encoding="utf-8")
    (warned,) = overlap(golden, [(train, "train.jsonl")])
    assert str(warned).startswith("cases.jsonl:1: 2 of 4 cases occur in `trained_on`: c0, c2; the first at ")
    assert "train.jsonl:3;" in str(warned)
    train.write_text(jsonl(rows[:1]), encoding="utf-8")
    assert not list(overlap(golden, [(train, "train.jsonl")]))


def test_without_a_training_set_the_golden_set_is_not_read(tmp_path: Path) -> None:
    """Of 10,000 cases a further reading would cost a run as much as its journal."""

    def unread() -> Never:
        raise AssertionError("read")

    golden = replace(golden_of(tmp_path, ["Who?"]), open=unread)
    assert list(overlap(golden, [])) == []
    with pytest.raises(AssertionError, match="read"):
        list(overlap(golden, [(tmp_path / "train.jsonl", "train.jsonl")]))


def test_a_training_set_is_streamed(tmp_path: Path) -> None:
    """Twenty megabytes of it take a fraction of that; a row that cannot be read is told."""
    golden, train = golden_of(tmp_path, ["row 7"]), tmp_path / "train.jsonl"
    with train.open("w", encoding="utf-8") as file:
        for number in range(2_000):
            file.write(json.dumps({"input": f"row {number}", "text": "x" * 10_000}) + "\n")
    tracemalloc.start()
    (warned,) = overlap(golden, [(train, "train.jsonl")])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "train.jsonl:8;" in str(warned)
    assert peak < 2_000_000
    train.write_text('{"input": "row 7"}\n{"text": "no input"}\n{"input"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"train.jsonl:3:9: not JSON"):
        list(overlap(golden, [(train, "train.jsonl")]))


TRAINING: list[dict[str, object]] = [
    {"input": "Q", "severity": "sev1", "cohorts": 5, "kind": "sft", "reference": 3, "contexts": "text", "id": ["x"]},
    {"prompt": "q", "question": "other", "outputs": {"a": 1, "b": 2}},
    {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": None, "tool_calls": [{}]}]},
    {"messages": [{"role": "developer", "content": "D"}, {"role": "user", "content": [{"type": "text", "text": "Q"}]}]},
    {"vars": {"question": "Q", "more": None}},
]


@pytest.mark.parametrize("row", TRAINING, ids=lambda row: next(iter(row)))
def test_of_a_training_row_the_question_alone_is_read(tmp_path: Path, row: dict[str, object]) -> None:
    """What else stands in it has the form of its own tool, and refuses nothing."""
    golden, train = golden_of(tmp_path, ["q"]), tmp_path / "train.jsonl"
    train.write_text(jsonl([row]), encoding="utf-8")
    (warned,) = overlap(golden, [(train, "train.jsonl")])
    assert "1 of 1 cases occur" in str(warned)


def test_rows_without_a_question_are_counted(tmp_path: Path) -> None:
    """They are told, and refused only where no row of the file has one."""
    golden, train = golden_of(tmp_path, ["q"]), tmp_path / "train.jsonl"
    image = {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}
    rows = [{"text": "q"}, {"input": None}, {"input": ["q"]}, image, {"input": "other"}]
    train.write_text(jsonl(rows), encoding="utf-8")
    (warned,) = overlap(golden, [(train, "train.jsonl")])
    assert str(warned).startswith("train.jsonl:1: 4 of 5 rows of train.jsonl have no question and were not compared;")
    train.write_text(jsonl(rows[:4]), encoding="utf-8")
    with pytest.raises(InputError, match=r"train.jsonl:1: none of its 4 rows has a question; name it `input`"):
        list(overlap(golden, [(train, "train.jsonl")]))


def test_a_cell_of_another_column_refuses_nothing(tmp_path: Path) -> None:
    """Half a list is not a problem: in a column that is not read, and in the question, where it is its text."""
    golden, train = golden_of(tmp_path, ["q"]), tmp_path / "train.csv"
    train.write_text("prompt,notes\nq,[a]\n", encoding="utf-8")
    assert len(list(overlap(golden, [(train, "train.csv")]))) == 1
    train.write_text("Prompt;notes\n[a];b\n", encoding="utf-8")
    assert list(overlap(golden, [(train, "train.csv")])) == []
    assert len(list(overlap(golden_of(tmp_path, ["[a]"]), [(train, "train.csv")]))) == 1


def test_it_is_said_beside_the_decision(tmp_path: Path) -> None:
    """By `check`, at the start of a run, in its notes, and again by a resumed run."""
    lab = Lab(tmp_path)
    lab.write("t.jsonl", jsonl([{"input": CASES[1]["input"]}]))
    lab.swap("suite.yaml", "golden: cases.jsonl", "golden: {path: cases.jsonl, trained_on: [t.jsonl]}")
    said = "1 of 4 cases occur in `trained_on`: c1; the first at t.jsonl:1"
    assert said in " ".join(lab.run("check", "suite.yaml").out.split())
    for more in ((), ("--resume",)):
        ran = lab.run("run", "suite.yaml", "--out", "run", "--progress", "none", *more)
        assert ran.code == 0, ran
        assert said in json.loads((tmp_path / "run" / "summary.json").read_bytes())["notes"]
    assert "trained" in (tmp_path / "run" / "summary.md").read_text(encoding="utf-8")
