"""The gap between open and held-out cases is followed over versions, so that overfitting is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import evalkit
from evalkit.cli.golden import golden
from evalkit.golden.held_out import read_held
from evalkit.golden.read import read_all
from evalkit.operations.run import decide_again
from evalkit.report.trend import held_trend
from evalkit.stats.intervals import independent_difference, newcombe_paired
from evalkit.store.folder import RunFolder
from evalkit.store.history import read_past_run

FITTED = "the open cases gained more than the held-out ones"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of 200 cases with 80 held out; `known.json` lists the ids that the system answers rightly."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bot.py").write_text(
        "import json, pathlib\n"
        "def answer(input, id, **fields):\n"
        '    return "yes" if id in json.loads(pathlib.Path("known.json").read_text()) else "no"\n'
    )
    rows = [{"id": f"c-{at}", "input": f"heldword {at}", "reference": "yes"} for at in range(200)]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    assert CliRunner().invoke(golden, ["lock", "cases.jsonl", "--held-out", "0.4"]).exit_code == 0
    return tmp_path


def ids() -> tuple[list[str], list[str]]:
    """The open and the held-out ids."""
    held = read_held(Path("cases.jsonl")) or []
    return [case.id for case in read_all(Path("cases.jsonl"), "c")], [case.id for case in held]


def run(version: str, open_share: float, held_share: float) -> RunFolder:
    """Run a version that answers the first part of both kinds rightly."""
    open_ids, held_ids = ids()
    known = open_ids[: round(open_share * len(open_ids))] + held_ids[: round(held_share * len(held_ids))]
    Path("known.json").write_text(json.dumps(known), encoding="utf-8")
    system = f'{{python: "bot:answer", version: "{version}"}}'
    text = f"name: s\ngolden: cases.jsonl\nsystem: {system}\nscorers: [exact]\ngate: [pass_rate: {{min: 0.01}}]\n"
    Path("suite.yaml").write_text(text, encoding="utf-8")
    evalkit.run("suite.yaml", out=f"reports/{version}", baseline="none", reports=False)
    return RunFolder(Path("reports", version))


def notes(folder: RunFolder) -> str:
    """The notes of a run."""
    return " ".join(json.loads(folder.file("summary.json").read_text(encoding="utf-8"))["notes"])


def held(folder: RunFolder) -> dict[str, Any]:
    """Its published figures of held-out cases."""
    return dict(json.loads(folder.file("held.json").read_text(encoding="utf-8")))


def test_a_growing_gap_warns(project: Path) -> None:
    """The growth is the paired gain of the open cases minus that of the held-out ones."""
    first = run("v1", 0.5, 0.5)
    assert FITTED not in notes(first)
    assert held(first)["since"] is None
    grown = run("v2", 0.9, 0.5)
    assert FITTED in notes(grown)
    exact = independent_difference(newcombe_paired(60, 48, 0, 12), newcombe_paired(40, 0, 0, 40))
    assert exact.low is not None
    low, high = round(100 * exact.low, 1), round(100 * (exact.high or 0), 1)
    assert f"grew by 40.0 pts [{low}, {high}] since run" in notes(grown)
    assert decide_again(grown, None, "none").summary.notes == tuple(
        json.loads(grown.file("summary.json").read_text(encoding="utf-8"))["notes"]
    )


def test_a_gain_on_both_is_no_warning(project: Path) -> None:
    """Also where the open cases were easier from the start, which the gap of one run cannot tell from fitting."""
    run("v1", 0.7, 0.4)
    better = run("v2", 0.9, 0.6)
    assert "the open cases pass more often" in notes(better)
    assert FITTED not in notes(better)
    assert "since run" in notes(better)


def test_the_same_version_is_not_compared_with_itself(project: Path) -> None:
    """Repeats of one version show noise."""
    run("v1", 0.5, 0.5)
    folder = Path("reports/v1b")
    evalkit.run("suite.yaml", out=str(folder), baseline="none", reports=False)
    assert held(RunFolder(folder))["since"] is None


def test_the_gap_is_a_trend(project: Path) -> None:
    """With an interval; the page has it, and neither it nor the figures name a held-out case."""
    folders = [run("v1", 0.5, 0.5), run("v2", 0.9, 0.5)]
    past = [read_past_run(each) for each in folders]
    trend = held_trend([each for each in past if each is not None])
    assert trend is not None
    assert [point.shown for point in trend.points] == ["0.0 pts", "40.0 pts"]
    assert np.isclose([point.value or 0.0 for point in trend.points], [0.0, 0.4]).all()
    assert all(point.interval is not None for point in trend.points)
    _, held_ids = ids()
    text = json.dumps([held(each) for each in folders])
    assert not [name for name in held_ids if f'"{name}"' in text]


def test_without_the_rows_of_the_first_run_nothing_is_said(project: Path) -> None:
    """As in a copy without its private folder."""
    import shutil

    first = run("v1", 0.5, 0.5)
    shutil.rmtree(first.file("held"))
    assert held(run("v2", 0.9, 0.5))["since"] is None
