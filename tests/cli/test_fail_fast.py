"""`--fail-fast`: a run that stops asking after some failed cases, and goes on; in processes of its own."""

from __future__ import annotations

from cli_project import Project


def test_a_run_stops_after_so_many_failed_cases_and_can_be_resumed(project: Project) -> None:
    """A partial run (exit 3) that says why; calls in flight end; resumed without the flag it is a whole run."""
    project.suite(broken="left")
    stopped = project.run("run", "suite.yaml", "--out", "first", "--baseline", "none", "--fail-fast", "3")
    said, asked = " ".join(stopped.stdout.split()), len(project.calls())
    assert stopped.returncode == 3, stopped.stdout + stopped.stderr
    assert "--fail-fast 3: stopped after" in said
    assert "go on with --resume" in said
    assert 6 <= asked <= 6 + 2 * 4, "every second case fails, four are in flight"
    whole = project.run("run", "suite.yaml", "--out", "first", "--baseline", "none", "--resume")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert sorted(project.calls()) == sorted(set(project.calls())), "nothing was asked twice"
    assert len(project.calls()) == 120


def test_a_run_that_asked_everything_has_not_stopped(project: Project) -> None:
    """Too few failed cases, or the last case of all is the one too many: the decision stands."""
    project.suite(broken="left-119")
    for number, run in (("2", "few"), ("1", "last")):
        ran = project.run("run", "suite.yaml", "--out", run, "--baseline", "none", "--fail-fast", number)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_repeats_of_a_case_are_one_failed_case(project: Project) -> None:
    """Cases are counted, not calls."""
    project.cases(20)
    project.suite(broken="left-001")
    ran = project.run("run", "suite.yaml", "--out", "few", "--baseline", "none", "--repeat", "5", "--fail-fast", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr
