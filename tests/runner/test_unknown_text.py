"""An answer whose text nobody recorded: what was done is graded, and no scorer takes the text for an empty one."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
from dataclasses import replace
from typing import Any

import pytest

from evalkit.formats.rows import decode_row, encode_row
from evalkit.runner.case_checks import checks_grader
from evalkit.runner.grading import Grader, grade_all
from evalkit.scorers.agents.tool_calls import ToolCalls
from evalkit.scorers.registry import SCORERS
from evalkit.scorers.rules.contains import Contains
from evalkit.scorers.rules.length import Length
from evalkit.suite.scorer_entry import Over
from evalkit.systems.output import to_output
from evalkit.types import Case, Failure, Message, Output, Row, Score, Step, ToolCall, Unscored

CALL = {"name": "refund", "arguments": {"id": "A-17"}}
CASE = Case(id="c", input="Refund A-17", digest="0" * 64, fields={"expected_tool_calls": [CALL]})
DONE = Step(kind="tool", name="refund", arguments={"id": "A-17"})
UNKNOWN = Output(
    text="", text_known=False, trajectory=(DONE,), tool_calls=(ToolCall("refund", {"id": "A-17"}),), latency_s=1.0
)
NOT_SORRY = Contains(name="polite", none=("sorry",))


def graded(scorer: Any, output: Output, over: Over | None = None, case: Case = CASE) -> Any:
    """The last grade of a scorer."""
    grader = scorer if isinstance(scorer, Grader) else Grader(scorer, over=over)
    return [*asyncio.run(grade_all([grader])(case, output, 0)).values()][-1]


def test_calls_are_graded_and_texts_are_not() -> None:
    """A check that something is not said would pass an empty text."""
    calls = graded(ToolCalls(match="any_order"), UNKNOWN)
    assert isinstance(calls, Score)
    assert calls.passed
    for scorer in (NOT_SORRY, Length(max=5)):
        grade = graded(scorer, UNKNOWN)
        assert isinstance(grade, Unscored)
        assert grade.kind == "no_text"
        assert isinstance(graded(scorer, replace(UNKNOWN, text_known=True)), Score)


def test_a_check_of_a_case_reads_the_text_or_does_not() -> None:
    """Each check decides for itself: a latency is known, a word is not; a check that failed decides all the same."""
    for checks, kind in (
        ([{"latency": {"max_s": 5}}], True),
        ([{"latency": {"max_s": 5}}, {"contains": "refund"}], "no_text"),
        ([{"latency": {"max_s": 0.5}}, {"contains": "refund"}], False),
    ):
        grade = graded(checks_grader(0), UNKNOWN, case=Case(id="c", input="x", fields={"checks": checks}))
        assert (grade.kind if isinstance(grade, Unscored) else grade.passed) == kind


@pytest.mark.parametrize(
    ("over", "kinds"), [("last", [None, "no_text"]), ("all", ["no_text"] * 2), ("turn", ["no_text"] * 2)]
)
def test_a_turn_without_a_text(over: Over, kinds: list[str | None]) -> None:
    """The last answer is graded if its own text is known; all answers, and all turns, only if each is."""
    unknown = {"text_known": False}
    for at, kind in enumerate(kinds):
        details = [unknown, {}] if at == 0 else [{}, unknown]
        said = [Message("assistant", "" if each else "ok", details=each) for each in details]
        messages = (Message("user", "a"), said[0], Message("user", "b"), said[1])
        output = Output(text="" if at else "ok", text_known=not at, messages=messages)
        grade = graded(
            NOT_SORRY, output, over, Case(id="c", input="a", fields={"turns": [{"user": "a"}, {"user": "b"}]})
        )
        assert (grade.kind if isinstance(grade, Unscored) else None) == kind


def test_a_judge_of_the_whole_chat_needs_every_text() -> None:
    """Outside of a suite with conversations too."""
    messages = (Message("user", "a"), Message("assistant", "", details={"text_known": False}), Message("user", "b"))
    grade = graded(NOT_SORRY, Output(text="ok", messages=(*messages, Message("assistant", "ok"))))
    assert isinstance(grade, Unscored)


def test_a_row_keeps_that_the_text_is_unknown() -> None:
    """Written only where it is unknown, so that other rows have the bytes that they had."""
    row = Row(case=CASE, repeat=0, output=UNKNOWN, scores={})
    read = decode_row(encode_row(row))
    assert read is not None
    assert read.output is not None
    assert (read.output.text_known, read.output.trajectory) == (False, UNKNOWN.trajectory)
    assert b"text_known" not in encode_row(replace(row, output=Output(text="")))


def test_a_system_says_that_it_does_not_know_its_text() -> None:
    """With a text beside it, it contradicts itself."""
    assert to_output({"text_known": False, "tool_calls": [CALL]}) == Output(
        text="", text_known=False, tool_calls=(ToolCall("refund", {"id": "A-17"}),)
    )
    for odd in ({"text": "x", "text_known": False}, {"text": "x", "text_known": "no"}, {"text_known": True}):
        assert isinstance(to_output(odd), Failure)


@pytest.mark.parametrize("place", SCORERS.values())
def test_a_scorer_that_says_that_it_reads_no_text_reads_none(place: str) -> None:
    """Its source never names the text of an output; a scorer that says nothing is taken to read it."""
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(f"evalkit.scorers.{module}"), name)
    if getattr(found, "without_text", False):
        assert not re.search(r"output\.(text|messages)\b", inspect.getsource(found))
