"""`early_stop: true`: a run ends once its comparison with the baseline is certain, and its decision says so."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest
from cli_project import Project
from forked import forked

BOT = """\
import pathlib

def answer(input: str, id: str) -> str:
    here = pathlib.Path(__file__)
    with here.with_name("calls.log").open("a") as file:
        file.write(id + "\\n")
    wrong = here.with_name("wrong.txt")
    return "no idea" if wrong.exists() and id in wrong.read_text().split() else "yes"
"""
SUITE = """\
name: stopping
golden: cases.jsonl
system: {python: "bot:answer", version: "1"}
scorers: [exact]
cohorts: [group]
concurrency: 8
early_stop: STOP
gate:
  - failures: {severity: critical, max: 0}
  - no_regression: {baseline: main}
"""
N = 400
NOTE = "stopped early at"


def write(project: Project, stop: str = "true", text: str = SUITE) -> None:
    """The suite."""
    project.suite(text=text.replace("STOP", stop))


def cases(root: Path, n: int = N) -> list[str]:
    """Write cases in four groups, the last twelve of which are critical; return their ids."""
    rows = [
        {
            "id": f"c{i:03}",
            "input": f"q{i}",
            "reference": "yes",
            "cohorts": {"group": "abcd"[i % 4]},
            "severity": "critical" if i >= n - 12 else "medium",
        }
        for i in range(n)
    ]
    (root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return [str(row["id"]) for row in rows]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a baseline of four repeats, `main`, and `one` of a single run, which failed one case in twenty."""
    project = Project(tmp_path_factory.mktemp("stopping"))
    (project.root / "bot.py").write_text(BOT, encoding="utf-8")
    cases(project.root)
    write(project, "false")
    for name, repeat in (("main", "4"), ("one", "1")):
        if name == "one":
            breaks(project, 20)
        run = ("run", "suite.yaml", "--out", f"reports/{name}", "--no-report", "--repeat", repeat, "--baseline", "none")
        assert project.run(*run).returncode == 0
        assert project.run("baseline", "save", f"reports/{name}", "--name", name).returncode == 0
    (project.root / "wrong.txt").unlink()
    return project.root


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    """A copy of it, in which no call is logged yet and runs stop early."""
    copied = Project.__new__(Project)
    copied.root = Path(shutil.copytree(made, tmp_path / "project"))
    (copied.root / "calls.log").unlink()
    write(copied)
    return copied


def breaks(project: Project, every: int) -> None:
    """Break one in so many cases."""
    wrong = [f"c{i:03}" for i in range(0, N - 12, every)]
    (project.root / "wrong.txt").write_text(" ".join(wrong), encoding="utf-8")


def words(ran: subprocess.CompletedProcess[str]) -> str:
    """Everything that was printed, in one line."""
    return " ".join((ran.stdout + ran.stderr).split())


def run(project: Project, *more: str, out: str = "reports/new") -> subprocess.CompletedProcess[str]:
    """Run the suite."""
    return project.run("run", "suite.yaml", "--out", out, *more)


def decision(project: Project, out: str = "reports/new") -> dict[str, object]:
    """The decision of a run, without what names the run."""
    found = project.json(f"{out}/decision.json")
    return {key: value for key, value in found.items() if key not in ("run_id", "head")}


def test_a_certain_drop_stops_the_run_and_blocks(project: Project) -> None:
    """A third of the cases fail: the first look is enough, and console, page, summary and decision say so."""
    breaks(project, 3)
    ran = run(project)
    assert ran.returncode == 1, words(ran)
    stopped = project.json("reports/new/decision.json")["stopped_early"]
    assert stopped == {"n_cases": 100, "of": N, "why": "worse", "calls_saved": 300}
    assert len(set(project.calls())) == 100
    assert "stopped early at 100 of 400 cases" in words(ran)
    assert "300 calls saved: a drop is certain" in words(ran)
    for name in ("report.html", "summary.md", "release_decision.md"):
        assert NOTE in (project.root / "reports/new" / name).read_text(encoding="utf-8")
    assert project.json("reports/new/manifest.json")["expected"] == 100


def test_cases_whose_single_failure_counts_come_before_the_first_look(project: Project) -> None:
    """The critical cases are the last of the file, and the first that are called."""
    breaks(project, 3)
    run(project)
    assert set(cases(project.root)[-12:]) <= set(project.calls()[: 12 + 8])


def test_a_better_system_stops_without_a_drop(project: Project) -> None:
    """Against a run that failed one case in twenty, half of them show that no gate would find a drop in the rest."""
    write(project, text=SUITE.replace("baseline: main", "baseline: one, by: []"))
    ran = run(project)
    assert ran.returncode == 0, words(ran)
    assert project.json("reports/new/decision.json")["stopped_early"]["why"] == "fine"  # type: ignore[index]
    assert len(project.calls()) == 200
    assert "no gate would find a 5-point drop in the rest" in words(ran)


def test_without_the_key_or_a_baseline_every_case_is_run(project: Project) -> None:
    """And in a partial run, and without a baseline yet."""
    breaks(project, 3)
    write(project, "false")
    run(project)
    assert len(set(project.calls())) == N
    write(project)
    for at, flags in enumerate((("--baseline", "none"), ("--limit", "350"))):
        (project.root / "calls.log").unlink()
        run(project, *flags, out=f"reports/other-{at}")
        assert len(set(project.calls())) == (N, 350)[at]
        assert project.json(f"reports/other-{at}/decision.json").get("stopped_early") is None


