"""What a run prints and where it writes: `--quiet` and `--junit`, in processes of its own."""

from __future__ import annotations

import pytest
from cli_project import Project


def test_quiet_prints_the_verdict_and_what_failed_and_nothing_else(project: Project) -> None:
    """A headline where all is well, and a looser rule; else why, and which cases; no progress, no places of reports."""
    project.cases(40)
    good = project.run("run", "suite.yaml", "--out", "good", "--baseline", "none", "-q")
    project.suite(broken="left")
    text = (project.root / "suite.yaml").read_text(encoding="utf-8").replace("min: 0.3", "min: 0.9")
    project.suite(text=text)
    bad = project.run("run", "suite.yaml", "--out", "bad", "--baseline", "none", "--quiet")
    assert (good.returncode, bad.returncode) == (0, 1)
    assert good.stderr == bad.stderr == ""
    assert " ".join(good.stdout.split()).count("not compared with baseline") == 1, good.stdout
    assert len(good.stdout.splitlines()) <= 3, good.stdout
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
    """The same file as in the folder, also where the folder has no reports."""
    project.cases(10)
    both = project.run("run", "suite.yaml", "--out", "a", "--baseline", "none", "--junit", "junit-a.xml")
    alone = project.run(
        "run", "suite.yaml", "--out", "b", "--baseline", "none", "--no-report", "--junit", "junit-b.xml"
    )
    assert (both.returncode, alone.returncode) == (0, 0)
    here = (project.root / "junit-a.xml").read_bytes()
    assert here == (project.root / "a" / "junit.xml").read_bytes()
    assert not (project.root / "b" / "junit.xml").exists()
    assert here.count(b"<testcase ") == (project.root / "junit-b.xml").read_bytes().count(b"<testcase ") == 10


def test_the_folder_of_an_extra_file_is_made(project: Project) -> None:
    """A run that was paid for is not lost for the want of a folder."""
    project.cases(10)
    words = ("--junit", "test-results/e.xml", "--summary", "more/of/it.md")
    ran = project.run("run", "suite.yaml", "--baseline", "none", *words)
    assert ran.returncode == 0, ran.stderr
    assert (project.root / "test-results" / "e.xml").read_bytes().count(b"<testcase ") == 10
    assert "evalkit: sums" in (project.root / "more" / "of" / "it.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("flag", ["--junit", "--summary"])
@pytest.mark.parametrize("target", [".", "bot.py/e.xml"])
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_can_be_no_file_is_refused_before_the_first_call(
    project: Project, flag: str, target: str, dry: tuple[str, ...]
) -> None:
    """A folder, or a file where a folder has to be: exit 2."""
    ran = project.run("run", "suite.yaml", "--baseline", "none", flag, target, *dry)
    assert ran.returncode == 2, ran.stderr
    assert "folder" in ran.stderr
    assert project.calls() == []


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_file_that_the_disk_refuses_hides_no_decision(project: Project, flags: tuple[str, ...]) -> None:
    """Exit 4, after the decision was printed."""
    ran = project.run("run", "suite.yaml", "--baseline", "none", "--junit", "e" * 300, *flags)
    assert ran.returncode == 4
    assert "approved" in ran.stdout.lower()


def test_the_cases_are_written_as_a_table(project: Project) -> None:
    """`report --csv` writes a row a case to the named place; a place that can be no file is refused."""
    project.cases(10)
    assert project.run("run", "suite.yaml", "--out", "run", "--no-report", "--baseline", "none").returncode == 0
    made = project.run("report", "run", "--csv", "tables/cases.csv")
    assert made.returncode == 0, made.stderr
    text = (project.root / "tables/cases.csv").read_text(encoding="utf-8-sig")
    assert text.startswith("case_id,repeat,kind,severity,")
    assert len(text.splitlines()) == 11
    refused = project.run("report", "run", "--csv", ".")
    assert refused.returncode == 2
    evidence = (project.root / "run/rows.jsonl").read_bytes()
    refused = project.run("report", "run", "--csv", "run/rows.jsonl", "--summary", "run/manifest.json")
    assert refused.returncode == 2
    assert "run/rows.jsonl: it is a file of a run; name another place" in refused.stderr
    assert "run/manifest.json: it is a file of a run" in refused.stderr
    assert (project.root / "run/rows.jsonl").read_bytes() == evidence


@pytest.mark.parametrize("given", ["base", "none"])
def test_reports_are_made_again_against_the_baseline_of_the_run(project: Project, given: str) -> None:
    """What was decided stays decided, though the suite names another baseline that is there by now."""
    project.cases(40)
    assert project.run("run", "suite.yaml", "--out", "base", "--baseline", "none").returncode == 0
    project.suite(broken="left")
    project.run("run", "suite.yaml", "--out", "run", "--baseline", given)
    decided = (project.root / "run" / "decision.json").read_bytes()
    saved = project.run("baseline", "save", "run", "--name", "main", "--accept", "it is what we have")
    assert saved.returncode == 0, saved.stderr
    made = project.run("report", "run")
    assert made.returncode == 0, made.stderr
    assert (project.root / "run" / "decision.json").read_bytes() == decided
