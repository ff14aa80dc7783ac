"""The page of a comparison of several systems in a real browser, opened from disk."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import axe
import chromium
import pytest
import system_samples as samples
from chromium import Tab
from payloads import PAYLOADS
from test_report_browser import CONTRAST, SMALL_TARGETS, browse
from test_report_hostile import SKELETON

from evalkit.aggregate.system_comparison import SystemComparison, SystemFigures
from evalkit.report.systems.write import write_comparison
from evalkit.results import Estimate
from evalkit.types import Case, Failure, Output, Row, Score

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")
IDS = "[...document.querySelectorAll('#pages tbody th b')].map((each) => each.textContent)"
HEADS = "[...document.querySelectorAll('#pages thead th > span')].map((each) => each.textContent)"
NAMES = "[...document.querySelectorAll('#table tbody tr')].map((row) => row.children[1].dataset.value)"
STATUS = "document.getElementById('status').textContent"
SCROLLS = "document.querySelector('.wide').scrollWidth - document.querySelector('.wide').clientWidth"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The page of 12 systems with 60 cases each."""
    compared = samples.comparison(12, n=60)
    samples.write_runs(tmp_path / "run", compared)
    write_comparison(tmp_path / "run", compared, samples.SENTENCE)
    return tmp_path / "run" / "report.html"


async def chosen(tab: Tab, box: str, change: str, status: str) -> None:
    """Change a box of the form and wait for the cases that fit."""
    await tab.value(
        f"(() => {{ const box = document.getElementById('{box}'); {change};"
        "box.dispatchEvent(new Event('input', {bubbles: true}));"
        "box.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    await tab.until(f"{STATUS} === {json.dumps(status)}")


def test_without_references_nothing_is_expected(tmp_path: Path) -> None:
    """The answers have no column for what no case has; a reason for a missing figure leaves the table its width."""
    compared = samples.comparison(4, n=12)
    nothing = Estimate(value=None, reason="no case has a value, as every call to this system ended in an error")
    dead = replace(compared.systems[1], primary=nothing, difference=nothing, rank=None, p_value=None)
    compared = replace(compared, systems=(compared.systems[0], dead, *compared.systems[2:]))

    def bare(place: int, number: int) -> Row:
        row = samples.answer(place, number)
        return replace(row, case=replace(row.case, reference=()))

    samples.write_runs(tmp_path / "run", compared, bare)
    write_comparison(tmp_path / "run", compared, samples.SENTENCE)

    async def visit(tab: Tab) -> None:
        await tab.open(tmp_path / "run" / "report.html")
        size = {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await tab.call("Emulation.setDeviceMetricsOverride", **size)
        assert "Expected" not in await tab.value(HEADS)
        assert await tab.value("document.querySelectorAll('#pages .expected').length") == 0
        assert await tab.value(SCROLLS) == 0

    browse(tmp_path, visit)


def test_filters_find_the_cases(tmp_path: Path, page: Path) -> None:
    """Only where systems disagree, only one system fails, words of an answer; all of it is in the address."""
    marks = {number: samples.marks_of(number, 12) for number in range(60)}
    divided = [number for number, found in marks.items() if {True, False} <= set(found)]
    alone = [number for number in divided if marks[number].count(False) == 1 and marks[number][2] is False]
    words = [number for number in alone if number % 3 == 0]
    assert 60 > len(divided) > len(alone) > len(words) > 0

    async def visit(tab: Tab) -> None:
        await tab.open(page)
        assert await tab.value(STATUS) == "60 cases"
        assert len(await tab.value(IDS)) == 25
        await chosen(tab, "f-divided", "box.checked = true", f"{len(divided)} of 60 cases")
        await chosen(tab, "f-only", "box.value = '3'", f"{len(alone)} of 60 cases")
        await tab.until(f"{HEADS}.includes('3 gpt-5-mini/steps')")
        assert await tab.value(IDS) == list(map(samples.case_id, alone))
        await chosen(tab, "f-q", "box.value = 'WITHIN 14 days'", f"{len(words)} of 60 cases")
        assert await tab.value("location.hash") == "#/answers?q=WITHIN+14+days&only=3&divided=1"
        await tab.value("document.querySelector('#filters [type=reset]').click()")
        await tab.until(f"{STATUS} === '60 cases'")
        assert await tab.value("location.hash") == "#/answers"

    browse(tmp_path, visit)


def test_an_address_is_a_view(tmp_path: Path, page: Path) -> None:
    """A link with filters, columns and a page opens just that; nonsense in it is left out."""

    async def visit(tab: Tab) -> None:
        await tab.open(page, "#/answers?columns=5.1.99.x&page=3&whole=1")
        assert (await tab.value(HEADS)) == ["Case", "Expected", "1 today", "5 gpt-5/short"]
        assert (await tab.value(IDS))[0] == samples.case_id(50)
        assert not await tab.value("document.getElementById('pages').classList.contains('folded')")
        assert await tab.value("document.getElementById('answers').getBoundingClientRect().top < innerHeight")
        await tab.open(page, "#/answers?only=77&page=9e99&columns=&q=no such words anywhere")
        assert await tab.value(STATUS) == "0 of 60 cases"

    browse(tmp_path, visit)


def test_pages_are_turned_by_the_keyboard(tmp_path: Path, page: Path) -> None:
    """Next page puts the focus on its caption; arrows move between cells; the link opens that system's own case."""

    async def visit(tab: Tab) -> None:
        await tab.open(page)
        await tab.value("document.querySelectorAll('#pages button')[1].focus()")
        await tab.key(" ")
        await tab.until(f"{IDS}[0] === '{samples.case_id(25)}'")
        await tab.until("document.activeElement.textContent === 'Cases 26 to 50 of 60'")
        await tab.value("document.querySelector('#pages td.opens a').focus()")
        await tab.key("ArrowDown")
        await tab.key("ArrowDown")
        await tab.value(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}))"
        )
        href = await tab.value("document.activeElement.getAttribute('href')")
        assert href == f"./systems/gpt-5-mini-short/report.html#/case/{samples.case_id(27)}"
        await tab.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", text="\r", windowsVirtualKeyCode=13)
        await tab.until("document.body && document.body.textContent === 'own report'")
        assert (await tab.value("location.href")).endswith(href.removeprefix("."))

    browse(tmp_path, visit, files=2)


