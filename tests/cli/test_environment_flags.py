"""Flags of `run` in the environment: a flag goes before them, they go before the suite; in processes of its own."""

from __future__ import annotations

import json

import pytest
from cli_project import Project


@pytest.mark.parametrize(
    ("flags", "env", "rows"),
    [
        pytest.param((), {}, 20, id="suite"),
        pytest.param((), {"EVALKIT_REPEAT": "3"}, 30, id="environment"),
        pytest.param(("--repeat", "1"), {"EVALKIT_REPEAT": "3"}, 10, id="flag"),
        pytest.param((), {"EVALKIT_CASE": "left-001 right-002"}, 4, id="several"),
        pytest.param((), {"EVALKIT_REPEAT": "", "EVALKIT_DRY_RUN": "1"}, 20, id="nothing"),
    ],
)
def test_a_flag_goes_before_the_environment_and_that_before_the_suite(
    project: Project, flags: tuple[str, ...], env: dict[str, str], rows: int
) -> None:
    """What is empty says nothing, and no variable makes a gate a dry run."""
    project.cases(10)
    project.suite(text=(project.root / "suite.yaml").read_text(encoding="utf-8") + "repeat: 2\n")
    ran = project.run("run", "suite.yaml", "--out", "first", "--baseline", "none", *flags, env=env)
    assert ran.returncode == (3 if "EVALKIT_CASE" in env else 0), ran.stdout + ran.stderr
    assert len(project.calls()) == rows
    command = json.loads((project.root / "first" / "manifest.json").read_text(encoding="utf-8"))["command"]
    assert all(value in command for name, value in env.items() if name != "EVALKIT_DRY_RUN")


def test_a_value_that_is_none_is_refused_like_that_of_the_flag(project: Project) -> None:
    """Exit 2 before any call."""
    ran = project.run("run", "suite.yaml", env={"EVALKIT_LIMIT": "many"})
    assert ran.returncode == 2
    assert "'--limit': 'many'" in ran.stderr
    assert project.calls() == []
