"""The trend over stored runs: which runs count, and where a line is cut."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import report_samples

from evalkit.report.html import write_html
from evalkit.report.trend import trends
from evalkit.report.view import build_view
from evalkit.store.folder import DECISION, FORMAT, MANIFEST, SUMMARY, RunFolder
from evalkit.store.history import MOST_RUNS, PastRun, past_runs

KEYS = {"keywords": {"scorer": "keywords 1"}, "citation": {"scorer": "citation 1"}}


def a_folder(path: Path, number: int, **changes: Any) -> RunFolder:
    """A run folder with what a trend reads of it."""
    path.mkdir(parents=True)
    manifest = {
        "format": FORMAT,
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
        "golden": {"sha256": "ab"},
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
    baseline = a_folder(tmp_path / "elsewhere", 6, suite="other")
    found = past_runs(run, baseline, "compliance")
    assert [past.run_id for past in found] == ["run-001", "run-006", "run-009"]
    assert found[-1].values == {"pass_rate": pytest.approx(0.545)}


def test_only_the_last_runs_count(tmp_path: Path) -> None:
    """Of sixty runs the newest fifty are kept, this one among them."""
    for number in range(60):
        a_folder(tmp_path / f"{number:03d}", number)
    found = past_runs(RunFolder(tmp_path / "003"), None, "compliance")
    assert len(found) == MOST_RUNS
    assert "run-003" in [past.run_id for past in found]


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
    styles = build_view(summary, report_samples.decision(), list, None, {}).styles
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
    view = build_view(report_samples.summary(), report_samples.decision(), rows, None, {}, past=runs)
    write_html(tmp_path / "r.html", view, rows, None)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Trend of pass_rate" in text
    assert 'class="cross"' in text
    assert "cut before: another golden set" in text


def test_one_run_has_no_trend() -> None:
    """A single run is no trend, and the page says what one takes."""
    assert trends([past(1)], report_samples.summary(), ["pass_rate"], {}) == ()
