"""Scorers see a conversation's last answer, all its answers, or each turn."""

from __future__ import annotations

import asyncio

import pytest

from evalkit.formats.turns import turns_of
from evalkit.runner.grading import Grader, grade_all
from evalkit.scorers.agents.budget import AnswerBudget
from evalkit.scorers.agents.loops import Loops
from evalkit.scorers.agents.policy import BoundPolicy
from evalkit.scorers.agents.policy_file import ToolPolicy
from evalkit.scorers.agents.state import FinalState
from evalkit.scorers.agents.steps import Steps
from evalkit.scorers.agents.tool_calls import ToolCalls
from evalkit.scorers.rules.contains import Contains
from evalkit.scorers.rules.keywords import Keywords
from evalkit.scorers.rules.length import Length
from evalkit.suite.scorer_entry import When
from evalkit.types import Case, Message, Metric, Output, Score, Step, ToolCall, Unscored

TURNS = [
    {"user": "Refund A-17", "expected_tool_calls": [{"name": "get_order", "arguments": {"id": "A-17"}}]},
    {"user": "Yes.", "required": ["20 EUR"]},
    {"user": "Thanks", "required": ["bye"]},
]
STEPS = (
    Step(kind="tool", name="get_order", turn=1, arguments={"id": "A-17"}),
    Step(kind="tool", name="refund", turn=2, arguments={"id": "A-17"}),
)


def conversation(*answers: str, **parts) -> Output:
    """A conversation with these answers to the turns, and two tool calls."""
    messages = []
    for turn, answer in zip(TURNS, answers, strict=False):
        messages += [Message("user", turn["user"]), Message("assistant", answer)]
    from evalkit.formats.steps import calls_of

    given = {"trajectory": STEPS, "tool_calls": calls_of(STEPS), "stop": "script_end", **parts}
    return Output(text=answers[-1], messages=tuple(messages), **given)


def graded(scorer, output: Output, turns=TURNS, **given):
    """The grade of a one-metric scorer, or its last metric's."""
    case = Case(id="c", input="Refund A-17", fields={"turns": turns})
    grades = asyncio.run(grade_all([Grader(scorer, **given)])(case, output, 0))
    return list(grades.values())[-1]


SOUND = conversation("Shall I refund?", "I refunded 20 EUR.", "Good bye")


def test_a_scorer_of_turns_applies_if_a_turn_has_the_field_that_when_names() -> None:
    """The fields of a turn are those that the scorer sees; a scorer of the last answer sees those of the row."""
    case, when = Case(id="c", input="Refund A-17", fields={"turns": TURNS}), When(has=("expected_tool_calls",))
    assert Grader(ToolCalls(), when=when, over="turn").applies(case)
    assert not Grader(ToolCalls(), when=when, over="last").applies(case)
    assert not Grader(ToolCalls(), when=When(has=("reference",)), over="turn").applies(case)
    assert not Grader(ToolCalls(), when=When(has=("expected_tool_calls",), kind=("canary",)), over="turn").applies(case)


def test_the_last_answer_is_what_is_graded_by_default() -> None:
    """With all tool calls of the conversation."""
    assert graded(Contains(all=("bye",)), SOUND, over="last").passed is True
    assert graded(Contains(all=("20 EUR",)), SOUND, over="last").passed is False


def test_a_scorer_of_the_last_answer_sees_the_conversation_as_input() -> None:
    """So a judge knows what the answer answers."""
    seen = []

    class Looking:
        version, name, metrics, needs = "1", "look", (Metric("look", binary=True),), frozenset()

        def score(self, case, output):
            seen.append([message.content for message in case.input])
            return Score("look", 1.0, True)

    graded(Looking(), SOUND, over="last")
    assert seen == [["Refund A-17", "Shall I refund?", "Yes.", "I refunded 20 EUR.", "Thanks"]]


def test_all_answers_are_joined() -> None:
    """By blank lines."""
    assert graded(Contains(all=("Shall I", "20 EUR", "bye")), SOUND, over="all").passed is True


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ([("Let me look.", True), ("It is 20 EUR.", False)], "It is 20 EUR."),
        ([("It is 20 EUR; I pay it now.", True), ("", True)], "It is 20 EUR; I pay it now."),
        ([("Let me look.", True), ("", False)], ""),
        ([("", True)], ""),
    ],
)
def test_what_is_said_beside_a_call_is_the_answer_only_of_a_turn_that_has_no_other(said, text) -> None:
    """An empty final answer stays empty, and what the user was told before the calls that end a turn is not lost."""
    call = (ToolCall("get_order"),)
    messages = (Message("user", "q"), *(Message("assistant", each, tool_calls=call * calls) for each, calls in said))
    (turn,) = turns_of(Case(id="c", input="q"), Output(text="", messages=messages))
    assert turn.output.text == text


