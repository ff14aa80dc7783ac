"""Rows of the table of cases on a phone, and a failure that no figure shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import chromium
import pytest
import report_samples
from chromium import Tab
from test_report_browser import browse

from evalkit.report.html import write_html
from evalkit.report.markdown import summary_markdown
from evalkit.report.view import build_view
from evalkit.results import Comparison, Decision
from evalkit.types import Case, Metric, Output, Row, Score

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")
METRICS = tuple(Metric(name, pass_at=1.0) for name in ("keywords", "forbidden", "citation", "refusal"))
CUT = """[...document.querySelectorAll('#grid-space .row')].map((row) => [row, row.getBoundingClientRect()])
  .flatMap(([row, box]) => [...row.children].filter((cell) => cell.checkVisibility())
    .map((cell) => [cell.textContent, cell.getBoundingClientRect()])
    .filter(([, own]) => own.top < box.top - 1 || own.bottom > box.bottom + 1).map(([text]) => text))"""


BROKEN = """[...document.querySelectorAll('td, dd')].flatMap((cell) => {
  const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), found = [];
  for (let node = text.nextNode(); node; node = text.nextNode()) {
    for (const part of node.data.matchAll(/\\[[\u2212\\d][^\\]]*\\]/g)) {
      const range = document.createRange();
      range.setStart(node, part.index);
      range.setEnd(node, part.index + part[0].length);
      if (new Set([...range.getClientRects()].map((box) => box.top)).size > 1) found.push(part[0]);
    }
  }
  return found;
})"""
"""Intervals in tables that are written on more than one line."""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Cases that fail in every score, and one that has all its words and fails for what it may not say."""
    names = [metric.name for metric in METRICS]
    worst = {name: Score(name, 0.0, False, "nothing found") for name in names}
    kept = {name: Score(name, 1.0, name != "forbidden", "forbidden found 'x'") for name in names}
    good = {name: Score(name, 1.0, True) for name in names}
    cohorts = {"domain": "aml", "language": "en", "risk": "high"}

    def case(name: str, given: dict[str, Score]) -> Row:
        this = Case(id=name, input="A question of so many words that it takes two lines. " * 3, cohorts=cohorts)
        return Row(case=this, output=Output(text="x", latency_s=0.1), scores=given)

    now = [case("a", worst), case("b", kept)]
    before = [case("a", good), case("b", good)]
    compared = Comparison(baseline_id="main", n_paired=2, overlap=1.0, new_failures=("a", "b"))
    decision = Decision(outcome="blocked", checks=(), comparison=compared)
    summary = dataclasses.replace(report_samples.summary(), metrics=METRICS)
    view = build_view(summary, decision, lambda: now, lambda: before, report_samples.manifest())
    write_html(tmp_path / "r.html", view, lambda: now, lambda: before)
    (tmp_path / "summary.md").write_text(summary_markdown(view), encoding="utf-8")
    return tmp_path / "r.html"


@pytest.mark.parametrize("width", [320, 768, 1440])
def test_no_row_is_cut(tmp_path: Path, report: Path, width: int) -> None:
    """Every cell that is shown lies inside of its row, however many scores failed."""

    async def visit(tab: Tab) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await tab.call("Emulation.setDeviceMetricsOverride", **size)
        await tab.open(report, "#/cases")
        assert await tab.value("document.querySelectorAll('#grid-space .row').length") == 2
        assert await tab.value(CUT) == []

    browse(tmp_path, visit)


def test_a_failure_that_its_figure_does_not_show_is_called_one(tmp_path: Path, report: Path) -> None:
    """Where the figure is as good as before, `1 -> 1` would say nothing: the word stands in its place."""
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "- `b` medium · `forbidden` failed" in text

    async def visit(tab: Tab) -> None:
        await tab.open(report)
        assert "forbidden failed" in await tab.value("document.querySelectorAll('details.worst')[1].textContent")
        await tab.go("#/cases?sort=id", "#grid-space .row")
        cells = (
            "[...document.querySelectorAll('#grid-space .row')[1].querySelectorAll('.num')].map((c) => c.textContent)"
        )
        assert (await tab.value(cells))[:2] == ["1", "✗ failed"]
        await tab.go("#/case/b", ".scores tbody td")
        needs = "[...document.querySelectorAll('.scores [data-label=Needs]')].map((cell) => cell.textContent)"
        assert await tab.value(needs) == ["≥ 1see the reason", "≥ 1", "≥ 1", "≥ 1"]

    browse(tmp_path, visit)


@pytest.mark.parametrize("width", [320, 768])
def test_no_interval_is_broken(tmp_path: Path, report_file: Path, width: int) -> None:
    """An interval is read in one glance: gate, cohorts, judges and figures keep it on one line."""

    async def visit(tab: Tab) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await tab.call("Emulation.setDeviceMetricsOverride", **size)
        await tab.open(report_file)
        for view in ("", "judges", "figures"):
            await tab.go(f"#/{view}", f"#{view or 'overview'}:not([hidden])")
            await tab.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert await tab.value(BROKEN) == []
        assert await tab.value("document.documentElement.scrollWidth") <= width

    browse(tmp_path, visit)
