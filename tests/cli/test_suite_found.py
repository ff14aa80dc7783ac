"""A suite that nobody names, a limit of seconds from the command line, and where each setting comes from."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest
from cli_project import SUITE, Project

from evalkit.operations.run import Request, run_suite
from evalkit.runner.engine import Stop
from evalkit.runner.session import Watcher


def below(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder two levels below the project's root."""
    folder = project.root / "team" / "bots"
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        project.command(*words),
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.parametrize(
    "words", [("check",), ("run", "--out", "first"), ("power",), ("golden", "coverage", "--mix", "left=1")], ids=str
)
def test_a_suite_called_evalkit_is_found_from_below(project: Project, words: tuple[str, ...]) -> None:
    """Up to the root of the project."""
    project.suite(name="evalkit.yaml")
    ran = below(project, *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(project.calls()) == (120 if words[0] == "run" else 0)


def test_the_nearest_one_is_taken(project: Project) -> None:
    """As a shell finds its project."""
    project.suite(name="evalkit.yaml")
    near = project.root / "team" / "evalkit.yaml"
    near.parent.mkdir()
    near.write_text(SUITE.replace("name: sums", "name: near").replace("cases.jsonl", "../cases.jsonl"), "utf-8")
    assert below(project, "check").stdout.startswith("near: sound")


def test_none_is_looked_for_beyond_the_project(tmp_path: Path) -> None:
    """What lies above belongs to somebody else."""
    inner = tmp_path / "project"
    inner.mkdir()
    project = Project(inner)
    (tmp_path / "evalkit.yaml").write_text(SUITE, "utf-8")
    ran = project.run("run")
    assert ran.returncode == 2
    assert "no evalkit.yaml" in ran.stderr
    assert "evalkit run suites/" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert project.calls() == []


def test_seconds_of_a_call_from_the_command_line(project: Project) -> None:
    """They go before those of the suite, and are told like these."""
    project.cases(4)
    slow = {"BOT_DELAY_S": "0.4"}
    ran = project.run("run", "suite.yaml", "--out", "short", "--timeout", "0.05", "--baseline", "none", env=slow)
    assert ran.returncode == 3, ran.stdout
    rows = (project.root / "short" / "rows.jsonl").read_text("utf-8")
    assert rows.count("no answer within 0.05 s") == 4
    ran = project.run("run", "suite.yaml", "--out", "long", "--timeout", "20", "--baseline", "none", env=slow)
    assert ran.returncode == 0, ran.stdout


def test_a_check_says_where_each_setting_comes_from(project: Project) -> None:
    """A variable goes before the suite, the suite before the default."""
    env = {"EVALKIT_CONCURRENCY": "7", "EVALKIT_TIMEOUT": "3.5"}
    said = project.run("check", "suite.yaml", "-v", env=env).stdout
    lines = {" ".join(line.split()) for line in said.splitlines()}
    assert "concurrency 7 EVALKIT_CONCURRENCY" in lines
    assert "system.timeout_s 3.5 EVALKIT_TIMEOUT" in lines
    assert "repeat 1 default" in lines
    assert any(line.startswith("cohorts group suite.yaml:6") for line in lines), said
    plain = project.run("check", "suite.yaml", env=env).stdout
    assert "default" not in plain


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_prepared_for_the_end_costs_no_decision(project: Project, *, fails: bool) -> None:
    """It is called once while the system is asked; where it fails, the decision stands all the same."""
    called = []

    def prepare() -> None:
        called.append((project.root / "run" / "manifest.json").exists())
        if fails:
            raise RuntimeError("no such library")

    called_system = 'system: {python: "bot:answer", arguments: {broken: "BROKEN"}}'
    project.suite(text=SUITE.replace(called_system, "system: {replay: golden}"))
    cases = project.root / "cases.jsonl"
    rows = [json.loads(line) for line in cases.read_text("utf-8").splitlines()]
    cases.write_text("".join(json.dumps({**row, "output": row["reference"]}) + "\n" for row in rows), "utf-8")
    request = Request(suite=project.root / "suite.yaml", out=project.root / "run", meanwhile=prepare)
    result = asyncio.run(run_suite(request, Watcher(), Stop(), os.environ))
    assert called == [True]
    assert result.exit_code == 0
    assert (project.root / "run" / "decision.json").is_file()
