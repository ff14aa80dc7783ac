"""The report in a browser that cannot unpack its cases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import axe
import chromium
import pytest
from chromium import Tab
from test_report_browser import CONTRAST, browse

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")
SEEN = "(id) => document.getElementById(id).checkVisibility()"


OLD = ("window.DecompressionStream", "Element.prototype.replaceChildren")


async def open_old(tab: Tab, report: Path, route: str = "", lacks: str = OLD[0]) -> None:
    """Open the report where one part of a browser is missing."""
    await tab.call("Page.addScriptToEvaluateOnNewDocument", source=f"delete {lacks}")
    await tab.call("Page.navigate", url=report.as_uri() + route)
    await tab.until("document.readyState === 'complete'")
    assert await tab.value(f"typeof {lacks}") == "undefined"


@pytest.mark.parametrize("lacks", OLD)
@pytest.mark.parametrize("route", ["", "#/cases", "#/case/aml-0024"])
def test_it_says_which_browsers_open_the_cases_and_shows_the_rest(
    tmp_path: Path, report_file: Path, route: str, lacks: str
) -> None:
    """In place of the table: what is missing, what opens it, where the same stands. Nothing is logged."""

    async def visit(tab: Tab) -> None:
        await open_old(tab, report_file, route, lacks)
        said = await tab.value("document.getElementById('no-cases').innerText")
        for words in ("Chrome 86", "Edge 86", "Firefox 113", "Safari 16.4", "summary.md", "rows.jsonl"):
            assert words in said
        shown = "['no-cases', 'headline', 'gate', 'worst', 'judges-title', 'trend', 'provenance']"
        assert await tab.value(f"{shown}.filter((id) => !({SEEN})(id))") == []
        assert await tab.value(f"['cases', 'case', 'decision', 'problem'].filter({SEEN})") == []
        assert await tab.value("document.querySelector('table.gate tbody').innerText.includes('block')")
        await tab.value("document.querySelector('.tiles a').click()")
        assert await tab.value("document.getElementById('no-cases').getBoundingClientRect().top") < 300
        assert await tab.value(CONTRAST) == []

    browse(tmp_path, visit)


def test_without_a_segmenter_words_are_told_apart_by_spaces(tmp_path: Path, report_file: Path) -> None:
    """A case that changed shows its two answers and what differs."""

    async def visit(tab: Tab) -> None:
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source="delete Intl.Segmenter")
        await tab.open(report_file, "#/case/aml-0024")
        assert await tab.value("typeof Intl.Segmenter") == "undefined"
        assert await tab.value("document.querySelectorAll('#case ins, #case del').length") >= 2

    browse(tmp_path, visit)


def test_a_browser_that_can_unpack_is_told_nothing(tmp_path: Path, report_file: Path) -> None:
    """The words are for others: also paper and a page without scripts go without them."""

    async def visit(tab: Tab) -> None:
        await tab.open(report_file, "#/cases")
        assert not await tab.value(f"({SEEN})('no-cases')")
        await tab.call("Emulation.setScriptExecutionDisabled", value=True)
        await tab.call("Page.navigate", url=report_file.as_uri() + "?still")
        await tab.until("document.readyState === 'complete'")
        assert not await tab.value(f"({SEEN})('no-cases')")

    browse(tmp_path, visit, files=2)


@pytest.mark.skipif(axe.SCRIPT is None, reason=axe.MISSING)
def test_axe_finds_nothing_there(tmp_path: Path, report_file: Path) -> None:
    """What is shown instead breaks no rule either."""

    async def run() -> None:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            await open_old(tab, report_file)
            assert await axe.violations(tab) == []

    asyncio.run(run())
