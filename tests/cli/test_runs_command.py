"""Stored runs, listed and drawn; the index only saves reading."""

import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli_project import Project
from several_project import SeveralProject, system

from evalkit.store.folder import DECISION, MANIFEST, RunFolder
from evalkit.store.history import INDEX, PastRun, break_between, past_runs, stored_runs


@pytest.fixture
def stored(project: Project) -> Project:
    """Three whole runs, the last one of another golden set, and a partial one."""
    project.cases(20)
    for number, broken in enumerate(("", "left-00", "left")):
        project.suite(broken)
        if number == 2:
            project.cases(30)
        ran = project.run("run", "suite.yaml", "--out", f"reports/run-{number}", "--no-report", "--baseline", "none")
        assert ran.returncode == 0, ran.stderr
    project.run("run", "suite.yaml", "--out", "reports/part", "--no-report", "--baseline", "none", "--limit", "5")
    return project


def test_runs_are_listed_with_their_trend_and_its_cuts(stored: Project) -> None:
    """A line a run, a mark a run in the trend, and a cut where another golden set begins; a partial run is no point."""
    ran = stored.run("runs", "reports")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("sums · 4 runs")
    spark = ran.stdout.splitlines()[1].split()[1]
    assert len(spark.replace("┊", "")) == 3
    assert spark[2] == "┊"
    assert "┊ another" in next(line for line in ran.stdout.splitlines() if " run-2 " in line)
    assert "partial" in next(line for line in ran.stdout.splitlines() if " part " in line)
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert stored.run("runs").stdout == ran.stdout
    assert "no run in" in stored.run("runs", "reports", "--suite", "other").stdout
    assert stored.run("runs", "nowhere").returncode == 2


def test_systems_that_were_only_compared_are_shown_as_compared(tmp_path: Path) -> None:
    """In the list and on the page; with a release system, it keeps the outcome of its gate."""
    project = SeveralProject(tmp_path)
    project.cases(20)
    project.systems(old=system(), new=system("left-00"))
    assert project.run("run", "suite.yaml", "--out", "reports/all", "--no-report").returncode == 0
    listed = project.run("runs").stdout
    assert (listed.count("compared"), listed.count("no decision")) == (2, 0), listed
    project.systems("release: [new]\ngate: [{pass_rate: 0.1}]\n", old=system(), new=system(side="new"))
    assert project.run("run", "suite.yaml", "--out", "reports/release", "--no-report").returncode == 0
    assert project.run("view").returncode == 0
    page = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    assert page.count("</span> approved</span>") == 1
    assert page.count(">compared</span>") == 3
    assert "no decision<" not in page


def test_json_is_one_document(stored: Project) -> None:
    """The same for programs, with the reason of each cut."""
    found = json.loads(stored.run("runs", "reports", "--json", "--suite", "sums").stdout)
    assert [Path(each["folder"]).name for each in found if not each["partial"]] == ["run-0", "run-1", "run-2"]
    assert [each["break_before"] for each in found if not each["partial"]] == ["", "", "another golden set"]
    assert found[0]["values"]["pass_rate"] == 1.0


def test_runs_that_finished_in_the_same_second_keep_their_order(stored: Project) -> None:
    """Instants are stored in whole seconds, and the ids of runs of one second are in no order."""
    folders = [stored.root / "reports" / f"run-{number}" for number in range(3)]
    by_id = sorted(folders, key=lambda folder: str(json.loads((folder / MANIFEST).read_text())["run_id"]), reverse=True)
    for number, folder in enumerate(by_id):
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest["finished_at"] = "2026-01-01T00:00:00+00:00"
        (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        os.utime(folder / DECISION, ns=(number + 1, number + 1))
    expected = [folder.name for folder in by_id]
    found = stored_runs(stored.root / "reports")
    assert [Path(past.folder).name for past in found if not past.partial] == expected
    last = by_id[-1]
    drawn = past_runs(RunFolder(last), None, "sums")
    assert [Path(past.folder).name for past in drawn] == expected


def test_the_index_is_never_trusted_over_the_folders(stored: Project) -> None:
    """An edited, a removed and a damaged folder show as they are; a damaged or lost index changes nothing."""
    folder, index = stored.root / "reports", stored.root / INDEX
    first = stored_runs(folder)
    assert index.exists()
    assert stored_runs(folder) == first
    decision = json.loads((folder / "run-0" / DECISION).read_text(encoding="utf-8"))
    (folder / "run-0" / DECISION).write_text(json.dumps({**decision, "outcome": "blocked"}), encoding="utf-8")
    (folder / "run-1" / MANIFEST).write_text("{", encoding="utf-8")
    names = {Path(past.folder).name: past.outcome for past in stored_runs(folder)}
    assert names["run-0"] == "blocked"
    assert "run-1" not in names
    again = stored_runs(folder)
    for damage in (b"no database", b""):
        index.write_bytes(damage)
        assert stored_runs(folder) == again
    index.unlink()
    assert stored_runs(folder) == again
    assert stored_runs(folder) == again


def test_what_the_index_holds_is_used_while_nothing_changed(stored: Project) -> None:
    """A second look reads the index: a record that was changed in it shows, until a file of the run changes."""
    folder = stored.root / "reports"
    stored_runs(folder)
    with sqlite3.connect(stored.root / INDEX) as base:
        base.execute('UPDATE runs SET record = replace(record, \'"suite": "sums"\', \'"suite": "from the index"\')')
    base.close()
    assert {past.suite for past in stored_runs(folder)} == {"from the index"}
    for file in folder.glob(f"*/{MANIFEST}"):
        file.touch()
    assert {past.suite for past in stored_runs(folder)} == {"sums"}


def test_without_a_place_for_an_index_runs_are_read(stored: Project) -> None:
    """A project that cannot hold an index lists its runs all the same."""
    import shutil

    shutil.rmtree(stored.root / ".evalkit", ignore_errors=True)
    (stored.root / ".evalkit").write_text("a file", encoding="utf-8")
    assert len(stored_runs(stored.root / "reports")) == 4


def past(**changes: Any) -> PastRun:
    """One stored run."""
    keys = {"exact": {"scorer": "exact 1"}, "correctness": {"scorer": "judge 3", "judge": "m-1"}}
    run = PastRun(
        run_id="r", finished_at="2026-07-01", outcome="approved", golden_sha256="ab", score_keys=keys, values={}
    )
    return replace(run, **changes)


KEYS = past().score_keys
NEWER = {"scorer": "exact 2"}


@pytest.mark.parametrize(
    ("changes", "metric", "own", "said"),
    [
        ({}, "pass_rate", False, ""),
        ({"golden_sha256": "cd"}, "exact", True, "another golden set"),
        ({"score_keys": {**KEYS, "exact": NEWER}}, "pass_rate", False, "another scorer: exact"),
        ({"score_keys": {**KEYS, "exact": NEWER}}, "correctness", True, ""),
        (
            {"score_keys": {**KEYS, "correctness": {"scorer": "judge 3", "judge": "m-2"}}},
            "pass_rate", False, "another judge: correctness",
        ),
        (
            {
                "score_keys": {"exact": NEWER, "correctness": {"scorer": "judge 3", "judge": "m-2"}},
                "advisory": ("correctness",),
            },
            "pass_rate", False, "another scorer: exact",
        ),
    ],
)  # fmt: skip
def test_what_cuts_a_trend_is_named(changes: dict[str, Any], metric: str, own: bool, said: str) -> None:
    """Golden set, scorer and judge are told apart; what decides nothing cuts nothing."""
    assert break_between(past(), past(**changes), metric, own=own) == said
