"""What users of other tools complain about, and what happens here: each a small case with its right answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalkit.scorers.agents.budget import AnswerBudget
from evalkit.scorers.agents.loops import Loops
from evalkit.scorers.agents.policy import KeepsPolicy
from evalkit.scorers.agents.state import FinalState
from evalkit.scorers.agents.steps import Steps
from evalkit.scorers.agents.tool_calls import ToolCalls
from evalkit.scorers.agents.tool_errors import ToolErrors
from evalkit.scorers.agents.trajectory import Trajectory
from evalkit.scorers.base import Services
from evalkit.types import Case, Output, Score, Step, ToolCall, Unscored


def case(**fields: Any) -> Case:
    """A case with these fields."""
    return Case(id="c", input="q", fields=fields)


def calls(*names: str) -> list[dict[str, Any]]:
    """Expected calls without arguments."""
    return [{"name": name} for name in names]


def made(*names: str, **others: Any) -> Output:
    """An output with calls without arguments."""
    return Output(text="", tool_calls=tuple(map(ToolCall, names)), **others)


def last(scorer: Any, asked: Case, output: Output) -> Any:
    """The last grade: its value, or the kind of what is unknown."""
    grades = scorer.score(asked, output)
    grade = grades[-1] if isinstance(grades, tuple) else grades
    return grade.value if isinstance(grade, Score) else grade.kind


def test_equal_calls_count_as_often_as_they_are_made() -> None:
    """Two equal calls that are wanted twice are right; a call made twice that is wanted once is not."""
    assert last(ToolCalls(), case(expected_tool_calls=calls("a", "a")), made("a", "a")) == 1.0
    assert last(ToolCalls(), case(expected_tool_calls=calls("a")), made("a", "a")) == pytest.approx(2 / 3)
    assert last(ToolCalls(match="any_order"), case(expected_tool_calls=calls("a")), made("a", "a")) == 0.0


def test_one_call_too_many_does_not_make_everything_wrong() -> None:
    """The share of what is right is kept, beside a verdict that may be strict or not."""
    asked = case(expected_tool_calls=calls("a", "b"))
    assert last(ToolCalls(), asked, made("a", "x", "b")) == pytest.approx(0.8)
    assert last(ToolCalls(match="in_order"), asked, made("a", "x", "b")) == 1.0


def test_nothing_expected_and_nothing_made_is_right() -> None:
    """And nothing expected cannot be met by anything."""
    asked = case(expected_tool_calls=[], expected_trajectory=[])
    assert last(ToolCalls(match="exact"), asked, made()) == 1.0
    assert last(ToolCalls(match="exact"), asked, made("a")) == 0.0
    for scorer in (ToolCalls(match="in_order"), ToolCalls(match="at_least"), Trajectory(match="in_order")):
        with pytest.raises(ValueError, match="of nothing passes anything"):
            scorer.check_case(asked)
        assert last(scorer, asked, made("a", trajectory=(Step(kind="tool", name="a"),))) == "nothing_expected"


def test_arguments_can_be_ignored() -> None:
    """For all tools, for one, or but for some keys, such as an id that cannot be predicted."""
    expected = [{"name": "book", "arguments": {"seat": "3A", "request_id": "?"}}]
    output = Output(text="", tool_calls=(ToolCall("book", {"seat": "3A", "request_id": "f81d4fae"}, id="call_9"),))
    asked = case(expected_tool_calls=expected)
    assert last(ToolCalls(match="exact"), asked, output) == 0.0
    assert last(ToolCalls(match="exact", arguments="ignore"), asked, output) == 1.0
    assert last(ToolCalls(match="exact", arguments_of={"book": ("seat",)}), asked, output) == 1.0


def test_the_ids_of_calls_are_never_compared() -> None:
    """A model makes them up."""
    outputs = [Output(text="", tool_calls=(ToolCall("a", id=call_id),)) for call_id in ("x", "y", "")]
    assert [last(ToolCalls(match="exact"), case(expected_tool_calls=calls("a")), each) for each in outputs] == [1.0] * 3


def test_graph_paths_need_not_be_strict() -> None:
    """Nodes are compared in any of the modes, with parts of the way left out."""
    steps = tuple(Step(kind="node", name=name) for name in ("agent", "tools", "agent", "tools", "agent"))
    asked = case(expected_trajectory=["agent", "tools", "agent"])
    output = Output(text="", trajectory=steps)
    assert last(Trajectory(kinds=("node",)), asked, output) == 0.0
    assert last(Trajectory(kinds=("node",), match="in_order"), asked, output) == 1.0
    assert last(Trajectory(kinds=("node",), min_similarity=0.7), asked, output) == 0.75


def test_a_wait_for_a_person_is_not_an_error() -> None:
    """An interrupt leaves the calls as they are."""
    output = made("get_order", trajectory=(Step(kind="tool", name="get_order"), Step(kind="node", name="human")))
    grades = ToolErrors(max=0).score(case(), output)
    assert isinstance(grades[0], Score)
    assert grades[0].passed


STATE = {"orders": {"A": {"status": "returned", "total": 20}, "B": {"status": "open", "total": 5}}}
WANTED = {"orders.A.status": "refunded"}


def state(**others: Any) -> dict[str, Any]:
    """The order A refunded, with changes to B."""
    return {"orders": {"A": {"status": "refunded", "total": 20}, "B": {**STATE["orders"]["B"], **others}}}


def test_every_expected_call_was_made_and_the_result_is_wrong() -> None:
    """The state says which value an extra call damaged; the expected calls alone would pass."""
    asked = case(state=STATE, expected_state=WANTED, expected_tool_calls=calls("refund"))
    output = made("refund", "cancel", state=state(status="cancelled"))
    assert last(ToolCalls(match="at_least"), asked, output) == 1.0
    grade = FinalState().score(asked, output)
    assert isinstance(grade, Score)
    assert (grade.value, grade.passed) == (0.5, False)
    assert 'orders.B.status changed from "open" to "cancelled"' in grade.reason


def test_the_result_is_right_and_the_calls_are_not_the_expected_ones() -> None:
    """Two figures, neither hidden in the other: gate on the state, and look at the calls."""
    asked = case(state=STATE, expected_state=WANTED, expected_tool_calls=calls("refund"))
    output = made("update_order", state=state())
    assert last(FinalState(), asked, output) == 1.0
    assert last(ToolCalls(match="exact"), asked, output) == 0.0


def test_a_loop_does_not_pass_by_its_text() -> None:
    """An agent that goes round in circles fails, though its words have the answer."""
    output = Output(text="The answer is 42.", tool_calls=tuple(ToolCall("think", {"about": "42"}) for _ in range(50)))
    grade = Loops().score(case(), output)[0]
    assert isinstance(grade, Score)
    assert (grade.value, grade.passed) == (50.0, False)


def test_what_is_not_there_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    """No trace is not 0, and no duration is not within the limit."""
    (tmp_path / "policy.yaml").write_text("forbid: x", encoding="utf-8")
    policy = KeepsPolicy(file="policy.yaml").bind(Services(tmp_path))
    asked = case(expected_state=WANTED, expected_tool_calls=calls("a"), expected_trajectory=["a"])
    scorers = (
        *(FinalState(), ToolCalls(), Trajectory(), Loops(), Steps(max=3), ToolErrors(max=0.5)),
        *(AnswerBudget(seconds=10), policy),
    )
    for scorer in scorers:
        grades = scorer.score(asked, Output(text="Done."))  # type: ignore[attr-defined]
        assert all(isinstance(grade, Unscored) for grade in (grades if isinstance(grades, tuple) else (grades,)))


def test_one_approval_is_not_good_for_all_later_calls(tmp_path: Path) -> None:
    """Each call needs its own, for its own arguments."""
    (tmp_path / "policy.yaml").write_text("approve: {of: refund}", encoding="utf-8")
    policy = KeepsPolicy(file="policy.yaml").bind(Services(tmp_path))
    steps = [
        Step(kind="approval", name="refund", arguments={"eur": 20}, decision="approved"),
        Step(kind="tool", name="refund", arguments={"eur": 20}),
    ]
    for further, value in (
        ([], 1.0),
        ([steps[1]], 0.0),
        ([Step(kind="tool", name="refund", arguments={"eur": 9})], 0.0),
    ):
        way = (*steps, *further)
        output = Output(text="", trajectory=way, tool_calls=tuple(ToolCall(s.name) for s in way if s.kind == "tool"))
        assert last(policy, case(), output) == value
