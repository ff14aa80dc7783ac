"""Loops, steps, efficiency, errors of tools, and budgets."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.agents.budget import AnswerBudget
from evalkit.scorers.agents.fabricated_calls import FabricatedCalls
from evalkit.scorers.agents.loops import Loops, longest_cycle
from evalkit.scorers.agents.steps import Efficiency, Steps
from evalkit.scorers.agents.tool_calls import ToolCalls
from evalkit.scorers.agents.tool_errors import ToolErrors
from evalkit.types import Case, Message, Output, Score, Step, ToolCall, Unscored, Usage

CASE = Case(id="c", input="q")
SCORERS = (Loops(), Steps(), ToolErrors(max=0.1), AnswerBudget(seconds=1), Efficiency())


def called(*names: str, **others: Any) -> Output:
    """An output with calls; a name that ends in `!` is a call that failed."""
    calls = (ToolCall(name.rstrip("!"), error="Error" if name.endswith("!") else None) for name in names)
    return Output(text="", tool_calls=tuple(calls), **others)


def values(grades: Any) -> list[Any]:
    """Value of each grade, or the kind of what is unknown."""
    grades = grades if isinstance(grades, tuple) else (grades,)
    return [grade.value if isinstance(grade, Score) else grade.kind for grade in grades]


@pytest.mark.parametrize(
    ("calls", "cycle", "redundant"),
    [
        ("get get refund get", 2, 1 / 4),
        ("a b a b a b", 3, 4 / 6),
        ("", 0, 0),
        ("a", 1, 0),
        ("a b c a b c", 2, 3 / 6),
        ("a b c d e a b c d e", 1, 5 / 10),
        ("a a a a", 4, 3 / 4),
        ("get refund! get", 1, 1 / 3),
        ("refund refund", 2, 1 / 2),
        ("refund get refund", 1, 1 / 3),
    ],
)
def test_loops(calls: str, cycle: int, redundant: float) -> None:
    """A block that stands several times in a row, and calls that could learn nothing new."""
    first, second = Loops(writes=("refund*",)).score(CASE, called(*calls.split()))
    assert isinstance(first, Score) and isinstance(second, Score)
    assert (first.value, second.value) == (cycle, pytest.approx(redundant))
    assert first.passed is (cycle <= 2)


def test_a_loop_is_named() -> None:
    """The reason has the block, how often it stands, and where it begins."""
    grade = Loops().score(CASE, called("x", "a", "b", "a", "b", "a", "b"))[0]
    assert isinstance(grade, Score)
    assert (grade.reason, grade.passed) == ("a(), b() 3 times in a row, from call 2", False)


def test_other_arguments_are_another_call() -> None:
    """A call with other arguments is no repetition; equal JSON is."""
    made = (ToolCall("f", {"x": 1}), ToolCall("f", {"x": 2}), ToolCall("f", {"x": 2.0}))
    assert values(Loops().score(CASE, Output(text="", tool_calls=made))) == [2.0, pytest.approx(1 / 3)]


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 5))
def test_cycles_by_brute_force(keys: list[str], longest: int) -> None:
    """The number is that of a search over every block and place, and the block that is named stands there."""
    best = 0
    for length in range(1, longest + 1):
        for start in range(len(keys) - length + 1):
            block, n = keys[start : start + length], 1
            while keys[start + n * length : start + (n + 1) * length] == block:
                n += 1
            best = max(best, n)
    n, start, length = longest_cycle(keys, longest)
    assert n == best
    assert keys[start : start + n * length] == keys[start : start + length] * n


@pytest.mark.parametrize("period", [1, 7, 10_000])
@pytest.mark.slow
def test_ten_thousand_calls(period: int) -> None:
    """A long run is searched in linear time."""
    calls = tuple(ToolCall("f", {"n": n % period}) for n in range(10_000))
    output = Output(text="", tool_calls=calls)
    assert values(Loops(longest=100).score(CASE, output))[0] == 10_000 // period
    assert values(Steps(max=5).score(CASE, output)) == [10_000]
    assert values(ToolErrors().score(CASE, output)) == [0.0, "no_error"]


def test_unknown_calls_are_unknown() -> None:
    """Without calls, steps or amounts nothing is a number."""
    unknown = Output(text="x")
    assert [values(scorer.score(CASE, unknown)) for scorer in SCORERS] == [
        ["missing_tool_calls"] * 2,
        ["missing_trajectory"],
        ["missing_tool_calls"] * 2,
        ["unknown_amount"],
        ["missing_expected_tool_calls"],
    ]
    case = Case(id="c", input="q", fields={"expected_tool_calls": []})
    assert values(Efficiency().score(case, unknown)) == ["missing_tool_calls"]


STEPS = (Step(kind="node", name="planner"), Step(kind="tool", name="get"), Step(kind="tool", name="refund"))


@pytest.mark.parametrize(
    ("options", "output", "expected"),
    [
        ({}, Output(text="", trajectory=STEPS, tool_calls=()), 2.0),
        ({"kinds": ("node", "tool")}, Output(text="", trajectory=STEPS, tool_calls=()), 3.0),
        ({"step": "ref*"}, Output(text="", trajectory=STEPS), 1.0),
        ({}, called("a", "b"), 2.0),
        ({"kinds": ("node",)}, called("a", "b"), "missing_trajectory"),
        ({"kinds": ("node", "tool")}, called("a", trajectory=STEPS[:1]), "missing_trajectory"),
        ({}, called("a", trajectory=STEPS[:1]), 1.0),
        ({}, Output(text="", trajectory=(Step(),)), "missing_trajectory"),
        ({"kinds": ("other",)}, Output(text="", trajectory=(Step(),)), 1.0),
        ({}, Output(text="", trajectory=(), tool_calls=()), 0.0),
        ({"kinds": ("approval",)}, Output(text="", trajectory=STEPS), 0.0),
    ],
)
def test_steps(options: dict[str, Any], output: Output, expected: object) -> None:
    """Steps of the kinds and names that count; a kind that the system cannot report is not 0."""
    assert values(Steps(**options).score(CASE, output)) == [expected]


@pytest.mark.parametrize(
    ("options", "passed", "higher_is_better"),
    [
        ({}, None, False),
        ({"max": 2}, True, False),
        ({"max": 1}, False, False),
        ({"min": 3}, False, True),
        ({"min": 1, "max": 2}, True, False),
    ],
)
def test_bounds_of_steps(options: dict[str, Any], passed: bool | None, higher_is_better: bool) -> None:
    """Both bounds are included; fewer steps are better, unless only `min` is given."""
    scorer = Steps(**options)
    grade = scorer.score(CASE, called("a", "b"))
    assert isinstance(grade, Score)
    assert grade.passed is passed
    assert scorer.metrics[0].higher_is_better is higher_is_better
    assert scorer.metrics[0].votes is (passed is not None)


@pytest.mark.parametrize(
    ("n_expected", "made", "value"),
    [
        (2, ("a", "b"), 1.0),
        (2, ("a", "b", "c", "d"), 0.5),
        (3, ("a",), 1.0),
        (0, (), 1.0),
        (1, (), 0.0),
        (0, ("a",), 0.0),
    ],
)
def test_efficiency(n_expected: int, made: tuple[str, ...], value: float) -> None:
    """Expected calls / calls made, at most 1."""
    case = Case(id="c", input="q", fields={"expected_tool_calls": [{"name": "a"}] * n_expected})
    grade = Efficiency(min=0.5).score(case, called(*made))
    assert isinstance(grade, Score)
    assert (grade.value, grade.passed) == (value, value >= 0.5)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ("a a", [0.0, "no_error"]),
        ("", ["no_call", "no_call"]),
        ("a! a b!", [2 / 3, 1 / 2]),
        ("a! a! a", [2 / 3, 1.0]),
        ("a a!", [1 / 2, 0.0]),
    ],
)
def test_tool_errors(calls: str, expected: list[object]) -> None:
    """Errors / calls, and the share that a later success of the same tool follows."""
    assert values(ToolErrors().score(CASE, called(*calls.split()))) == pytest.approx(expected)


MADE = Step(kind="tool", name="get_order", recorded_by="evalkit", turn=1)
ONLY_CLAIMED = Step(kind="tool", name="refund", error="claimed: the environment never had this call", turn=2)
OWN = Step(kind="tool", name="search")


@pytest.mark.parametrize(
    ("steps", "expected", "passed"),
    [
        ((MADE, MADE, MADE, ONLY_CLAIMED), 1 / 4, False),
        ((ONLY_CLAIMED,), 1.0, False),
        ((MADE, OWN), 0.0, True),
        ((dataclasses.replace(MADE, error="no such order"),), 0.0, True),
    ],
)
def test_fabricated_calls(steps: tuple[Step, ...], expected: float, passed: bool) -> None:
    """Claimed / (claimed + made): an own tool does not count, and a call that failed was made."""
    grade = FabricatedCalls().score(CASE, Output(text="", trajectory=steps))
    assert isinstance(grade, Score)
    assert (grade.value, grade.passed) == (pytest.approx(expected), passed)


def test_a_fabricated_call_is_named_with_its_turn() -> None:
    """So a reader finds it."""
    grade = FabricatedCalls(max=0.5).score(CASE, Output(text="", trajectory=(MADE, ONLY_CLAIMED)))
    assert isinstance(grade, Score)
    assert (grade.passed, grade.reason) == (True, "1 of 2 calls only claimed: refund (turn 2)")


def test_without_an_environment_nobody_knows_what_was_fabricated() -> None:
    """The calls of an agent's own tools are its word alone, and so are calls without steps."""
    outputs = (
        Output(text="", trajectory=(OWN,)),
        Output(text="", trajectory=()),
        Output(text="", tool_calls=(ToolCall("a"),)),
    )
    kinds = ["no_call", "no_call", "missing_trajectory"]
    assert [values(FabricatedCalls().score(CASE, output)) for output in outputs] == [[kind] for kind in kinds]


