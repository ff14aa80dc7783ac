"""Run folders with what a list of runs reads of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from test_report_trend import a_folder

from evalkit.store.folder import DECISION, SUMMARY, RunFolder

HOSTILE = "<img src=x onerror=alert(1)>"


def a_run(path: Path, number: int, *, outcome: str = "approved", rate: float = 0.8, **changes: Any) -> RunFolder:
    """A whole run with a report: its rate in an interval of 0.2, and one cohort."""
    run = a_folder(path, number, **changes)
    cells = [
        ("pass_rate", "overall", rate, 40),
        ("pass_rate", f"topic={HOSTILE}", rate / 2, 10),
        ("latency_p95_s", "overall", 1.5, 40),
    ]
    records = [
        {
            "metric": metric,
            "cohort": cohort,
            "estimate": {"value": value, "low": value - 0.1, "high": value + 0.1, "n": n},
        }
        for metric, cohort, value, n in cells
    ]
    run.file(SUMMARY).write_text(json.dumps({"cells": records}), encoding="utf-8")
    run.file(DECISION).write_text(json.dumps({"outcome": outcome}), encoding="utf-8")
    run.file("report.html").write_text(f"<!doctype html><title>{path.name}</title>", encoding="utf-8")
    return run
