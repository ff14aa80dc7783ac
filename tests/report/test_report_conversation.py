"""The page of a case shows a conversation turn by turn, beside the baseline's where they differ."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import axe
import chromium
import pytest
import report_samples
import stored_conversations as stored
from chromium import Tab
from test_report_browser import browse

from evalkit.report.bodies import body_of, to_ascii
from evalkit.report.conversation import SAME
from evalkit.report.html import write_html
from evalkit.report.steps import SHOWN_STEPS
from evalkit.report.view import build_view
from evalkit.types import Row

in_a_browser = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")
TURN = "[...document.querySelectorAll('#case .conversation > li')][{}]"
LINES = """[...document.querySelectorAll('#case .conversation > li')].map((turn) =>
  [...turn.querySelectorAll('h3, h4, .turn, .step, .answer > .marks > li, .steps .marks > li, .note')]
    .filter((each) => each.checkVisibility()).map((each) => each.innerText.replace(/\\s+/g, ' ').trim())
    .filter((text, place, all) => text && text !== all[place - 1]))"""


def page(folder: Path, rows: Sequence[Row], before: Sequence[Row] = ()) -> Path:
    """A report whose cases are conversations."""
    view = build_view(
        report_samples.summary(), report_samples.decision(), lambda: rows, None, report_samples.manifest()
    )
    write_html(folder / "report.html", view, lambda: rows, (lambda: before) if before else None)
    return folder / "report.html"


def visiting(tmp_path: Path, file: Path, route: str, look: Callable[[Tab], Awaitable[None]]) -> None:
    """Open a case and look at it."""

    async def visit(tab: Tab) -> None:
        await tab.open(file, route)
        await tab.until("document.querySelector('#case .conversation')")
        await look(tab)

    browse(tmp_path, visit)


def turns_in(body: Any) -> list[Any]:
    """The turns of a body."""
    return list((body.get("output") or body.get("partial"))["conversation"]["turns"])


def test_only_turns_of_the_baseline_that_differ_are_packed() -> None:
    """Times and tokens differ each time and make no difference."""
    body = body_of(stored.ROW, stored.before())
    assert isinstance(body, dict)
    before = body["before"]["output"]
    assert [turn == SAME for turn in before["conversation"]["turns"]] == [True, False, False]  # marks count
    assert before["did"] == {"state": SAME, "stop": SAME}
    broken = body_of(
        stored.failed(), stored.before()
    )  # all of its steps were recorded by one, and so say nothing of it
    assert isinstance(broken, dict)
    assert broken["before"]["output"]["conversation"]["turns"][0] == SAME
    equal = body_of(stored.ROW, replace(stored.ROW, repeat=1))
    assert isinstance(equal, dict)
    assert equal["before"] == {
        "output": {
            "conversation": {"turns": [SAME] * 3},
            "did": {"state": SAME, "stop": SAME},
        },
        "kept": 1,
    }


def test_a_baseline_alone_is_packed_whole() -> None:
    """A removed case, or one that failed before its first turn, has the baseline's conversation to show."""
    removed, broken = body_of(None, stored.ROW), body_of(replace(stored.failed(), failure=None), stored.ROW)
    assert isinstance(removed, dict) and isinstance(broken, dict)
    assert turns_in(removed["before"]) == turns_in(broken["before"]) == turns_in(body_of(stored.ROW, None))


def test_who_recorded_is_said_once_where_it_was_one() -> None:
    """Steps say who recorded them only where they differ in it."""
    one, two = to_ascii(body_of(stored.failed(), None)), to_ascii(body_of(stored.ROW, None))
    assert (one.count("recorded_by"), one.count('"by":"evalkit"')) == (0, 1)
    assert (two.count("recorded_by"), two.count('"by"')) == (3, 0)
    chat = body_of(stored.chat_row(), None)
    assert isinstance(chat, dict)
    assert chat["output"]["conversation"]["by"] == "system"


def test_ten_thousand_steps_do_not_fill_the_page() -> None:
    """The body of a case holds the first steps, those that a policy names, and the number of the others."""
    text = to_ascii(body_of(stored.long_row(10_000, violations=(9_000,)), None))
    assert len(text) < 100_000
    entries = json.loads(text)["output"]["conversation"]["turns"][1]["entries"]
    numbers = [entry for entry in entries if isinstance(entry, int)]
    assert sum(isinstance(entry, dict) for entry in entries) == SHOWN_STEPS
    assert sum(numbers) == 10_000 - SHOWN_STEPS


