"""`--fail-fast`: a run that stops asking after some failed cases, and goes on; in processes of its own."""

from __future__ import annotations

import json

from cli_project import Project


def test_a_run_stops_after_so_many_failed_cases_and_can_be_resumed(project: Project) -> None:
    """A partial run (exit 3) that says why; calls in flight end; resumed without the flag it is a whole run."""
    project.suite(broken="left")
    stopped = project.run("run", "suite.yaml", "--out", "first", "--baseline", "none", "--fail-fast", "3")
    said, asked = " ".join(stopped.stdout.split()), len(project.calls())
    assert stopped.returncode == 3, stopped.stdout + stopped.stderr
    assert "--fail-fast 3: stopped after so many failed cases" in said
    assert "continue with --resume" in said
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


def test_the_case_after_the_last_allowed_failure_is_not_asked(project: Project) -> None:
    """One call at a time: the second case fails, and the third is not begun."""
    project.cases(3)
    project.suite(broken="left-001")
    words = ("--baseline", "none", "--fail-fast", "1", "--concurrency", "1")
    ran = project.run("run", "suite.yaml", "--out", "first", *words)
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert len(project.calls()) == 2


def test_stored_answers_stop_early_too(project: Project) -> None:
    """Calls that never wait leave the run its turn."""
    project.cases(400)
    rows = (project.root / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    wrong = [json.dumps({**json.loads(row), "output": "wrong"}) for row in rows]
    (project.root / "cases.jsonl").write_text("\n".join(wrong) + "\n", encoding="utf-8")
    text = project.suite().read_text(encoding="utf-8")
    system = next(line for line in text.splitlines() if line.startswith("system:"))
    (project.root / "suite.yaml").write_text(text.replace(system, "system: {replay: golden}"), encoding="utf-8")
    ran = project.run("run", "suite.yaml", "--out", "first", "--baseline", "none", "--fail-fast", "5")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    kept = (project.root / "first" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(kept) == 5


def test_quiet_says_why_there_is_no_decision(project: Project) -> None:
    """The reason to stop, once, with the way to go on."""
    project.suite(broken="left")
    ran = project.run("run", "suite.yaml", "--out", "first", "--baseline", "none", "--fail-fast", "2", "-q")
    said = " ".join(ran.stdout.split())
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert said.count("--fail-fast 2: stopped after so many failed cases; continue with --resume") == 1
    assert said.count("rows are scored") == 1