def test_a_click_in_a_cell_opens_the_case(tmp_path: Path, page: Path) -> None:
    """The whole cell is the target, not the word alone."""

    async def visit(tab: Tab) -> None:
        await tab.open(page)
        await tab.leave("document.querySelector('#pages td.opens .text').click()")
        await tab.until("document.body && document.body.textContent === 'own report'")

    browse(tmp_path, visit, files=2)


def test_the_table_is_sorted_by_a_click(tmp_path: Path, page: Path) -> None:
    """Up, then down; a system with an unknown cost is last both times."""

    async def visit(tab: Tab) -> None:
        await tab.open(page)
        button = "[...document.querySelectorAll('#table thead button')].find((each) => each.textContent === 'Cost')"
        await tab.value(f"{button}.click()")
        up = await tab.value(NAMES)
        assert await tab.value(f"{button}.parentElement.getAttribute('aria-sort')") == "ascending"
        await tab.value(f"{button}.click()")
        down = await tab.value(NAMES)
        assert up[0] == "today"
        assert down[0] == "local-8b/steps"
        assert up[-1] == down[-1] == "gpt-5/steps"

    browse(tmp_path, visit)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 400, 768, 1440])
def test_it_is_readable(tmp_path: Path, page: Path, theme: str, width: int) -> None:
    """Enough contrast, targets large enough, and no scrolling to the side, at any width in both themes."""

    async def visit(tab: Tab) -> None:
        await axe.seen_as(tab, theme, width)
        await tab.open(page)
        await tab.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert await tab.value(CONTRAST) == []
        assert await tab.value(SMALL_TARGETS) == []
        assert await tab.value(OVERFLOW) <= 0

    browse(tmp_path, visit)


@pytest.mark.skipif(axe.SCRIPT is None, reason=axe.MISSING)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "k"), [(320, 12), (1440, 12), (1440, 2)])
def test_axe_finds_nothing(tmp_path: Path, theme: str, width: int, k: int) -> None:
    """No rule of WCAG 2.2 AA or of good practice is broken, with and without a dependence of the factors."""
    pages = []
    for name, interaction in (("a", 0.4), ("b", 0.001)):
        compared = replace(samples.comparison(k, n=30), interaction_p=interaction if k == 12 else None)
        samples.write_runs(tmp_path / name, compared)
        write_comparison(tmp_path / name, compared, samples.SENTENCE)
        pages.append(tmp_path / name / "report.html")

    async def visit(tab: Tab) -> None:
        await axe.seen_as(tab, theme, width)
        for path in pages:
            await tab.open(path)
            await tab.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert await axe.violations(tab) == []

    browse(tmp_path, visit, files=2)


