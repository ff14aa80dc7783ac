"""How many turns of the user an answer has: those that the system played, never the history that a case brings."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.aggregate.outcomes import outcomes_of
from evalkit.formats.labelled_text import labelled_text
from evalkit.formats.turns import n_turns, turn_starts
from evalkit.scorers.agents.budget import AnswerBudget
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
