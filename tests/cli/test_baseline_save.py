"""`evalkit baseline save`: whole after a kill anywhere, one at a time, and it says what it keeps and replaces."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import sealed_project
from forked import forked
from sealed_project import LUCKY, Sealed, change_json, delete_failing, edit_failing

from evalkit.baselines import save

POINTS = (
    "evalkit.baselines.save:_recover",
    "evalkit.baselines.save:_copy",
    "evalkit.baselines.save:_sync",
    "evalkit.baselines.save:_replaced",
    "evalkit.baselines.save:_swap",
    "evalkit.baselines.save:_exchanged",
    "evalkit.store.folder:RunFolder.write_text",
    "pathlib:Path.rename",
    "shutil:copyfileobj",
    "shutil:rmtree",
)
NAME = Path("reports") / "baselines" / "main"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a blocked run, and the runs `good` and `better`, which were approved."""
    project = Sealed(tmp_path_factory.mktemp("saving"))
    assert project.run("run", "suite.yaml", "--out", "run", "--no-report").returncode == 1
    shutil.rmtree(project.root / ".evalkit")
    project.suite(text=sealed_project.SUITE.replace("max: 2", "max: 9"))
    for name, env in (("good", None), ("better", LUCKY)):
        assert project.run("run", "suite.yaml", "--out", name, "--no-report", env=env).returncode == 0
    return project.root


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Sealed:
    """A copy of it."""
    return Sealed(Path(shutil.copytree(made, tmp_path / "project")), new=False)


def words(ran: subprocess.CompletedProcess[str]) -> str:
    """Everything that was printed, in one line."""
    return " ".join((ran.stdout + ran.stderr).split())


def run_id(folder: Path) -> str:
    """Id of the run in a folder."""
    return str(json.loads((folder / "manifest.json").read_bytes())["run_id"])


def die_at(target: str, when: str, two_steps: bool) -> None:
    """Die at the first call of a function; where two folders cannot be exchanged in one step, if that is asked."""
    if two_steps:
        save._exchanged = lambda one, other: False  # type: ignore[assignment]
    module, _, name = target.partition(":")
    owner = importlib.import_module(module)
    *parts, last = name.split(".")
    for part in parts:
        owner = getattr(owner, part)
    function = getattr(owner, last)

    def killing(*given: object, **named: object) -> None:
        if when == "after":
            function(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, last, killing)


