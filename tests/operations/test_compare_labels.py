"""Labels by people decide whether the grades of a model may block a comparison of files."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.errors import InputError
from evalkit.operations.calibrate import load_judged
from evalkit.operations.compare_files import ColumnFlags, Comparing, compare_files
from evalkit.operations.run import Result

N = 200


def write_side(path: Path, chance: float, seed: int, *, answers: bool = True) -> list[tuple[str, str, bool]]:
    """Write results of which a share passes; return id, answer and grade of each case."""
    rng = random.Random(seed)
    rows = [(f"q{number}", f"{path.stem} answer {number}", rng.random() < chance) for number in range(N)]
    head = "id,output,correct" if answers else "id,correct"
    lines = [f"{case},{text},{ok}" if answers else f"{case},{ok}" for case, text, ok in rows]
    path.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    return rows


def write_labels(path: Path, rows: list[tuple[str, str, bool]], says: Callable[[bool], bool]) -> Path:
    """Write a person's label of each answer."""
    lines = [
        {
            "case_id": case,
            "answer_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "scorer": "correct",
            "label": "pass" if says(ok) else "fail",
            "rater": "ana",
            "rater_kind": "person",
        }
        for case, text, ok in rows
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def compared(folder: Path, labels: Path | None, *, judged: tuple[str, ...] = ("correct",)) -> Result:
    """Compare the two files of a folder."""
    request = Comparing(
        before=str(folder / "before.csv"),
        after=str(folder / "after.csv"),
        asked=ColumnFlags(judged=judged),
        labels=() if labels is None else (labels,),
    )
    return compare_files(request, folder / "out")


def test_a_model_that_agrees_with_people_may_block(tmp_path: Path) -> None:
    """60 labels, all as the model graded: it is trusted, and its drop of 30 points blocks."""
    write_side(tmp_path / "before.csv", 0.9, 1)
    labels = write_labels(tmp_path / "people.jsonl", write_side(tmp_path / "after.csv", 0.6, 2)[:60], lambda ok: ok)
    result = compared(tmp_path, labels)
    assert result.decision.outcome == "blocked"
    trusts = {(each.metric, each.cohort): each.trust for each in result.summary.agreement}
    assert trusts["correct", "overall"] == "trusted"
    assert "agrees with people" not in " ".join(result.summary.notes)


def test_a_model_that_people_contradict_cannot_block(tmp_path: Path) -> None:
    """The labels are drawn by lot: kappa about 0, so the same drop decides nothing."""
    rng = random.Random(3)
    write_side(tmp_path / "before.csv", 0.9, 1)
    rows = write_side(tmp_path / "after.csv", 0.6, 2)[:60]
    result = compared(tmp_path, write_labels(tmp_path / "people.jsonl", rows, lambda ok: rng.random() < 0.5))
    assert result.decision.outcome == "no decision"
    assert {each.trust for each in result.summary.agreement if each.cohort == "overall"} == {"untrusted"}


def test_an_empty_file_lets_people_begin_to_label(tmp_path: Path) -> None:
    """Nothing is trusted yet; the run knows its judge, so that answers can be drawn from it."""
    write_side(tmp_path / "before.csv", 0.9, 1)
    write_side(tmp_path / "after.csv", 0.6, 2)
    empty = tmp_path / "people.jsonl"
    empty.touch()
    result = compared(tmp_path, empty)
    assert result.decision.outcome == "no decision"
    judged = load_judged(result.folder, [empty])
    assert [metric.name for metric in judged.judges] == ["correct"]
    with pytest.raises(InputError, match=r"belongs to no suite.*--labels"):
        load_judged(result.folder, [])


def test_labels_without_a_model_or_without_answers_are_refused(tmp_path: Path) -> None:
    """Both causes are told at once, each with its mend."""
    for name in ("before", "after"):
        write_side(tmp_path / f"{name}.csv", 0.9, 1, answers=False)
    empty = tmp_path / "people.jsonl"
    empty.touch()
    with pytest.raises(InputError, match="--judge COLUMN") as refused:
        compared(tmp_path, empty, judged=())
    assert [problem.what for problem in refused.value.problems] == [
        "no grade of these files is known to come from a model",
        "the files hold no answers",
    ]
