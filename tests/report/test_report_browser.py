"""The HTML report in a real browser, opened from disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import chromium
import pytest
import report_samples
from chromium import Tab

from evalkit.report.html import write_html
from evalkit.report.view import build_view
from evalkit.results import Check, Decision, Summary
from evalkit.types import Case, Failure, Output, Row, Score

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")

SHOWN_ROWS = "[...document.querySelectorAll('#grid-space .row .id a')].map((link) => link.textContent)"
CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (colour, below) => {
    canvas.fillStyle = `rgb(${below.join(' ')})`; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const light = (colour) => colour.map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (element) => {
    const chain = [];
    for (let at = element; at; at = at.parentElement) chain.unshift(getComputedStyle(at).backgroundColor);
    return chain.reduce((below, colour) => rgb(colour, below), [255, 255, 255]);
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest('svg, script, style, .skip')) continue;
    const below = behind(element), style = getComputedStyle(element);
    const [high, low] = [light(rgb(style.color, below)), light(below)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) poor.push(`${element.className} ${ratio.toFixed(2)} ${element.textContent.slice(0, 30)}`);
  }
  return poor;
})()"""
SMALL_TARGETS = """[...document.querySelectorAll('button, select, input, nav a, summary')]
  .filter((element) => element.checkVisibility() && !element.closest('.skip'))
  .map((element) => [element.outerHTML.slice(0, 60), element.getBoundingClientRect()])
  .filter(([, box]) => (box.width < 24 || box.height < 24) && box.width > 0)
  .map(([html, box]) => `${html} ${box.width}x${box.height}`)
  .filter((line) => !line.includes('checkbox'))"""
PAYLOADS = (
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg onload=window.hacked=1>",
    "<!--<script>window.hacked=1//-->",
    "javascript:window.hacked=1",
    "\"><iframe srcdoc='<script>parent.hacked=1</script>'>",
    "'-alert(1)-'",
    "{{constructor.constructor('window.hacked=1')()}}",
    "\u2028alert(1)\u2029",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<a href='javascript:alert(1)' autofocus onfocus=alert(1)>x</a></textarea></title><base href=//evil.test>",
)


def browse(tmp_path: Path, visit: Callable[[Tab], Awaitable[None]], files: int = 1) -> None:
    """Run `visit` in a fresh browser; nothing may be logged or asked, and nothing but the report itself is opened."""

    async def run() -> None:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            await visit(tab)
            assert not tab.noise()
            assert {address.partition(":")[0] for address in tab.requested()} <= {"file", "about", "data"}
            assert len([address for address in tab.requested() if address.startswith("file")]) <= files

    asyncio.run(run())