def test_a_figure_that_few_answers_have_does_not_cost_coverage() -> None:
    """`.recovered` of an answer without an error is unscored, so it decides nothing."""
    metrics = [metric for scorer in SCORERS for metric in scorer.metrics]
    assert [metric.name for metric in metrics if metric.diagnostic] == ["tool_errors.recovered"]


def test_a_wait_for_a_person_is_no_error() -> None:
    """An interrupt and an approval are steps like others."""
    steps = (Step(kind="approval", name="refund", decision="approved"), Step(kind="tool", name="refund"))
    output = called("refund", trajectory=steps, interrupt={"tool": "refund"})
    assert values(ToolErrors().score(CASE, output)) == [0.0, "no_error"]


USED = Output(
    text="x",
    usage=Usage(input_tokens=100, output_tokens=10, cost_usd=0.02),
    latency_s=3.0,
    messages=(Message("user", "a"), Message("assistant", "b"), Message("user", "c")),
)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"input_tokens": 100, "output_tokens": 10, "cost_usd": 0.02, "seconds": 3, "turns": 2}, 1.0),
        ({"input_tokens": 99}, 0.0),
        ({"turns": 1}, 0.0),
        ({"seconds": 2.5, "cost_usd": 1}, 0.0),
    ],
)
def test_budget(limits: dict[str, Any], expected: float) -> None:
    """All within their limits, which are included."""
    grade = AnswerBudget(**limits).score(CASE, USED)
    assert isinstance(grade, Score)
    assert (grade.value, grade.passed) == (expected, bool(expected))


