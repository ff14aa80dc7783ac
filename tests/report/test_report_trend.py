"""The trend over stored runs: which runs count, and where a line is cut."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import report_samples

from evalkit.formats.manifest import MANIFEST_FORMAT
from evalkit.report.html import write_html
from evalkit.report.trend import trends
from evalkit.report.view import build_view
from evalkit.store.folder import DECISION, MANIFEST, SUMMARY, RunFolder
from evalkit.store.history import INDEX, MOST_RUNS, PastRun, past_runs, stored_runs
from evalkit.store.run_index import RunIndex

KEYS = {"keywords": {"scorer": "keywords 1"}, "citation": {"scorer": "citation 1"}}


def a_folder(path: Path, number: int, **changes: Any) -> RunFolder:
    """A run folder with what a trend reads of it."""
    path.mkdir(parents=True)
    manifest = {
        "format": MANIFEST_FORMAT,
        "suite_file": "suite.yaml",
        "system": {},
        "metrics": [],
        "advisory": [],
        "cohorts": [],
        "seed": 0,
        "repeats": 1,
        "expected": 40,
        "notices": [],
        "run_id": f"run-{number:03d}",
        "suite": "compliance",
        "started_at": f"2026-07-{number % 28 + 1:02d}T10:00:00+00:00",
        "finished_at": f"2026-{number // 28 + 1:02d}-{number % 28 + 1:02d}T10:01:00+00:00",
        "golden": {"path": "g.jsonl", "sha256": "ab", "n_cases": 1},
        "score_keys": KEYS,
        "partial": None,
    }
    estimate = {"value": 0.5 + number / 200, "n": 40}
    cells = [
        {"metric": "pass_rate", "cohort": "overall", "estimate": estimate},
        {"metric": "pass_rate", "cohort": "domain=aml", "estimate": {"value": 0.1, "n": 4}},
        {"metric": "keywords", "cohort": "overall", "estimate": {"value": None, "n": 0}},
    ]
    (path / MANIFEST).write_text(json.dumps(manifest | changes), encoding="utf-8")
    (path / SUMMARY).write_text(json.dumps({"cells": cells}), encoding="utf-8")
    (path / DECISION).write_text(json.dumps({"outcome": "approved"}), encoding="utf-8")
    return RunFolder(path)


def test_runs_of_the_suite_count_and_others_do_not(tmp_path: Path) -> None:
    """Whole runs of the same suite count, oldest first, with the baseline; partial, torn and foreign ones do not."""
    run = a_folder(tmp_path / "reports" / "now", 9)
    a_folder(tmp_path / "reports" / "first", 1)
    a_folder(tmp_path / "reports" / "part", 2, partial="--limit 3")
    a_folder(tmp_path / "reports" / "other", 3, suite="other")
    (a_folder(tmp_path / "reports" / "torn", 4).path / SUMMARY).write_text("{", encoding="utf-8")
    (a_folder(tmp_path / "reports" / "running", 5).path / DECISION).unlink()
    a_folder(tmp_path / "reports" / "baselines" / "main", 7)
    baseline = a_folder(tmp_path / "elsewhere", 6, suite="other")
    found = past_runs(run, baseline, "compliance")
    assert [past.run_id for past in found] == ["run-001", "run-006", "run-007", "run-009"]
    assert found[-1].values == {"pass_rate": pytest.approx(0.545)}


def test_only_the_last_runs_count(tmp_path: Path) -> None:
    """Of sixty runs the newest fifty are kept, this one among them."""
    for number in range(60):
        a_folder(tmp_path / f"{number:03d}", number)
    found = past_runs(RunFolder(tmp_path / "003"), None, "compliance")
    assert len(found) == MOST_RUNS
    assert "run-003" in [past.run_id for past in found]


def test_the_trend_and_the_list_of_runs_come_from_one_index(tmp_path: Path) -> None:
    """What `evalkit runs` has read the report does not read again, and the other way round."""
    (tmp_path / "pyproject.toml").touch()
    run = a_folder(tmp_path / "reports" / "now", 9)
    first = a_folder(tmp_path / "reports" / "first", 1)
    assert [past.run_id for past in past_runs(run, None, "compliance")] == ["run-001", "run-009"]
    with sqlite3.connect(tmp_path / INDEX) as base:
        base.execute("UPDATE runs SET record = replace(record, '\"run-001\"', '\"from the index\"')")
    base.close()
    assert [past.run_id for past in past_runs(run, None, "compliance")] == ["from the index", "run-009"]
    assert [past.run_id for past in stored_runs(tmp_path / "reports")] == ["from the index", "run-009"]
    first.file(SUMMARY).touch()
    assert [past.run_id for past in past_runs(run, None, "compliance")] == ["run-001", "run-009"]


def test_no_index_is_left_where_there_is_no_project(tmp_path: Path) -> None:
    """A run whose folder lies outside of every project leaves nothing beside it."""
    run = a_folder(tmp_path / "runs" / "now", 9)
    assert [past.run_id for past in past_runs(run, None, "compliance")] == ["run-009"]
    assert [each.name for each in tmp_path.rglob("*")] == ["runs", "now", *[n.name for n in run.path.iterdir()]]


def test_who_reads_runs_keeps_nobody_waiting(tmp_path: Path) -> None:
    """While runs are read others can write to the index; one that another process holds is done without, and kept."""
    file, run = tmp_path / "runs.sqlite", a_folder(tmp_path / "1", 1).path
    with RunIndex(file) as index:
        index.put(run, "stamp", {"a": 1})
        with sqlite3.connect(file, timeout=0) as other:
            other.execute("CREATE TABLE other (x)")
    with RunIndex(file) as index:
        assert index.get(run, "stamp") == {"a": 1}
    other.execute("BEGIN EXCLUSIVE")
    with RunIndex(file) as index:
        assert index.get(run, "stamp") is None
    other.rollback()
    with RunIndex(file) as index:
        assert index.get(run, "stamp") == {"a": 1}
    other.close()


def past(number: int, **changes: Any) -> PastRun:
    """One stored run."""
    given = {"run_id": f"run-{number}", "finished_at": f"2026-07-{number:02d}T10:00:00", "outcome": "approved"}
    values = {"pass_rate": 0.8 + number / 100, "keywords": 0.9}
    run = PastRun(**given, golden_sha256="ab", score_keys=KEYS, values=values, counts={"pass_rate": 40})
    return replace(run, **changes)


def test_a_line_is_cut_where_figures_are_not_comparable() -> None:
    """Another golden set cuts every line, another scorer its own and that of the pass rate."""
    other = {**KEYS, "citation": {"scorer": "citation 2"}}
    runs = [past(1), past(2), past(3, score_keys=other), past(4, score_keys=other, golden_sha256="cd")]
    summary = report_samples.summary()
    styles = build_view(summary, report_samples.decision(), list, None, report_samples.manifest()).styles
    found = {trend.metric: trend for trend in trends(runs, summary, ["pass_rate", "keywords"], styles)}
    assert [point.break_before for point in found["pass_rate"].points] == [
        "",
        "",
        "another scorer: citation",
        "another golden set",
    ]
    assert [point.break_before for point in found["keywords"].points] == ["", "", "", "another golden set"]
    assert found["pass_rate"].points[0].shown == "81%"


def test_the_page_shows_the_trend_and_its_table(tmp_path: Path) -> None:
    """Stored runs are drawn with their cuts, and listed in a table."""
    runs = [past(1), past(2, outcome="blocked"), past(3, golden_sha256="cd")]
    rows = report_samples.stored_rows
    view = build_view(
        report_samples.summary(), report_samples.decision(), rows, None, report_samples.manifest(), past=runs
    )
    write_html(tmp_path / "r.html", view, rows, None)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Trend of pass_rate" in text
    assert 'class="cross"' in text
    assert "cut before: another golden set" in text


def test_one_run_has_no_trend() -> None:
    """A single run is not a trend, and the page says what one takes."""
    assert trends([past(1)], report_samples.summary(), ["pass_rate"], {}) == ()
