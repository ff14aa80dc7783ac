"""The gate `best` in a run: it blocks a release system that is surely worse than another, wherever that is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from several_project import HEAD, SeveralProject, system

OLD, NEW, GOOD = system("left-0", side="old"), system("left", side="new"), system(side="good")
GATE = "gate: [{best: {within: 0.02}}]\n"


@pytest.fixture
def several(tmp_path: Path) -> SeveralProject:
    """A project with several systems."""
    return SeveralProject(tmp_path)


def test_a_release_system_that_is_surely_worse_than_another_is_blocked(several: SeveralProject) -> None:
    """Exit code 1, and the sentence in terminal, record, page and comment; deciding again says the same."""
    several.systems(f"release: [new]\n{GATE}", old=OLD, new=NEW, good=GOOD)
    ran = several.run("run", "suite.yaml", "--out", "run")
    assert 1 == ran.returncode, ran.stdout + ran.stderr
    check = several.decision("run/systems/new")["checks"][0]
    assert ("best", "block") == (check["name"], check["outcome"])
    said = check["reason"]
    assert "worse than that of good, more than 2 pts; also than that of old" in said
    assert said.replace("pass_rate", "pass rate") in " ".join(ran.stdout.split())
    assert "worse than that of good" in (several.root / "run/systems/new/summary.md").read_text(encoding="utf-8")
    assert "worse than that of good" in (several.root / "run/summary.md").read_text(encoding="utf-8")
    assert "worse than that of good" in (several.root / "run/systems/new/comment.json").read_text(encoding="utf-8")
    for page in ("run/report.html", "run/systems/new/report.html"):
        assert "worse than that of good" in (several.root / page).read_text(encoding="utf-8"), page
    for folder in ("run", "run/systems/new"):
        again = several.run("gate", folder)
        assert 1 == again.returncode
        assert check == several.decision("run/systems/new")["checks"][0]


def test_a_release_system_among_the_best_is_approved(several: SeveralProject) -> None:
    """Also where the reference is worse than it; a system that is only compared is not blocked."""
    several.systems(f"release: [good]\n{GATE}", old=OLD, new=NEW, good=GOOD)
    ran = several.run("run", "suite.yaml", "--out", "run", "--no-report")
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    check = several.decision("run/systems/good")["checks"][0]
    assert ("best", "pass") == (check["name"], check["outcome"])
    assert ["coverage"] == [each["name"] for each in several.decision("run/systems/new")["checks"]]


def test_a_system_that_cannot_be_called_is_said_to_be_not_compared(several: SeveralProject) -> None:
    """It has no rank, and might be better: a condition of the approval."""
    dead = '{chat: m, base_url: "http://127.0.0.1:9/v1", retries: 0, timeout_s: 2}'
    (several.root / "p.md").write_text("What is {{input}}?\n")
    several.systems(f"reference: good\nrelease: [old]\n{GATE}", dead=dead, old=system(side="old"), good=GOOD)
    ran = several.run("run", "suite.yaml", "--out", "run", "--no-report")
    decision = several.decision("run/systems/old")
    assert "not compared with dead, which has no rank" in " ".join(decision["reasons"])
    assert "approved with conditions" == decision["outcome"]
    assert 0 == ran.returncode


def test_the_run_of_another_system_cannot_be_edited_to_look_worse(several: SeveralProject) -> None:
    """Its rows are sealed with its own run; deciding again finds the change, and gives no decision."""
    several.systems(f"release: [new]\n{GATE}", old=OLD, new=NEW, good=GOOD)
    assert 1 == several.run("run", "suite.yaml", "--out", "run", "--no-report").returncode
    for name in ("old", "good"):
        (several.root / "run/systems" / name / "rows.jsonl").write_bytes(
            (several.root / "run/systems/new/rows.jsonl").read_bytes()
        )
    ran = several.run("gate", "run/systems/new")
    assert 0 != ran.returncode, ran.stdout
    assert "Traceback" not in ran.stderr
    several.systems("release: [new]\n" + GATE.replace("0.02", "0.9"), old=OLD, new=NEW, good=GOOD)
    assert 0 != several.run("gate", "run").returncode


def test_a_run_that_is_not_beside_the_others_is_refused(several: SeveralProject) -> None:
    """Nothing is compared with a guess."""
    several.systems(f"release: [new]\n{GATE}", old=OLD, new=NEW, good=GOOD)
    assert 1 == several.run("run", "suite.yaml", "--out", "run", "--no-report").returncode
    (several.root / "run/systems/new").rename(several.root / "alone")
    ran = several.run("gate", "alone")
    assert 2 == ran.returncode
    assert "which `best` compares with, is not beside it" in ran.stderr


def test_the_answers_of_one_system_scored_again_are_not_compared_with_the_others(several: SeveralProject) -> None:
    """The approval says so."""
    several.systems(f"release: [good]\n{GATE}", old=OLD, new=NEW, good=GOOD)
    assert 0 == several.run("run", "suite.yaml", "--out", "run", "--no-report").returncode
    ran = several.run("score", "run/systems/good", "--suite", "suite.yaml", "--out", "again")
    decision = several.decision("again")
    assert "not compared with the other systems of its run" in " ".join(decision["reasons"]), ran.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"system: {OLD}\n{GATE}", "compares the systems of a run, and the suite has one"),
        (
            f"systems: {{a: {OLD}, b: {NEW}}}\n{GATE}",
            "decides about the systems under `release:`, and there is none; add `release: [b]`",
        ),
        (
            f"systems: {{a: {OLD}, b: {NEW}}}\nrelease: [b]\ngate: [best: 1.5]\n",
            "within 1.5 is as wide as the whole range of pass_rate (1)",
        ),
    ],
)
def test_a_gate_that_cannot_decide_is_refused(several: SeveralProject, text: str, said: str) -> None:
    """Before the first call, with place and fix."""
    several.suite(text=HEAD + text)
    ran = several.run("check", "suite.yaml")
    assert 2 == ran.returncode
    assert said in ran.stderr
    assert "suite.yaml:" in ran.stderr
    assert not several.calls()


def test_a_comparison_of_files_refuses_it(several: SeveralProject) -> None:
    """It decides about two sides."""
    (several.root / "gate.yaml").write_text("gate: [{best: {within: 0.02}}]\n", encoding="utf-8")
    for name, good in (("before", 1), ("after", 0)):
        rows = [{"id": str(at), "passed": good if at < 30 else 1} for at in range(60)]
        (several.root / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    ran = several.run("compare", "before.json", "after.json", "--gate", "gate.yaml")
    assert 2 == ran.returncode
    assert "compares the systems of a run" in ran.stderr