@in_a_browser
def test_a_reader_follows_a_conversation(tmp_path: Path) -> None:
    """Each turn has its user, steps, answer and marks; the end, the state and the expectations follow."""

    async def look(tab: Tab) -> None:
        assert await tab.value(LINES) == [
            [
                "Turn 1",
                "user Refund A-17",
                "tool get_order 10 ms, began at 10 ms · recorded by evalkit",
                "10 ms, began at 10 ms · recorded by evalkit",
                "assistant 500 ms Order of 20 EUR. Refund? Contexts (1)",
                "500 ms",
            ],
            [
                "Turn 2 ✗ failed",
                "user Yes.",
                "approval refund approved recorded by evalkit",
                "recorded by evalkit",
                "tool refund ✗ error recorded by evalkit",
                "recorded by evalkit",
                "✗ failed policy approve: was approved with other arguments (money leaves)",
                "llm planner 12 + 3 tokens · reported by the system",
                "12 + 3 tokens · reported by the system",
                "assistant That failed: <b>too much</b>.",
                "✓ passed keywords 1 holds '20'",
            ],
            [
                "Turn 3 ✗ failed",
                "user When does it arrive?",
                "assistant 250 ms · 40 + 2 tokens Soon.",
                "250 ms · 40 + 2 tokens",
                "✗ failed keywords 0 missing '14 days'",
            ],
        ]
        headings = await tab.value("[...document.querySelectorAll('#case h2')].map((each) => each.textContent)")
        assert headings == ["Scores", "Conversation", "Time and cost", "More fields"]  # no input, no answer again
        text = await tab.value("document.getElementById('case').innerText")
        assert "Ended: script_end (every scripted turn was answered)" in text
        assert "more than the order" in text and "State after the conversation" in text
        await tab.value("[...document.querySelectorAll('.conversation-lead button')].pop().click()")
        assert await tab.value("document.activeElement.id") == "turn-3"
        await tab.value(
            "document.querySelectorAll('#case .conversation details').forEach((each) => { each.open = true; })"
        )
        assert "14 days" in await tab.value(f"{TURN.format(2)}.querySelector('details dd').innerText")
        assert "Terms of refunds." in await tab.value(f"{TURN.format(0)}.innerText")

    visiting(tmp_path, page(tmp_path, [stored.ROW]), "#/case/r1", look)


@in_a_browser
def test_why_the_simulated_user_ended_is_in_the_words_of_a_reader(tmp_path: Path) -> None:
    """Beside the stop, now and in the baseline; a word that is not known stays as it is."""
    rows = [
        replace(stored.ROW, output=replace(stored.OUTPUT, stop="user_done", user_why=why))
        for why in ("gave_up", "bored")
    ]

    async def look(tab: Tab) -> None:
        text = await tab.value("document.getElementById('case').innerText")
        assert "Ended: user_done (the user was done; the user gave up)" in text
        assert "The baseline ended: user_done (the user was done; bored)" in text

    visiting(tmp_path, page(tmp_path, rows[:1], rows[1:]), "#/case/r1", look)


@in_a_browser
def test_the_baseline_stands_beside_turns_that_differ(tmp_path: Path) -> None:
    """A turn that is the same is shown once; the words that changed in an answer are marked; the button hides it."""

    async def look(tab: Tab) -> None:
        first, _, third = await tab.value(LINES)
        assert first[0] == "Turn 1 the same in the baseline"
        assert [text for text in third if text in ("Baseline", "Now")] == ["Baseline", "Now"]
        words = "#case .conversation del, #case .conversation ins"
        changed = f"[...document.querySelectorAll('{words}')].map((each) => each.textContent)"
        assert await tab.value(changed) == ["Within 14 days", "Soon"]
        await tab.value("document.querySelector('#case [aria-pressed]').click()")
        await tab.until("!document.querySelector('#case .conversation del')")
        assert "Baseline" not in await tab.value("document.querySelector('#case .conversation').innerText")

    visiting(tmp_path, page(tmp_path, [stored.ROW], [stored.before()]), "#/case/r1", look)


