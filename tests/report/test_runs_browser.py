"""The page of all runs in a browser: search, two runs side by side, themes, a phone."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import axe
import chromium
import pytest
from chromium import Tab
from stored_runs import HOSTILE, a_run
from test_report_browser import CONTRAST, SMALL_TARGETS, browse

from evalkit.operations.serve import RunsServer
from evalkit.operations.view import write_page

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")
SHOWN = """[...document.querySelectorAll('#runs tr')].filter((row) => row.checkVisibility())
  .map((row) => row.querySelector('th').innerText)"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Four runs of a suite with a hostile name, one of them with another golden set, and one run of another suite."""
    folder = tmp_path / "reports"
    for number in range(1, 4):
        a_run(folder / f"run-{number}", number, rate=0.6 + number / 10, suite=HOSTILE)
    a_run(folder / "run-4", 4, suite=HOSTILE, golden={"path": "g.jsonl", "sha256": "cd", "n_cases": 1})
    a_run(folder / "alone", 5, suite="other", outcome="blocked")
    return write_page(folder, None)


def shown(tmp_path: Path, page: Path, visit: Callable[[Tab], Awaitable[None]]) -> None:
    """Open the page, and visit it."""

    async def opened(tab: Tab) -> None:
        await tab.open(page)
        await visit(tab)

    browse(tmp_path, opened)


def pick(*names: str) -> str:
    """Click the boxes of runs."""
    return (
        f"for (const name of {json.dumps(names)})"
        " document.querySelector(`input[aria-label='Compare ${name}']`).click()"
    )


def test_any_two_runs_of_a_suite_are_shown_side_by_side(tmp_path: Path, page: Path) -> None:
    """The older one first, in whatever order they were chosen, with the line to compare them; a third replaces one."""

    async def visit(tab: Tab) -> None:
        await tab.value(pick("run-3", "run-1"))
        command = await tab.value("document.getElementById('command').textContent")
        assert command == f"evalkit diff {page.parent}/run-1 {page.parent}/run-3"
        figures = await tab.value("[...document.querySelectorAll('#figures tr')].map((row) => row.innerText)")
        assert figures[0].split() == ["pass_rate", "70%", "[60,", "80]", "n", "40", "90%", "[80,", "100]", "n", "40"]
        assert figures[2] == "pass_rate by cohort"
        assert figures[3].startswith(f"topic={HOSTILE}")
        assert await tab.value("document.querySelectorAll('#figures img').length") == 0
        await tab.value(pick("run-4"))
        assert await tab.value("document.querySelectorAll('#runs input:checked').length") == 2
        assert "run-1 " in await tab.value("document.getElementById('command').textContent")
        assert "another golden set" in await tab.value("document.getElementById('unlike').innerText")
        await tab.value(pick("alone"))
        assert await tab.value("document.getElementById('sides').hidden")
        assert "two suites" in await tab.value("document.getElementById('chosen').innerText")

    shown(tmp_path, page, visit)


def test_the_list_is_searched(tmp_path: Path, page: Path) -> None:
    """By words of a line, and by suite."""

    async def visit(tab: Tab) -> None:
        assert await tab.value(SHOWN) == ["alone", "run-4", "run-3", "run-2", "run-1"]
        await tab.value(
            "document.getElementById('search').value = 'BLOCKED other';"
            "document.getElementById('search').dispatchEvent(new Event('input', {bubbles: true}))"
        )
        assert await tab.value(SHOWN) == ["alone"]
        assert await tab.value("document.getElementById('count').innerText") == "1 of 5 shown"
        await tab.value(
            "document.getElementById('search').value = '';"
            f"document.getElementById('suite').value = {json.dumps(HOSTILE)};"
            "document.getElementById('suite').dispatchEvent(new Event('input', {bubbles: true}))"
        )
        assert await tab.value(SHOWN) == ["run-4", "run-3", "run-2", "run-1"]

    shown(tmp_path, page, visit)


@pytest.mark.parametrize(("theme", "width"), [("light", 400), ("dark", 400), ("light", 1440), ("dark", 1440)])
def test_everybody_can_read_it(tmp_path: Path, page: Path, theme: str, width: int) -> None:
    """Contrast, names and targets in both themes; no sideways scrolling on a phone, with two runs side by side."""

    async def visit(tab: Tab) -> None:
        await axe.seen_as(tab, theme, width)
        await tab.value(pick("run-1", "run-3"))
        assert await tab.value("document.documentElement.scrollWidth") <= width
        assert await tab.value(CONTRAST) == []
        assert await tab.value(SMALL_TARGETS) == []
        if axe.SCRIPT is not None:
            assert await axe.violations(tab) == []

    shown(tmp_path, page, visit)


def test_a_served_report_works_in_its_sandbox(tmp_path: Path, report_file: Path) -> None:
    """From the list to the cases of a report, whose scripts run, and which can neither read the list nor store."""
    a_run(tmp_path / "reports" / "one", 1).file("report.html").write_bytes(report_file.read_bytes())

    async def visit(tab: Tab, url: str) -> None:
        await tab.call("Page.navigate", url=url)
        await tab.until("document.documentElement?.dataset.ready")
        await tab.value("document.querySelector('#runs th a').click()")
        await tab.until("location.pathname === '/one/report.html' && document.documentElement?.dataset.ready")
        await tab.go("#/cases", "#grid-space .row")
        assert await tab.value("origin") == "null"
        assert not tab.noise()
        assert await tab.value("fetch('/').then(() => 'read', () => 'refused')") == "refused"
        assert tab.requested() == {url, f"{url}one/report.html"}

    async def run(url: str) -> None:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            await visit(tab, url)

    with RunsServer(tmp_path / "reports", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            asyncio.run(run(server.url))
        finally:
            server.shutdown()
            thread.join()
