"""What is suggested and listed after a run of several systems, with real processes."""

from __future__ import annotations

import re
import shlex
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


def commands_of(several: SeveralProject, out: str) -> list[list[str]]:
    """The commands under "next" in the summaries of a run and of each system, and on the terminal of `gate`."""
    texts = [file.read_text() for file in (several.root / out).rglob("summary.md")]
    sections = [text.partition("**Next**")[2].partition("<details>")[0] for text in texts]
    found = [each for text in sections for each in re.findall(r"`(evalkit [^`]+)`", text)]
    shown = several.run("gate", out).stdout.replace("\\\n", " ")
    found += [line.strip() for line in shown.splitlines() if line.strip().startswith("evalkit ")]
    return [shlex.split(each)[1:] for each in dict.fromkeys(found)]


STORED = "gate: [{pass_rate: 0.1}, {no_regression: {baseline: main}}]\n"


@pytest.mark.parametrize(
    ("more", "words", "code", "wanted"),
    [
        ("release: [broken]\n" + GATE, (), 1, "diff out/systems/old out/systems/broken"),
        ("release: [same]\n" + GATE, (), 0, "- merge\n"),
        ("release: [same]\n" + STORED, (), 0, "baseline save out/systems/same"),
        ("release: [same]\n" + GATE, ("--limit", "10"), 3, "run suite.yaml"),
        ("", ("--limit", "10"), 3, "run suite.yaml"),
        ("release: [same]\ndeadline_s: 0.3\n" + GATE, (), 3, "run suite.yaml --out out --resume"),
        ("release: [flaky]\n" + GATE, (), 3, "run suite.yaml --out out --retry-errors"),
    ],
)
def test_each_suggested_command_can_be_run(
    several: SeveralProject, more: str, words: tuple[str, ...], code: int, wanted: str
) -> None:
    """Copied as it is, none ends as invalid input, whether the run decided or not."""
    script = "import json, sys\na, b = json.load(sys.stdin)['input'].split('+')\nprint(int(a) + int(b))\n"
    (several.root / "flaky.py").write_text(script + "sys.exit(int(a) == 7)\n")
    named = {"flaky": "{command: [python3, flaky.py]}"} if "flaky" in more else {}
    slow = system(side="same", delay=0.1) if "deadline" in more else SAME
    several.systems(more.replace(STORED, GATE), old=OLD, broken=NEW, same=slow, **named)
    if STORED in more:
        assert several.run("run", "suite.yaml", "--out", "first", "--no-report").returncode == 0
        assert several.run("baseline", "save", "first/systems/same", "--name", "main", "--accept", "x").returncode == 0
        several.systems(more, old=OLD, broken=NEW, same=slow, **named)
    ran = several.run("run", "suite.yaml", "--out", "out", *words)
    assert code == ran.returncode, ran.stdout + ran.stderr
    found = commands_of(several, "out")
    summaries = "".join(file.read_text() for file in (several.root / "out").rglob("summary.md"))
    assert wanted in summaries
    assert ("baseline save" in summaries) is (STORED in more)
    for each in found:
        ran = several.run(*each)
        assert 2 != ran.returncode, f"{each}\n{ran.stdout}{ran.stderr}"
