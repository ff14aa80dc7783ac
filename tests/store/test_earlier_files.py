"""Files that evalkit 0.1.0 wrote on 28 November 2026 are read, verified, resumed and decided as on that day."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "cli"))

from forked import forked

from evalkit.formats.rows import decode_row, encode_row

FILES = Path(__file__).with_name("earlier_files")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a saved baseline `main`, a blocked run `second`, and labels."""
    shutil.copytree(FILES, tmp_path / "project")
    (tmp_path / "project" / "pyproject.toml").touch()
    return tmp_path / "project"


def test_a_run_of_then_is_verified(root: Path) -> None:
    """Every row, the seal and the head are what they were."""
    ended = forked(root, "verify", "second", "--head", "56b09cd4207af6b61ccd4b95101fc8a0")
    assert ended.returncode == 0, ended.stderr
    assert "rows      24 intact, 24 planned" in ended.stdout


def test_a_run_of_then_is_reported_as_it_was_decided(root: Path) -> None:
    """The decision that is made again has the same bytes."""
    decided = (root / "second/decision.json").read_bytes()
    ended = forked(root, "report", "second")
    assert ended.returncode == 0, ended.stderr
    assert "BLOCKED  pass rate in severity=critical: 2 cases fail" in ended.stdout
    assert (root / "second/decision.json").read_bytes() == decided
    assert forked(root, "gate", "second").returncode == 1


def _score_the_baseline_again(root: Path) -> None:
    """Give the baseline the scores of the scorers as they are now: `keywords` reads more than it did then."""
    scored = forked(root, "score", "main", "--suite", "suite.yaml", "--out", "again")
    assert scored.returncode == 0, scored.stdout + scored.stderr
    saved = forked(root, "baseline", "save", "again", "--name", "main")
    assert saved.returncode == 0, saved.stderr


def test_a_baseline_of_then_asks_to_be_scored_again(root: Path) -> None:
    """A scorer that changed is named with the command that makes both runs comparable."""
    ran = forked(root, "run", "suite.yaml", "--out", "third", "--no-report", "--progress", "none")
    assert ran.returncode == 2
    assert (
        "scored differently (keywords: scorer); score its stored answers again with "
        "`evalkit score reports/baselines/main --suite suite.yaml --out reports/rescored`" in ran.stderr
    )


def test_a_run_of_then_goes_on(root: Path) -> None:
    """Ten answers of an unfinished run are kept and graded again, and the other fourteen cases are asked."""
    _score_the_baseline_again(root)
    second, half = root / "second", root / "half"
    half.mkdir()
    manifest = json.loads((second / "manifest.json").read_bytes())
    manifest = {key: value for key, value in manifest.items() if key not in ("finished_at", "wall_s", "head")}
    (half / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    kept = (second / "rows.jsonl").read_bytes().splitlines(keepends=True)[:10]
    (half / "rows.jsonl").write_bytes(b"".join(kept))
    ended = forked(root, "run", "suite.yaml", "--out", "half", "--resume", "--no-report", "--progress", "none")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    lines = (half / "rows.jsonl").read_bytes().splitlines(keepends=True)
    assert lines[:10] == kept
    answers = {row.case.id: row.output for row in map(decode_row, lines) if row is not None}
    assert len(answers) == 24
    for row in map(decode_row, kept):
        assert row is not None
        assert answers[row.case.id] == row.output
    then, now = (json.loads((folder / "summary.json").read_bytes())["cells"] for folder in (second, half))
    metrics = {cell["metric"] for cell in then}
    assert [cell for cell in now if cell["metric"] in metrics] == then


def test_a_baseline_and_labels_of_then_are_used(root: Path) -> None:
    """A new run is compared with the baseline, and the labels say what they said."""
    shown = forked(root, "baseline", "show", "main")
    assert shown.returncode == 0, shown.stderr
    _score_the_baseline_again(root)
    ran = forked(root, "run", "suite.yaml", "--out", "third", "--no-report", "--progress", "none")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    compared = json.loads((root / "third/decision.json").read_bytes())["comparison"]
    assert (compared["n_paired"], compared["new_failures"][:2]) == (24, ["c08", "c16"])
    calibrated = forked(root, "judge", "calibrate", "second", "--labels", "labels.jsonl", "--json")
    assert calibrated.returncode == 0, calibrated.stderr
    first = json.loads(calibrated.stdout)[0]
    assert first["judge"] == "local:correctness@6"


def test_rows_of_then_keep_their_bytes() -> None:
    """A row that is read and written again is the same line."""
    for line in (FILES / "second/rows.jsonl").read_bytes().splitlines(keepends=True):
        row = decode_row(line)
        assert row is not None
        assert encode_row(row) == line
