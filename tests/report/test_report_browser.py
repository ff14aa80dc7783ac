"""The HTML report in a real browser, opened from disk."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import chromium
import pytest
import report_samples
from chromium import Tab

from evalkit.report import shown_cases
from evalkit.report.html import write_html
from evalkit.report.view import build_view
from evalkit.results import Decision
from evalkit.types import Case, Output, Row, Score

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")

SHOWN_ROWS = "[...document.querySelectorAll('#grid-space .row .id a')].map((link) => link.textContent)"
NEW_FAILURES = ["aml-0000", "aml-0016", "aml-0024", "aml-0032"]
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
        pytest.param(
            "cohort=aml&change=new_fail&sort=id", ["aml-0000", "aml-0016", "aml-0024", "aml-0032"], id="short"
        ),
        pytest.param("flag=unscored&sort=id", ["consumer-0038", "privacy-0017"], id="flag"),
        pytest.param("flag=labelled&scorer=correctness&by=person&human=pass&judge=fail", ["privacy-0013"], id="cell"),
        pytest.param("error=http_500", ["consumer-0022"], id="error"),
        pytest.param(
            "scorer=keywords&sort=drop&state=failed", ["aml-0024", "aml-0000", "aml-0016", "aml-0032"], id="drop"
        ),
    ],
)
def test_filters_are_links(tmp_path: Path, report_file: Path, query: str, shown: list[str]) -> None:
    """A link with filters opens the table with just these cases, in this order."""

    async def visit(tab: Tab) -> None:
        await tab.open(report_file, f"#/cases?{query}")
        assert (await tab.value(SHOWN_ROWS))[: len(shown) or None] == shown
        count = await tab.value("document.getElementById('grid').getAttribute('aria-rowcount')")
        assert count == str(1 + (6 if "drop" in query else len(shown)))

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


def test_a_cell_of_the_confusion_matrix_leads_to_its_cases(tmp_path: Path, report_file: Path) -> None:
    """A count in the judges' view opens the cases that it counts, and the table says by whom they are labelled."""

    async def visit(tab: Tab) -> None:
        await tab.open(report_file, "#/judges")
        cell = "a.cell[href*='by=person'][href*='human=pass'][href*='judge=fail']"
        await tab.value(f"""document.querySelector("{cell}").click()""")
        await tab.until("!document.getElementById('cases').hidden")
        assert await tab.value(SHOWN_ROWS) == ["privacy-0013"]
        said = await tab.value("document.getElementById('status').textContent")
        assert said == "1 of 41 cases labelled by a person as pass, judged fail"
        await tab.value("document.getElementById('f-clear').click()")
        await tab.until("document.getElementById('status').textContent === '41 cases'")

    browse(tmp_path, visit)


def test_an_answer_can_be_read_without_its_baseline(tmp_path: Path, report_file: Path) -> None:
    """`base=1` shows both answers, `base=0` only the one of now, and a button turns it."""

    async def visit(tab: Tab) -> None:
        await tab.open(report_file, "#/case/aml-0024?base=1")
        await tab.until("document.querySelectorAll('#case .answer').length === 2")
        await tab.value("document.querySelector('#case button[aria-pressed]').click()")
        await tab.until("document.querySelectorAll('#case .answer').length === 1")
        assert await tab.value("location.hash") == "#/case/aml-0024?base=0"

    browse(tmp_path, visit)


def test_the_case_page_says_what_was_needed_and_how_long_it_took(tmp_path: Path, report_file: Path) -> None:
    """Scores stand beside their pass mark and the baseline's, times and attempts below."""

    async def visit(tab: Tab) -> None:
        await tab.open(report_file, "#/case/aml-0024")
        row = "[...document.querySelectorAll('.scores tbody tr')].find((row) => row.textContent.startsWith('keywords'))"
        await tab.until(row)
        cells = await tab.value(f"[...{row}.cells].map((cell) => cell.textContent)")
        assert cells[1:5] == ["\u2717 failed", "0.9", "0.25\u22120.65", "\u2265 0.7"]
        words = await tab.value("document.getElementById('case').textContent")
        assert "attempts1" in words
        assert "(stored answer)" in words

    browse(tmp_path, visit)


