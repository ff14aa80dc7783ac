"""The page of a monitor in a real browser: themes, a phone, the keyboard, hostile texts, no script."""

from __future__ import annotations

from pathlib import Path

import axe
import chromium
import monitor_samples as samples
import pytest
from chromium import Tab
from payloads import PAYLOADS
from test_report_browser import CONTRAST, SMALL_TARGETS, browse
from test_report_hostile import SKELETON
from test_report_narrow import BROKEN

from evalkit.report.monitor.html import status_html
from evalkit.report.monitor.status import Status

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
PARTS = 3


def written(tmp_path: Path, status: Status, name: str = "status") -> Path:
    """The page of a status."""
    file = tmp_path / f"{name}.html"
    file.write_text(status_html(status), encoding="utf-8", errors="replace")
    return file


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The page of the hand-made status."""
    return written(tmp_path, samples.status())


@pytest.mark.parametrize(("theme", "width"), [("light", 320), ("dark", 360), ("light", 1440), ("dark", 1440)])
def test_everybody_can_read_it(tmp_path: Path, page: Path, theme: str, width: int) -> None:
    """Contrast, names and targets in both themes; no sideways scrolling on a phone; no interval on two lines."""

    async def visit(tab: Tab) -> None:
        await axe.seen_as(tab, theme, width)
        await tab.open(page)
        for unfold in ("", OPEN_ALL):
            await tab.value(unfold)
            assert await tab.value("document.documentElement.scrollWidth") <= width
            assert await tab.value(CONTRAST) == []
            assert await tab.value(SMALL_TARGETS) == []
            assert await tab.value(BROKEN) == []
            if axe.SCRIPT is not None:
                assert await axe.violations(tab) == []

    browse(tmp_path, visit)


@pytest.mark.skipif(axe.SCRIPT is None, reason=axe.MISSING)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_a_hostile_page(tmp_path: Path, theme: str) -> None:
    """Long words without a break, in every place: they fit a phone, and no rule is broken."""
    file = written(tmp_path, samples.hostile("Donaudampfschifffahrt=" * 12))

    async def visit(tab: Tab) -> None:
        await axe.seen_as(tab, theme, 360)
        await tab.open(file)
        await tab.value(OPEN_ALL)
        assert await axe.violations(tab) == []
        assert await tab.value("document.documentElement.scrollWidth") <= 360

    browse(tmp_path, visit)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_text_becomes_more_than_text(tmp_path: Path, part: int) -> None:
    """Names of metrics and cohorts, ids, words, judges, notes and commands are shown and add nothing."""
    payloads = PAYLOADS[part::PARTS]

    async def look(tab: Tab, path: Path) -> str:
        await tab.open(path)
        addresses = await tab.value("[...document.querySelectorAll('a')].map((link) => link.getAttribute('href'))")
        assert all(address.startswith("#") for address in addresses), addresses
        return str(await tab.value(SKELETON))

    async def visit(tab: Tab) -> None:
        wanted = await look(tab, written(tmp_path, samples.hostile("plain words"), "harmless"))
        for number, payload in enumerate(payloads):
            assert await look(tab, written(tmp_path, samples.hostile(payload), str(number))) == wanted, payload
            assert await tab.value("window.hacked === undefined && Object.prototype.hacked === undefined"), payload

    browse(tmp_path, visit, files=1 + len(payloads))


def test_what_is_hidden_is_named(tmp_path: Path) -> None:
    """Characters that hide or reorder are shown by their number, in drawings too."""
    file = written(tmp_path, samples.hostile("\u202egnp.exe\u2066"))

    async def visit(tab: Tab) -> None:
        await tab.open(file)
        shown = await tab.value("document.documentElement.innerHTML")
        assert "&lt;U+202E&gt;gnp.exe&lt;U+2066&gt;" in shown
        assert "\u202e" not in shown
        assert "<U+202E>gnp.exe" in await tab.value("document.querySelector('svg title').textContent")

    browse(tmp_path, visit)


def test_every_link_and_fold_is_reached_by_the_keyboard(tmp_path: Path, page: Path) -> None:
    """Tab goes to the skip link first, then through all; nothing that can be used is left out."""

    async def visit(tab: Tab) -> None:
        await tab.open(page)
        wanted = await tab.value(
            "[...document.querySelectorAll('a, button, input, summary, [tabindex=\"0\"]')]"
            ".filter((each) => each.checkVisibility()).length"
        )
        seen = []
        for _ in range(wanted + 1):
            await tab.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", windowsVirtualKeyCode=9)
            await tab.call("Input.dispatchKeyEvent", type="keyUp", key="Tab", windowsVirtualKeyCode=9)
            seen.append(
                await tab.value(
                    "[...document.querySelectorAll('*')].indexOf(document.activeElement) + ' '"
                    " + document.activeElement.className"
                )
            )
        assert seen[0].endswith("skip")
        assert len(set(seen) - {seen[-1]}) >= wanted - 1

    browse(tmp_path, visit)


def test_a_link_to_a_folded_trend_unfolds_it(tmp_path: Path, page: Path) -> None:
    """An alarm leads to its drawing, also one that ended and whose cohort is folded."""

    async def visit(tab: Tab) -> None:
        await tab.open(page)
        folded = "document.querySelector('.metric details .trend')"
        assert not await tab.value(f"{folded}.checkVisibility({{contentVisibilityAuto: true}})")
        number = await tab.value(f"{folded}.id")
        assert await tab.value(f"document.querySelector('.alarms a[href=\"#{number}\"]') !== null")
        await tab.value(f"document.querySelector('.alarms a[href=\"#{number}\"]').click()")
        await tab.until(f"{folded}.closest('details').open")
        await tab.until(f"{folded}.getBoundingClientRect().top < innerHeight")

    browse(tmp_path, visit)


def test_streams_are_searched(tmp_path: Path, page: Path) -> None:
    """By words of metric, cohort and state; the number is announced."""

    async def visit(tab: Tab) -> None:
        await tab.open(page)
        assert await tab.value("document.getElementById('count').innerText") == "18 of 18 shown"
        await tab.value(
            "document.getElementById('search').value = 'LOANS citation';"
            "document.getElementById('search').dispatchEvent(new Event('input', {bubbles: true}))"
        )
        assert await tab.value("document.getElementById('count').innerText") == "1 of 18 shown"
        rows = "[...document.querySelectorAll('#rows tr')].filter((row) => row.checkVisibility())"
        assert "topic=loans" in await tab.value(f"{rows}.map((row) => row.innerText).join()")

    browse(tmp_path, visit)


def test_without_script_everything_is_there(tmp_path: Path, page: Path) -> None:
    """Alarms, drawings and tables are shown; what needs a script is not."""

    async def visit(tab: Tab) -> None:
        await tab.call("Emulation.setScriptExecutionDisabled", value=True)
        await tab.call("Page.navigate", url=page.as_uri())
        await tab.until("document.readyState === 'complete'")
        for shown in ("#headline", ".alarms", "svg.days", "#rows", ".kinds", ".coverage", ".inputs", ".spend"):
            assert await tab.value(f"document.querySelector({shown!r}).checkVisibility()"), shown
        for hidden in ("#theme", "#filters", "#count"):
            assert not await tab.value(f"document.querySelector({hidden!r}).checkVisibility()"), hidden

    browse(tmp_path, visit)


def test_the_theme_is_switched(tmp_path: Path, page: Path) -> None:
    """By its button, in a light and in a dark system."""

    async def visit(tab: Tab) -> None:
        await axe.seen_as(tab, "dark", 1440)
        await tab.open(page)
        await tab.value("document.getElementById('theme').click()")
        assert await tab.value("document.documentElement.dataset.theme") == "light"
        assert await tab.value(CONTRAST) == []

    browse(tmp_path, visit)
