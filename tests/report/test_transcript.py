"""A conversation is laid out turn by turn, with steps and marks where they belong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import stored_conversations as stored

from evalkit.formats.steps import steps_of
from evalkit.formats.turns import turn_starts
from evalkit.report.marks import Mark, marks_of, turn_named
from evalkit.report.transcript import Acted, Entry, Hidden, Transcript, transcript_of
from evalkit.types import Case, Message, Output, Row, Score, Step, ToolCall, Unscored


def read(entry: Entry) -> str:
    """One entry in a few words."""
    if isinstance(entry, Hidden):
        return f"{entry.n_steps} hidden"
    if isinstance(entry, Message):
        return f"{entry.role}: {entry.content}"
    marks = "".join(f" !{mark.reason}" for mark in entry.marks)
    return f"{entry.step.kind} {entry.step.name}{marks}"


def laid_out(row: Row, most_steps: int = 500) -> Transcript:
    """The transcript of a row that has one."""
    found = transcript_of(row, most_steps)
    assert found is not None
    return found


def lines(transcript: Transcript) -> list[list[str]]:
    """The entries of each turn in a few words."""
    return [[read(entry) for entry in turn.entries] for turn in transcript.turns]


def test_steps_and_marks_are_in_their_turn() -> None:
    """The user, the steps, the answer; grades by turn at their turn, a violation at its step."""
    shown = laid_out(stored.ROW)
    assert lines(shown) == [
        ["user: Refund A-17", "tool get_order", "assistant: Order of 20 EUR. Refund?"],
        [
            "user: Yes.",
            "approval refund",
            "tool refund !approve: was approved with other arguments (money leaves)",
            "llm planner",
            "assistant: That failed: <b>too much</b>.",
        ],
        ["user: When does it arrive?", "assistant: Soon."],
    ]
    assert [[(mark.metric, mark.passed, mark.value) for mark in turn.marks] for turn in shown.turns] == [
        [],
        [("keywords", True, 1.0)],
        [("keywords", False, 0.0)],
    ]
    assert (shown.history, shown.loose, shown.last) == ((), (), 3)


def test_calls_in_messages_stand_where_they_were_asked_for() -> None:
    """Calls and results that only messages tell of are steps; the history is not a turn."""
    shown = laid_out(stored.chat_row())
    assert lines(shown) == [
        ["user: Two orders", "assistant: Let me look.", "tool get", "tool get", "tool close", "assistant: Done."]
    ]
    results = [entry.step.result for entry in shown.turns[0].entries if isinstance(entry, Acted)]
    assert results == ["one", "two", "Error: not allowed"]
    assert [message.content for message in shown.history] == ["Hello", "Hello, how can I help?"]


def test_steps_of_the_environment_take_the_place_of_the_calls() -> None:
    """A step that evalkit recorded is shown at the call that asked for it, with what came before."""
    row = stored.chat_row()
    assert row.output is not None
    steps = (
        Step(kind="retrieval", name="index", turn=1),
        Step(kind="tool", name="get", call_id="c1", turn=1, result="one", recorded_by="evalkit"),
        Step(kind="tool", name="get", call_id="c2", turn=1, result="two", recorded_by="evalkit"),
        Step(kind="guardrail", name="check", turn=1),
    )
    shown = laid_out(replace(row, output=replace(row.output, trajectory=steps)))
    assert lines(shown) == [
        [
            "user: Two orders",
            "assistant: Let me look.",
            "retrieval index",
            "tool get",
            "tool get",
            "tool close",  # asked for, and no step says that it was run
            "tool: Error: not allowed",
            "guardrail check",
            "assistant: Done.",
        ]
    ]


def test_a_model_step_with_the_text_of_its_message_says_it_once() -> None:
    """The text is the message; what the step knows besides is kept."""
    said = (Message("user", "Hi"), Message("assistant", "Hello."))
    bare = Step(kind="llm", name="m", turn=1, result="Hello.")
    for step, shown in ((bare, []), (replace(bare, ended_s=1.0, started_s=0.0), ["llm m"])):
        output = Output(text="Hello.", messages=said, trajectory=(step,))
        found = laid_out(Row(case=Case(id="a", digest="d", input="Hi"), output=output))
        assert lines(found) == [["user: Hi", *shown, "assistant: Hello."]]


def test_a_model_that_only_calls_says_nothing() -> None:
    """The step of a message without a text is not shown, unless something else is known of it."""
    said = (
        Message("user", "Hi"),
        Message("assistant", "", (ToolCall("get", {}, "c1"),)),
        Message("tool", "20", call_id="c1"),
        Message("assistant", "It is 20."),
    )
    output = Output(text="It is 20.", messages=said, trajectory=steps_of(said))
    row = Row(case=Case(id="a", digest="d", input="Hi"), output=output)
    assert lines(laid_out(row)) == [["user: Hi", "tool get", "assistant: It is 20."]]
    timed = tuple(replace(step, started_s=0.0, ended_s=1.0) for step in steps_of(said))
    shown = lines(laid_out(replace(row, output=replace(output, trajectory=timed))))
    assert shown == [["user: Hi", "llm ", "tool get", "llm ", "assistant: It is 20."]]
    late = (*steps_of(said)[1:], Step(kind="llm", turn=1))
    shown = lines(laid_out(replace(row, output=replace(output, trajectory=late))))
    assert shown == [["user: Hi", "tool get", "assistant: It is 20.", "llm "]]


def test_steps_of_no_known_turn_are_not_lost() -> None:
    """Where several turns were held, a step without a turn stands apart; where one was, it is of that one."""
    steps = (Step(kind="node", name="lost"), Step(kind="node", name="late", turn=9))
    shown = laid_out(replace(stored.ROW, output=replace(stored.OUTPUT, trajectory=steps)))
    assert [read(entry) for entry in shown.loose] == ["node lost", "node late"]
    alone = Output(text="a", trajectory=steps[:1], messages=stored.SAID[:2])
    assert lines(laid_out(Row(case=stored.CASE, output=alone)))[0][1] == "node lost"
    called = replace(stored.OUTPUT, trajectory=None, tool_calls=(ToolCall("get", {}, turn=2),))
    assert "tool get" in lines(laid_out(replace(stored.ROW, output=called)))[1]


def test_a_step_without_a_turn_is_of_the_turn_that_asks_for_its_call() -> None:
    """Stored answers often give steps without turns, and messages whose calls have the same ids."""
    said = (
        *stored.SAID[:3],
        Message("assistant", "", (ToolCall("refund", {"order_id": "A-17"}, "c9"),)),
        Message("tool", "done", call_id="c9"),
        *stored.SAID[3:],
    )
    steps = (Step(kind="tool", name="refund", call_id="c9", result="done"), Step(kind="node", name="lost"))
    shown = laid_out(replace(stored.ROW, output=replace(stored.OUTPUT, messages=said, trajectory=steps), scores={}))
    assert lines(shown)[1] == ["user: Yes.", "tool refund", "assistant: That failed: <b>too much</b>."]
    assert [read(entry) for entry in shown.loose] == ["node lost"]


def test_a_failed_conversation_is_shown_as_far_as_it_came() -> None:
    """The turn that failed has its user and its steps; the rest of the script was not reached."""
    shown = laid_out(stored.failed())
    assert lines(shown) == [
        ["user: Refund A-17", "tool get_order", "assistant: Order of 20 EUR. Refund?"],
        ["user: Yes.", "approval refund"],
        ["user: When does it arrive?"],
    ]
    assert [turn.reached for turn in shown.turns] == [True, True, False]
    assert shown.last == 2
    assert transcript_of(replace(stored.failed(), failure=None), 500) is None


def test_ten_thousand_steps_are_cut_in_the_turn_that_has_them() -> None:
    """Each turn keeps what it has up to its share, a violation is kept wherever it is, and gaps are counted."""
    shown = laid_out(stored.long_row(10_000, violations=(4_000, 9_999)), 100)
    first, second, _ = lines(shown)
    assert first[1] == "tool get_order"
    assert second[100:] == [
        "3901 hidden",
        "tool look !no_blind_retry",
        "5998 hidden",
        "tool look !no_blind_retry",
        "assistant: That failed: <b>too much</b>.",
    ]
    kept = sum(isinstance(entry, Acted) for turn in shown.turns for entry in turn.entries)
    hidden = sum(entry.n_steps for turn in shown.turns for entry in turn.entries if isinstance(entry, Hidden))
    assert (kept, kept + hidden) == (102, 10_001)
    crowded = laid_out(stored.long_row(10_000, violations=tuple(range(10_000))), 100)
    assert sum(isinstance(entry, Acted) for turn in crowded.turns for entry in turn.entries) <= 200


@pytest.mark.parametrize(
    "details",
    [
        {"turns": 3, "violations": "many"},
        {"turns": [3, None, {"turn": "third"}, {"turn": True}], "violations": [{"rule": "x"}, {"step": 1.5}]},
    ],
)
def test_details_of_another_shape_are_no_marks(details: dict[str, Any]) -> None:
    """Any scorer may write what it likes into its details."""
    assert marks_of([Score("m", 1.0, details=details)]) == []


def test_a_mark_for_a_missing_step_or_turn_breaks_nothing() -> None:
    """A violation beyond the last step is shown at its turn; one of a turn that is not there has the details alone."""
    found = [{"rule": "a", "step": 99, "turn": 1}, {"rule": "b", "step": 0, "turn": 2}, {"rule": "c", "turn": 50}]
    score = Score("policy", 0.0, False, details={"violations": found})
    shown = laid_out(replace(stored.ROW, scores={"policy": score}))
    assert [[mark.reason for mark in turn.marks] for turn in shown.turns] == [["a"], ["b"], []]


def test_a_judge_quotes_the_turn() -> None:
    """The words that a verdict rests on stand behind its reason."""
    found = {"turns": [{"turn": 2, "value": 0.0, "passed": False, "reason": "It denies it.", "quote": "I never said"}]}
    assert marks_of([Score("relevance", 0.5, details=found)]) == [
        Mark("relevance", "It denies it. “I never said”", 0.0, False, turn=2)
    ]


def test_a_grade_that_is_missing_for_a_turn_is_a_mark_of_it() -> None:
    """The message of a missing score names the turn."""
    grade = Unscored("tone", "judge_error", "turn 2: the reply had no score")
    assert marks_of([grade]) == [Mark("tone", "the reply had no score", unscored="judge_error", turn=2)]
    assert marks_of([replace(grade, message="no turn has what the scorer needs")]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("turn 3: missing", (3, "missing")),
        ("turn 12", (12, "")),
        ("after turn 2: nothing said", (2, "nothing said")),
        ("turn 3 was long", (None, "turn 3 was long")),
        ("no turn 3: x", (None, "no turn 3: x")),
        ("", (None, "")),
    ],
)
def test_a_text_names_its_turn_first(text: str, found: tuple[int | None, str]) -> None:
    """Only a text that begins with its turn names it."""
    assert turn_named(text) == found


def test_messages_without_the_history_begin_with_the_first_turn() -> None:
    """A system may report its messages with the history it was given, or without."""
    row = stored.chat_row()
    assert row.output is not None and row.output.messages is not None
    assert turn_starts(row.case, row.output.messages) == [2]
    assert turn_starts(row.case, row.output.messages[2:]) == [0]
