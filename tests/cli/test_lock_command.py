"""`--unlocked` in processes of their own: exit 2 without it, 3 with it."""

from __future__ import annotations

import pytest
from cli_project import Project


@pytest.mark.slow
def test_a_set_that_differs_from_its_lock_is_never_approved(project: Project) -> None:
    """Run and gate refuse it, before any call."""
    assert project.run("golden", "lock", "cases.jsonl").returncode == 0
    assert project.run("run", "suite.yaml", "--baseline", "none", "--no-report", "--out", "one").returncode == 0
    n_calls = len(project.calls())
    file = project.root / "cases.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace("7 + 1", "8 + 1", 1), encoding="utf-8")
    for command in (("run", "suite.yaml", "--out", "two"), ("gate", "one"), ("check", "suite.yaml")):
        ran = project.run(*command)
        assert (ran.returncode, len(project.calls())) == (2, n_calls), command
        assert "differs from its lock: 1 changed" in ran.stderr
    ran = project.run("run", "suite.yaml", "--unlocked", "--no-report", "--baseline", "none", "--out", "three")
    assert ran.returncode == 3, ran.stderr
    assert project.run("gate", "one", "--unlocked").returncode == 3
