"""What a run may spend: budgets, refused keys; in processes of its own against a model server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cli_project import Project
from test_judge_command import block

from evalkit.testing import FakeModel, Fault

JUDGE = "judge: {chat: {model: grader, base_url: BASE_URL PRICES}}"
SUITE = """\
name: spending
golden: cases.jsonl
system: SYSTEM
JUDGE
scorers:
  - exact
  - judge: {name: correctness, rubric: correctness, pass: 4, advisory: true}
cohorts: [group]
concurrency: 2
BUDGET
gate:
  - pass_rate: {min: 0.3}
"""
PRICES = "prices: {input_usd_per_million: 100, output_usd_per_million: 0}"
CENT_A_CALL = {"prompt_tokens": 100, "completion_tokens": 10}
"""Tokens of one reply: a hundredth of a dollar at these prices."""


def write(project: Project, server: FakeModel, *, system: str, priced: bool = True, budget: str = "") -> None:
    """A suite whose judge, and perhaps whose system, is the server."""
    prices = PRICES if priced else ""
    judge = JUDGE.replace("BASE_URL", server.base_url).replace(" PRICES", f", {prices}" if prices else "")
    text = SUITE.replace("SYSTEM", system).replace("JUDGE", judge).replace("BUDGET", budget)
    project.suite(text=text)


def reply(request: dict[str, Any]) -> Any:
    """The sum as a system, a level as a judge."""
    text = request["messages"][-1]["content"]
    if text.startswith("mark: "):
        return {"reason": "r", "score": 5 if block(request, "ANSWER") == block(request, "REFERENCE") else 1}
    return str(int(text.split("+")[0]) + 1)


def chat(server: FakeModel) -> str:
    """The server as the system."""
    return f"{{chat: bot, base_url: '{server.base_url}', {PRICES}}}"


def rows(project: Project) -> list[dict[str, Any]]:
    """The journalled rows."""
    lines = (project.root / "first" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["row"] for line in lines]


def test_a_budget_stops_the_run_and_a_resumed_one_goes_on(project: Project) -> None:
    """Exit 3 near the limit, with every paid answer kept; more money asks only what is open."""
    project.cases(30)
    with FakeModel(reply, usage=CENT_A_CALL) as server:
        write(project, server, system=chat(server), budget="budget_usd: 0.20")
        first = project.run("run", "suite.yaml", "--out", "first")
        asked = len(server.requests)
        again = project.run("run", "suite.yaml", "--out", "first", "--resume")
        still = len(server.requests)
        done = project.run("run", "suite.yaml", "--out", "first", "--resume", "--budget", "5", "--progress", "lines")
    said = " ".join(first.stdout.split())
    assert first.returncode == 3, first.stdout + first.stderr
    assert "budget of $0.2 reached" in said
    assert 20 <= asked <= 23, asked  # calls in flight at the limit end
    assert again.returncode == 3
    assert still == asked, "a resumed run knows what was spent"
    assert done.returncode == 0, done.stdout + done.stderr
    assert "of $5.00" in done.stderr
    assert len(server.requests) <= 60 + 2, "at most the cases in flight at the limit are asked again"
    assert len({row["case"]["id"] for row in rows(project)}) == 30


def test_what_has_no_price_cannot_have_a_budget(project: Project) -> None:
    """Named before the first call, with the fix."""
    with FakeModel(reply) as server:
        write(project, server, system=f"{{chat: bot, base_url: '{server.base_url}'}}", priced=False)
        ran = project.run("run", "suite.yaml", "--out", "first", "--budget", "1")
    assert ran.returncode == 2
    assert ran.stderr.count("prices") >= 2, ran.stderr
    assert "grader" in ran.stderr
    assert server.requests == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_of_the_system_ends_the_run_at_once(project: Project, status: int) -> None:
    """Five calls at most, exit 3, no case counted as failed; with the right key the same run goes on."""
    with FakeModel(reply, always=Fault(kind="status", status=status, message="bad key")) as server:
        write(project, server, system=chat(server))
        project.suite(text=(project.root / "suite.yaml").read_text().replace("concurrency: 2", "concurrency: 16"))
        ran = project.run("run", "suite.yaml", "--out", "first")
        asked = len(server.requests)
        server.heal()
        done = project.run("run", "suite.yaml", "--out", "first", "--resume")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert asked <= 5
    assert f"http_{status}" in " ".join(ran.stdout.split())
    assert "bad key" in " ".join(ran.stdout.split())
    assert done.returncode == 0, done.stdout
    assert len(rows(project)) == 120


def test_a_refused_key_of_the_judge_ends_the_run_at_once(project: Project) -> None:
    """The judge is asked five times at most, and no case stays unscored for it."""
    with FakeModel(reply, always=Fault(kind="status", status=401, message="bad key")) as server:
        write(project, server, system='{python: "bot:answer"}')
        ran = project.run("run", "suite.yaml", "--out", "first")
        asked = len(server.requests)
        server.heal()
        done = project.run("run", "suite.yaml", "--out", "first", "--resume")
    assert ran.returncode == 3
    assert asked <= 5
    assert "http_401" in " ".join(ran.stdout.split())
    assert done.returncode == 0, done.stdout
    assert not [row for row in rows(project) if "unscored" in row["scores"]["correctness"]]


def test_one_refused_case_among_answered_ones_is_a_failed_case(project: Project) -> None:
    """A 403 for one question, after others were answered, is that case's system error."""
    project.cases(30)
    refused = Fault(kind="status", status=403, message="this one is filtered")
    with FakeModel(reply, faults=[None] * 12 + [refused]) as server:
        write(project, server, system=chat(server))
        ran = project.run("run", "suite.yaml", "--out", "first")
    assert len(rows(project)) == 30, ran.stdout + ran.stderr


def test_what_stored_answers_have_cost_is_spent_no_second_time(project: Project) -> None:
    """Replayed answers that were dear once leave the whole budget to the judge."""
    with FakeModel(reply, usage=CENT_A_CALL) as server:
        write(project, server, system="{replay: golden}", budget="budget_usd: 1")
        stored = {"text": "2", "usage": {"cost_usd": 5.0}}
        rows_ = [
            {"id": f"c{i}", "input": f"{i}+1", "reference": "2", "output": stored, "cohorts": {"group": "a"}}
            for i in range(3)
        ]
        (project.root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_), encoding="utf-8")
        ran = project.run("run", "suite.yaml", "--out", "first")
    assert ran.returncode == 0, ran.stderr
    assert [row["output"]["usage"]["cost_usd"] for row in rows(project)] == [5.0] * 3


def test_answers_of_unknown_cost_are_named_beside_the_budget(project: Project) -> None:
    """An endpoint that reports no tokens cannot spend a budget, and the run says so while it runs and at its end."""
    project.cases(4)
    with FakeModel(reply, usage={}) as server:
        write(project, server, system=chat(server), budget="budget_usd: 5")
        ran = project.run("run", "suite.yaml", "--out", "first", "--progress", "lines")
    said = " ".join(ran.stderr.split())
    assert "4 unknown costs of $5.00" in said, said
    assert "the cost of 4 answers of the system is unknown, and not part of the budget of $5" in said


def test_a_budget_that_covers_every_answer_says_nothing(project: Project) -> None:
    """Costs are known here."""
    project.cases(2)
    with FakeModel(reply, usage=CENT_A_CALL) as server:
        write(project, server, system=chat(server), budget="budget_usd: 5")
        ran = project.run("run", "suite.yaml", "--out", "first", "--progress", "lines")
    assert "unknown cost" not in ran.stderr
    assert "not part of the budget" not in ran.stderr
