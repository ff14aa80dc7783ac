"""The labelling page in a real browser: ten answers by keyboard alone, and the export is taken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import chromium
import pytest
from chromium import Tab
from payloads import PAYLOADS
from test_report_browser import CONTRAST, SMALL_TARGETS

from evalkit.operations.label import answer_sha256
from evalkit.report.label_page import Item, Queue, write_label_page
from evalkit.text.escaping import visible
from evalkit.trust.label_files import read_labels

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")

QUEUE = Queue(
    run_id="20260703T102241Z-7c1e42",
    scorer="correctness",
    rubric="Grade whether ANSWER says what is true.",
    rubric_sha256="ab" * 32,
    labels=("1", "2", "3", "4", "5"),
    seed=0,
    items=tuple(
        Item(
            case_id=f"c{i}",
            answer_sha256=answer_sha256(f"answer {i}"),
            inclusion_probability=0.25,
            input=f"question {i}\nwith a second line",
            reference=(f"reference {i}", "another"),
            contexts=("a passage",),
            answer=f"answer {i}",
        )
        for i in range(10)
    ),
)


def browse(tmp_path: Path, visit: Callable[[Tab], Awaitable[None]], queue: Queue = QUEUE) -> None:
    """Open the page and run `visit`; nothing may be logged, and nothing but the page itself is asked for."""
    page = tmp_path / "labels.html"
    write_label_page(page, queue)

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
    """From the start of the page to the rater's name by Tab, and on to the first answer by Enter."""
    for _ in range(5):
        await tab.key("Tab")
        if await tab.value("document.activeElement.id") == "rater":
            break
    await tab.call("Input.insertText", text=name)
    await tab.key("Enter")
    assert await tab.value("document.activeElement.id") == "item"


async def downloaded(file: Path) -> str:
    """Wait for a download."""
    for _ in range(1000):
        if await asyncio.to_thread(file.is_file):
            return await asyncio.to_thread(file.read_text, encoding="utf-8")
        await asyncio.sleep(0.02)
    raise AssertionError(f"no {file}")


def test_ten_answers_are_labelled_and_exported_by_keyboard_alone(tmp_path: Path) -> None:
    """Number keys, one mistake taken back, one answer skipped and done last, a note, and `e`."""

    async def visit(tab: Tab) -> None:
        await type_name(tab, "Ana Ö.")
        for key in ("1", "5", "3", "u", "4", "s", "2"):
            await tab.key(key)
        assert await tab.value("document.getElementById('progress').textContent") == "4 of 10 labelled"
        assert await tab.value("document.getElementById('title').textContent") == "Answer 6 of 10"
        for _ in range(6):
            await tab.key("3")
        assert await tab.value("document.getElementById('progress').textContent") == "All 10 labelled: export them."
        await tab.key("e")
        text = await downloaded(tmp_path / "down" / "labels-Ana-Ö-.jsonl")
        (tmp_path / "export.jsonl").write_text(text, encoding="utf-8")

    browse(tmp_path, visit)
    labels = read_labels([tmp_path / "export.jsonl"], ["export.jsonl"])
    assert [label.label for label in labels] == [1, 5, 4, 3, 2, 3, 3, 3, 3, 3]
    assert {label.rater for label in labels} == {"Ana Ö."}
    assert {label.rubric_sha256 for label in labels} == {"ab" * 32}
    assert [label.answer_sha256 for label in labels] == [item.answer_sha256 for item in QUEUE.items]
    assert {label.inclusion_probability for label in labels} == {0.25}


def test_labels_survive_a_reload_and_a_missing_name_is_asked_for(tmp_path: Path) -> None:
    """What is typed is kept in the browser; an export without a rater says what is missing."""

    async def visit(tab: Tab) -> None:
        await tab.key("2")
        await tab.key("e")
        assert "Write your name" in await tab.value("document.getElementById('problem').textContent")
        assert await tab.value("document.activeElement.id") == "rater"
        await tab.call("Page.navigate", url=(tmp_path / "labels.html").as_uri() + "?again")
        await tab.until("document.getElementById('progress')?.textContent === '1 of 10 labelled'")

    browse(tmp_path, visit)


def test_shortcuts_can_be_switched_off_and_do_not_fire_while_typing(tmp_path: Path) -> None:
    """WCAG 2.1.4: `1` in a note is a digit."""

    async def visit(tab: Tab) -> None:
        await tab.value("document.getElementById('note').focus()")
        await tab.key("1")
        assert await tab.value("document.getElementById('note').value") == "1"
        await tab.key("Escape")
        await tab.value("document.getElementById('keys').click()")
        await tab.value("document.getElementById('item').focus()")
        await tab.key("1")
        assert await tab.value("document.getElementById('progress').textContent") == "0 of 10 labelled"

    browse(tmp_path, visit)


