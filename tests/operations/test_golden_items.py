"""Item analysis of stored runs: each rule once, from real runs, and what `--write` changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import evalkit
from evalkit.cli.golden import golden
from evalkit.errors import InputError

BOT = """\
import hashlib, os

def answer(input, id, version, repeat=0):
    number = int(version)
    kind = id.partition("-")[0]
    if kind == "dead":
        return "yes"
    if kind == "hard":
        return "secret no"
    if kind == "live":
        return "no" if (number + int(id[-1])) % 3 == 0 else "yes"
    return "yes" if (number % 2 or not id.endswith("x")) else "no"
"""
SUITE = """\
name: items
golden: set.jsonl
system: {python: "bot:answer", version: "VERSION", arguments: {version: "VERSION"}}
scorers: [exact]
gate: [pass_rate: {min: 0.1}]
"""


def a_set(*extra: dict[str, Any]) -> list[dict[str, Any]]:
    """Forty cases of which most fail now and then."""
    rows: list[dict[str, Any]] = [
        {"id": "dead-1", "input": "secret first question of all"},
        {"id": "dead-2", "input": "secret second thing to ask", "kind": "canary"},
        {"id": "hard-1", "input": "secret riddle without an end"},
        {"id": "hard-2", "input": "secret matter of importance", "severity": "critical"},
    ]
    rows += [{"id": f"live-{at}", "input": hashlib.sha256(str(at).encode()).hexdigest()} for at in range(36)]
    return [{**row, "reference": "yes"} for row in rows] + list(extra)


class Items:
    """A project with stored runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "pyproject.toml").touch()
        (root / "bot.py").write_text(BOT, encoding="utf-8")

    def golden(self, *extra: dict[str, Any]) -> None:
        """Write the set."""
        text = "".join(json.dumps(row) + "\n" for row in a_set(*extra))
        (self.root / "set.jsonl").write_text(text, encoding="utf-8")

    def runs(self, n: int, first: int = 0) -> None:
        """Run so many versions."""
        for number in range(first, first + n):
            (self.root / "suite.yaml").write_text(SUITE.replace("VERSION", str(number)), encoding="utf-8")
            evalkit.run("suite.yaml", out=f"reports/r{number}", reports=False, baseline="none")

    def items(self, *words: str) -> Result:
        """Call the command."""
        return CliRunner().invoke(golden, ["items", "suite.yaml", *words])

    def rules(self, *words: str) -> dict[str, list[str]]:
        """Rule -> ids."""
        found: dict[str, list[str]] = {}
        for each in json.loads(self.items(*words, "--json").stdout)["findings"]:
            found.setdefault(each["rule"], []).append(each["id"])
        return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Items:
    """An empty project."""
    monkeypatch.chdir(tmp_path)
    return Items(tmp_path)


def test_dead_and_impossible_cases_are_told_by_versions(project: Items) -> None:
    """Five versions make a case impossible, twenty make one dead; a canary is never dead. No text is printed."""
    project.golden()
    project.runs(4)
    assert project.rules() == {}
    project.runs(1, 4)
    assert project.rules() == {"impossible": ["hard-1", "hard-2"]}
    project.runs(15, 5)
    assert project.rules() == {"impossible": ["hard-1", "hard-2"], "dead": ["dead-1"]}
    assert project.rules("--runs", "10") == {"impossible": ["hard-1", "hard-2"]}
    ran = project.items()
    assert ran.stdout.splitlines()[-1] == "40 cases, 20 runs of 20 versions: 3 findings"
    assert "dead dead-1 (set.jsonl:1): has not failed in 20 versions" in ran.stdout
    assert "secret" not in ran.output + project.items("--json").output