@pytest.mark.parametrize("two_steps", [False, True], ids=["exchanged", "two steps"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_leaves_the_old_baseline_or_the_new_one(point: str, when: str, two_steps: bool, project: Sealed) -> None:
    """Whole, by its name, and the next save leaves nothing behind."""
    if point.endswith("_exchanged" if two_steps else "Path.rename"):
        pytest.skip("it is only called where folders are exchanged, or only where they are not")
    assert project.run("baseline", "save", "good").returncode == 0
    died = forked(project.root, "baseline", "save", "better", first=partial(die_at, point, when, two_steps))
    assert died.returncode == -9, "the point was never reached"
    shown = project.run("baseline", "show", "main")
    assert shown.returncode == 0, shown.stderr
    assert run_id(project.root / "good") in shown.stdout or run_id(project.root / "better") in shown.stdout
    assert project.run("baseline", "verify", "main").returncode == 0
    if not two_steps:
        assert (project.root / NAME / "rows.jsonl.gz").is_file()
    assert project.run("baseline", "save", "better").returncode == 0
    assert run_id(project.root / NAME) == run_id(project.root / "better")
    assert [file.name for file in (project.root / NAME).parent.iterdir()] == ["main"]


def test_processes_that_save_at_the_same_time_leave_one_baseline(project: Sealed) -> None:
    """All end with 0, and what is there is whole."""
    ends = [
        subprocess.Popen(
            project.command("baseline", "save", name),
            cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for name in ("good", "better", "good", "better")
    ]  # fmt: skip
    assert [process.wait(120) for process in ends] == [0, 0, 0, 0]
    assert project.run("baseline", "verify", "main").returncode == 0
    assert [file.name for file in (project.root / NAME).parent.iterdir()] == ["main"]


def test_a_replaced_baseline_is_named_with_its_figures(project: Sealed) -> None:
    """On the console and in the manifest; saving the same run once more keeps it."""
    first = project.run("baseline", "save", "good")
    assert "replaces" not in first.stdout
    assert project.json(str(NAME / "manifest.json"))["replaces"] is None
    for _ in range(2):
        second = project.run("baseline", "save", "better")
        assert f"it replaces run {run_id(project.root / 'good')}, which was approved with conditions" in words(second)
        assert "pass_rate 75% → 100%" in words(second)
    kept = project.json(str(NAME / "manifest.json"))["replaces"]
    assert kept["run_id"] == run_id(project.root / "good")  # type: ignore[index]
    assert kept["head"] == project.json("good/decision.json")["head"]  # type: ignore[index]
    shown = project.run("baseline", "show", "main").stdout
    assert f"replaces   run {run_id(project.root / 'good')} (approved with conditions)" in shown


def test_a_red_run_is_a_baseline_only_with_a_reason(project: Sealed) -> None:
    """And then each comparison with it says so, and is not a plain approval."""
    refused = project.run("baseline", "save", "run")
    assert refused.returncode == 2
    assert "--accept" in refused.stderr
    none = project.run("baseline", "save", "good", "--name", "none")
    assert (none.returncode, "--name: 'none' means no baseline" in none.stderr) == (2, True)
    assert project.run("baseline", "save", "run", "--accept", "first of all").returncode == 0
    project.suite(text=sealed_project.SUITE.replace("  - fail", "  - no_regression: {baseline: main}\n  - fail"))
    ran = project.run("run", "suite.yaml", "--out", "new", "--no-report", env=LUCKY)
    assert ran.returncode == 0
    assert ran.stdout.startswith("APPROVED WITH CONDITIONS")
    assert "is a run whose decision was 'blocked'; accepted because 'first of all'" in words(ran)
    named = project.run("run", "suite.yaml", "--out", "other", "--no-report", "--baseline", "run", env=LUCKY)
    assert "no reason is recorded" in words(named)


@pytest.mark.parametrize(
    "change",
    [
        lambda run: change_json(run, "decision.json", outcome="approved", exit_code=0),
        lambda run: change_json(run, "manifest.json", partial=None, expected=15),
        delete_failing,
        edit_failing,
        sealed_project.append_passing,
        sealed_project.without_seal(edit_failing),
        sealed_project.with_edited_seal(lambda run: None),
        sealed_project.without_decision(lambda run: None),
    ],
    ids=["decision", "manifest", "deleted", "edited", "appended", "edited without a seal", "seal", "no decision"],
)
def test_a_changed_run_is_no_baseline(change: Callable[[Path], None], project: Sealed) -> None:
    """Whatever it says of itself: neither saved, with a reason or without one, nor compared with."""
    change(project.root / "run")
    for flags in ((), ("--accept", "why not")):
        ran = project.run("baseline", "save", "run", *flags)
        assert ran.returncode == 2, words(ran)
    assert not (project.root / NAME).exists()
    project.suite(text=sealed_project.SUITE.replace("  - fail", "  - no_regression: {baseline: main}\n  - fail"))
    ran = project.run("run", "suite.yaml", "--out", "new", "--no-report", "--baseline", "run", env=LUCKY)
    assert ran.returncode == 2, words(ran)


@pytest.mark.parametrize("name", ["decision.json", "rows.jsonl.gz"])
def test_an_edited_baseline_is_refused(name: str, project: Sealed) -> None:
    """Its decision and its rows are those that were saved."""
    assert project.run("baseline", "save", "run", "--accept", "so that it is there").returncode == 0
    if name == "decision.json":
        change_json(project.root / NAME, name, outcome="approved", reasons=[])
    else:
        shutil.copyfile(project.root / "run" / "rows.jsonl", project.root / NAME / "rows.jsonl")
        (project.root / NAME / name).unlink()
        edit_failing(project.root / NAME)
    assert project.run("baseline", "verify", "main").returncode == 2
    project.suite(text=sealed_project.SUITE.replace("  - fail", "  - no_regression: {baseline: main}\n  - fail"))
    ran = project.run("run", "suite.yaml", "--out", "new", "--no-report", env=LUCKY)
    assert ran.returncode == 2
    assert "changed since the decision" in words(ran)