def test_64_systems_stay_usable(tmp_path: Path) -> None:
    """A page of 64 systems draws four columns; others are chosen, and a search through all answers ends."""
    compared = samples.comparison(64, n=200)
    samples.write_runs(tmp_path / "run", compared)
    write_comparison(tmp_path / "run", compared, samples.SENTENCE)

    async def visit(tab: Tab) -> None:
        await tab.open(tmp_path / "run" / "report.html")
        assert await tab.value("document.querySelectorAll('#pages .given').length") == 100
        await tab.value("document.querySelector('#columns-boxes [value=\"64\"]').click()")
        await tab.until(f"{HEADS}.length === 7")
        assert await tab.value("document.getElementById('columns-shown').textContent") == "5 of 64"
        await chosen(tab, "f-q", "box.value = 'nothing holds this'", "0 of 200 cases")
        await chosen(tab, "f-q", "box.value = 'within 15 days'", "67 of 200 cases")
        assert await tab.value(OVERFLOW) <= 0

    browse(tmp_path, visit)


def test_without_javascript_the_findings_are_there(tmp_path: Path, page: Path) -> None:
    """Sentence, table, charts and map are shown, the filters and the grid are not, and the page says so."""

    async def visit(tab: Tab) -> None:
        await tab.call("Emulation.setScriptExecutionDisabled", value=True)
        await tab.call("Page.navigate", url=page.as_uri())
        await asyncio.sleep(0.5)
        words = await tab.value("document.body.innerText")
        for said in (samples.SENTENCE, "gpt-5-mini/short", "▲ better", "unknown", "not tested", "need JavaScript"):
            assert said in words, said
        assert "Answers side by side" not in words
        assert await tab.value("document.querySelectorAll('#table button').length") == 0

    browse(tmp_path, visit)


def test_it_works_in_a_frame_that_may_do_nothing(tmp_path: Path, page: Path) -> None:
    """In a sandboxed frame without storage or an address of its own the filters and the theme work."""
    host = tmp_path / "host.html"
    host.write_text(
        f'<!doctype html><iframe sandbox="allow-scripts" width=900 height=700 src="{page.as_uri()}"></iframe>'
    )

    async def visit(tab: Tab) -> None:
        await tab.call("Page.navigate", url=host.as_uri())
        await tab.until("document.readyState === 'complete'")
        frames = (await tab.call("Page.getFrameTree"))["frameTree"]["childFrames"]
        world = await tab.call("Page.createIsolatedWorld", frameId=frames[0]["frame"]["id"])

        async def value(expression: str) -> object:
            inside = {"contextId": world["executionContextId"], "returnByValue": True}
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
        await value("document.getElementById('f-divided').click()")
        await until(f"{STATUS}.endsWith(' of 60 cases')")
        await value("document.querySelectorAll('#pages button')[1].click()")
        await until("document.querySelector('#pages caption').textContent.startsWith('Cases 26 ')")
        assert await value("document.getElementById('f-divided').checked")
        await value("document.getElementById('theme').click()")
        assert await value("document.documentElement.dataset.theme")

    browse(tmp_path, visit, files=2)


PARTS = 3


@pytest.mark.parametrize("part", range(PARTS))
def test_no_text_becomes_more_than_text(tmp_path: Path, part: int) -> None:
    """Names, sentence, notes, levels, cohorts, questions, answers and reasons are shown and add nothing."""
    payloads = PAYLOADS[part::PARTS]

    async def look(tab: Tab, path: Path) -> str:
        await tab.open(path)
        assert await tab.value("document.getElementById('problem').hidden")
        addresses = await tab.value("[...document.querySelectorAll('a')].map((link) => link.getAttribute('href'))")
        assert all(address.startswith(("#", "./systems/")) for address in addresses), addresses
        return str(await tab.value(SKELETON))

    async def visit(tab: Tab) -> None:
        wanted = await look(tab, hostile_page(tmp_path / "harmless", "plain words"))
        for number, payload in enumerate(payloads):
            assert await look(tab, hostile_page(tmp_path / str(number), payload)) == wanted, payload
            assert await tab.value("window.hacked === undefined && Object.prototype.hacked === undefined"), payload

    browse(tmp_path, visit, files=1 + len(payloads))


