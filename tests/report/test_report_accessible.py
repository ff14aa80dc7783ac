"""The page under axe-core, in every view and both themes, at the width of a desk and of a phone."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import chromium
import pytest
from chromium import Tab

ROOT = Path(__file__).parents[2]
PLACES = [Path(os.environ.get("AXE_CORE", "")), ROOT / "node_modules" / "axe-core" / "axe.min.js"]
AXE = next((place for place in PLACES if place.is_file()), None)
pytestmark = [
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(AXE is None, reason="axe-core is not there: `npm install --no-save axe-core`, or set AXE_CORE"),
]
VIEWS = ("#/", "#/cases", "#/case/aml-0024", "#/judges", "#/figures", "#/decision", "#/run")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = f"""axe.run(document, {{runOnly: {json.dumps(RULES)}}}).then((found) => JSON.stringify(found.violations.map(
  (each) => [each.id, each.nodes.map((node) => `${{node.target}} ${{node.failureSummary}}`).slice(0, 4)])))"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_axe_finds_nothing(tmp_path: Path, report_file: Path, theme: str, width: int) -> None:
    """No rule of WCAG 2.2 AA or of good practice is broken in any view."""
    assert AXE is not None
    source = AXE.read_text(encoding="utf-8")

    async def visit(tab: Tab) -> dict[str, Any]:
        await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await tab.call("Emulation.setDeviceMetricsOverride", **size)
        found = {}
        for view in VIEWS:
            await tab.open(report_file, view)
            await tab.until("document.querySelector('main > [data-view]:not([hidden])').children.length")
            await tab.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            await tab.call("Runtime.evaluate", expression=source)
            found[view] = json.loads(await tab.value(RUN))
        await tab.go("#/cases", "#grid-space .row")
        await tab.value("document.getElementById('plain').click()")
        found["pages"] = json.loads(await tab.value(RUN))
        await tab.value("document.getElementById('help-open').click()")
        found["help"] = json.loads(await tab.value(RUN))
        return {view: violations for view, violations in found.items() if violations}

    async def run() -> dict[str, Any]:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            return await visit(tab)

    assert asyncio.run(run()) == {}
