"""A baseline whose system can be called: what looks worse is run again on both sides before it blocks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_project import Project

BOT = """\
import pathlib

def answer(input: str, id: str, side: str = "new", wrong: str = "", once: str = "") -> str:
    log = pathlib.Path(__file__).with_name(side + ".log")
    with log.open("a") as file:
        file.write(id + "\\n")
    times = log.read_text().split().count(id)
    broken = id in wrong.split() or (id in once.split() and times == 1)
    a, b = input.split("+")
    return "no idea" if broken else str(int(a) + int(b))
"""
SUITE = """\
name: sums
golden: cases.jsonl
system: {python: "bot:answer", arguments: {side: new, NEW}}
scorers: [exact]
cohorts: [group]
concurrency: 2
gate:
  - no_regression: {baseline: BASELINE, metrics: [pass_rate]}
"""
OLD = '{run: main, system: {python: "bot:answer", arguments: {side: old, GIVEN}}}'
FIRST = " ".join(f"left-{number:03d}" for number in range(1, 17, 2))
"""Eight cases."""
OTHERS = " ".join(f"left-{number:03d}" for number in range(17, 33, 2))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a saved baseline of a sound system."""
    made = Project(tmp_path)
    (tmp_path / "bot.py").write_text(BOT, encoding="utf-8")
    write(made, new="", baseline="main")
    assert made.run("run", "suite.yaml", "--out", "first", "--baseline", "none").returncode == 0
    assert made.run("baseline", "save", "first", "--name", "main").returncode == 0
    for log in ("new.log", "old.log"):
        (tmp_path / log).unlink(missing_ok=True)
    return made


def write(project: Project, *, new: str, baseline: str, old: str = "") -> None:
    """The suite with arguments of the new system, and of the old one where it can be called."""
    text = SUITE.replace("NEW", new).replace("BASELINE", baseline).replace("GIVEN", old)
    project.suite(text=text.replace(", }", "}"))


def calls(project: Project, side: str) -> list[str]:
    """Ids that one side was asked."""
    log = project.root / f"{side}.log"
    return log.read_text(encoding="utf-8").split() if log.exists() else []


def test_an_unchanged_system_costs_no_further_call(project: Project) -> None:
    """Nothing looks worse, so nothing is run again."""
    write(project, new="", baseline=OLD)
    ran = project.run("run", "suite.yaml", "--out", "same")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (len(calls(project, "new")), len(calls(project, "old"))) == (120, 0)


def test_a_real_regression_blocks_after_both_sides_were_run_again(project: Project) -> None:
    """The broken cohort is named; the cases of the gates that looked worse have four runs on either side."""
    write(project, new=f"wrong: '{FIRST}'", baseline=OLD)
    ran = project.run("run", "suite.yaml", "--out", "worse")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "group=left" in ran.stdout
    old, new = calls(project, "old"), calls(project, "new")
    assert set(old) <= set(new)
    assert all(old.count(case) == 3 for case in set(old))
    assert all(new.count(case) == 4 for case in set(old))
    assert {f"left-{number:03d}" for number in range(1, 120, 2)} <= set(old)
    again = project.run("gate", "worse")
    assert again.returncode == 1, again.stdout + again.stderr


def test_flakes_that_looked_like_a_regression_do_not_block(project: Project) -> None:
    """Eight cases fail once; run again on both sides, the old system fails as often on others."""
    flaky = f"once: '{FIRST}'"
    write(project, new=flaky, baseline="main")
    alone = project.run("run", "suite.yaml", "--out", "alone")
    assert alone.returncode == 1, "with a stored run alone this blocks"
    (project.root / "new.log").unlink()
    write(project, new=flaky, baseline=OLD, old=f"once: '{OTHERS}'")
    ran = project.run("run", "suite.yaml", "--out", "flaky")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(calls(project, "old")) > 0


