"""`evalkit judge tune`: a pass mark, examples or another wording, from people's labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli_project import Project
from test_calibrate_command import at_one_address, write_labels, write_suite
from test_judge_command import block

from evalkit.scorers.judges.rubric import read_rubric

OWN = """\
---
name: sums
version: 1
scale: [1, 5]
---
Grade {{answer}} as the sum that {{question}} asks for; {{reference}} is right.
"""


def strict(request: dict[str, Any]) -> dict[str, Any]:
    """A judge that gives 3 to right answers and 1 to wrong ones; one that saw examples grades by the number alone."""
    system, given = (message["content"] for message in request["messages"])
    if "You improve a rubric" in system:
        assert '"people"' in given
        return {"rubric": "Say what you like of {{answer}}, {{question}} and {{reference}}."}
    if "Answers that people graded" in system:
        return {"reason": "r", "score": 5 if passes(block(request, "QUESTION")) else 2}
    right = block(request, "ANSWER") == block(request, "REFERENCE")
    return {"reason": "r", "score": 3 if right else 1}


def passes(question: str) -> bool:
    """What people of these tests pass: two numbers of four, whatever was answered."""
    return int(question.split(" ")[0]) // 2 % 2 == 0


def label_by_number(project: Project) -> None:
    """Labels that no pass mark of the judge follows."""
    rows = [json.loads(line) for line in (project.root / "labels-ana.jsonl").read_text(encoding="utf-8").splitlines()]
    said = ["pass" if passes(row["case_id"].rsplit("-", 1)[1]) else "fail" for row in rows]
    lines = [json.dumps({**row, "label": label}) for row, label in zip(rows, said, strict=True)]
    (project.root / "other.jsonl").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def judged_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run that is graded too strictly, and a label of each answer."""
    project = Project(tmp_path_factory.mktemp("tune"))
    (project.root / "sums.md").write_text(OWN, encoding="utf-8")
    with at_one_address(strict) as server:
        write_own_suite(project, server)
        ran = project.run("run", "suite.yaml", "--out", "first", "--no-report")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    write_labels(project, "first", flip=3)
    return project.root


def write_own_suite(project: Project, server: Any) -> None:
    """The suite of these tests, with a rubric in a file."""
    write_suite(project, server)
    file = project.root / "suite.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("rubric: correctness", "rubric: sums.md"), encoding="utf-8"
    )


@pytest.fixture
def judged(judged_once: Path, tmp_path: Path) -> Project:
    """A copy of it."""
    project = Project(tmp_path)
    shutil.copytree(judged_once, tmp_path, dirs_exist_ok=True)
    return project


def test_a_pass_mark_that_agrees_better_is_proposed(judged: Project) -> None:
    """The line of the suite is named, nothing is called, and neither suite nor rubric changes."""
    before = {file.name: file.read_bytes() for file in judged.root.iterdir() if file.is_file()}
    ran = judged.run("judge", "tune", "first", "--labels", "labels-ana.jsonl")
    assert ran.returncode == 0, ran.stderr
    words = " ".join(ran.stdout.split())
    assert "120 labelled answers to 120 questions" in words
    assert "tried: pass: 2, pass: 3, pass: 5" in words
    assert "next: write `pass: 2` at suite.yaml:6" in words
    assert before == {file.name: file.read_bytes() for file in judged.root.iterdir() if file.is_file()}


def test_where_no_version_is_better_nothing_is_written(judged: Project) -> None:
    """Labels that no pass mark follows: it says so, and proposes nothing."""
    label_by_number(judged)
    before = sorted(file.name for file in judged.root.iterdir())
    ran = judged.run("judge", "tune", "first", "--labels", "other.jsonl")
    assert ran.returncode == 0, ran.stderr
    assert "no version is better than the current one beyond noise; nothing was written" in " ".join(ran.stdout.split())
    assert sorted(file.name for file in judged.root.iterdir()) == before


def test_labels_by_programs_tune_nothing(judged: Project) -> None:
    """Only people count, so there are no labelled questions: exit 2 with the fix."""
    write_labels(judged, "first", rater="bot", kind="program")
    ran = judged.run("judge", "tune", "first", "--labels", "labels-bot.jsonl")
    assert ran.returncode == 2
    assert "people labelled answers to 0 questions" in ran.stderr


def test_asking_writes_a_rubric_with_examples_beside_the_old_one(judged: Project) -> None:
    """The judge follows examples: a new file names their cases, and their labels no longer count for it."""
    label_by_number(judged)
    with at_one_address(strict) as server:
        write_own_suite(judged, server)
        ran = judged.run("judge", "tune", "first", "--labels", "other.jsonl", "--ask", "--json")
    assert ran.returncode == 0, ran.stderr
    (found,) = json.loads(ran.stdout)
    assert found["versions"] == ["pass: 2", "pass: 3", "pass: 5", "examples", "another wording"]
    assert (found["chosen"], found["is_better"], found["n_missing"]) == ("examples", True, 0)
    assert found["after"]["value"] == 1.0
    assert (found["rubric"], found["line"]) == ("sums-2.md", "rubric: sums-2.md")
    assert found["place"].startswith("suite.yaml:6")
    assert (judged.root / "sums.md").read_text(encoding="utf-8") == OWN
    rubric = read_rubric(judged.root, "sums-2.md")
    assert (rubric.version, rubric.scale, len(rubric.examples)) == ("2", (1, 5), 4)
    assert tuple(found["examples"]) == rubric.examples
    suite = judged.root / "suite.yaml"
    suite.write_text(suite.read_text(encoding="utf-8").replace("sums.md", "sums-2.md"), encoding="utf-8")
    told = judged.run("judge", "calibrate", "first", "--labels", "other.jsonl", "--json")
    assert json.loads(told.stdout)[0]["kappa"]["n"] == 116


def test_replies_that_cannot_be_used_are_counted(judged: Project) -> None:
    """A version that nobody could measure is not only one that is not better."""
    with at_one_address(lambda request: "neither one nor the other") as server:
        write_own_suite(judged, server)
        ran = judged.run("judge", "tune", "first", "--labels", "labels-ana.jsonl", "--ask")
    assert ran.returncode == 0, ran.stderr
    assert "examples: 720 grades missing: no usable reply" in " ".join(ran.stdout.split())
    assert "another wording: 720 grades missing: no usable reply" in " ".join(ran.stdout.split())