def test_a_limit_is_still_no_decision(project: Project) -> None:
    """A part that the user chose decides nothing, however small its p value."""
    breaks(project, 3)
    assert run(project, "--limit", "200").returncode == 3


def test_the_gate_decides_again_only_where_it_would_have_stopped(project: Project) -> None:
    """The same gate gives the same decision; without `early_stop`, or with other rows, the cases are missing."""
    breaks(project, 3)
    assert run(project).returncode == 1
    before = decision(project)
    assert project.run("gate", "reports/new").returncode == 1
    assert decision(project)["stopped_early"] == before["stopped_early"]
    write(project, "false")
    again = project.run("gate", "reports/new")
    assert again.returncode == 3
    assert "stopped early at 100 of 400 cases" in words(again)
    write(project)
    assert project.run("gate", "reports/new", "--baseline", "none").returncode == 3


def test_a_limited_run_cannot_be_declared_to_have_stopped(project: Project) -> None:
    """Its manifest may say so: the rows do not, and neither does the seal."""
    ran = run(project, "--limit", "300", "--no-report")
    assert ran.returncode == 3
    manifest = project.json("reports/new/manifest.json")
    manifest |= {"partial": None, "expected": 300}
    manifest["stopped_early"] = {"n_cases": 300, "of": N, "why": "worse", "calls_saved": 100}
    (project.root / "reports/new/manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert project.run("gate", "reports/new").returncode == 3


def test_a_stopped_run_is_no_baseline(project: Project) -> None:
    """Not without a reason, and a comparison with it names it."""
    breaks(project, 3)
    assert run(project).returncode == 1
    refused = project.run("baseline", "save", "reports/new", "--name", "short")
    assert refused.returncode == 2
    assert NOTE in words(refused)
    assert project.run("baseline", "save", "reports/new", "--name", "short", "--accept", "a test").returncode == 0
    write(project, "false", SUITE.replace("baseline: main", "baseline: short"))
    assert NOTE in words(run(project, out="reports/against"))


def test_a_resumed_run_goes_on_to_the_end_without_the_key(project: Project) -> None:
    """The rest of the cases are run, and the decision is that of a run that never stopped."""
    breaks(project, 3)
    assert run(project).returncode == 1
    write(project, "false")
    assert run(project, "--resume").returncode == 1
    assert set(project.calls()) == set(cases(project.root))
    assert decision(project).get("stopped_early") is None
    assert project.json("reports/new/manifest.json")["expected"] == N


def die_in_row(count: int) -> None:
    """Die when so many rows have been appended."""
    from evalkit.store.journal import Journal

    append, left = Journal.append, [count]

    def killing(self: Journal, row: object) -> None:
        append(self, row)  # type: ignore[arg-type]
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.append = killing  # type: ignore[method-assign]


@pytest.mark.parametrize("every", [3, 9, 10_000])
@pytest.mark.parametrize("count", [50, 100, 130])
def test_a_killed_run_stops_where_it_would_have_stopped(project: Project, count: int, every: int) -> None:
    """Rows, look and decision are equal, whether the drop is large, small or none."""
    breaks(project, every)
    assert run(project, "--no-report").returncode in (0, 1)
    died = forked(
        project.root, "run", "suite.yaml", "--out", "reports/killed", "--no-report", first=partial(die_in_row, count)
    )
    assert died.returncode != 0
    assert run(project, "--no-report", "--resume", out="reports/killed").returncode in (0, 1)
    ours, theirs = decision(project), decision(project, "reports/killed")
    for each in (ours, theirs):
        each["decided_before"] = each["reasons"] = each["outcome"] = each["exit_code"] = None
    assert ours == theirs
    assert project.json("reports/new/summary.json") == project.json("reports/killed/summary.json")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("sample: 50\n", "early_stop: `sample` is given too"),
        ("engine: {dask: {workers: 2}}\n", "early_stop: `engine` is given too"),
        ("systems: {a: {replay: golden}, b: {replay: golden}}\n", "early_stop: `systems` is given too"),
    ],
)
def test_what_cannot_stop_early_is_refused(project: Project, more: str, said: str) -> None:
    """With the place and the fix, before the first call."""
    write(project, text=SUITE + more)
    ran = project.run("check", "suite.yaml")
    assert ran.returncode == 2
    assert said.removeprefix("early_stop: ") in words(ran)


def test_a_set_too_small_for_a_look_is_warned_of(project: Project) -> None:
    """The key does nothing there, so it is said."""
    cases(project.root, 40)
    assert "every case is run" in words(project.run("check", "suite.yaml"))
    cases(project.root)
    assert "every case is run" not in words(project.run("check", "suite.yaml"))


def test_a_gate_without_a_comparison_is_refused(project: Project) -> None:
    """Nothing could become certain."""
    write(project, text=SUITE.replace("  - no_regression: {baseline: main}\n", ""))
    ran = project.run("check", "suite.yaml")
    assert ran.returncode == 2
    assert "early_stop" in words(ran)


def test_answers_of_a_stopped_run_are_not_scored_as_a_whole_run(project: Project) -> None:
    """Most cases have no stored answer."""
    breaks(project, 3)
    assert run(project).returncode == 1
    scored = project.run("score", "reports/new", "--suite", "suite.yaml", "--out", "reports/scored")
    assert scored.returncode == 2
    assert NOTE in words(scored)
