"""Hostile text in every field of a run: the page shows it, and is the page that it would be without."""

from __future__ import annotations

import asyncio
from pathlib import Path

import chromium
import pytest
from chromium import Tab
from hostile_run import HARMLESS, write
from payloads import PAYLOADS

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")

PARTS = 4
SKELETON = """[...document.querySelectorAll('body, body *')]
  .filter((each) => !['wbr', 'ins', 'del'].includes(each.localName) && each.type !== 'text/plain')
  .map((each) => `${each.localName}[${each.getAttributeNames().sort()}]`).join(' ')"""
"""Every element with the names of its attributes, save for what marks a name's breaks and the words that differ."""


def test_there_are_enough_payloads() -> None:
    """Sixty or more, each one of a kind."""
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 60


@pytest.mark.parametrize("part", range(PARTS))
def test_no_text_becomes_more_than_text(tmp_path: Path, part: int) -> None:
    """In no view does a text run, open, ask for or add anything: the elements are those of harmless text."""

    async def run() -> None:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            wanted = await look(tab, write(tmp_path / "harmless.html", HARMLESS))
            for number, payload in enumerate(PAYLOADS[part::PARTS]):
                found = await look(tab, write(tmp_path / f"{number}.html", payload))
                assert found == wanted, payload
                assert await tab.value("window.hacked === undefined"), payload
                assert await tab.value("Object.prototype.hacked === undefined && ({}).x === undefined")
            assert not tab.noise()
            assert {address.partition(":")[0] for address in tab.requested()} <= {"file", "about", "data"}
            assert len([each for each in tab.requested() if each.startswith("file")]) == 1 + len(PAYLOADS[part::PARTS])

    asyncio.run(run())


async def look(tab: Tab, path: Path) -> dict[str, str]:
    """The skeleton of every view with everything unfolded, and of every case."""
    await tab.open(path)
    assert await tab.value("document.getElementById('problem').hidden")
    await tab.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = {}
    for view in ("#/", "#/judges", "#/figures", "#/decision", "#/run", "#/cases"):
        await tab.value(f"location.hash = {view!r}")
        await tab.until(f"!document.getElementById({view[2:] or 'overview'!r}).hidden")
        found[view] = await tab.value(SKELETON)
    assert await tab.value("document.getElementById('decision-text').value.length > 500")
    addresses = await tab.value("[...document.querySelectorAll('a')].map((link) => link.getAttribute('href'))")
    assert all(address.startswith("#") for address in addresses), addresses
    for place in range(await tab.value("document.querySelectorAll('#grid-space .row').length")):
        await tab.go("#/cases", "#cases:not([hidden]) #grid-space .row")
        await tab.value(f"document.querySelectorAll('#grid-space .row')[{place}].click()")
        await tab.until("document.querySelector('#case:not([hidden]) .answer')")
        found[f"case {place}"] = await tab.value(SKELETON)
        await tab.value("document.getElementById('case').replaceChildren()")
    return found


def test_what_is_hidden_is_named(tmp_path: Path) -> None:
    """Characters that hide or reorder text are shown by their number in the page of a case."""
    path = write(tmp_path / "r.html", "\u202egnp.exe\u2066")

    async def run() -> None:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            await tab.open(path, "#/cases")
            await tab.value("document.querySelector('#grid-space .row').click()")
            await tab.until("document.querySelector('#case .answer')")
            shown = await tab.value("document.body.innerText")
            assert "<U+202E>gnp.exe<U+2066>" in shown
            assert "\u202e" not in shown

    asyncio.run(run())
