"""`evalkit labels sample --both`: from two runs to labels of both, and to a gate that people's labels decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_project import Project
from test_calibrate_command import at_one_address, write_suite
from test_labels_command import export, queue_of

GATE = "labels: [people.jsonl]"


def unsure(request: dict[str, Any]) -> dict[str, Any]:
    """A judge that is wrong on every third case."""
    text = " ".join(message["content"] for message in request["messages"] if isinstance(message["content"], str))
    number = int(text.partition("<QUESTION")[2].partition("\n")[2].split(" ")[0])
    right = "no idea" not in text
    return {"reason": "r", "score": 5 if right is (number % 3 > 0) else 1}


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a run that answers everything, and one that fails on every case of one group from 0 to 99."""
    project = Project(tmp_path_factory.mktemp("two"))
    with at_one_address(unsure) as server:
        for run, broken in (("old", ""), ("new", "left-0")):
            write_suite(project, server)
            suite = project.root / "suite.yaml"
            suite.write_text(suite.read_text(encoding="utf-8").replace('"left-0"', f'"{broken}"'), encoding="utf-8")
            ran = project.run("run", "suite.yaml", "--out", run)
            assert ran.returncode == 3, ran.stdout + ran.stderr
    return project


def test_labels_of_both_runs_block_a_drop_that_the_judge_may_not(two_runs: Project) -> None:
    """Drawn, imported, and decided by the gate: the decision, the summary and the report say what people found."""
    ran = two_runs.run("labels", "sample", "new", "--both", "old", "--answers", "60")
    assert ran.returncode == 0, ran.stderr
    assert "labels import new EXPORTED.jsonl --into labels/people.jsonl --both old" in ran.stdout
    queue = queue_of(two_runs.root / "new" / "labels.html")
    cases = {item["case_id"] for item in queue["items"]}
    broken = sum(case.startswith("left-0") for case in cases)
    assert (len(cases), len(queue["items"])) == (60, 60 + broken)
    assert {item["inclusion_probability"] for item in queue["items"]} == {0.5}
    file = export(two_runs, queue)
    alone = two_runs.run("labels", "import", "new", file.name, "--into", "people.jsonl")
    assert alone.returncode == 2
    assert "--both BASELINE" in alone.stderr
    taken = two_runs.run("labels", "import", "new", file.name, "--into", "people.jsonl", "--both", "old")
    assert taken.returncode == 0, taken.stderr
    assert "left out" not in taken.stdout
    again = two_runs.run("labels", "sample", "new", "--both", "old", "--labels", "people.jsonl", "--answers", "100")
    assert len({item["case_id"] for item in queue_of(two_runs.root / "new" / "labels.html")["items"]}) == 60, again
    suite = two_runs.root / "suite.yaml"
    text = suite.read_text(encoding="utf-8").replace("gate:\n", f"{GATE}\ngate:\n")
    checks = "  - no_regression: {baseline: old, metrics: [correctness.passed], corrected: CORRECTED}\n"
    rest = text.partition("gate:\n")[0] + "gate:\n" + checks
    suite.write_text(rest.replace("CORRECTED", "false"), encoding="utf-8")
    waiting = two_runs.run("gate", "new", "--suite", "suite.yaml")
    assert waiting.returncode == 3, waiting.stdout
    suite.write_text(rest.replace("CORRECTED", "true"), encoding="utf-8")
    blocked = two_runs.run("gate", "new", "--suite", "suite.yaml")
    assert blocked.returncode == 1, blocked.stdout + blocked.stderr
    assert "by people's labels of 60 cases in both runs: drop" in " ".join(blocked.stdout.split())
    decision: Any = two_runs.json("new/decision.json")
    (drop,) = [each for each in decision["comparison"]["corrected"] if each["metric"] == "correctness.passed"]
    assert drop["p_value"] < 0.01
    assert drop["drop"]["low"] < 49 / 120 < drop["drop"]["high"]
    for name in ("summary.md", "report.html", "release_decision.md"):
        assert "by people's labels of 60 cases" in shown(two_runs.root / "new" / name), name


def shown(file: Path) -> str:
    """The text of a report, with quotes as they are read."""
    return file.read_text(encoding="utf-8").replace("&#39;", "'").replace("’", "'")


def test_a_run_without_the_judge_cannot_be_the_other(two_runs: Project) -> None:
    """The flag names a run that the same judge graded."""
    ran = two_runs.run("labels", "sample", "new", "--both", "nothing")
    assert ran.returncode == 2
    assert "nothing" in ran.stderr
