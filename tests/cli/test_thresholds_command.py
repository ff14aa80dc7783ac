"""Tests for `evalkit monitor thresholds`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app
from evalkit.errors import InputError, StoreError

MONITOR = "name: support\nlogs: {format: jsonl}\nscorers: [facts]\ncohorts: [topic]\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A monitor, and 100 good and 20 bad answers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "support.yaml").write_text(MONITOR, encoding="utf-8")
    rows = [
        {
            "input": f"Fee {n}?",
            "output": f"{n if n <= 100 else n + 500} EUR",
            "contexts": [f"{n} EUR"],
            "good": n <= 100,
        }
        for n in range(1, 121)
    ]
    text = "".join(json.dumps({**row, "topic": "fees"}) + "\n" for row in rows)
    (tmp_path / "labelled.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def called(*flags: str) -> tuple[int, str]:
    """Exit code and output."""
    ended = CliRunner().invoke(app, ["monitor", "thresholds", "support.yaml", "labelled.jsonl", *flags])
    if isinstance(ended.exception, InputError):  # `main` prints it and exits with its code
        return ended.exception.exit_code, str(ended.exception)
    return ended.exit_code, ended.output


def test_the_guard_is_written_and_explained(project: Path) -> None:
    """The labels are too few for the defaults' .02 at 95 %, and enough for .05."""
    code, output = called()
    assert code == 0
    assert "blocks nothing: label 49 more good answers" in output
    code, output = called("--false-block", "0.05", "--bad-passed", "0.05", "--by", "topic")
    assert (code, "blocks below 1.000 for topic=fees" in output, "wrote guard.json" in output) == (0, True, True)
    assert evalkit.guard.load(project / "guard.json").settings.by == "topic"


def test_the_guard_as_json(project: Path) -> None:
    """The settings, for another program; stdout holds nothing else."""
    ended = CliRunner().invoke(
        app, ["monitor", "thresholds", "support.yaml", "labelled.jsonl", "--json", "--on-average", "--out", "g.json"]
    )
    record = json.loads(ended.stdout)
    assert record["promise"] == {"false_block": 0.02, "bad_passed": 0.03, "confidence": None}
    assert (project / "g.json").exists()


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--false-block", "2"), "--false-block: expected a share above 0 and below 1, got 2"),
        (("--confidence", "1"), "--confidence: expected a share"),
        (("--out", "none/guard.json"), "--out: none is not a folder"),
        (("--nli-revision", "a"), "--nli-revision: no model is named"),
        (("--nli", "m", "--nli-revision", "a"), "--nli-revision: 'a' is not a commit"),
        (("--by", "country"), "--by: 'country' is not a cohort of support.yaml; its cohorts: topic"),
    ],
)
def test_flags_that_cannot_be_used_exit_2(project: Path, flags: tuple[str, ...], why: str) -> None:
    """Before anything is read or asked."""
    code, output = called(*flags)
    assert (code, why in " ".join(output.split())) == (2, True), output
    assert not (project / "guard.json").exists()


def test_a_file_that_cannot_be_written_exits_4(project: Path) -> None:
    """With what to do."""
    (project / "guard.json").mkdir()
    ended = CliRunner().invoke(app, ["monitor", "thresholds", "support.yaml", "labelled.jsonl"])
    assert isinstance(ended.exception, StoreError)
    assert "or name another file with --out" in str(ended.exception)


def test_a_bad_row_exits_2_with_its_place(project: Path) -> None:
    """File and line."""
    (project / "labelled.jsonl").write_text('{"input": "a", "output": "b", "contexts": ["c"]}\n', encoding="utf-8")
    code, output = called()
    assert (code, "labelled.jsonl:1: `good` is missing" in output) == (2, True), output