def test_a_reviewer_finds_the_cause(tmp_path: Path, report_file: Path) -> None:
    """From the verdict to the cases of a cohort, to one case with both answers and its reasons."""

    async def visit(tab: Tab) -> None:
        await tab.open(report_file)
        assert "fell 90% → 50%" in await tab.value("document.querySelector('h1').textContent")
        assert await tab.value("document.getElementById('cases').hidden")
        await tab.go("#/cases", "#grid-space .row")
        assert await tab.value("document.getElementById('status').textContent") == "41 cases"
        assert await tab.value(f"{SHOWN_ROWS}[0]") == "aml-0024"
        await tab.value(
            "const box = document.getElementById('f-cohort'); box.value = 'domain=aml';"
            "box.dispatchEvent(new Event('input', {bubbles: true}))"
        )
        await tab.until("document.getElementById('status').textContent === '11 of 41 cases'")
        assert await tab.value("location.hash") == "#/cases?cohort=domain%3Daml"
        await tab.go("#/case/aml-0024", "#case-title")
        await tab.until("document.querySelector('#case .sides')")
        words = await tab.value("document.getElementById('case').textContent")
        for said in ("within thirty days", "without delay", "The deadline contradicts the reference.", "new failure"):
            assert said in words
        assert await tab.value("document.querySelectorAll('#case ins, #case del').length") >= 2
        assert '"score": 2' in await tab.value("document.querySelector('#case pre').textContent")

    browse(tmp_path, visit)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        pytest.param(
            "state=failed&change=new%20failure", ["aml-0024", "aml-0000", "aml-0016", "aml-0032"], id="change"
        ),
        pytest.param("state=system_error", ["markets-0011", "consumer-0022"], id="state"),
        pytest.param("scorer=correctness&state=unscored", ["consumer-0038", "privacy-0017"], id="scorer and state"),
        pytest.param("q=AML-001&sort=id", ["aml-0012", "aml-0016"], id="search and sort"),
        pytest.param("change=removed", ["aml-old"], id="removed"),
        pytest.param("cohort=domain%3Dnowhere", [], id="nothing matches"),
    ],
)
def test_filters_are_links(tmp_path: Path, report_file: Path, query: str, shown: list[str]) -> None:
    """A link with filters opens the table with just these cases, in this order."""

    async def visit(tab: Tab) -> None:
        await tab.open(report_file, f"#/cases?{query}")
        assert await tab.value(SHOWN_ROWS) == shown
        assert await tab.value("document.getElementById('grid').getAttribute('aria-rowcount')") == str(len(shown) + 1)

    browse(tmp_path, visit)


def test_the_keyboard_is_enough(tmp_path: Path, report_file: Path) -> None:
    """Arrows move in the table, Enter opens, j k [ ] move between cases, Escape goes back, ? helps."""

    async def visit(tab: Tab) -> None:
        await tab.open(report_file, "#/cases?sort=id")
        await tab.value("document.querySelector('#grid-space .row').focus()")
        await tab.key("ArrowDown")
        await tab.key("ArrowDown")
        await tab.key("ArrowUp")
        assert await tab.value("document.activeElement.getAttribute('aria-rowindex')") == "3"
        await tab.key("Enter")
        title = "document.getElementById('case-title')?.textContent"
        await tab.until(f"{title}?.includes('aml-0004')")
        for key, case_id in (("j", "aml-0008"), ("]", "aml-0016"), ("[", "aml-0008"), ("k", "aml-0004")):
            await tab.key(key)
            await tab.until(f"{title}.includes('{case_id}')")
        await tab.key("?")
        assert await tab.value("document.getElementById('help').open")
        await tab.value("document.getElementById('keys-on').click()")
        await tab.key("Escape")
        await tab.until("!document.getElementById('help').open")
        await tab.key("j")
        assert await tab.value(f"{title}.includes('aml-0004')")
        await tab.key("Escape")
        await tab.until("location.hash === '#/cases?sort=id'")

    browse(tmp_path, visit)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_reads_at_every_width_in_both_themes(tmp_path: Path, report_file: Path, theme: str) -> None:
    """No view scrolls sideways, text has a contrast of 4.5, and targets are 24 pixels."""

    async def visit(tab: Tab) -> None:
        await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        for width in (320, 768, 1440):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            await tab.call("Emulation.setDeviceMetricsOverride", **size)
            for route in ("#/", "#/cases", "#/case/aml-0024", "#/case/markets-0011"):
                await tab.open(report_file, route)
                assert await tab.value("document.documentElement.scrollWidth") <= width, (width, route)
                assert await tab.value(CONTRAST) == [], (width, route)
                assert await tab.value(SMALL_TARGETS) == [], (width, route)

    browse(tmp_path, visit)


def test_without_script_the_head_is_there(tmp_path: Path, report_file: Path) -> None:
    """With scripts off, verdict and tables are shown and nothing that needs a script is."""

    async def visit(tab: Tab) -> None:
        await tab.call("Emulation.setScriptExecutionDisabled", value=True)
        await tab.call("Page.navigate", url=report_file.as_uri())
        await tab.until("document.readyState === 'complete'")
        assert await tab.value("document.getElementById('headline').checkVisibility()")
        assert await tab.value("document.querySelector('.heat').checkVisibility()")
        assert not await tab.value("document.getElementById('theme').checkVisibility()")
        assert await tab.value("document.querySelector('noscript').textContent.includes('need JavaScript')")

    browse(tmp_path, visit)


