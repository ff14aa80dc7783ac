"""Judges' replies of earlier runs: taken, told, never counted as fresh; in processes of its own."""

from __future__ import annotations

import json
from typing import Any

from cli_project import Project
from test_spending import PRICES, reply

from evalkit.testing import FakeModel

SUITE = """\
name: cached
golden: cases.jsonl
system: {python: "bot:answer"}
judge: {chat: {model: grader, base_url: "BASE_URL", PRICES}}
scorers:
  - exact
  - judge: {name: correctness, rubric: correctness, pass: 4, advisory: true}
cohorts: [group]
gate:
  - pass_rate: {min: 0.3}
"""


def cell(project: Project, run: str, metric: str) -> dict[str, Any]:
    """One overall figure of a run."""
    cells: Any = project.json(f"{run}/summary.json")["cells"]
    found: dict[str, Any] = next(each for each in cells if (each["metric"], each["cohort"]) == (metric, "overall"))
    return found


def test_a_second_run_asks_no_judge(project: Project) -> None:
    """Same figures, no call, no fresh cost; `--no-cache` asks again; a repeat is another opinion.

    `--refresh-cache` asks again as well, and what it heard is kept in the place of the old.
    """
    project.cases(20)
    levels = [5]
    with FakeModel(lambda request: {"reason": "r", "score": levels[-1]}) as server:
        project.suite(text=SUITE.replace("BASE_URL", server.base_url).replace("PRICES", PRICES))
        asked = []
        for run, flags in (("a", ()), ("b", ()), ("c", ("--no-cache",)), ("d", ("--repeat", "2"))):
            ran = project.run("run", "suite.yaml", "--out", run, *flags)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            asked.append(len(server.requests))
        levels.append(4)
        for run, flags in (("e", ()), ("f", ("--refresh-cache",)), ("g", ())):
            assert project.run("run", "suite.yaml", "--out", run, *flags).returncode == 0
            asked.append(len(server.requests))
        both = project.run("run", "suite.yaml", "--refresh-cache", "--no-cache")
    assert asked == [20, 20, 40, 60, 60, 80, 80]
    figures = [cell(project, run, "correctness")["estimate"]["value"] for run in "aefg"]
    assert figures[0] == figures[1] != figures[2] == figures[3]
    assert both.returncode == 2
    assert "--no-cache" in both.stderr
    assert cell(project, "a", "correctness")["estimate"] == cell(project, "b", "correctness")["estimate"]
    assert cell(project, "a", "judge_cost_usd_per_case")["estimate"]["value"] > 0
    cells: Any = project.json("b/summary.json")["cells"]
    assert "judge_cost_usd_per_case" not in {each["metric"] for each in cells}, "no fresh cost"
    lines = (project.root / "b" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    usages = [json.loads(line)["row"]["scores"]["correctness"]["usage"] for line in lines]
    assert all(usage["cached"] is True and usage["cost_usd"] > 0 for usage in usages)


def test_a_budget_pays_for_fresh_calls_only(project: Project) -> None:
    """What an earlier run paid for is free, up to the last cent."""
    project.cases(20)
    with FakeModel(reply) as server:
        text = SUITE.replace("BASE_URL", server.base_url).replace("PRICES", PRICES)
        project.suite(text=text)
        assert project.run("run", "suite.yaml", "--out", "a").returncode == 0
        ran = project.run("run", "suite.yaml", "--out", "b", "--budget", "0.001")
    assert ran.returncode == 0, ran.stdout