def test_figures_of_each_case(project: Items) -> None:
    """Difficulty by hand: a live case fails every third version."""
    project.golden()
    project.runs(6)
    items = {each["id"]: each for each in json.loads(project.items("--json").stdout)["items"]}
    assert items["live-0"]["difficulty"] == pytest.approx(2 / 6)
    assert (items["live-0"]["versions"], items["live-0"]["passed"], items["live-0"]["days_since_failure"]) == (6, 4, 0)
    assert (items["dead-1"]["difficulty"], items["dead-1"]["days_since_failure"]) == (0.0, None)
    assert items["dead-1"]["discrimination"] is None
    assert items["live-0"]["cost_usd"] is None
    assert items["live-0"]["latency_s"] >= 0


def test_runs_of_one_version_are_one_version(project: Items) -> None:
    """Five runs of the same program are no five versions."""
    project.golden()
    for at in range(5):
        (project.root / "suite.yaml").write_text(SUITE.replace("VERSION", "1"), encoding="utf-8")
        evalkit.run("suite.yaml", out=f"reports/again{at}", reports=False, baseline="none")
    assert project.rules() == {}
    assert json.loads(project.items("--json").stdout)["versions"] == ["1"]


def test_write_puts_cases_in_quarantine(project: Items) -> None:
    """Two of 40 may be; a critical case never is. The next run shows it and does not count it."""
    project.golden()
    project.runs(5)
    ran = project.items("--write")
    assert ran.exit_code == 0
    assert "in quarantine: hard-1 (impossible: failed in all 5 versions)" in ran.stdout
    rows = [json.loads(line) for line in (project.root / "set.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["id"]: row["quarantine"] for row in rows if "quarantine" in row} == {
        "hard-1": "impossible: failed in all 5 versions"
    }
    assert "no case was put in quarantine" in project.items("--write").stdout
    project.runs(1, 5)
    decision = json.loads((project.root / "reports/r5/decision.json").read_text(encoding="utf-8"))
    named = [check["case_ids"] for check in decision["checks"] if check["name"] == "quarantine"]
    assert named == [["hard-1"]]
    summary = json.loads((project.root / "reports/r5/summary.json").read_text(encoding="utf-8"))
    assert (summary["n_cases"], summary["expected"], summary["coverage"]["overall"]) == (39, 39, [39, 39])
    assert project.rules()["impossible"] == ["hard-1", "hard-2"]


def test_an_edited_case_begins_anew(project: Items) -> None:
    """Rows of another reference say nothing of today's; bookkeeping changes nothing."""
    project.golden()
    project.runs(5)
    file = project.root / "set.jsonl"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('riddle without an end"', 'riddle with an end"'), encoding="utf-8")
    ran = project.items()
    assert "5 rows of cases that have changed since are left out" in ran.stderr
    assert project.rules() == {"impossible": ["hard-2"]}
    file.write_text(text.replace('"hard-1", ', '"hard-1", "because": "INC-1", '), encoding="utf-8")
    assert project.rules() == {"impossible": ["hard-1", "hard-2"]}


def test_runs_of_other_scorers_are_left_out(project: Items) -> None:
    """A pass by another scorer is another thing."""
    project.golden()
    project.runs(2)
    text = SUITE.replace("VERSION", "7").replace("[exact]", "[token_f1: {min: 0.9}]")
    (project.root / "suite.yaml").write_text(text, encoding="utf-8")
    evalkit.run("suite.yaml", out="reports/other", reports=False, baseline="none")
    ran = project.items()
    assert "2 runs graded by other scorers are left out; grade again with `evalkit score`" in ran.stderr
    assert "1 run of 1 version" in ran.stdout


def test_without_runs_there_is_nothing_to_say(project: Items) -> None:
    """The message says what to do, with the path of the suite from the current folder."""
    project.golden()
    (project.root / "evals").mkdir()
    text = SUITE.replace("VERSION", "1").replace("set.jsonl", "../set.jsonl")
    (project.root / "evals" / "suite.yaml").write_text(text, encoding="utf-8")
    found = CliRunner().invoke(golden, ["items", "evals/suite.yaml"]).exception
    assert isinstance(found, InputError)
    assert "no finished run in reports; run it with `evalkit run evals/suite.yaml`" in str(found)
