"""What is suggested and listed after a run of several systems, with real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from several_project import GATE, SeveralProject, system

OLD, NEW, SAME = system(side="old"), system("right-0"), system(side="same")


@pytest.fixture
def several(tmp_path: Path) -> SeveralProject:
    """A project with several systems and few cases."""
    project = SeveralProject(tmp_path)
    project.cases(40)
    return project


def test_a_compared_system_loosens_nothing_when_a_run_is_decided_again(several: SeveralProject) -> None:
    """As in the run itself: that it differs from a baseline of another system is what the suite asks for."""
    several.systems(f"release: [new]\n{GATE}", old=OLD, new=SAME)
    assert 0 == several.run("run", "suite.yaml", "--out", "out", "--no-report").returncode
    assert 0 == several.run("baseline", "save", "out/systems/new", "--name", "main").returncode
    assert 0 == several.run("gate", "out").returncode
    assert [] == several.json("out/systems/old/decision.json")["amendments"]


def test_a_run_of_chosen_cases_is_resumed_with_the_same_flag(several: SeveralProject) -> None:
    """The message names the flag of the run that is there."""
    several.systems("", old=OLD, new=NEW)
    run = ("run", "suite.yaml", "--no-report", "--out")
    assert 3 == several.run(*run, "some", "--limit", "10").returncode
    ran = several.run(*run, "some", "--resume")
    assert (2, True) == (ran.returncode, "the run in it was made with --limit 10" in ran.stderr), ran.stderr
    assert "repeat the flag, or start a new run" in ran.stderr
    assert 3 == several.run(*run, "some", "--resume", "--limit", "10").returncode
    assert 0 == several.run(*run, "all").returncode
    ran = several.run(*run, "all", "--resume", "--sample", "20")
    assert (2, True) == (ran.returncode, "the run in it was made without --sample 20" in ran.stderr), ran.stderr


def test_the_latest_run_is_not_the_baseline_saved_from_it(several: SeveralProject) -> None:
    """The copy finished at the same time, and its reference is not beside it."""
    several.systems(f"release: [new]\n{GATE}", old=OLD, new=SAME)
    assert 0 == several.run("run", "suite.yaml", "--out", "reports/r", "--no-report").returncode
    assert 0 == several.run("baseline", "save", "reports/r/systems/new", "--name", "main").returncode
    ran = several.run("gate", "latest")
    assert (0, True) == (ran.returncode, "new approved" in ran.stdout), ran.stdout + ran.stderr


@pytest.mark.parametrize(("more", "listed"), [(f"release: [new]\n{GATE}", ["new"]), ("", ["new", "old"])])
def test_the_list_of_runs_has_the_release_systems(several: SeveralProject, more: str, listed: list[str]) -> None:
    """All systems if none is released; a baseline saved from one is not listed again."""
    several.systems(more, old=OLD, new=SAME)
    assert 0 == several.run("run", "suite.yaml", "--out", "reports/r", "--no-report").returncode
    save = ("baseline", "save", "reports/r/systems/new", "--name", "main", "--accept", "it is")
    assert 0 == several.run(*save).returncode
    said = several.run("runs").stdout
    assert listed == sorted(word.rpartition("/")[2] for word in said.split() if word.startswith("r/systems/")), said
    assert "main" not in said