def hostile_page(root: Path, payload: str) -> Path:
    """A page whose every text is the payload."""
    compared = samples.comparison(3, n=3)
    systems = tuple(_hostile(each, place, payload) for place, each in enumerate(compared.systems))
    cohorts = tuple(
        replace(each, system=systems[1 + at % 2].name, cohort=f"{payload}={payload}")
        for at, each in enumerate(compared.cohorts[:1])
    )
    effects = tuple(
        replace(each, factor=f"{payload}{at}", level=payload)
        for at, each in enumerate(samples.comparison(12).effects[:2])
    )
    hostile = replace(
        compared,
        suite=payload,
        primary=f"{payload}_rate",
        reference=systems[0].name,
        release=(systems[1].name,),
        systems=systems,
        candidates=tuple(each.name for each in systems),
        cohorts=cohorts,
        effects=effects,
        interaction_p=0.001,
        notes=(payload,),
    )
    samples.write_runs(root, hostile, lambda place, number: _hostile_row(payload, place, number))
    write_comparison(root, hostile, payload, suite=payload)
    return root / "report.html"


def _hostile(figures: SystemFigures, place: int, payload: str) -> SystemFigures:
    return replace(
        figures,
        name=f"{payload}{place}",
        factors={payload: payload},
        worst_cohort=f"{payload}={payload}",
        frontier="dominated",
        dominated_by=payload,
        folder=f"systems/{place}",
    )


def _hostile_row(payload: str, place: int, number: int) -> Row:
    case = Case(id=f"{payload}{number}", input=payload * 40, reference=(payload,), digest=f"{number:064x}")
    if number == 2:
        return Row(case=case, failure=Failure(payload, payload))
    passed = (place + number) % 2 == 0
    scores = {payload: Score(payload, float(passed), passed, payload)}
    return Row(case=case, output=Output(text=payload), scores=scores)


BOT = """\
def answer(input: str, wrong: str = "") -> str:
    if input == "boom":
        raise RuntimeError("no answer")
    return "</script><img src=x onerror=window.hacked=1>" if input == wrong else input.upper()
"""


def suite_text(wrong: str) -> str:
    """A suite whose system errs on one input."""
    return (
        "name: shout\ngolden: cases.jsonl\nscorers: [exact]\ngate: [{pass_rate: {min: 0.3}}]\n"
        f'system: {{python: "bot:answer", arguments: {{wrong: "{wrong}"}}}}\n'
    )


def test_real_runs_are_compared(tmp_path: Path) -> None:
    """Three folders that `evalkit run` wrote: the grid shows their answers, and a link opens the case in the report."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("")
    (project / "shoutbot.py").write_text(BOT)
    rows = [{"id": f"case/{text}", "input": text, "reference": text.upper()} for text in ("a", "b", "c", "boom")]
    (project / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = {"today": "a", "new <b>": "b", "other": "none"}
    systems = []
    for place, (name, wrong) in enumerate(names.items()):
        (project / "suite.yaml").write_text(suite_text(wrong).replace("bot:answer", "shoutbot:answer"))
        command = [sys.executable, "-m", "evalkit", "run", "suite.yaml", "--out", f"out/systems/{place}"]
        ran = subprocess.run(command, cwd=project, env={**os.environ}, capture_output=True, text=True, check=False)
        assert ran.returncode == 3, ran.stderr
        systems.append(replace(samples.comparison(3).systems[place], name=name, folder=f"systems/{place}", n_cases=4))
    compared: SystemComparison = replace(
        samples.comparison(3), systems=tuple(systems), release=("new <b>",), candidates=(), disagreements=("case/a",)
    )
    view = write_comparison(project / "out", compared, "other is the best")
    assert "without a result" in view.release[0].text or "coverage" in view.release[0].text

    async def visit(tab: Tab) -> None:
        await tab.open(project / "out" / "report.html", "#/answers?only=1")
        assert await tab.value(IDS) == ["case/a"]
        assert "<img src=x onerror" in await tab.value("document.querySelector('#pages td.failed .text').textContent")
        await tab.leave("document.querySelector('#pages td.failed a').click()")
        await tab.until("document.querySelector('#case:not([hidden]) .answer')")
        assert "case/a" in await tab.value("document.getElementById('case-title').textContent")
        assert await tab.value("window.hacked === undefined")

    browse(tmp_path, visit, files=2)
