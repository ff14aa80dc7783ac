"""The page of a case shows what the system did: steps, calls, messages and state."""

from __future__ import annotations

import asyncio
from pathlib import Path

import axe
import chromium
import pytest
import report_samples
from chromium import Tab

from evalkit.report.bodies import body_of, to_ascii
from evalkit.report.html import write_html
from evalkit.report.steps import MOST_CHARS, SHOWN_STEPS, steps_shown, written
from evalkit.report.view import build_view
from evalkit.types import Case, Message, Output, Row, Score, Step, ToolCall, Usage

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 900}}
ASKED = (
    Message("developer", "Be kind."),
    Message("user", "Refund\nthis.", name="ann", parts=({"type": "text", "text": "Refund\nthis."}, IMAGE)),
    Message("assistant", "", (ToolCall("get_order", {"id": "A-17"}, "c1"),)),
    Message("tool", "20 EUR", call_id="c1"),
)
STEPS = (
    Step(kind="llm", name="planner", turn=1, usage=Usage(input_tokens=12, output_tokens=3, cost_usd=0.01)),
    Step(
        kind="tool",
        name="get_order",
        call_id="c2",
        turn=1,
        arguments={"id": "A-17"},
        result="x" * 900,
        started_s=0.5,
        ended_s=0.75,
    ),
    Step(kind="approval", name="refund", decision="rejected"),
    Step(kind="tool", name="refund", arguments={"amount": 20}, error="denied: <b>no</b> approval"),
    Step(kind="other", details={"thought": "odd"}),
)
DONE = Output(
    text="It was refused.",
    trajectory=STEPS,
    messages=(Message("assistant", "It was refused."),),
    state={"orders": {"A-17": "returned"}},
    stop="max_turns",
    interrupt={"tool": "refund"},
)

HEADS = """[...document.querySelectorAll('#case .steps > li .step')]
  .map((step) => step.innerText.replace(/\\s+/g, ' '))"""


def report_in(folder: Path) -> Path:
    """A report with the conversation as its last case."""
    rows = [*report_samples.stored_rows(), row(DONE)]
    view = build_view(
        report_samples.summary(), report_samples.decision(), lambda: rows, None, report_samples.manifest()
    )
    write_html(folder / "report.html", view, lambda: rows, None)
    return folder / "report.html"


def row(output: Output) -> Row:
    """A row of one conversation."""
    return Row(case=Case(id="talk", digest="d", input=ASKED), output=output)


def test_long_values_are_cut_and_lists_too() -> None:
    """A page holds the beginning of a long value and the first of many steps, and says what is left out."""
    assert written("x" * (MOST_CHARS + 5)) == "x" * MOST_CHARS + " … (5 more characters in the row)"
    many = steps_shown(Output(text="a", trajectory=(Step(kind="llm", name="m"),) * (SHOWN_STEPS + 7)))
    assert (len(many["steps"]), many["steps"][-1]) == (SHOWN_STEPS + 1, 7)
    assert len(steps_shown(Output(text="a", trajectory=STEPS))["steps"]) == len(STEPS)


def test_a_finding_stands_at_its_step() -> None:
    """An answer that is no conversation has the marks of single steps too, however many steps there are."""
    found = {"violations": [{"rule": "forbid", "step": 4}, {"rule": "last", "step": SHOWN_STEPS + 10, "turn": 1}]}
    output = Output(text="a", trajectory=(Step(kind="llm", name="m"),) * (SHOWN_STEPS + 10))
    score = Score("policy", 0.0, False, details=found)
    shown = steps_shown(output, [score])["steps"]
    assert shown[3]["marks"] == [{"metric": "policy", "passed": False, "reason": "forbid"}]
    alone = Output(
        text="a", tool_calls=(ToolCall("f"), ToolCall("f"), ToolCall("f"), ToolCall("g")), trajectory=STEPS[:1]
    )
    assert [entry.get("marks") for entry in steps_shown(alone, [score])["calls"]] == [
        None,
        None,
        None,
        shown[3]["marks"],
    ]
    assert shown[SHOWN_STEPS:] == [
        9,
        {"kind": "llm", "name": "m", "marks": [shown[3]["marks"][0] | {"reason": "last"}]},
    ]


