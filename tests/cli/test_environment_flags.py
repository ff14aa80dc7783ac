"""Flags of `run` in the environment: a flag goes before them, they go before the suite; in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from cli_project import Project

from evalkit.cli.commands import command

READ = (
    "out baseline resume retry_errors limit sample case cohort failed_from shard repeat concurrency timeout deadline "
    "budget fail_fast engine workers shard_size scheduler insecure_scheduler seed cache refresh_cache report summary "
    "junit json progress verbose quiet no_color"
).split()
"""What docs/environment.md says: every flag but `--dry-run`, `--watch` and `--help`."""


@pytest.mark.parametrize(
    ("flags", "env", "rows"),
    [
        pytest.param((), {}, 20, id="suite"),
        pytest.param((), {"EVALKIT_REPEAT": "3"}, 30, id="environment"),
        pytest.param(("--repeat", "1"), {"EVALKIT_REPEAT": "3"}, 10, id="flag"),
        pytest.param((), {"EVALKIT_CASE": "left-001 right-002"}, 4, id="several"),
        pytest.param((), {"EVALKIT_REPEAT": "", "EVALKIT_DRY_RUN": "1", "EVALKIT_SUITE": "s"}, 20, id="nothing"),
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
    assert "EVALKIT_DRY_RUN" not in command
    assert "EVALKIT_SUITE" not in command
    assert all(value in command for name, value in env.items() if name not in ("EVALKIT_DRY_RUN", "EVALKIT_SUITE"))


def test_a_value_that_is_none_is_refused_like_that_of_the_flag(project: Project) -> None:
    """Exit 2 before any call."""
    ran = project.run("run", "suite.yaml", env={"EVALKIT_LIMIT": "many"})
    assert ran.returncode == 2
    assert "'--limit': 'many'" in ran.stderr
    assert project.calls() == []


def test_only_the_flags_of_the_documentation_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every parameter of the command as it is built, its help among them."""
    run = command("run")
    context = run.make_context("run", ["suite.yaml"], resilient_parsing=True, auto_envvar_prefix="EVALKIT")
    parameters = run.get_params(context)
    assert {"help", "suite", "dry_run"} < {each.name for each in parameters}
    for each in parameters:
        monkeypatch.setenv(f"EVALKIT_{each.name.upper()}", "1")
    assert [each.name for each in parameters if each.value_from_envvar(context) is not None] == READ


def test_no_variable_asks_for_help_instead_of_a_run(project: Project) -> None:
    """A gate that asks nothing would be green."""
    project.cases(10)
    ran = project.run("run", "suite.yaml", "--baseline", "none", env={"EVALKIT_HELP": "1"})
    assert "Usage:" not in ran.stdout
    assert len(project.calls()) == 10


def test_the_command_to_go_on_with_holds_no_secret(project: Project) -> None:
    """What Ctrl-C prints is blotted out as the manifest's command is."""
    canary = {"JUDGE_API_KEY": "canary-1234567890", "EVALKIT_JUNIT": "canary-1234567890.xml"}
    with subprocess.Popen(
        project.command("run", "suite.yaml", "--baseline", "none"),
        cwd=project.root,
        env={**os.environ, **canary, "BOT_DELAY_S": "0.3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        while running.poll() is None and not project.calls():
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        said = "".join(running.communicate(timeout=600))
    assert "EVALKIT_JUNIT=" in said
    assert "--resume" in said
    assert "canary" not in said
