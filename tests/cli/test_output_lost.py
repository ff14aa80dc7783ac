"""Exit code 0 means that the output was printed, or that a decision on disk says so."""

import subprocess

import pytest
from cli_project import Project

LOST = (">&-", ">/dev/full", "| true")


def code_of(project: Project, redirected: str, *words: str) -> int:
    """Exit code of a command whose standard output goes nowhere."""
    import shlex

    line = f"{shlex.join(project.command(*words))} {redirected}; exit ${{PIPESTATUS[0]}}"
    return subprocess.run(["bash", "-c", line], cwd=project.root, check=False, capture_output=True).returncode


def test_what_nobody_can_read_is_not_reported_as_printed(project: Project) -> None:
    """Closed, full or left: 4 for what only prints, and never 1, which says something else."""
    project.cases(20)
    assert project.run("run", "suite.yaml", "--out", "r", "--no-report").returncode == 0
    commands = (["runs", "."], ["verify", "r"], ["check", "suite.yaml"], ["run", "suite.yaml", "--dry-run"])
    ended = {(words[0], to): code_of(project, to, *words) for words in commands for to in LOST[:2]}
    assert ended == dict.fromkeys(ended, 4)
    assert code_of(project, LOST[2], "verify", "r") in (0, 4)  # a pipe may take it all before its reader leaves


@pytest.mark.parametrize("redirected", [">&- 2>&-", ">/dev/full", "| true"])
def test_a_baseline_is_saved_or_the_exit_code_says_no(redirected: str, project: Project) -> None:
    """Whatever becomes of what is printed."""
    project.cases(20)
    assert project.run("run", "suite.yaml", "--out", "r", "--no-report").returncode == 0
    code = code_of(project, redirected, "baseline", "save", "r")
    assert code in (0, 4)
    assert (project.root / "reports" / "baselines" / "main" / "decision.json").exists()
