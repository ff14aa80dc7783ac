"""How many turns of the user an answer has: those that the system played, never the history that a case brings."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.aggregate.outcomes import outcomes_of
from evalkit.formats.labelled_text import labelled_text
from evalkit.formats.turns import n_turns, turn_starts, without_history
from evalkit.scorers.agents.budget import AnswerBudget
from evalkit.systems.output import to_output
from evalkit.types import Case, Message, Output, Score, Step, ToolCall


def said(*texts: str) -> tuple[Message, ...]:
    """Messages of the user and the assistant in turn."""
    return tuple(Message("assistant" if at % 2 else "user", text) for at, text in enumerate(texts))


HISTORY = said("Hello", "Hi", "Where is A-17?", "On its way.")
ASKED = (*HISTORY, Message("user", "Cancel it."))
CHAT = Case(id="c", input=ASKED)
ANSWER = Message("assistant", "Cancelled.")
SYSTEM = Message("system", "Be kind.")


@pytest.mark.parametrize(
    ("case", "messages", "starts"),
    [
        pytest.param(CHAT, (*ASKED, ANSWER), [4], id="with its history"),
        pytest.param(CHAT, (ASKED[-1], ANSWER), [0], id="without it"),
        pytest.param(CHAT, (SYSTEM, *ASKED, ANSWER), [5], id="after a prompt of the system"),
        pytest.param(CHAT, (HISTORY[0], HISTORY[2], ASKED[-1], ANSWER), [2], id="the user's part of it"),
        pytest.param(CHAT, (*ASKED, ANSWER, *said("Thanks", "Bye")), [4, 6], id="and another turn"),
        pytest.param(CHAT, said("Cancel it.", "Sure?", "Yes", "Done"), [0, 2], id="two turns without it"),
        pytest.param(Case(id="c", input=(SYSTEM, *said("Hi"))), (SYSTEM, *said("Hi", "!")), [1], id="a prompt alone"),
        pytest.param(Case(id="c", input=said("Hi", "?", "Hi")), said("Hi", "!"), [0], id="the same words again"),
        pytest.param(Case(id="c", input=said("Hi", "?", "Hi")), said("Hi", "?", "Hi", "!"), [2], id="both of them"),
        pytest.param(Case(id="c", input=HISTORY), HISTORY, [], id="a chat that ends with an answer"),
        pytest.param(Case(id="c", input="Hi"), said("Hi", "!", "More", "!"), [0, 2], id="a stored conversation"),
    ],
)
def test_turns_begin_after_the_history(case: Case, messages: tuple[Message, ...], starts: list[int]) -> None:
    """Whether the system reports the history, a part of it, or none."""
    assert turn_starts(case, messages) == starts
    assert n_turns(case, Output(text="", messages=messages)) == len(starts)


@pytest.mark.parametrize(
    ("output", "n"),
    [
        (Output(text=""), None),
        (Output(text="", trajectory=()), None),
        (Output(text="", trajectory=(Step(turn=1), Step(turn=3), Step())), 3),
        (Output(text="", tool_calls=(ToolCall("a", turn=2), ToolCall("b"))), 2),
    ],
)
def test_without_messages_the_last_turn_of_a_step_counts(output: Output, n: int | None) -> None:
    """Steps and calls alike; without one the number is unknown."""
    assert n_turns(CHAT, output) == n


def test_the_answer_to_a_chat_is_one_turn_everywhere() -> None:
    """In a budget, in the groups of runs, and for what a label is about."""
    output = Output(text="Cancelled.", messages=(*ASKED, ANSWER), trajectory=(Step(kind="tool", name="cancel"),))
    values: dict[str, Any] = {}
    for limit in (1, 0):
        grade = AnswerBudget(turns=limit).score(CHAT, output)
        assert isinstance(grade, Score)
        values[str(limit)] = (grade.passed, grade.details["turns"])
    assert values == {"1": (True, 1), "0": (False, 1)}
    assert outcomes_of(CHAT, output) == (None, None, "1", "no")
    assert labelled_text(CHAT, output) == "Cancelled."


LOOKED_UP = Message("assistant", "", tool_calls=(ToolCall("get_order", {"id": "A-17"}, "c1"),))
FOUND = Message("tool", "on its way", call_id="c1")
CANCELS = Message("assistant", "", tool_calls=(ToolCall("cancel", {"id": "A-17"}, "c2"),))
CANCELLED = Message("tool", "done", call_id="c2")
WORKED = (*said("Where is A-17?"), LOOKED_UP, FOUND, Message("assistant", "On its way."), Message("user", "Cancel it."))
"""A chat in which a tool was called before the message that is to be answered."""


def reported(messages: tuple[Message, ...], **others: Any) -> Output:
    """What a system answers that reports its messages, as a run reads it."""
    given = [{"role": each.role, "content": each.content, "tool_call_id": each.call_id} for each in messages]
    for one, each in zip(given, messages, strict=True):
        calls = [{"id": call.id, "name": call.name, "arguments": dict(call.arguments)} for call in each.tool_calls]
        one |= {"tool_calls": calls} if calls else {}
    output = to_output({"messages": [{k: v for k, v in one.items() if v != ""} for one in given], **others})
    assert isinstance(output, Output), output
    return output


@pytest.mark.parametrize("before", [(), (SYSTEM,)])
def test_what_was_done_in_the_history_is_not_what_the_system_did(before: tuple[Message, ...]) -> None:
    """An agent that returns the whole chat, as LangGraph does, made the calls after the history alone, in turn 1."""
    output = reported((*before, *WORKED, CANCELS, CANCELLED, ANSWER))
    assert [call.name for call in output.tool_calls or ()] == ["get_order", "cancel"]
    own = without_history(Case(id="c", input=WORKED), output)
    assert [(call.name, call.turn) for call in own.tool_calls or ()] == [("cancel", 1)]
    assert [(step.name, step.turn, step.result) for step in own.trajectory or () if step.kind == "tool"] == [
        ("cancel", 1, "done")
    ]
    assert own.messages == output.messages


@pytest.mark.parametrize(
    ("case", "output"),
    [
        pytest.param(Case(id="c", input=WORKED), reported((WORKED[-1], CANCELS, CANCELLED, ANSWER)), id="without it"),
        pytest.param(Case(id="c", input="Cancel it."), reported((*WORKED, ANSWER)), id="a plain question"),
        pytest.param(
            Case(id="c", input=WORKED),
            reported((*WORKED, ANSWER), trajectory=[{"kind": "tool", "name": "cancel", "turn": 1}]),
            id="steps of its own",
        ),
    ],
)
def test_an_answer_without_the_history_is_as_it_was(case: Case, output: Output) -> None:
    """Steps that the system reports apart from its messages are its own."""
    assert without_history(case, output) is output