def test_a_plain_table_in_pages(tmp_path: Path) -> None:
    """Where a reader wants a plain table, it comes in pages of a hundred."""
    cases = [Case(id=f"c{number:03d}", input="?") for number in range(250)]
    rows = [Row(case=case, output=Output(text="x"), scores={"a": Score("a", 1, True)}) for case in cases]
    view = build_view(
        report_samples.summary(), Decision(outcome="approved", checks=()), lambda: rows, None, report_samples.manifest()
    )
    write_html(tmp_path / "r.html", view, lambda: rows, None)

    async def visit(tab: Tab) -> None:
        await tab.open(tmp_path / "r.html", "#/cases?sort=id")
        await tab.value("document.getElementById('plain').click()")
        assert await tab.value("document.querySelectorAll('#pages tbody tr').length") == 100
        assert await tab.value("document.getElementById('grid').hidden")
        for _ in range(2):
            await tab.value("document.querySelectorAll('#pages button')[1].click()")
        assert await tab.value("document.querySelector('#pages caption').textContent") == "Cases 201 to 250 of 250"
        assert await tab.value("document.querySelector('#pages tbody a').textContent") == "c200"
        assert await tab.value("document.activeElement.localName") == "caption"

    browse(tmp_path, visit)


def test_people_complete_the_release_decision(tmp_path: Path, report_file: Path) -> None:
    """What is entered stands in the record under its heading; what the run wrote stays, and nothing is added twice."""

    async def visit(tab: Tab) -> None:
        folder = tmp_path / "saved"
        folder.mkdir()
        await tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        await tab.open(report_file, "#/decision")
        await tab.value(
            """(() => {
          const form = document.getElementById('decision-form');
          const entries = {'severity-1': 'low', 'remediation-1': 'rebuild | the  index', risk: 'stale answers',
            conditions: 'none', oversight: 'compliance on duty', follow_up: '- [ ] monitor', decision: 'Block',
            approvers: 'A. Reviewer', date: '2026-07-03'};
          for (const [name, value] of Object.entries(entries)) form.elements.namedItem(name).value = value;
          form.dispatchEvent(new Event('input'));
          form.requestSubmit();
        })()"""
        )
        saved = folder / "release_decision.md"
        for _ in range(500):
            if saved.exists() and saved.stat().st_size:
                break
            await asyncio.sleep(0.02)
        text = saved.read_text(encoding="utf-8")
        original = (Path(__file__).parent / "golden" / "release_decision.md").read_text(encoding="utf-8")
        assert [line for line in text.splitlines() if line.startswith("#")] == [
            line for line in original.splitlines() if line.startswith("#")
        ]
        rows = [line for line in text.splitlines() if line.startswith("| `aml-00")]
        assert rows[1].startswith("| `aml-0016` | low |")
        assert rows[1].endswith("| rebuild \u00a6 the index |")
        assert rows[0].endswith("| (to be filled in) |")
        for said in ("\nstale answers\n", "\ncompliance on duty\n", "- [ ] monitor\n\n- [ ] `pass rate in domain=aml`"):
            assert said in text
        for name, value in (("Decision", "Block"), ("Approvers", "A. Reviewer"), ("Date", "2026-07-03")):
            assert f"| {name} | {value} |" in text
        assert "Still blank: remediation." in await tab.value("document.getElementById('decision-blank').textContent")
        await tab.value(
            """(() => {
          const form = document.getElementById('decision-form');
          for (const field of form.querySelectorAll('[data-asked=remediation]')) field.value = 'rebuild the index';
          form.elements.namedItem('conditions').value = '';
          form.dispatchEvent(new Event('input'));
          document.getElementById('decision-preview').open = true;
        })()"""
        )
        await tab.until("document.getElementById('decision-text').value")
        whole = await tab.value("document.getElementById('decision-text').value")
        assert "| Conditions | none |" in whole
        left = whole.count("(to be filled in)")
        said = await tab.value("document.getElementById('decision-blank').textContent")
        assert said.startswith("Every field")
        assert (f"{left} more in the record" in said) is (left > 0), (left, said)
        assert "(to be filled in)" not in whole.partition("## Required follow-up")[2]
        assert "| `pass_rate` | `pass_rate` | \u2265 85% | 3 |" in text

    browse(tmp_path, visit, files=1)


