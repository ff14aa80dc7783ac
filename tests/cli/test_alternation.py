"""Speed against a baseline whose system can be called: both are asked by turns, so a busy hour slows both."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cli_project import Project

BOT = """\
import pathlib

LOG = pathlib.Path(__file__).with_name("calls.log")


def answer(input: str, id: str, side: str = "new", seconds: float = 0.01, down: bool = False) -> dict:
    if down:
        raise OSError("down")
    with LOG.open("a") as file:
        file.write(f"{side} {id}\\n")
    a, b = input.split("+")
    return {"text": str(int(a) + int(b)), "latency_s": seconds}
"""
SUITE = """\
name: sums
golden: cases.jsonl
system: {python: "bot:answer", arguments: {seconds: NEW}}
scorers: [exact]
concurrency: 8
gate:
  - no_regression: {baseline: BASELINE, metrics: [pass_rate], max_slowdown: 1.5}
"""
OLD = '{run: main, system: {python: "bot:answer", arguments: {side: old, seconds: 0.02}}}'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose baseline was stored in an hour in which everything was four times faster."""
    made = Project(tmp_path)
    (tmp_path / "bot.py").write_text(BOT, encoding="utf-8")
    write(made, seconds="0.005", baseline="main")
    assert made.run("run", "suite.yaml", "--out", "first", "--baseline", "none").returncode == 0
    assert made.run("baseline", "save", "first", "--name", "main").returncode == 0
    (tmp_path / "calls.log").unlink()
    return made


def write(project: Project, *, seconds: str, baseline: str) -> None:
    """The suite with the new system's time, and with the old system where it can be called."""
    project.suite(text=SUITE.replace("NEW", seconds).replace("BASELINE", baseline))


def log(project: Project) -> list[tuple[str, str]]:
    """(side, case) of every call, in order."""
    lines = (project.root / "calls.log").read_text(encoding="utf-8").splitlines()
    return [(line.split()[0], line.split()[1]) for line in lines]


def slowdown(project: Project, run: str) -> dict[str, Any]:
    """The check of the typical slowdown."""
    checks = json.loads((project.root / run / "decision.json").read_text(encoding="utf-8"))["checks"]
    (found,) = [each for each in checks if each["name"] == "slowdown"]
    return dict(found)


def test_a_busy_hour_is_no_slowdown(project: Project) -> None:
    """Both systems need four times the stored seconds: asked by turns, none is slower."""
    write(project, seconds="0.02", baseline=OLD)
    ran = project.run("run", "suite.yaml", "--out", "busy")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert slowdown(project, "busy")["outcome"] == "pass"


def test_every_case_is_asked_on_both_sides_and_half_of_them_of_the_old_system_first(project: Project) -> None:
    """One call each; who comes first is balanced, and the same in every run."""
    write(project, seconds="0.02", baseline=OLD)
    project.run("run", "suite.yaml", "--out", "busy")
    calls = log(project)
    assert set(Counter(calls).values()) == {1}
    first = {case: side for side, case in reversed(calls)}
    assert len(calls) == 2 * len(first) == 240
    assert 40 <= sum(side == "old" for side in first.values()) <= 80


def test_a_real_slowdown_blocks(project: Project) -> None:
    """Against the stored run alone it would only warn."""
    write(project, seconds="0.06", baseline=OLD)
    ran = project.run("run", "suite.yaml", "--out", "slow")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert slowdown(project, "slow")["outcome"] == "block"
    assert project.run("gate", "slow").returncode == 1
    write(project, seconds="0.06", baseline="main")
    stored = project.run("run", "suite.yaml", "--out", "stored")
    assert stored.returncode == 0, stored.stdout + stored.stderr
    assert slowdown(project, "stored")["outcome"] == "warn"


def test_a_resumed_run_asks_no_pair_again(project: Project) -> None:
    """Pairs that are whole stay; an open case is asked on both sides."""
    write(project, seconds="0.02", baseline=OLD)
    project.run("run", "suite.yaml", "--out", "busy")
    rows = project.root / "busy" / "rows.jsonl"
    lines = rows.read_text(encoding="utf-8").splitlines(keepends=True)
    rows.write_text("".join(lines[:-10]), encoding="utf-8")
    (project.root / "busy" / "decision.json").unlink()
    before = len(log(project))
    ran = project.run("run", "suite.yaml", "--out", "busy", "--resume")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(log(project)) == before + 20


def test_an_old_system_that_is_down_is_missing_evidence(project: Project) -> None:
    """The stored run still speaks for quality; for speed nothing does, and the reason says why."""
    write(project, seconds="0.06", baseline=OLD.replace("side: old", "side: old, down: true"))
    ran = project.run("run", "suite.yaml", "--out", "down")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = slowdown(project, "down")
    assert found["outcome"] == "insufficient evidence"
    assert "0 cases were measured in both runs" in found["reason"]
    assert "the old system failed in 120 of 120 (exception)" in found["reason"]
    (quality,) = [c for c in project.json("down/decision.json")["checks"] if c["name"] == "no_regression"]
    assert quality["outcome"] == "pass"
