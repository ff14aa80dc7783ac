"""The page of a golden set in a real browser: accessible, narrow, and without a request."""

from __future__ import annotations

import asyncio
from pathlib import Path

import axe
import chromium
import pytest
from chromium import Tab
from test_report_browser import CONTRAST, SMALL_TARGETS

from evalkit.report.golden_page import GoldenPart, write_golden_page
from evalkit.report.next_steps import NextStep

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")]

PARTS = (
    GoldenPart(name="Coverage", tone="pass", finding="The cases cover 97% [95, 99] of production."),
    GoldenPart(
        name="Near-duplicates",
        tone="warn",
        finding="1 pair of 52 cases: 1 likely the same, 0 likely another meaning.",
        headings=("Case", "Resembles", "Kind", "Similarity"),
        rows=(("fee-1", "fee-31 (golden_sets/a-rather-long-folder/cases.jsonl:52)", "same", "0.93"),),
        next=(NextStep("put them into one cluster", "evalkit golden dedup cases.jsonl --json > pairs.json"),),
    ),
    GoldenPart(name="Leaks", tone="block", finding="Cases that were found: 1 of 52 in 1 file of prompts."),
    GoldenPart(name="Lock", tone="no decision", finding="cases.jsonl: is not locked."),
)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_everybody_can_read_the_page(tmp_path: Path, theme: str, width: int) -> None:
    """Rules of axe, contrast of 4.5, targets of 24 pixels, no sideways scrolling; it asks for nothing but itself."""
    page = tmp_path / "golden.html"
    write_golden_page(page, "fees", ("cases.jsonl", "52 cases", "version 2026.12"), PARTS)

    async def visit(tab: Tab) -> None:
        await axe.seen_as(tab, theme, width)
        await tab.call("Page.navigate", url=page.as_uri())
        await tab.until("document.readyState === 'complete'")
        assert await tab.value("document.documentElement.scrollWidth") <= width
        assert await tab.value(CONTRAST) == []
        assert await tab.value(SMALL_TARGETS) == []
        assert await tab.value("performance.getEntriesByType('resource').length") == 0
        if axe.SCRIPT is not None:
            assert await axe.violations(tab) == []

    async def look() -> None:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            await visit(tab)

    asyncio.run(look())