@in_a_browser
def test_fields_named_like_those_of_a_script_are_fields(tmp_path: Path) -> None:
    """A plain case may have a field `turns` of any kind; an advisory mark fails no turn."""
    case = replace(stored.CASE, fields={"turns": ["left", "right"]})
    row = replace(stored.ROW, case=case)
    view = build_view(
        report_samples.summary(),
        report_samples.decision(),
        lambda: [row],
        None,
        replace(report_samples.manifest(), advisory=("keywords",)),
    )
    write_html(tmp_path / "report.html", view, lambda: [row], None)

    async def look(tab: Tab) -> None:
        titles = await tab.value(
            "[...document.querySelectorAll('#case .conversation h3')].map((each) => each.innerText)"
        )
        assert titles == ["Turn 1", "Turn 2\n✗ failed", "Turn 3"]
        text = await tab.value("document.getElementById('case').innerText")
        assert "Expected in this turn" not in text and '"left"' in text

    visiting(tmp_path, tmp_path / "report.html", "#/case/r1", look)


@in_a_browser
def test_a_failed_conversation_shows_where_it_failed(tmp_path: Path) -> None:
    """The turns before the failure, the failure at its turn without its number again, and what was not reached."""

    async def look(tab: Tab) -> None:
        _, second, third = await tab.value(LINES)
        assert second[0] == "Turn 2 ✗ error"
        assert third[:2] == ["Turn 3 not reached", "not reached"]
        said = await tab.value(f"{TURN.format(1)}.innerText")
        assert "✗ timeout" in said and "no answer within 5 s" in said and "turn 2:" not in said
        assert await tab.value("document.querySelector('.conversation-lead').innerText.split('\\n')[0]") == "✗ timeout"
        assert "Answer" not in await tab.value(
            "[...document.querySelectorAll('#case h2')].map((each) => each.innerText)"
        )

    visiting(tmp_path, page(tmp_path, [stored.failed()]), "#/case/r1", look)


@in_a_browser
def test_a_failure_beside_a_baseline_and_the_reverse(tmp_path: Path) -> None:
    """Whichever of the two has no conversation at all, the answers stand beside each other as for any case."""
    gone = replace(stored.failed("cannot connect"), failure=replace(stored.failed().failure, partial=None))  # type: ignore[type-var]
    named = [replace(row, case=replace(row.case, id=name)) for row, name in ((gone, "a"), (stored.ROW, "b"))]
    before = [replace(named[1], case=named[0].case), replace(named[0], case=named[1].case)]

    async def visit(tab: Tab) -> None:
        file = page(tmp_path, named, before)
        for case_id, title in (("a", "Conversation of the baseline"), ("b", "Conversation")):
            await tab.open(file, f"#/case/{case_id}")
            await tab.until("document.querySelector('#case .conversation')")
            headings = await tab.value("[...document.querySelectorAll('#case h2')].map((each) => each.innerText)")
            assert "Answer" in headings and title in headings
            assert await tab.value("document.querySelectorAll('#case .answer h3').length") == 2

    browse(tmp_path, visit)


@in_a_browser
def test_a_long_turn_is_folded_and_says_how_much_more_there_is(tmp_path: Path) -> None:
    """Thirty steps are open, the other kept ones folded; what a policy names is open, and the row has the rest."""

    async def look(tab: Tab) -> None:
        second = (await tab.value(LINES))[1]
        steps = "document.querySelectorAll('#case .conversation .step')"
        seen = f"[...{steps}].filter((step) => step.checkVisibility()).length"
        assert await tab.value(seen) == 32
        assert "3,501 steps more in the row" in second and "5,999 steps more in the row" in second
        assert "469 steps more" in await tab.value(f"{TURN.format(1)}.innerText")
        assert await tab.value("document.querySelectorAll('#case *').length") < 10_000

    visiting(tmp_path, page(tmp_path, [stored.long_row(10_000, violations=(4_000,))]), "#/case/r1", look)


@in_a_browser
@pytest.mark.skipif(axe.SCRIPT is None, reason=axe.MISSING)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_axe_finds_nothing_in_a_conversation(tmp_path: Path, theme: str, width: int) -> None:
    """The unfolded pages of conversations break no rule, and nothing reaches over their edge."""
    rows = [stored.chat_row(), stored.ROW, replace(stored.failed(), case=replace(stored.CASE, id="r2"))]
    before = [stored.before(), replace(stored.before(), case=rows[2].case)]
    file = page(tmp_path, rows, before)

    async def visit(tab: Tab) -> None:
        await axe.seen_as(tab, theme, width)
        for row in rows:
            await tab.open(file, f"#/case/{row.case.id}")
            await tab.until("document.querySelector('#case .conversation')")
            await tab.value("document.querySelectorAll('#case details').forEach((each) => { each.open = true; })")
            assert await axe.violations(tab) == []
            assert await tab.value("document.documentElement.scrollWidth <= innerWidth")

    browse(tmp_path, visit)