def test_a_cut_file_says_so(tmp_path: Path, report_file: Path) -> None:
    """A file whose index is missing shows its head and says what is wrong."""
    text = report_file.read_text(encoding="utf-8")
    report_file.write_text(text.replace('id="index"', 'id="lost"'), encoding="utf-8")

    async def visit(tab: Tab) -> None:
        await tab.open(report_file)
        assert "the file is cut off" in await tab.value("document.getElementById('problem').textContent")
        assert await tab.value("document.getElementById('headline').checkVisibility()")

    browse(tmp_path, visit)


def test_no_text_becomes_script(tmp_path: Path) -> None:
    """Payloads in every text field run nothing, open nothing and add no element."""

    async def visit(tab: Tab) -> None:
        for number, payload in enumerate(PAYLOADS):
            path = tmp_path / f"report-{number}.html"
            rows = write_hostile(path, payload)
            await tab.open(path)
            await look_at_every_case(tab, len(rows))
            assert await tab.value("window.hacked === undefined"), payload
            foreign = "iframe, img, math, base, object, embed, [onerror], [onload], [onfocus], [autofocus], [srcdoc]"
            assert await tab.value(f"document.querySelectorAll({foreign!r}).length") == 0, payload
            assert await tab.value("[...document.links].every((link) => link.hash === link.getAttribute('href'))")

    browse(tmp_path, visit, files=len(PAYLOADS))


async def look_at_every_case(tab: Tab, count: int) -> None:
    """Open each case from the table and unfold everything."""
    for place in range(count):
        await tab.go("#/cases", "#grid-space .row")
        await tab.until("document.getElementById('case').hidden")
        await tab.value(f"document.querySelectorAll('#grid-space .row')[{place}].click()")
        await tab.until("!document.getElementById('case').hidden && document.querySelector('#case .answer')")
    await tab.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")


def write_hostile(path: Path, payload: str) -> list[Row]:
    """Write the report of a run whose every text is the payload."""
    rows, summary, decision = hostile_run(payload)
    manifest = {"run_id": payload, "command": payload, "versions": {payload: payload}}
    view = build_view(summary, decision, lambda: rows, lambda: rows, manifest)
    write_html(path, view, lambda: rows, lambda: rows)
    return rows


def hostile_run(payload: str) -> tuple[list[Row], Summary, Decision]:
    """A run whose every text is the payload."""
    case = Case(
        id=payload,
        input=payload,
        reference=(payload,),
        contexts=(payload,),
        cohorts={payload: payload},
        cluster=payload,
        fields={payload: payload},
    )
    score = Score(payload, 0, False, payload, details={payload: payload})
    rows = [
        Row(case=case, output=Output(text=payload), scores={payload: score}),
        Row(case=replace(case, id=payload + "2"), failure=Failure(payload, payload)),
    ]
    check = Check(
        name=payload,
        metric=payload,
        cohort=payload,
        outcome="block",
        need=payload,
        reason=payload,
        case_ids=(payload,),
    )
    cell = replace(report_samples.cells()[0], metric=payload, cohort=payload)
    judge = replace(
        report_samples.agreement()[0], metric=payload, judge=payload, note=payload, categories=(payload, payload)
    )
    summary = replace(
        report_samples.summary(),
        suite=payload,
        metrics=(replace(report_samples.METRICS[0], name=payload),),
        cells=(cell,),
        agreement=(judge,),
        error_kinds={payload: 1},
        unscored_kinds={payload: 1},
        notes=(payload,),
    )
    return rows, summary, Decision(outcome="blocked", checks=(check,), reasons=(payload, payload))
