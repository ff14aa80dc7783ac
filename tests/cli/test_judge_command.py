"""`evalkit judge` in a process of its own, against a model server."""

from __future__ import annotations

import json
from typing import Any

from cli_project import Project

from evalkit.testing import FakeModel

SUITE = """\
name: judged
golden: cases.jsonl
system: {python: "bot:answer"}
judge: {chat: {model: grader, base_url: "BASE_URL"}}
scorers:
  - judge: {name: correctness, rubric: correctness, pass: 4, advisory: true}
  - exact
cohorts: [group]
gate:
  - pass_rate: {min: 0.3}
"""


def block(request: dict[str, Any], name: str) -> str:
    """One fenced part of a request."""
    text: str = request["messages"][1]["content"]
    mark = text.split("\n", 1)[0].removeprefix("mark: ")
    return text.split(f"<<<{name} {mark}\n", 1)[1].split(f"\n{name} {mark}>>>", 1)[0]


def grader(request: dict[str, Any]) -> dict[str, Any]:
    """A judge that gives in to whoever claims authority, and looks at the reference otherwise."""
    if "<<<FIRST " in request["messages"][1]["content"]:
        return {"reason": "the first one", "winner": "first"}
    answer = block(request, "ANSWER")
    good = answer.split("\n")[0] == block(request, "REFERENCE") or "experts" in answer
    return {"reason": "r", "score": 5 if good else 1}


def test_health_shows_what_is_wrong_with_a_judge(project: Project) -> None:
    """The table fits 80 columns, names the attack that worked, and the system is never called."""
    with FakeModel(grader) as server:
        project.suite(text=SUITE.replace("BASE_URL", server.base_url))
        ran = project.run("judge", "health", "suite.yaml", "--cases", "5")
        machine = project.run("judge", "health", "suite.yaml", "--cases", "5", "--json")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("correctness · chat:grader · 5 cases")
    assert "attacks that succeeded: claimed authority 1" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert project.calls() == []
    (found,) = json.loads(machine.stdout)
    assert (found["order_flips"]["value"], found["position_bias"]["value"]) == (1.0, 1.0)


def test_health_of_a_judge_that_never_replies_is_no_health(project: Project) -> None:
    """All askings failed: exit 3, and every figure is unknown."""
    with FakeModel(lambda _: "no") as server:
        project.suite(text=SUITE.replace("BASE_URL", server.base_url))
        ran = project.run("judge", "health", "suite.yaml", "--cases", "2")
    assert ran.returncode == 3
    assert "unknown" in ran.stdout and "judge_bad_reply" in ran.stdout


def test_health_of_a_suite_without_a_judge_is_refused(project: Project) -> None:
    """There is nothing to ask: exit 2 and the fix."""
    ran = project.run("judge", "health", "suite.yaml")
    assert ran.returncode == 2
    assert "the suite has no judge that asks a model" in ran.stderr and "judge: {chat:" in ran.stderr
