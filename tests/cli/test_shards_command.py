"""`evalkit run --shard` and `evalkit merge` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_project import Project

SUITE = """\
name: sums
golden: cases.jsonl
system: {python: "bot:answer", arguments: {broken: "BROKEN"}}
scorers: [exact]
cohorts: [group]
gate:
  - pass_rate: {min: 0.9}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of 40 cases, whose system breaks on the left half if it is asked to."""
    made = Project(tmp_path)
    made.cases(40)
    made.suite(text=SUITE)
    return made


def words_of(text: str) -> str:
    """A text of the terminal on one line."""
    return " ".join(text.split())


def test_two_shards_make_one_decision_that_other_commands_take(project: Project) -> None:
    """A shard says what to do next; each case is called once; the merge is a run like any other."""
    first = project.run("run", "suite.yaml", "--shard", "1/2", "--out", "s1", "--progress", "none")
    assert first.returncode == 3, first.stderr
    assert "this is shard 1/2" in words_of(first.stdout)
    assert "evalkit merge s1 OTHER_SHARDS --out MERGED" in words_of(first.stdout)
    assert project.run("run", "suite.yaml", "--shard", "2/2", "--out", "s2", "--progress", "none").returncode == 3
    merged = project.run("merge", "s2", "s1", "--out", "reports/merged", "--summary", "all.md", "--junit", "all.xml")
    assert merged.returncode == 0, merged.stdout + merged.stderr
    assert sorted(project.calls()) == sorted({*project.calls()})
    assert len(project.calls()) == 40
    assert "APPROVED" in merged.stdout
    assert "sums" in (project.root / "all.md").read_text(encoding="utf-8")
    assert (project.root / "all.xml").is_file()
    for command in (
        ("verify", "reports/merged"),
        ("gate", "reports/merged"),
        ("report", "latest"),
        ("score", "reports/merged", "--suite", "suite.yaml", "--out", "reports/again"),
        ("diff", "reports/merged", "reports/again"),
        ("baseline", "save", "reports/merged"),
        ("run", "suite.yaml", "--out", "reports/merged", "--resume"),
    ):
        ran = project.run(*command)
        assert ran.returncode == 0, (command, ran.stdout + ran.stderr)
    assert len(project.json("reports/merged/manifest.json")["shards"]) == 2  # type: ignore[arg-type]
    assert "merged" in project.run("runs", "reports").stdout


def test_a_merge_blocks_as_a_run_does(project: Project) -> None:
    """Exit code 1, and the decision as JSON."""
    project.suite("left", SUITE)
    for number in ("1", "2"):
        project.run("run", "suite.yaml", "--shard", f"{number}/2", "--out", f"s{number}", "--quiet", "--no-report")
    merged = project.run("merge", "s1", "s2", "--out", "merged", "--json")
    assert merged.returncode == 1, merged.stderr
    assert merged.stdout == (project.root / "merged" / "decision.json").read_text(encoding="utf-8")
    assert project.json("merged/decision.json")["outcome"] == "blocked"


def test_what_cannot_be_merged_is_refused_before_anything_is_written(project: Project) -> None:
    """All problems, each with its fix; a shard that was stopped says how to complete itself."""
    project.suite("left", SUITE)
    stopped = project.run("run", "suite.yaml", "--shard", "1/3", "--out", "s1", "--fail-fast", "1", "--no-report")
    assert stopped.returncode == 3
    assert "evalkit run suite.yaml --shard 1/3 --out s1 --resume" in words_of(stopped.stdout)
    merged = project.run("merge", "s1", "--out", "merged")
    assert merged.returncode == 2
    said = words_of(merged.stderr)
    assert "shard 1/3 is not complete" in said
    assert "shard 2/3 is missing" in said
    assert "shard 3/3 is missing" in said
    assert not (project.root / "merged").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--shard", "two"), "--shard: 'two' is not a shard; write its number and how many there are, such as 2/8"),
        (("--shard", "9/8"), "--shard: there is no shard 9 of 8; number them from 1 to 8"),
        (("--shard", "1/2", "--limit", "3"), "--shard: two choices of cases: --limit 3 --shard 1/2; give one of them"),
    ],
)
def test_a_shard_that_cannot_be_meant_is_refused(project: Project, flags: tuple[str, ...], said: str) -> None:
    """Before the first call."""
    ran = project.run("run", "suite.yaml", "--out", "none", *flags)
    assert ran.returncode == 2
    assert said in words_of(ran.stderr)
    assert project.calls() == []
