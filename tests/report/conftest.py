"""The hand-made run as fixtures, and the comparison with stored outputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import report_samples

from evalkit.report.html import write_html
from evalkit.report.records import release_decision_markdown
from evalkit.report.view import View, build_view
from evalkit.results import Decision, Summary

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def summary() -> Summary:
    """Summary of the hand-made run."""
    return report_samples.summary()


@pytest.fixture
def decision() -> Decision:
    """Decision of the hand-made run."""
    return report_samples.decision()


@pytest.fixture
def view(summary: Summary, decision: Decision) -> View:
    """View of the hand-made run."""
    rows, before = report_samples.candidate_rows, report_samples.baseline_rows
    return build_view(summary, decision, rows, before, report_samples.manifest())


@pytest.fixture
def report_file(view: View, tmp_path: Path) -> Path:
    """The HTML report of the hand-made run."""
    path = tmp_path / "report.html"
    rows, before = report_samples.stored_rows, report_samples.stored_baseline_rows
    record = release_decision_markdown(view, report_samples.manifest())
    write_html(path, view, rows, before, labels=report_samples.labels(), record=record)
    return path


@pytest.fixture
def same_as_golden() -> Callable[[str, str], None]:
    """Compare a text with the stored one; `EVALKIT_UPDATE_GOLDEN=1` stores it instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("EVALKIT_UPDATE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert text == path.read_text(encoding="utf-8")

    return compare
