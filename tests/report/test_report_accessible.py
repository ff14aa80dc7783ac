"""The report and the labelling page under axe-core, in both themes, at the width of a desk and of a phone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import axe
import chromium
import pytest
from chromium import Tab
from test_label_page import QUEUE, browse

pytestmark = [
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(axe.SCRIPT is None, reason=axe.MISSING),
]
VIEWS = ("#/", "#/cases", "#/case/aml-0024", "#/judges", "#/figures", "#/decision", "#/run")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_axe_finds_nothing(tmp_path: Path, report_file: Path, theme: str, width: int) -> None:
    """No rule of WCAG 2.2 AA or of good practice is broken in any view."""

    async def visit(tab: Tab) -> dict[str, Any]:
        await axe.seen_as(tab, theme, width)
        found = {}
        for view in VIEWS:
            await tab.open(report_file, view)
            await tab.until("document.querySelector('main > [data-view]:not([hidden])').children.length")
            await tab.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            found[view] = await axe.violations(tab)
        await tab.go("#/cases", "#grid-space .row")
        await tab.value("document.getElementById('plain').click()")
        found["pages"] = await axe.violations(tab)
        await tab.value("document.getElementById('help-open').click()")
        found["help"] = await axe.violations(tab)
        return {view: violations for view, violations in found.items() if violations}

    async def run() -> dict[str, Any]:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            return await visit(tab)

    assert asyncio.run(run()) == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_axe_finds_nothing_while_answers_are_labelled(tmp_path: Path, theme: str, width: int) -> None:
    """From the begin over a labelled answer, its contexts open, and a missing name to the end and its export."""
    found: dict[str, Any] = {}

    async def visit(tab: Tab) -> None:
        await axe.seen_as(tab, theme, width)
        for step, act in _STEPS.items():
            await act(tab)
            if violations := await axe.violations(tab):
                found[step] = violations

    browse(tmp_path, visit)
    assert found == {}


async def _nothing(tab: Tab) -> None:
    assert await tab.value("document.getElementById('progress').textContent") == f"0 of {len(QUEUE.items)} labelled"


async def _middle(tab: Tab) -> None:
    for key in ("3", "5", "1", "k"):
        await tab.key(key)
    await tab.value("document.getElementById('context-box').open = true")
    assert await tab.value("document.querySelectorAll('#choices [aria-pressed=true]').length") == 1


async def _nameless(tab: Tab) -> None:
    await tab.key("e")
    assert await tab.value("document.getElementById('problem').checkVisibility()")


async def _exported(tab: Tab) -> None:
    await tab.call("Input.insertText", text="Ana")
    await tab.key("Enter")
    for _ in range(len(QUEUE.items)):
        await tab.key("4")
    assert "All" in await tab.value("document.getElementById('progress').textContent")
    await tab.key("e")
    assert "labels-Ana" in await tab.value("document.getElementById('kept').textContent")


_STEPS: dict[str, Callable[[Tab], Awaitable[None]]] = {
    "begin": _nothing,
    "middle": _middle,
    "no name": _nameless,
    "export": _exported,
}