def test_an_interrupted_escalation_goes_on(project: Project) -> None:
    """What the old system has answered already is not asked again by a resumed run."""
    write(project, new=f"wrong: '{FIRST}'", baseline=OLD)
    assert project.run("run", "suite.yaml", "--out", "worse").returncode == 1
    rows = project.root / "worse" / "baseline_rows.jsonl"
    lines = rows.read_text(encoding="utf-8").splitlines(keepends=True)
    rows.write_text("".join(lines[: len(lines) // 2]), encoding="utf-8")
    (project.root / "worse" / "decision.json").unlink()
    before_new, before_old = len(calls(project, "new")), len(calls(project, "old"))
    ran = project.run("run", "suite.yaml", "--out", "worse", "--resume")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert len(calls(project, "new")) == before_new
    assert len(calls(project, "old")) == before_old + len(lines) - len(lines) // 2
    assert len(rows.read_text(encoding="utf-8").splitlines()) == len(lines)


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ("{run: main}", "expected a name, or run and system"),
        ("{run: main, system: {python: 'gone:answer'}}", "gone"),
        ("{run: main, system: {pyhton: 'bot:answer'}}", "expected one of"),
    ],
)
def test_an_old_system_that_cannot_be_called_is_named(project: Project, baseline: str, message: str) -> None:
    """Before the first call."""
    write(project, new="", baseline=baseline)
    ran = project.run("check", "suite.yaml")
    assert ran.returncode == 2
    assert message in ran.stderr
    assert "baseline" in ran.stderr


def test_the_decision_says_what_was_tested(project: Project) -> None:
    """The check names the level of two stages."""
    write(project, new=f"wrong: '{FIRST}'", baseline=OLD)
    project.run("run", "suite.yaml", "--out", "worse")
    checks = json.loads((project.root / "worse" / "decision.json").read_text(encoding="utf-8"))["checks"]
    (left,) = [each for each in checks if (each["name"], each["cohort"]) == ("no_regression", "group=left")]
    assert left["need"] == "no drop at p <= 0.02"
    assert left["outcome"] == "block"


def test_another_baseline_is_compared_as_stored(project: Project) -> None:
    """The old system speaks for the run that stands beside it; one named on the command line is not mixed with it."""
    write(project, new=f"wrong: '{FIRST}'", baseline="main")
    assert project.run("run", "suite.yaml", "--out", "bad", "--baseline", "none").returncode == 0
    (project.root / "new.log").unlink()
    write(project, new=f"wrong: '{FIRST}'", baseline=OLD)
    ran = project.run("run", "suite.yaml", "--out", "same", "--baseline", "bad")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert calls(project, "old") == []
    assert not (project.root / "same" / "baseline_rows.jsonl").exists()


def test_an_old_system_that_is_down_is_no_second_look(project: Project) -> None:
    """Then a gate is decided as against a stored run, at its level, and says so."""
    six = " ".join(FIRST.split()[:6])
    write(project, new=f"once: '{six}'", baseline="main")
    alone = project.run("run", "suite.yaml", "--out", "alone")
    (project.root / "new.log").unlink()
    down = OLD.replace("bot:answer", "gone:answer")
    (project.root / "gone.py").write_text("def answer(input: str, side: str = '') -> str:\n    raise OSError('down')\n")
    write(project, new=f"once: '{six}'", baseline=down)
    ran = project.run("run", "suite.yaml", "--out", "down")
    assert alone.returncode == ran.returncode == 0, ran.stdout + ran.stderr
    said = (project.root / "down" / "decision.json").read_text(encoding="utf-8")
    assert "the old system did not answer again" in said


def test_deciding_again_changes_neither_coverage_nor_decision(project: Project) -> None:
    """Cases that were run again count neither as planned nor as scored twice."""
    write(project, new=f"wrong: '{FIRST}'", baseline=OLD)
    assert project.run("run", "suite.yaml", "--out", "worse").returncode == 1
    first = (project.root / "worse" / "decision.json").read_bytes()
    coverage = project.json("worse/summary.json")["coverage"]
    assert project.run("gate", "worse").returncode == 1
    assert (project.root / "worse" / "decision.json").read_bytes() == first
    assert (
        project.json("worse/summary.json")["coverage"]
        == coverage
        == {
            "overall": [120, 120],
            "group=left": [60, 60],
            "group=right": [60, 60],
        }
    )


def saved_with_four_repeats(project: Project) -> None:
    """Replace the baseline by one of four runs, and forget the calls."""
    write(project, new="", baseline="main")
    assert project.run("run", "suite.yaml", "--out", "four", "--repeat", "4", "--baseline", "none").returncode == 0
    saved = project.run("baseline", "save", "four", "--name", "main")
    assert saved.returncode == 0, saved.stderr
    assert "--repeat" not in saved.stdout
    (project.root / "new.log").unlink()


def test_against_four_stored_runs_the_candidate_alone_is_asked_again(project: Project) -> None:
    """Only the cases of gates that look worse, up to four runs of each; deciding again says the same."""
    saved_with_four_repeats(project)
    write(project, new=f"wrong: '{FIRST}'", baseline="main")
    ran = project.run("run", "suite.yaml", "--out", "worse")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    new = calls(project, "new")
    assert {case for case in set(new) if new.count(case) == 4} >= {f"left-{n:03d}" for n in range(1, 120, 2)}
    assert set(map(new.count, new)) <= {1, 4}
    decided = (project.root / "worse" / "decision.json").read_bytes()
    checks = json.loads(decided)["checks"]
    (left,) = [each for each in checks if (each["name"], each["cohort"]) == ("no_regression", "group=left")]
    assert (left["outcome"], left["need"]) == ("block", "no drop at p <= 0.02")
    assert project.run("gate", "worse").returncode == 1
    assert (project.root / "worse" / "decision.json").read_bytes() == decided


def test_a_flake_does_not_block_against_four_stored_runs(project: Project) -> None:
    """Four cases that fail once look worse at .10; four runs of each do not say so."""
    saved_with_four_repeats(project)
    four = " ".join(FIRST.split()[:4])
    write(project, new=f"once: '{four}'", baseline="main")
    ran = project.run("run", "suite.yaml", "--out", "flaky")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(calls(project, "new")) > 120


def test_saving_a_single_run_recommends_four(project: Project) -> None:
    """One stored run finds half as much as four; the line to run is printed."""
    saved = project.run("baseline", "save", "first", "--name", "main")
    assert saved.returncode == 0, saved.stderr
    assert "evalkit baseline save main --name main --repeat 4" in saved.stdout


@pytest.mark.parametrize(("flag", "condition"), [((), False), (("--repeat", "1"), True)], ids=["flag", "suite"])
def test_a_baseline_of_four_runs_asks_for_four_only_where_the_suite_does(
    flag: tuple[str, ...], condition: bool, project: Project
) -> None:
    """Four runs by a flag are evidence; four runs by the suite are a rule, and fewer of them loosen it."""
    if condition:
        text = (project.root / "suite.yaml").read_text(encoding="utf-8")
        project.suite(text=text.replace("concurrency: 2", "concurrency: 2\nrepeat: 4"))
    asked = () if condition else ("--repeat", "4")
    assert project.run("run", "suite.yaml", "--out", "four", "--baseline", "none", *asked).returncode == 0
    assert project.run("baseline", "save", "four", "--name", "main").returncode == 0
    assert project.run("run", "suite.yaml", "--out", "again", *flag).returncode == 0
    found = {each["what"]: each["loosens"] for each in project.json("again/decision.json")["amendments"]}
    assert found.get("repeat", False) is condition