def test_each_turn_is_graded_by_what_it_expects() -> None:
    """Turns that lack what the scorer needs are not asked."""
    grade = graded(Keywords(min_recall=1.0), SOUND, over="turn")
    assert (grade.value, grade.passed, grade.turns) == (1.0, True, ((2, 1.0), (3, 1.0)))
    grade = graded(Keywords(min_recall=1.0), conversation("Shall I?", "Done.", "Good bye"), over="turn")
    assert (grade.value, grade.turns) == (0.5, ((2, 0.0), (3, 1.0)))
    assert grade.reason.startswith("turn 2: ")
    assert [each["turn"] for each in grade.details["turns"]] == [2, 3]


def test_a_turn_without_a_field_that_when_names_is_not_graded() -> None:
    """Only if no row has it; a field of the row says nothing about its turns."""
    turns = [{"user": "Refund A-17"}, {"user": "Yes.", "sources": ["d2"]}, {"user": "Thanks"}]
    rule, has_sources = Contains(all=("20 EUR",)), When(has=("sources",))
    assert graded(rule, SOUND, turns, over="turn", when=has_sources).turns == ((2, 1.0),)
    assert len(graded(rule, SOUND, turns, over="turn", when=When(has=("turns",))).turns) == 3
    case = Case(id="c", input="Refund A-17", fields={"turns": turns, "sources": ["d1"]})
    grades = asyncio.run(grade_all([Grader(rule, over="turn", when=has_sources)])(case, SOUND, 0))
    assert len(grades["contains"].turns) == 3


def test_the_tool_calls_of_a_turn_are_its_own() -> None:
    """`expected_tool_calls` of turn 1 knows nothing of the refund in turn 2."""
    assert graded(ToolCalls(), SOUND, over="turn").turns == ((1, 1.0),)


@pytest.mark.parametrize(
    ("fold", "value", "passed"), [(None, 0.5, None), ("mean", 0.5, None), ("worst", 0.0, False), ("last", 1.0, True)]
)
def test_how_the_grades_of_turns_become_one(fold, value, passed) -> None:
    """`mean` for graded metrics; a mark is folded as the value is."""
    grade = graded(Keywords(min_recall=1.0), conversation("Shall I?", "Done.", "Good bye"), over="turn", fold=fold)
    assert grade.value == value
    assert passed is None or grade.passed is passed


def test_pass_or_fail_metrics_pass_if_all_turns_do() -> None:
    """The first turn that fails gives the reason."""
    grade = graded(Contains(none=("refunded",)), SOUND, over="turn")
    assert (grade.value, grade.passed, grade.turns) == (0.0, False, ((1, 1.0), (2, 0.0), (3, 1.0)))
    assert grade.reason.startswith("turn 2: ")


def test_a_turn_that_was_never_reached_does_not_pass() -> None:
    """A conversation that ends early is no way around an expectation."""
    cut = conversation("Shall I?", stop="agent_done")
    grade = graded(Contains(all_field="required"), cut, over="turn", when=None)
    assert grade.passed is False
    assert "turn 2: never reached: the conversation ended with agent_done" in grade.reason


class Picky:
    """Grades a turn by its text, fails at `boom`, knows nothing of `unknown`."""

    version, name, needs = "1", "picky", frozenset()

    def __init__(self, *, binary: bool) -> None:
        self.metrics = (Metric("picky", binary=binary),)

    def score(self, case, output):
        """Grade by the text."""
        if output.text == "boom":
            raise RuntimeError("boom")
        if output.text == "unknown":
            return Unscored("picky", "missing_x", "no x")
        return Score("picky", float(output.text), float(output.text) == 1.0)


@pytest.mark.parametrize(
    ("answers", "binary", "state"),
    [
        (("1", "unknown", "1"), True, "missing_x"),
        (("1", "unknown", "0"), True, False),
        (("1", "boom", "1"), True, "scorer_error"),
        (("0.5", "unknown", "0.2"), False, "missing_x"),
        (("1", "1", "1"), True, True),
    ],
)
def test_a_turn_without_a_grade(answers, binary, state) -> None:
    """It leaves the conversation without one, unless another turn has failed for sure."""
    grade = graded(Picky(binary=binary), conversation(*answers), over="turn")
    assert (grade.kind if isinstance(grade, Unscored) else grade.passed) == state
    if isinstance(grade, Unscored):
        assert grade.message.startswith("turn 2: ")


