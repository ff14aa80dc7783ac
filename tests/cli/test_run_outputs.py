"""What a run prints and where it writes: `--quiet` and `--junit`, in processes of its own."""

from __future__ import annotations

from cli_project import Project


def test_quiet_prints_the_verdict_and_what_failed_and_nothing_else(project: Project) -> None:
    """One line where all is well; else why, and which cases; no progress, no places of reports."""
    project.cases(40)
    good = project.run("run", "suite.yaml", "--out", "good", "--baseline", "none", "-q")
    project.suite(broken="left")
    text = (project.root / "suite.yaml").read_text(encoding="utf-8").replace("min: 0.3", "min: 0.9")
    project.suite(text=text)
    bad = project.run("run", "suite.yaml", "--out", "bad", "--baseline", "none", "--quiet")
    assert (good.returncode, bad.returncode) == (0, 1)
    assert good.stderr == bad.stderr == ""
    assert good.stdout.count("no baseline") == 1, good.stdout
    assert len(good.stdout.splitlines()) <= 2, good.stdout
    lines = bad.stdout.splitlines()
    assert lines[0].startswith("BLOCKED")
    assert "20 failing left-001" in bad.stdout
    assert len(lines) <= 6, bad.stdout


def test_quiet_and_verbose_contradict_each_other(project: Project) -> None:
    """Told before anything is asked."""
    ran = project.run("run", "suite.yaml", "-q", "-v")
    assert ran.returncode == 2
    assert "give one of them" in ran.stderr
    assert project.calls() == []


def test_junit_is_written_to_a_second_place(project: Project) -> None:
    """The same file as in the folder, also where the folder has no reports; a place that is none is told."""
    project.cases(10)
    both = project.run("run", "suite.yaml", "--out", "a", "--baseline", "none", "--junit", "junit-a.xml")
    alone = project.run(
        "run", "suite.yaml", "--out", "b", "--baseline", "none", "--no-report", "--junit", "junit-b.xml"
    )
    nowhere = project.run("run", "suite.yaml", "--out", "c", "--baseline", "none", "--junit", "no/such/junit.xml")
    assert (both.returncode, alone.returncode, nowhere.returncode) == (0, 0, 4)
    here = (project.root / "junit-a.xml").read_bytes()
    assert here == (project.root / "a" / "junit.xml").read_bytes()
    assert not (project.root / "b" / "junit.xml").exists()
    assert here.count(b"<testcase ") == (project.root / "junit-b.xml").read_bytes().count(b"<testcase ") == 10
    assert "no/such/junit.xml" in nowhere.stderr
