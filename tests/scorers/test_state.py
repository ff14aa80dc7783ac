"""The `state` scorer: the wanted changes and only these, with the damaged path named."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.formats.expected_state import Replayed
from evalkit.scorers.agents.state import FinalState, ReplayingState
from evalkit.scorers.base import Services
from evalkit.types import Case, Output, Score, Unscored

INITIAL = {"orders": {"A": {"status": "returned", "total": 20}}}
WANTED = {"orders.A.status": "refunded"}


def order(**changes: object) -> dict[str, Any]:
    """The state with changes to the order A."""
    return {"orders": {"A": {**INITIAL["orders"]["A"], **changes}}}


def grade(
    final: Any, expected: Any = WANTED, initial: Any = INITIAL, scorer: FinalState | None = None
) -> Score | Unscored:
    """Score a final state, after a check of the case."""
    fields = {"expected_state": expected} | ({} if initial is None else {"state": initial})
    scorer, case = scorer or FinalState(), Case(id="c", input="q", fields=fields)
    scorer.check_case(case)
    return scorer.score(case, Output(text="", state=final))


@pytest.mark.parametrize(
    ("expected", "final", "value", "told"),
    [
        pytest.param(WANTED, order(status="refunded"), 1, "1 of 1 expected value", id="as wished"),
        pytest.param(WANTED, INITIAL, 0, 'orders.A.status is "returned", expected "refunded"', id="nothing changed"),
        pytest.param(
            WANTED, order(status="refunded", total=0), 1 / 2, "orders.A.total changed from 20 to 0", id="and damage"
        ),
        pytest.param({}, INITIAL, 1, "nothing was to change", id="nothing expected"),
        pytest.param({}, order(total=0), 0, "orders.A.total changed from 20 to 0", id="nothing expected, damage"),
        pytest.param(WANTED, {**order(status="refunded"), "log": [1, 2]}, 1 / 3, "log[1] was added: 2", id="added"),
        pytest.param(WANTED, {"orders": {}}, 0, "orders.A.total was removed: 20", id="removed"),
        pytest.param(WANTED, order(status="refunded", total=20.0), 1, "1 of 1", id="1 is 1.0"),
        pytest.param(WANTED, order(status="refunded", total=True), 1 / 2, "total changed from 20 to true", id="true"),
        pytest.param(WANTED, order(status="refunded", total="20"), 1 / 2, 'from 20 to "20"', id="text"),
        pytest.param({"orders.A": {"status": "x", "total": 1}}, order(status="x", total=1), 1, "1 of 1", id="below"),
        pytest.param({"orders.A": {"status": "x"}}, order(status="x"), 0, "orders.A is {", id="a mapping as a whole"),
        pytest.param({"orders.B.id": 1}, {**INITIAL, "b": {}}, 0, "orders.B.id is missing, expected 1", id="missing"),
        pytest.param({"orders.A": None}, {"orders": {}}, 1, "1 of 1", id="removed as wished"),
        pytest.param({"ordrs.A": None}, INITIAL, 0, "ordrs.A is missing, expected null", id="a typo is not removed"),
        pytest.param({"orders.A.note": None}, order(note=None), 1, "1 of 1", id="null"),
    ],
)
def test_known_answers(expected: Any, final: Any, value: float, told: str) -> None:
    """Held / (expected + collateral), and what is wrong is named."""
    found = grade(final, expected)
    assert isinstance(found, Score)
    assert found.value == pytest.approx(value)
    assert found.passed is (value == 1)
    assert told in found.reason


def test_no_state_is_unknown() -> None:
    """A system that reports no state is neither right nor wrong."""
    found = FinalState().score(Case(id="c", input="q", fields={"expected_state": WANTED}), Output(text="Refunded."))
    assert found == Unscored("state", "missing_state", "the system does not report its state")
    found = FinalState().score(Case(id="c", input="q"), Output(text="", state={}))
    assert isinstance(found, Unscored)
    assert found.kind == "missing_expected_state"


def test_without_the_initial_state() -> None:
    """What else changed is not known: it costs nothing, and the reason says so."""
    found = grade(order(status="refunded", total=0), initial=None)
    assert isinstance(found, Score)
    assert (found.value, found.details["collateral"]) == (1.0, None)
    assert found.reason.endswith("other changes are not known, as the case has no `state`")
    found = grade(order(status="refunded", total=0), scorer=FinalState(only=False))
    assert isinstance(found, Score)
    assert (found.value, found.reason) == (1.0, "1 of 1 expected value")


@pytest.mark.parametrize(
    ("initial", "scorer", "fix"),
    [
        (None, FinalState(), "add the initial state as `state`"),
        (INITIAL, FinalState(only=False), "remove `only: false`"),
    ],
)
def test_expectations_of_nothing_cannot_be_met_by_anything(initial: Any, scorer: FinalState, fix: str) -> None:
    """A case that any state passes is refused."""
    with pytest.raises(ValueError, match=f"expects nothing, and any state passes; {fix}"):
        grade(INITIAL, {}, initial, scorer)
    case = Case(id="c", input="q", fields={"expected_state": {}} | ({"state": initial} if initial else {}))
    assert scorer.score(case, Output(text="", state={})).kind == "nothing_expected"  # type: ignore[union-attr]


def test_keys_with_dots() -> None:
    """A key is quoted where it holds what divides a path; the message shows how."""
    initial = {"orders": {"A.17": {"status": "x", 'a"b': 1}}, "a.b": 1}
    final = {"orders": {"A.17": {"status": "y", 'a"b': 2}}, "a.b": 2}
    found = grade(final, {'orders["A.17"].status': "y", "['a.b']": 2, "orders['A.17']['a\"b']": 2}, initial)
    assert isinstance(found, Score)
    assert found.passed
    found = grade(final, {"orders.A.17.status": "y"}, initial)
    assert isinstance(found, Score)
    assert 'orders["A.17"].status changed' in found.reason
    found = grade(final, {"a.b": 2}, initial)
    assert isinstance(found, Score)
    assert 'a.b is missing, expected 2 (did you mean ["a.b"]?)' in found.reason


def test_ignored_paths() -> None:
    """What may change is left out, with `*` for any key or place."""
    initial = {"orders": {"A": {"at": 1, "n": 1}, "B": {"at": 1, "n": 1}}, "log": []}
    final = {"orders": {"A": {"at": 2, "n": 1}, "B": {"at": 2, "n": 1}}, "log": ["x"]}
    assert grade(final, {}, initial, FinalState(ignore=("orders.*.at", "log"))).value == 1.0  # type: ignore[union-attr]
    assert grade(final, {}, initial, FinalState(ignore=("orders.A", "log"))).value == 0.0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"expected_state": [1]}, "`expected_state` must map paths to values, or be from_calls; write"),
        ({"expected_state": {"a..b": 1}}, "`expected_state`: 'a..b' is not a path; write"),
        ({"expected_state": {"": 1}}, "has '', which is not the path of one value; write"),
        ({"expected_state": {"orders[*].n": 1}}, "which is not the path of one value; write"),
        ({"expected_state": {}, "state": "TX"}, "`state` must be a mapping, .+; name the field"),
    ],
)
def test_fields_of_another_form(fields: dict[str, Any], what: str) -> None:
    """Each is refused before the first call, with the fix."""
    with pytest.raises(ValueError, match=what):
        FinalState().check_case(Case(id="c", input="q", fields=fields))


def test_options_that_cannot_be_meant() -> None:
    """Each is refused with its key and a fix."""
    for options in ({"ignore": ("",)}, {"ignore": ("a..b",)}, {"ignore": ("a",), "only": False}):
        with pytest.raises(ValueError, match=r"^ignore: .+; .+"):
            FinalState(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("only", [True, False])
def test_without_an_environment_no_calls_are_replayed(only: bool) -> None:
    """A row that asks for it is refused, and says what to write."""
    case = Case(id="c", input="q", fields={"expected_state": "from_calls", "expected_tool_calls": [], "state": {}})
    with pytest.raises(ValueError, match=r"has no environment to replay the calls in; name one under `conversation"):
        FinalState(only=only).check_case(case)


def replaying(before: Any, after: Any, **options: Any) -> ReplayingState:
    """A scorer for which any calls lead from one state to another."""

    async def replays(case: Case) -> Replayed:
        return Replayed(before, after)

    scorer = FinalState(**options).bind(Services(root=Path(), replays=replays))
    assert isinstance(scorer, ReplayingState)
    return scorer


def after_calls(before: Any, after: Any, final: Any, **options: Any) -> Score:
    """Grade a final state where the expected calls lead from one state to another."""
    case = Case(id="c", input="q", fields={"expected_state": "from_calls", "expected_tool_calls": []})
    found = asyncio.run(replaying(before, after, **options).score(case, Output(text="", state=final)))
    assert isinstance(found, Score)
    return found


@pytest.mark.parametrize(
    ("after", "final", "value", "told"),
    [
        ({"a": 1, "b": [1]}, {"a": 1, "b": [1]}, 1, "nothing was to change"),
        ({"a": 2, "b": [1]}, {"a": 2.0, "b": [1]}, 1, "1 of 1"),
        ({"a": 2, "b": [1]}, {"a": "2", "b": [1]}, 0, 'a is "2", expected 2'),
        ({"a": 2, "b": [1]}, {"a": 2, "b": [1], "c": 0}, 1 / 2, "c was added: 0"),
        ({"a": 2, "b": [1]}, {"a": {"x": 2}, "b": [1]}, 0, 'a is {"x": 2}, expected 2'),
        ({"b": [1]}, {"a": None, "b": [1]}, 0, "a is null, expected to be removed"),
        ({"a": None, "b": [1]}, {"b": [1]}, 0, "a is missing, expected null"),
        ({"a": 1, "b": []}, {"a": 1}, 1 / 2, "b was removed: []"),
        ({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 2, 3]}, 1 / 2, "b[2] was added: 3"),
        ({"a": 1, "b": [{"c": 1}]}, {"a": 1, "b": [{"c": 2}]}, 0, 'b[0] is {"c": 2}, expected {"c": 1}'),
        ({"a": 1, "b": [1], "c.d": {"e": 1}}, {"a": 1, "b": [1], "c.d": {"e": 2}}, 0, '["c.d"].e is 2, expected 1'),
    ],
)
def test_the_state_after_the_calls(after: Any, final: Any, value: float, told: str) -> None:
    """Each value that the calls change is expected, and every other one as it was."""
    found = after_calls({"a": 1, "b": [1]}, after, final)
    assert found.value == pytest.approx(value), found
    assert found.passed is (value == 1)
    assert told in found.reason


values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=6,
)
states = st.dictionaries(st.sampled_from("xy"), values, max_size=2)


@given(states, states)
def test_nothing_may_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    """An empty expectation passes if, and only if, the states are equal as JSON; each key that changed is named."""
    found = grade(after, {}, before)
    assert isinstance(found, Score)
    same = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert found.passed is same
    assert bool(found.details["collateral"]) is not same


@given(states, states)
def test_all_wanted(before: dict[str, Any], after: dict[str, Any]) -> None:
    """If every key of the final state is expected, and every removed one is null, the answer passes."""
    expected = {**dict.fromkeys(before), **after}
    if expected:
        found = grade(after, expected, before)
        assert isinstance(found, Score)
        assert found.passed, found.reason


@given(states, states, states)
def test_only_the_state_after_the_calls_passes(before: dict[str, Any], after: dict[str, Any], final: Any) -> None:
    """Whatever the states hold; the final state of a perfect agent passes."""
    same = json.dumps(final, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert after_calls(before, after, final).passed is same
    assert after_calls(before, after, after).value == 1.0


def test_a_large_state() -> None:
    """Ten thousand changed values are counted; the reason names a few."""
    before = {str(n): {"v": n} for n in range(10_000)}
    found = grade({str(n): {"v": n + 1} for n in range(10_000)}, {"0.v": 1}, before)
    assert isinstance(found, Score)
    assert found.value == 1 / 10_000
    assert found.reason.endswith("and 9,994 more")
