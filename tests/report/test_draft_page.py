"""The page of drafts in a real browser: accept, edit and drop by keyboard alone, and the export joins the set."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import axe
import chromium
import pytest
from chromium import Tab
from payloads import PAYLOADS
from test_label_page import downloaded
from test_report_browser import CONTRAST, SMALL_TARGETS

from evalkit.operations.accept_drafts import accept_drafts
from evalkit.report.draft_page import DraftedCase, DraftQueue, write_draft_page
from evalkit.text.escaping import visible

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")

WORDS = ("amber account", "birch loan", "cedar card", "delta deposit", "ember transfer")
QUEUE = DraftQueue(
    set="cases.jsonl",
    room=3,
    items=tuple(
        DraftedCase(
            of=f"{n:016x}",
            file="docs/fees.md",
            lines=f"{n + 1}-{n + 2}",
            passage=f"Fees of 2026.\nThe {word} costs\n EUR {n + 5}  each year.\nIt may change.",
            asked="",
            question=f"How much does the {word} cost each year?",
            reference=f"EUR {n + 5}",
            quote=f"The {word} costs EUR {n + 5} each year.",
            cohorts={"topic": "fees"},
            by="small-model",
        )
        for n, word in enumerate(WORDS)
    ),
)
MARKED = "document.querySelector('#passage mark').textContent"
PROGRESS = "document.getElementById('progress').textContent"


def browse(tmp_path: Path, visit: Callable[[Tab], Awaitable[None]], queue: DraftQueue = QUEUE) -> None:
    """Open the page and run `visit`; nothing may be logged, and nothing but the page itself is asked for."""
    page = tmp_path / "drafts.html"
    write_draft_page(page, queue)

    async def run() -> None:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            await tab.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "down"))
            await tab.call("Page.navigate", url=page.as_uri())
            await tab.until("document.documentElement?.dataset.ready")
            await visit(tab)
            assert not tab.noise()
            assert {address.partition(":")[0] for address in tab.requested()} <= {"file", "about", "blob"}

    asyncio.run(run())


async def type_name(tab: Tab, name: str) -> None:
    """From the start of the page to the reviewer's name by Tab, and on to the first draft by Enter."""
    for _ in range(5):
        await tab.key("Tab")
        if await tab.value("document.activeElement.id") == "reviewer":
            break
    await tab.call("Input.insertText", text=name)
    await tab.key("Enter")
    assert await tab.value("document.activeElement.id") == "item"