def test_no_turn_has_what_a_scorer_needs() -> None:
    """That is no pass."""
    grade = graded(Keywords(min_recall=1.0), SOUND, turns=[{"user": "x"}], over="turn")
    assert (grade.kind, type(grade)) == ("no_turn", Unscored)


def test_turns_are_unknown_without_messages() -> None:
    """A stored answer may be the last text alone."""
    grade = graded(Keywords(min_recall=1.0), Output(text="x"), over="turn")
    assert grade.kind == "missing_messages"


def test_the_figures_of_a_turn_are_its_own() -> None:
    """Contexts, seconds and tokens stand at the answer of each turn."""
    from evalkit.formats.turns import turns_of

    messages = (
        Message("user", "a"),
        Message("assistant", "A", details={"contexts": ["one"], "latency_s": 0.5, "usage": {"input_tokens": 3}}),
        Message("user", "b"),
        Message("assistant", "B", details={"contexts": "odd", "latency_s": -1}),
    )
    case = Case(id="c", input="a", fields={"turns": [{"user": "a"}, {"user": "b"}]})
    first, second = turns_of(case, Output(text="B", messages=messages))
    assert (first.output.contexts, first.output.latency_s, first.output.usage.input_tokens) == (("one",), 0.5, 3)
    assert second.output.latency_s is None
    assert second.output.usage is None


def test_a_mean_of_passes_is_refused() -> None:
    """And a fold where no turn is graded."""
    with pytest.raises(ValueError, match="it has no mean"):
        Grader(Contains(all=("x",)), over="turn", fold="mean")
    with pytest.raises(ValueError, match="add `over: turn`"):
        Grader(Length(max=3), over="last", fold="worst")


@pytest.mark.parametrize("fold", [None, "mean", "all", "worst"])
def test_a_failed_turn_fails_a_mark_that_is_a_range(fold) -> None:
    """The mean of 0 and 3 steps lies within 1 and 3, and the turn without a step does not."""
    grade = graded(Steps(min=1, max=3), conversation("a", "b", trajectory=THREE_IN_TURN_2), over="turn", fold=fold)
    assert grade.passed is False
    assert grade.reason.startswith("turn 1: ")


THREE_IN_TURN_2 = tuple(Step(kind="tool", name="t", turn=2, arguments={"n": at}) for at in range(3))


@pytest.mark.parametrize("scorer", [Steps(max=3), Loops()])
def test_a_turn_that_was_not_reached_has_no_infinite_value(scorer) -> None:
    """Its mark is a fail all the same."""
    cut = conversation("Shall I?", stop="agent_done", trajectory=(), tool_calls=())
    case = Case(id="c", input="x", fields={"turns": TURNS[:2]})
    grades = asyncio.run(grade_all([Grader(scorer, over="turn")])(case, cut, 0))
    first = next(iter(grades.values()))
    assert first.passed is False
    assert "turn 2: never reached" in first.reason


def test_an_early_end_never_passes_by_its_mean() -> None:
    """Half of the turns is not enough where the other half never came."""
    cut = conversation("Shall I?", "20 EUR", stop="agent_done")
    grade = graded(Keywords(min_recall=0.5), cut, over="turn")
    assert (grade.value, grade.passed) == (0.5, False)


def test_calls_without_a_turn_belong_to_no_turn_that_is_known() -> None:
    """They are not left out."""
    loose = (Step(kind="tool", name="delete_all"),)
    turns = [{"user": "a"}, {"user": "b", "expected_tool_calls": []}]
    from evalkit.formats.steps import calls_of

    grade = graded(
        ToolCalls(), conversation("a", "b", trajectory=loose, tool_calls=calls_of(loose)), turns=turns, over="turn"
    )
    assert (type(grade), grade.kind) == (Unscored, "missing_tool_calls")


@pytest.mark.parametrize("over", ["last", "all"])
def test_what_asks_about_the_whole_conversation_counts_all_its_turns(over) -> None:
    """The input that other scorers of the last answer are given holds the earlier turns as its history."""
    assert graded(AnswerBudget(turns=3), SOUND, over=over).passed is True
    assert graded(AnswerBudget(turns=2), SOUND, over=over).passed is False


@pytest.mark.parametrize(
    "scorer", [FinalState(), AnswerBudget(turns=1), BoundPolicy(name="p", policy=ToolPolicy(forbid=("x",)))]
)
def test_what_asks_about_the_whole_conversation_grades_no_turn(scorer) -> None:
    """At most one refund in each turn is not at most one."""
    with pytest.raises(ValueError, match="asks about the whole conversation"):
        Grader(scorer, over="turn")