def test_an_unknown_amount_is_not_within() -> None:
    """One unknown amount leaves the answer unscored, and is named."""
    grade = AnswerBudget(cost_usd=1, seconds=1).score(CASE, Output(text="x", latency_s=9.0))
    assert grade == Unscored("budget", "unknown_amount", "not known: cost_usd")
    turned = called("a", trajectory=(Step(kind="tool", name="a", turn=3),))
    assert values(AnswerBudget(turns=2).score(CASE, turned)) == [0.0]


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Loops(max_cycle=0), "max_cycle"),
        (lambda: Loops(longest=0), "longest"),
        (lambda: Loops(longest=101), "longest"),
        (lambda: Steps(kinds=()), "kinds"),
        (lambda: Steps(min=3, max=2), "min"),
        (lambda: Steps(max=-1), "max"),
        (lambda: Steps(name="get_*"), "name"),
        (lambda: Efficiency(min=2), "min"),
        (lambda: ToolErrors(max=-0.1), "max"),
        (lambda: FabricatedCalls(max=2), "max"),
        (AnswerBudget, "cost_usd"),
        (lambda: AnswerBudget(seconds=-1), "seconds"),
    ],
)
def test_options_that_cannot_be_meant(make: Any, key: str) -> None:
    """Each is refused with its key and a fix."""
    with pytest.raises(ValueError, match=rf"^{key}: .+; .+"):
        make()


def test_calls_among_the_steps_are_calls() -> None:
    """An output that was made with steps alone is graded by them."""
    steps = (Step(kind="tool", name="a"), Step(kind="tool", name="a", error="Error"))
    output = Output(text="", trajectory=steps)
    case = Case(id="c", input="q", fields={"expected_tool_calls": [{"name": "a"}]})
    found = [values(scorer.score(case, output)) for scorer in (Loops(), ToolErrors(), Efficiency(), ToolCalls())]
    assert found == [[2.0, 0.5], [0.5, 0.0], [0.5], [0.5, 1.0, pytest.approx(2 / 3)]]