def test_calls_are_listed_where_no_step_stands_for_them() -> None:
    """Calls that the steps show already are not listed twice."""
    calls = (ToolCall("f", {"x": 1}),)
    assert steps_shown(Output(text="a", tool_calls=calls, trajectory=(Step(kind="tool", name="f"),))).keys() == {
        "steps"
    }
    assert steps_shown(Output(text="a", tool_calls=calls, trajectory=(Step(kind="llm"),))).keys() == {"steps", "calls"}
    assert steps_shown(Output(text="a", tool_calls=calls)).keys() == {"calls"}
    assert steps_shown(Output(text="a", tool_calls=(), trajectory=())) == {}


def test_a_baseline_does_not_double_the_steps() -> None:
    """The steps of the baseline's answer are shown where there is no other, so they are not packed beside it."""
    both, removed = body_of(row(DONE), row(DONE)), body_of(None, row(DONE))
    assert to_ascii(both).count("get_order") == 2  # one in the input, one in the steps
    assert isinstance(removed, dict)
    assert removed["before"]["output"]["did"] == steps_shown(DONE)


def test_a_reader_follows_what_the_system_did(tmp_path: Path) -> None:
    """Steps with arguments, results and errors, messages, state, and why it stopped; long values are folded."""
    file = report_in(tmp_path)

    async def visit(tab: Tab) -> None:
        await tab.open(file, "#/case/talk")
        await tab.until("document.querySelector('#case .steps')")
        heads = await tab.value(HEADS)
        assert heads == [
            "llm planner turn 1 · 12 + 3 tokens · $0.0100",
            "tool get_order turn 1 · 250 ms, began at 500 ms · c2",
            "approval refund rejected",
            "tool refund ✗ error",
            "other",
        ]
        text = await tab.value("document.getElementById('case').innerText")
        assert "denied: <b>no</b> approval" in text
        assert '"thought": "odd"' in text
        assert "Stopped: max_turns" in text
        assert "900 characters" in text and "x" * 100 not in text  # folded
        for title in ("Messages (1)", "State after the answer"):
            assert title in text
        assert await tab.value("document.querySelectorAll('#case .steps b:empty, #case .steps img').length") == 0
        turns = await tab.value(
            "[...document.querySelectorAll('#case section .turn')].map((each) => each.innerText.split('\\n')[0])"
        )
        assert turns[:4] == ["developer", "user · ann", "assistant", "tool · c1"]
        assert "get_order" in await tab.value("document.querySelectorAll('#case .turn')[2].innerText")
        assert "image_url" in await tab.value("document.querySelectorAll('#case .turn')[1].innerText")
        assert not tab.noise()
        assert {address.partition(":")[0] for address in tab.requested()} <= {"file", "about"}

    async def run() -> None:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            await visit(tab)

    if chromium.PROGRAM is None:
        pytest.skip("Chromium is not installed")
    asyncio.run(run())


@pytest.mark.skipif(chromium.PROGRAM is None or axe.SCRIPT is None, reason="Chromium or axe-core is not installed")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_axe_finds_nothing_in_the_steps(tmp_path: Path, theme: str, width: int) -> None:
    """The unfolded page of a conversation breaks no rule, and nothing reaches over its edge."""
    file = report_in(tmp_path)

    async def run() -> None:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            await axe.seen_as(tab, theme, width)
            await tab.open(file, "#/case/talk")
            await tab.until("document.querySelector('#case .steps')")
            await tab.value("document.querySelectorAll('#case details').forEach((each) => { each.open = true; })")
            assert await axe.violations(tab) == []
            assert await tab.value("document.documentElement.scrollWidth <= innerWidth")

    asyncio.run(run())
