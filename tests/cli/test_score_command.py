"""`evalkit score`: history survives a change of a scorer."""

from __future__ import annotations

import json

import pytest
from cli_project import Project


@pytest.fixture
def changed(project: Project) -> Project:
    """A baseline, and a suite whose scorer has changed since."""
    assert project.run("run", "suite.yaml", "--out", "first", "--baseline", "none").returncode == 0
    assert project.run("baseline", "save", "first", "--name", "main").returncode == 0
    text = (project.root / "suite.yaml").read_text(encoding="utf-8")
    (project.root / "suite.yaml").write_text(text.replace("- exact", "- exact: {tolerance: 0.001}"), encoding="utf-8")
    (project.root / "calls.log").unlink()
    return project


def test_a_baseline_is_scored_again_and_compares(changed: Project) -> None:
    """The refusal names the command; afterwards the comparison works, and the system was called by no one but `run`."""
    refused = changed.run("run", "suite.yaml", "--out", "second")
    assert refused.returncode == 2
    assert "evalkit score" in refused.stderr
    (changed.root / "calls.log").unlink(missing_ok=True)
    again = changed.run("score", "main", "--suite", "suite.yaml", "--out", "again")
    assert again.returncode == 0, again.stdout + again.stderr
    assert changed.calls() == []
    assert changed.run("baseline", "save", "again", "--name", "main").returncode == 0
    compared = changed.run("run", "suite.yaml", "--out", "third")
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert "no baseline" not in compared.stdout


def test_answers_times_and_system_are_those_of_the_first_run(changed: Project) -> None:
    """Only the grades are new."""
    assert changed.run("score", "first", "--suite", "suite.yaml", "--out", "again").returncode == 0
    rows = [
        sorted(
            (json.loads(line)["row"] for line in (changed.root / run / "rows.jsonl").read_text().splitlines()),
            key=lambda row: str(row["case"]["id"]),
        )
        for run in ("first", "again")
    ]
    assert [row["output"] for row in rows[0]] == [row["output"] for row in rows[1]]
    old, new = changed.json("first/manifest.json"), changed.json("again/manifest.json")
    assert old["system"]["fingerprint"] == new["system"]["fingerprint"]  # type: ignore[index]
    assert old["score_keys"] != new["score_keys"]


def test_a_case_that_changed_since_has_no_stored_answer(changed: Project) -> None:
    """It is counted as such, and never graded by an answer to something else."""
    lines = (changed.root / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    lines[0] = lines[0].replace("0 + 1", "0 + 2")
    (changed.root / "cases.jsonl").write_text("\n".join(lines), encoding="utf-8")
    ran = changed.run("score", "first", "--suite", "suite.yaml", "--out", "again")
    assert ran.returncode in (0, 3)
    kinds = changed.json("again/summary.json")["error_kinds"]
    assert kinds == {"not_stored": 1}


def test_what_is_no_run_is_named(project: Project) -> None:
    """Exit 2."""
    ran = project.run("score", "nowhere", "--suite", "suite.yaml")
    assert ran.returncode == 2
    assert "no run folder or saved baseline" in ran.stderr


def test_answers_that_were_paid_for_are_not_charged_again(changed: Project) -> None:
    """A budget is for what this run spends."""
    (changed.root / "bot.py").write_text(
        "def answer(input: str, broken: str = '') -> dict:\n"
        "    a, b = input.split('+')\n"
        "    return {'text': str(int(a) + int(b)), 'usage': {'cost_usd': 0.01}}\n",
        encoding="utf-8",
    )
    assert changed.run("run", "suite.yaml", "--out", "dear", "--baseline", "none").returncode == 0
    text = (changed.root / "suite.yaml").read_text(encoding="utf-8")
    (changed.root / "suite.yaml").write_text("budget_usd: 0.5\n" + text, encoding="utf-8")
    again = changed.run("score", "dear", "--suite", "suite.yaml", "--out", "again")
    assert again.returncode == 0, again.stdout + again.stderr
    assert len((changed.root / "again" / "rows.jsonl").read_text().splitlines()) == 120
