"""The `trajectory` scorer compares steps of several kinds with those expected."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.scorers.agents.trajectory import Trajectory
from evalkit.types import Case, Output, Score, Step, ToolCall, Unscored

WAY = (
    Step(kind="agent", name="graph"),
    Step(kind="node", name="planner"),
    Step(kind="llm", name="m"),
    Step(kind="tool", name="get_order", arguments={"id": 1}),
    Step(kind="node", name="tools"),
    Step(kind="tool", name="refund", arguments={"id": 1, "eur": 20}),
)
NAMES = ["graph", "planner", "get_order", "tools", "refund"]


def grades(expected: Any, steps: Any = WAY, *, field: str = "expected_trajectory", **options: Any) -> list[float]:
    """Similarity, and match unless there is a mark on the similarity."""
    scorer, case = Trajectory(**options), Case(id="c", input="q", fields={field: expected})
    scorer.check_case(case)
    found = scorer.score(case, Output(text="", trajectory=steps))
    assert [grade.metric for grade in found] == [metric.name for metric in scorer.metrics]
    return [grade.value for grade in found if isinstance(grade, Score)]


def tools(names: str) -> tuple[Step, ...]:
    """A step of kind tool for each letter."""
    return tuple(Step(kind="tool", name=name) for name in names)


@pytest.mark.parametrize(
    ("expected", "made", "similarity", "matches"),
    [
        ("abc", "axbc", 6 / 7, {"in_order", "at_least"}),
        ("abc", "acb", 2 / 3, {"any_order", "at_least", "at_most"}),
        ("abc", "abc", 1.0, {"exact", "any_order", "in_order", "at_least", "at_most"}),
        ("", "", 1.0, {"exact", "any_order", "at_most"}),
        ("a", "", 0.0, {"at_most"}),
        ("", "a", 0.0, set()),
    ],
)
def test_known_answers(expected: str, made: str, similarity: float, matches: set[str]) -> None:
    """2 LCS / (E + M), and each mode; those that anything meets are refused if nothing is expected."""
    for mode in ("exact", "any_order", "in_order", "at_least", "at_most"):
        if not expected and mode in ("in_order", "at_least"):
            with pytest.raises(ValueError, match=f"{mode} of nothing passes anything; write any_order or at_most"):
                grades([], match=mode)
            continue
        assert grades(list(expected), tools(made), match=mode) == [pytest.approx(similarity), float(mode in matches)]


@pytest.mark.parametrize(
    ("expected", "options", "match"),
    [
        (NAMES, {}, 1),
        (["agent:graph", "node:planner", "tool:get_order", "node:tools", "tool:refund"], {}, 1),
        (["agent:graph", "tool:planner", "get_order", "tools", "refund"], {}, 0),
        (["node:planner", "node:tools"], {"kinds": ("node",)}, 1),
        (["get_order", {"name": "refund", "arguments": {"id": 1.0, "eur": 20}}], {"kinds": ("tool",)}, 1),
        (["get_order", {"name": "refund", "arguments": {"id": 1}}], {"kinds": ("tool",)}, 0),
        (["get_order", {"name": "refund", "arguments": {"id": 1}}], {"kinds": ("tool",), "arguments": "at_least"}, 1),
        ([{"kind": "tool", "name": "refund"}, "planner"], {"match": "at_least"}, 1),
        (["graph", "m"], {"kinds": ("agent", "llm"), "match": "in_order"}, 1),
        (["other:x"], {"kinds": ("other",)}, 0),
        (["ns:x"], {}, 0),
    ],
)
def test_items(expected: list[Any], options: dict[str, Any], match: float) -> None:
    """Kinds and arguments are compared where an item has them; graph paths need not be strict."""
    assert grades(expected, **options)[1] == match


def test_alternatives() -> None:
    """Of several ways the best counts."""
    ways = [["graph"], NAMES, []]
    assert grades(ways, field="expected_trajectories") == [1.0, 1.0]
    assert grades([["graph"], NAMES[:4]], field="expected_trajectories") == [pytest.approx(8 / 9), 0.0]


def test_a_mark_on_the_similarity() -> None:
    """It decides instead of the match."""
    assert grades(NAMES[:4], min_similarity=0.8) == [pytest.approx(8 / 9)]
    assert [metric.name for metric in Trajectory(min_similarity=0.8).metrics if metric.votes] == [
        "trajectory.similarity"
    ]
    with pytest.raises(ValueError, match="min_similarity: `match: exact` decides already; remove one"):
        Trajectory(match="exact", min_similarity=0.8)


def test_unknown_steps() -> None:
    """A system that reports calls alone is compared with calls alone."""
    case = Case(id="c", input="q", fields={"expected_trajectory": ["get_order"]})
    output = Output(text="", tool_calls=(ToolCall("get_order"),))
    assert [each.kind for each in Trajectory().score(case, output) if isinstance(each, Unscored)] == [
        "missing_trajectory",
        "missing_trajectory",
    ]
    assert Trajectory(kinds=("tool",)).score(case, output)[1].value == 1.0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({}, "there is neither `expected_trajectory` nor `expected_trajectories`; add the steps"),
        ({"expected_trajectory": [], "expected_trajectories": [[]]}, "both .+ are given; keep one"),
        ({"expected_trajectory": "get"}, "`expected_trajectory` must be a list of steps; write"),
        ({"expected_trajectory": [3]}, r"`expected_trajectory\[0\]` is not a step; write"),
        ({"expected_trajectory": [{"nmae": "x"}]}, "is not a step; write"),
        ({"expected_trajectory": [{"name": "x", "extra": 1}]}, "is not a step; write"),
        ({"expected_trajectory": [{"name": "x", "kind": "tol"}]}, "tol is not a kind of step; choose from llm, tool"),
        ({"expected_trajectory": ["llm:m"]}, "llm is not among the `kinds` of the scorer; add it to tool"),
        ({"expected_trajectories": []}, "must be a list of lists of steps; write"),
        ({"expected_trajectories": [["a"], "b"]}, r"`expected_trajectories\[1\]` must be a list of steps"),
    ],
)
def test_fields_of_another_form(fields: dict[str, Any], what: str) -> None:
    """Each is refused before the first call, with the place and the fix."""
    with pytest.raises(ValueError, match=what):
        Trajectory().check_case(Case(id="c", input="q", fields=fields))


@pytest.mark.slow
def test_ten_thousand_steps() -> None:
    """A long way is compared, with arguments too."""
    way = tuple(Step(kind="tool", name=f"t{n % 7}", arguments={"n": n % 900}) for n in range(10_000))
    expected = [{"name": step.name, "arguments": step.arguments} for step in way[::100]]
    assert grades(expected, way, match="in_order", arguments="at_least")[1] == 1.0
    assert grades([*expected, "x"], way, match="in_order")[1] == 0.0
