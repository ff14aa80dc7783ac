"""axe-core in a page: every rule of WCAG 2.2 AA and of good practice."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from chromium import Tab

ROOT = Path(__file__).parents[2]
PLACES = [Path(os.environ.get("AXE_CORE", "")), ROOT / "node_modules" / "axe-core" / "axe.min.js"]
SCRIPT = next((place for place in PLACES if place.is_file()), None)
MISSING = "axe-core is not there: `npm install --no-save axe-core`, or set AXE_CORE"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = f"""axe.run(document, {{runOnly: {json.dumps(RULES)}}}).then((found) => JSON.stringify(found.violations.map(
  (each) => [each.id, each.nodes.map((node) => `${{node.target}} ${{node.failureSummary}}`).slice(0, 4)])))"""


async def violations(tab: Tab) -> list[Any]:
    """Rules that the page as it stands breaks, each with its first nodes."""
    assert SCRIPT is not None
    if not await tab.value("typeof axe === 'object'"):
        await tab.call("Runtime.evaluate", expression=SCRIPT.read_text(encoding="utf-8"))
    return json.loads(await tab.value(RUN))


async def seen_as(tab: Tab, theme: str, width: int) -> None:
    """Show pages in a theme and at a width from now on."""
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    await tab.call("Emulation.setDeviceMetricsOverride", **size)