def project(root: Path) -> Path:
    """A suite with 12 cases, which takes three synthetic ones."""
    (root / "pyproject.toml").touch()
    suite = root / "suite.yaml"
    suite.write_text(
        "name: s\ngolden: cases.jsonl\nsystem: {replay: golden}\ncohorts: [topic]\nscorers: [exact]\n", encoding="utf-8"
    )
    texts = ("opening hours", "lost cards", "new address", "exchange rates", "interest", "statements")
    rows = [
        {"id": f"c{n}", "input": f"What holds for {texts[n % 6]} in case {n * n * 37}?", "reference": "x"}
        | {"answer": "x", "cohorts": {"topic": "fees"}}
        for n in range(12)
    ]
    (root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return suite


def test_drafts_are_reviewed_by_keyboard_alone_and_join_the_set(tmp_path: Path) -> None:
    """Accept, edit and accept, drop, a decision taken back, and `x`."""

    async def visit(tab: Tab) -> None:
        await type_name(tab, "Ana Ö.")
        assert await tab.value(MARKED) == "The amber account costs\n EUR 5  each year."
        await tab.key("a")
        await tab.key("e")
        assert await tab.value("document.activeElement.id") == "question"
        await tab.call("Input.insertText", text=" And a day?")
        await tab.key("Escape")
        assert await tab.value("document.activeElement.id") == "item"
        await tab.key("a")
        for key in ("d", "u", "a", "d"):
            await tab.key(key)
        assert await tab.value(PROGRESS) == "4 of 5 reviewed"
        assert await tab.value("document.getElementById('title').textContent") == "Draft 5 of 5"
        await tab.key("d")
        assert await tab.value(PROGRESS) == "All 5 reviewed: export them."
        assert "3 accepted; at most 3 can be added" in await tab.value("document.getElementById('room').textContent")
        await tab.key("x")
        text = await downloaded(tmp_path / "down" / "drafts-Ana-Ö-.jsonl")
        (tmp_path / "export.jsonl").write_text(text, encoding="utf-8")

    browse(tmp_path, visit)
    found = accept_drafts(project(tmp_path), [tmp_path / "export.jsonl"], datetime.date(2026, 11, 3))
    assert (len(found.cases), found.n_dropped) == (3, 2)
    assert [case.row["input"] for case in found.cases] == [
        "How much does the amber account cost each year?",
        "How much does the birch loan cost each year? And a day?",
        "How much does the cedar card cost each year?",
    ]
    assert {(case.row["by"], case.row["reviewed_by"], case.row["origin"]) for case in found.cases} == {
        ("small-model", "Ana Ö.", "synthetic")
    }


def test_decisions_and_edits_survive_a_reload_and_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    """A name for the export, and a text for what is accepted."""

    async def visit(tab: Tab) -> None:
        await tab.key("a")
        await tab.key("x")
        assert "Write your name" in await tab.value("document.getElementById('problem').textContent")
        assert await tab.value("document.activeElement.id") == "reviewer"
        for text in ("", "EUR 6 a year"):
            await tab.value(
                f"document.getElementById('reference').value = {json.dumps(text)};"
                "document.getElementById('reference').dispatchEvent(new Event('input'))"
            )
            await tab.value("document.getElementById('item').focus()")
            if not text:
                await tab.key("a")
                assert "The reference is empty" in await tab.value("document.getElementById('problem').textContent")
                assert await tab.value("document.activeElement.id") == "reference"
        await tab.call("Page.navigate", url=(tmp_path / "drafts.html").as_uri() + "?again")
        await tab.until("document.getElementById('progress')?.textContent === '1 of 5 reviewed'")
        assert await tab.value("document.getElementById('reference').value") == "EUR 6 a year"

    browse(tmp_path, visit)


def test_more_than_the_set_takes_is_shown(tmp_path: Path) -> None:
    """A fourth accepted draft of three turns the line into a warning."""

    async def visit(tab: Tab) -> None:
        warned = "document.getElementById('room').classList.contains('alert')"
        for _ in range(3):
            await tab.key("a")
        assert not await tab.value(warned)
        await tab.key("a")
        assert await tab.value(warned)

    browse(tmp_path, visit)


def test_keys_write_while_a_text_is_edited_and_can_be_switched_off(tmp_path: Path) -> None:
    """WCAG 2.1.4: `a` in a question is a letter."""

    async def visit(tab: Tab) -> None:
        await tab.key("e")
        await tab.key("a")
        assert (await tab.value("document.getElementById('question').value")).endswith("?a")
        await tab.key("Escape")
        await tab.value("document.getElementById('keys').click()")
        await tab.value("document.getElementById('item').focus()")
        await tab.key("a")
        assert await tab.value(PROGRESS) == "0 of 5 reviewed"

    browse(tmp_path, visit)


def test_what_a_document_or_a_model_wrote_stays_text(tmp_path: Path) -> None:
    """Payloads in every field: no script runs, no element appears, no dialog opens."""
    hostile = tuple(
        replace(
            QUEUE.items[0],
            of=f"{n:016x}",
            file=payload,
            passage=f"{payload} and {payload}",
            asked=payload,
            question=payload,
            reference=payload,
            quote=payload,
            cohorts={payload: payload},
            by=payload,
            alike=(payload,),
        )
        for n, payload in enumerate(PAYLOADS)
    )

    async def visit(tab: Tab) -> None:
        for payload in PAYLOADS:
            assert await tab.value("document.getElementById('asked').textContent") == visible(payload)
            shown = await tab.value("document.getElementById('passage').textContent")
            assert visible(payload.strip()[:5]) in shown
            assert await tab.value("document.querySelectorAll('main :is(img, svg, iframe, script, a)').length") == 0
            await tab.key("j")
        assert not await tab.value("window.hacked")

    browse(tmp_path, visit, DraftQueue(set=PAYLOADS[0], room=1, items=hostile))


STEPS: dict[str, tuple[str, ...]] = {"begin": (), "middle": ("a", "d", "k"), "no name": ("x",)}


@pytest.mark.skipif(axe.SCRIPT is None, reason=axe.MISSING)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_axe_finds_nothing_while_drafts_are_reviewed(tmp_path: Path, theme: str, width: int) -> None:
    """At the begin, after decisions, with a missing name, and with more accepted than the set takes."""
    found: dict[str, Any] = {}
    items = (replace(QUEUE.items[0], asked="How much?", alike=("cases.jsonl:3 fee-3",)), *QUEUE.items[1:])

    async def visit(tab: Tab) -> None:
        await axe.seen_as(tab, theme, width)
        for step, keys in STEPS.items():
            for key in keys:
                await tab.key(key)
            if violations := await axe.violations(tab):
                found[step] = violations
        await tab.call("Input.insertText", text="Ana")
        await tab.key("Enter")
        for _ in QUEUE.items:
            await tab.key("a")
        await tab.key("x")
        assert "drafts-Ana" in await tab.value("document.getElementById('kept').textContent")
        if violations := await axe.violations(tab):
            found["export"] = violations

    browse(tmp_path, visit, replace(QUEUE, items=items))
    assert found == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_the_page_can_be_read_by_everybody(tmp_path: Path, theme: str, width: int) -> None:
    """Contrast of 4.5, also of the marked quote, targets of 24 pixels, no sideways scrolling."""

    async def visit(tab: Tab) -> None:
        await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        await tab.call("Emulation.setDeviceMetricsOverride", **metrics)
        assert await tab.value(CONTRAST) == []
        assert await tab.value(SMALL_TARGETS) == []
        assert await tab.value("document.documentElement.scrollWidth") <= width

    browse(tmp_path, visit)
