"""Contexts of the baseline and of now, side by side in the page of a case."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import chromium
import pytest
import report_samples
from chromium import Tab
from test_report_browser import browse

from evalkit.report.html import write_html
from evalkit.report.view import build_view
from evalkit.types import Row

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")
BOXES = """[...document.querySelectorAll('#case section')]
  .filter((each) => each.querySelector('h2').textContent.startsWith('Contexts'))
  .map((each) => [
    [...each.querySelectorAll('del')].map((x) => x.textContent),
    [...each.querySelectorAll('ins')].map((x) => x.textContent),
    each.querySelector('p.note:last-child')?.textContent])"""


def with_contexts(row: Row, *texts: str) -> Row:
    """A row whose system states its contexts."""
    assert row.output is not None
    return dataclasses.replace(row, output=dataclasses.replace(row.output, contexts=texts))


def test_contexts_of_one_run_only_are_marked(tmp_path: Path) -> None:
    """A passage that was lost is struck out, one that is new is underlined, and both are counted."""
    now = [with_contexts(report_samples.row(0), "kept", "gained")]
    before = [with_contexts(report_samples.row(0, baseline=True), "kept", "lost", "also lost")]
    view = build_view(
        report_samples.summary(), report_samples.decision(), lambda: now, lambda: before, report_samples.manifest()
    )
    path = tmp_path / "r.html"
    write_html(path, view, lambda: now, lambda: before)

    async def visit(tab: Tab) -> None:
        await tab.open(path, f"#/case/{now[0].case.id}")
        await tab.until("document.querySelector('#case .answer')")
        assert await tab.value(BOXES) == [[["lost", "also lost"], ["gained"], "2 only in the baseline, 1 only now."]]
        await tab.go(f"#/case/{now[0].case.id}?base=0", "#case:not([hidden]) button[aria-pressed='false']")
        assert await tab.value(BOXES) == [[[], [], None]]

    browse(tmp_path, visit)
