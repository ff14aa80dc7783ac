"""Matching expected calls with those made: known answers, and brute force over all assignments."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.scorers.agents.acts import ARGUMENTS, Act, ActMatcher
from evalkit.scorers.agents.matching import Match, in_any_order, in_order, is_match
from evalkit.scorers.agents.tool_calls import ToolCalls
from evalkit.scorers.registry import score_key
from evalkit.types import Case, Output, Score, ToolCall, Unscored

MODES: tuple[Match, ...] = ("exact", "any_order", "in_order", "at_least", "at_most")
Call = tuple[str, dict[str, object]]


def acts(names: str) -> list[Act]:
    """One call without arguments for each letter."""
    return [Act(name, {}) for name in names]


def graded(scorer: ToolCalls, expected: list[Call], made: list[Call | ToolCall]) -> Score | Unscored:
    """The last metric of a scorer: `.match`, or F1."""
    case = Case(
        id="c",
        input="q",
        fields={"expected_tool_calls": [{"name": name, "arguments": arguments} for name, arguments in expected]},
    )
    calls = tuple(call if isinstance(call, ToolCall) else ToolCall(*call) for call in made)
    return scorer.score(case, Output(text="", tool_calls=calls))[-1]


@pytest.mark.parametrize(
    ("expected", "made", "meets"),
    [
        ("abc", "abc", {"exact", "any_order", "in_order", "at_least", "at_most"}),
        ("abc", "axbc", {"in_order", "at_least"}),
        ("abc", "acb", {"any_order", "at_least", "at_most"}),
        ("abc", "ab", {"at_most"}),
        ("a", "aa", {"in_order", "at_least"}),
        ("aa", "a", {"at_most"}),
        ("", "", {"exact", "any_order", "in_order", "at_least", "at_most"}),
        ("", "a", {"in_order", "at_least"}),
        ("a", "", {"at_most"}),
    ],
)
def test_modes(expected: str, made: str, meets: set[str]) -> None:
    """Each mode is met by what its name says; the scorer refuses the two that anything meets."""
    found = {mode for mode in MODES if is_match(mode, acts(expected), acts(made), ActMatcher())}
    assert found == meets


def test_two_expectations_and_calls_in_another_order() -> None:
    """A call that fits both expectations is left to the one that nothing else fits."""
    expected: list[Call] = [("t", {"a": 1}), ("t", {"a": 1, "b": 2})]
    scorer = ToolCalls(match="any_order", arguments="at_least")
    assert graded(scorer, expected, [expected[1], expected[0]]).value == 1.0  # type: ignore[union-attr]
    assert graded(scorer, expected, [expected[0], expected[0]]).value == 0.0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "made", "value"),
    [
        ("exact", {"a": 1.0, "b": "x"}, 1.0),
        ("exact", {"a": True, "b": "x"}, 0.0),
        ("exact", {"a": "1", "b": "x"}, 0.0),
        ("exact", {"a": 1}, 0.0),
        ("at_least", {"a": 1, "b": "x", "c": None}, 1.0),
        ("at_least", {"a": 1}, 0.0),
        ("at_most", {"a": 1}, 1.0),
        ("at_most", {}, 1.0),
        ("at_most", {"a": 1, "c": 2}, 0.0),
        ("ignore", {"z": 9}, 1.0),
    ],
)
def test_arguments(arguments: Any, made: dict[str, object], value: float) -> None:
    """How the arguments {a: 1, b: x} are compared."""
    grade = graded(ToolCalls(match="exact", arguments=arguments), [("t", {"a": 1, "b": "x"})], [("t", made)])
    assert isinstance(grade, Score)
    assert grade.value == value


def test_arguments_of_single_tools() -> None:
    """A tool has its own way to compare, or a list of the arguments that are compared."""
    scorer = ToolCalls(match="exact", arguments_of={"search": "ignore", "pay": ("order.id", "$['a.b']")})
    expected: list[Call] = [("search", {"q": "x"}), ("pay", {"order": {"id": 1}, "a.b": 2, "at": "10:00"})]
    made: list[Call] = [("search", {}), ("pay", {"order": {"id": 1, "n": 3}, "a.b": 2, "at": "10:07"})]
    assert graded(scorer, expected, [*made]).value == 1.0  # type: ignore[union-attr]
    made[1][1]["order"] = {"id": 2}
    assert graded(scorer, expected, [*made]).value == 0.0  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"arguments_of: 'exactt' of pay is not a mode; did you mean `exact`"):
        ToolCalls(arguments_of={"pay": ("exactt",)})


def test_an_argument_that_both_lack_is_equal() -> None:
    """A listed argument that only one side has is a difference; null is a value."""
    scorer = ToolCalls(match="exact", arguments_of={"pay": ("id",)})
    assert graded(scorer, [("pay", {})], [("pay", {"x": 1})]).value == 1.0  # type: ignore[union-attr]
    assert graded(scorer, [("pay", {"id": None})], [("pay", {})]).value == 0.0  # type: ignore[union-attr]


def test_refused_calls_do_not_count() -> None:
    """`count: successful` leaves out calls that the tool refused."""
    made: list[Any] = [ToolCall("pay", {"eur": 20}, error="denied: no approval"), ToolCall("pay", {"eur": 20})]
    expected: list[Call] = [("pay", {"eur": 20})]
    assert graded(ToolCalls(match="any_order", count="successful"), expected, made).value == 1.0  # type: ignore[union-attr]
    assert graded(ToolCalls(match="any_order"), expected, made).value == 0.0  # type: ignore[union-attr]
    grade = graded(ToolCalls(match="any_order", count="successful"), expected, made[:1])
    assert "not made: pay(eur=20)" in grade.reason  # type: ignore[union-attr]


@pytest.mark.parametrize("match", ["at_least", "in_order"])
def test_expectations_of_nothing_are_refused(match: Any) -> None:
    """Anything has at least nothing: the row is refused, and its score is unknown."""
    scorer = ToolCalls(match=match, only=("pay",))
    for calls in ([], [{"name": "look"}]):
        case = Case(id="c", input="q", fields={"expected_tool_calls": calls})
        with pytest.raises(ValueError, match=rf"{match} of nothing passes anything; write any_order or at_most"):
            scorer.check_case(case)
    assert graded(scorer, [], [("look", {})]).kind == "nothing_expected"  # type: ignore[union-attr]
    ToolCalls(match="any_order").check_case(Case(id="c", input="q", fields={"expected_tool_calls": []}))


def test_the_mode_decides_instead_of_f1() -> None:
    """One pass mark: F1 has it, or `.match`."""
    marked = {each.name for each in ToolCalls(match="at_most").metrics if each.votes}
    assert marked == {"tool_calls.match"}
    assert [each.name for each in ToolCalls().metrics if each.votes] == ["tool_calls.f1"]
    with pytest.raises(ValueError, match=r"min_f1: `match: exact` decides instead"):
        ToolCalls(match="exact", min_f1=0.5)
    with pytest.raises(ValueError, match=r"ignore_extra_arguments: given beside"):
        ToolCalls(arguments="ignore", ignore_extra_arguments=True)


def test_scores_of_before_the_options_stay_comparable() -> None:
    """An option that came later is no part of the score key while it has its default."""
    plain, later = ToolCalls(), ToolCalls(count="successful")
    keys = [score_key("tool_calls", each, each)["options"] for each in (plain, ToolCalls(count="all"), later)]
    assert keys[0] == keys[1] != keys[2]
    earlier = {"ignore_extra_arguments": False, "min_f1": 1.0, "name": "tool_calls", "only": (), "order": "any"}
    assert keys[0] == hashlib.sha256(json.dumps(earlier, sort_keys=True).encode()).hexdigest()[:16]


a_call = st.tuples(
    st.sampled_from("fg"), st.dictionaries(st.sampled_from("xy"), st.sampled_from([0, 1, True]), max_size=2)
)
some = st.lists(a_call, max_size=4)


def longest(expected: list[Act], made: list[Act], compare: ActMatcher) -> int:
    """The longest common subsequence, by trying every choice."""
    for size in range(min(len(expected), len(made)), 0, -1):
        for ours in itertools.combinations(expected, size):
            for theirs in itertools.combinations(made, size):
                if all(map(compare.agrees, ours, theirs)):
                    return size
    return 0


@settings(max_examples=200)
@given(some, some, st.sampled_from(ARGUMENTS), st.sampled_from([{}, {"f": "at_most"}, {"g": ("x",)}]))
def test_brute_force(ours: list[Call], theirs: list[Call], arguments: Any, of: Any) -> None:
    """The largest matching, the longest sequence and every mode are those of a search over all of them."""
    expected, made = [Act(*call) for call in ours], [Act(*call) for call in theirs]
    compare = ActMatcher(arguments, of)
    size = max(
        sum(compare.agrees(want, made[at]) for want, at in zip(expected, order, strict=False) if at < len(made))
        for order in itertools.permutations(range(max(len(expected), len(made))))
    )
    pairs = in_any_order(expected, made, compare)
    assert len(pairs) == size
    assert all(compare.agrees(expected[own], made[at]) for own, at in pairs)
    assert len({own for own, _ in pairs}) == len({at for _, at in pairs}) == size
    n = longest(expected, made, compare)
    assert in_order(expected, made, compare) == n
    found = {mode: is_match(mode, expected, made, compare) for mode in MODES}
    same = len(expected) == len(made)
    assert found == {
        "exact": same and all(map(compare.agrees, expected, made)),
        "any_order": same and size == len(made),
        "in_order": n == len(expected),
        "at_least": size == len(expected),
        "at_most": size == len(made),
    }


@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.slow
def test_ten_thousand_calls(arguments: Any) -> None:
    """A long answer is matched, whatever the comparison."""
    made = [ToolCall(f"t{n % 50}", {"n": n % 700, "m": n}) for n in range(10_000)]
    expected: list[Call] = [(call.name, dict(call.arguments)) for call in made[::20]]
    assert isinstance(
        graded(ToolCalls(match="in_order", arguments=arguments, order="strict"), expected, [*made]), Score
    )