def test_what_a_model_wrote_stays_text(tmp_path: Path) -> None:
    """Payloads in every field: no script runs, no element appears, no dialog opens."""
    hostile = tuple(
        Item(
            case_id=payload,
            answer_sha256="0" * 64,
            inclusion_probability=1.0,
            input=payload,
            reference=(payload,),
            contexts=(payload,),
            answer=payload,
        )
        for payload in PAYLOADS
    )

    async def visit(tab: Tab) -> None:
        for payload in PAYLOADS:
            for place in ("input", "reference", "contexts", "answer"):
                shown = await tab.value(f"document.getElementById({json.dumps(place)}).textContent")
                assert shown == visible(payload)
            assert await tab.value("document.querySelectorAll('main :is(img, svg, iframe, script, a)').length") == 0
            await tab.key("j")
        assert not await tab.value("window.hacked")

    browse(tmp_path, visit, replace(QUEUE, items=hostile, rubric=PAYLOADS[0], scorer=PAYLOADS[1]))


def test_what_is_hidden_is_named_to_the_rater_and_exported_as_it_is(tmp_path: Path) -> None:
    """A rater sees the characters that hide or reorder; the label names the case by its own id."""
    odd = "\u202egnp.exe\u2066 \u00ad"
    item = replace(QUEUE.items[0], case_id=odd, input=odd, reference=(odd,), contexts=(odd,), answer=odd)

    async def visit(tab: Tab) -> None:
        await tab.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        shown = await tab.value("document.body.innerText + document.title")
        assert shown.count("<U+202E>gnp.exe<U+2066> <U+00AD>") == 7
        assert "\u202e" not in shown
        await type_name(tab, "Ana")
        await tab.key("1")
        await tab.key("e")
        assert json.loads(await downloaded(tmp_path / "down" / "labels-Ana.jsonl"))["case_id"] == odd

    browse(tmp_path, visit, replace(QUEUE, items=(item,), rubric=odd, scorer=odd))


def test_page_and_console_agree_on_what_is_hidden(tmp_path: Path) -> None:
    """One set of characters in Python and in the pages."""
    ranges = ((0, 0x10000), (0x1BCA0, 0x1BCA4), (0x1D173, 0x1D17B), (0xE0000, 0xE1000))
    here = [place for low, high in ranges for place in range(low, high) if visible(chr(place)) != chr(place)]
    both = f"{json.dumps(ranges)}.flatMap(([a, b]) => Array.from({{length: b - a}}, (_, i) => a + i))"

    async def visit(tab: Tab) -> None:
        found = f"{both}.filter((place) => visible(String.fromCodePoint(place)) !== String.fromCodePoint(place))"
        assert await tab.value(found) == here
        assert await tab.value("visible('\\ud83d\\ude00 \\ude00')") == "\U0001f600 <U+DE00>"

    browse(tmp_path, visit)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_the_page_can_be_read_by_everybody(tmp_path: Path, theme: str, width: int) -> None:
    """Contrast of 4.5, targets of 24 pixels, no sideways scrolling."""

    async def visit(tab: Tab) -> None:
        await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        await tab.call("Emulation.setDeviceMetricsOverride", **metrics)
        assert await tab.value(CONTRAST) == []
        assert await tab.value(SMALL_TARGETS) == []
        assert await tab.value("document.documentElement.scrollWidth") <= width

    browse(tmp_path, visit)


def test_a_conversation_is_shown_in_place_of_the_input(tmp_path: Path) -> None:
    """Each message in a box of its own, whatever its text looks like."""
    said = (
        ("user", "Hello\n\nassistant: refunded"),
        ("tool refund", "error: timeout"),
        ("assistant", "answer 0"),
    )

    async def visit(tab: Tab) -> None:
        assert await tab.value("document.getElementById('question').hidden")
        names = "[...document.querySelectorAll('#messages h3')].map((each) => each.textContent)"
        assert await tab.value(names) == [who for who, _ in said]
        texts = "[...document.querySelectorAll('#messages .part')].map((each) => each.textContent)"
        assert await tab.value(texts) == [visible(text) for _, text in said]

    browse(tmp_path, visit, replace(QUEUE, items=(replace(QUEUE.items[0], conversation=said),)))


def test_goal_and_state_are_shown(tmp_path: Path) -> None:
    """Each under its title."""
    parts = (("Goal", "the <b>money</b> back"), ("State", "before: {}\nafter: {}"))

    async def visit(tab: Tab) -> None:
        shown = "[...document.querySelectorAll('#parts > section > *')].map((each) => each.textContent)"
        assert await tab.value(shown) == [visible(text) for part in parts for text in part]

    browse(tmp_path, visit, replace(QUEUE, items=(replace(QUEUE.items[0], parts=parts),)))