def test_it_works_in_a_frame_that_may_do_nothing(tmp_path: Path, report_file: Path) -> None:
    """In a sandboxed frame without storage the views, the filters and the theme work."""
    host = tmp_path / "host.html"
    host.write_text(
        f'<!doctype html><iframe sandbox="allow-scripts" width=900 height=700 src="{report_file.as_uri()}"></iframe>',
        encoding="utf-8",
    )

    async def visit(tab: Tab) -> None:
        await tab.call("Page.navigate", url=host.as_uri())
        await tab.until("document.readyState === 'complete'")
        frames = (await tab.call("Page.getFrameTree"))["frameTree"]["childFrames"]
        world = await tab.call("Page.createIsolatedWorld", frameId=frames[0]["frame"]["id"])
        inside = {"contextId": world["executionContextId"], "returnByValue": True, "awaitPromise": True}

        async def value(expression: str) -> object:
            found = await tab.call("Runtime.evaluate", expression=expression, **inside)
            assert "exceptionDetails" not in found, found
            return found["result"].get("value")

        async def until(expression: str) -> None:
            for _ in range(1_000):
                if await value(f"!!({expression})"):
                    return
                await asyncio.sleep(0.02)
            raise AssertionError(f"never true: {expression}")

        await until("document.documentElement.dataset.ready")
        await value("document.querySelector('[data-tab=cases]').click()")
        await until("document.querySelector('#cases:not([hidden]) #grid-space .row')")
        await value(
            "const box = document.getElementById('f-change'); box.value = 'new_fail';"
            "box.dispatchEvent(new Event('input', {bubbles: true}))"
        )
        await until("document.getElementById('status').textContent === '4 of 41 cases'")
        await value("document.querySelector('#grid-space .row').click()")
        await until("document.querySelector('#case:not([hidden]) .answer')")
        await value("document.getElementById('theme').click()")
        assert await value("document.documentElement.dataset.theme") in ("dark", "light")
        assert await value("document.getElementById('problem').hidden")

    browse(tmp_path, visit, files=2)


def test_paper_has_everything_that_needs_no_script(tmp_path: Path, report_file: Path) -> None:
    """In print the head, the judges, the figures and the run are there, worst cases unfolded, without bars or forms."""

    async def visit(tab: Tab) -> None:
        await tab.open(report_file)
        await tab.call("Emulation.setEmulatedMedia", media="print")
        seen = "(id) => document.getElementById(id).checkVisibility()"
        shown = await tab.value(f"['headline', 'judges-title', 'resources', 'provenance'].map({seen})")
        assert shown == [True] * 4
        assert await tab.value(f"['cases', 'decision', 'theme'].map({seen})") == [False] * 3
        texts = await tab.value("[...document.querySelectorAll('details.worst dd')].map((each) => each.offsetHeight)")
        assert min(texts) > 0

    browse(tmp_path, visit)


def test_the_filters_of_a_huge_run_count_the_cases_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A case that is not there is not on this page, which does not mean that the run lacks it."""
    monkeypatch.setattr(shown_cases, "MOST_CASES", 24)
    monkeypatch.setattr(shown_cases, "LISTED_CASES", 4)
    rows, old = report_samples.candidate_rows, report_samples.baseline_rows
    view = build_view(report_samples.summary(), report_samples.decision(), rows, old, report_samples.manifest())
    write_html(tmp_path / "report.html", view, rows, old)
    status = "document.getElementById('status').textContent"

    async def visit(tab: Tab) -> None:
        await tab.open(tmp_path / "report.html", "#/cases")
        found = await tab.value(status)
        assert re.fullmatch("2[0-4] cases on this page", found)
        await tab.value("location.hash = '#/cases?q=nowhere'")
        await tab.until(f"{status} === '0 of {found}'")
        none = await tab.value("document.querySelector('#none-found:not([hidden])').textContent")
        assert none.startswith("No case on this page matches.")

    browse(tmp_path, visit)
