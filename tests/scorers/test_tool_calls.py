"""The `tool_calls` scorer compares the calls made with those expected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.agents.tool_calls import ToolCalls
from evalkit.types import Case, Output, Score, ToolCall, Unscored

Call = tuple[str, dict[str, object]]


def grade(scorer: ToolCalls, expected: list[Call], made: list[Call]) -> list[Score]:
    """Grade calls written as (name, arguments)."""
    rows = [{"name": name, "arguments": arguments} for name, arguments in expected]
    case = Case(id="c", input="q", fields={"expected_tool_calls": rows})
    scores = scorer.score(case, Output(text="", tool_calls=tuple(ToolCall(*call) for call in made)))
    assert [score.metric for score in scores] == [metric.name for metric in scorer.metrics]
    assert all(isinstance(score, Score) for score in scores)
    return list(scores)  # type: ignore[arg-type]


A, B = ("book", {"id": 1}), ("pay", {"usd": 2.5})


@pytest.mark.parametrize(
    ("options", "expected", "made", "parts"),
    [
        pytest.param({}, [A, B], [A, B], (1, 1, 1), id="equal"),
        pytest.param({}, [A, B], [B, A], (1, 1, 1), id="any order"),
        pytest.param({"order": "strict"}, [A, B], [B, A], (0.5, 0.5, 0.5), id="strict order"),
        pytest.param({"order": "strict"}, [A, B], [A, A, B], (2 / 3, 1, 0.8), id="strict order with one too many"),
        pytest.param({}, [A], [A, A], (0.5, 1, 2 / 3), id="made twice"),
        pytest.param({}, [A, A], [A], (1, 0.5, 2 / 3), id="expected twice"),
        pytest.param({}, [A], [("book", {"id": 2})], (0, 0, 0), id="other argument"),
        pytest.param({}, [A], [("book", {"id": 1.0})], (1, 1, 1), id="whole float"),
        pytest.param({}, [A], [("book", {"id": "1"})], (0, 0, 0), id="text is not a number"),
        pytest.param({}, [A], [("book", {"id": True})], (0, 0, 0), id="true is not a number"),
        pytest.param({}, [A], [("Book", {"id": 1})], (0, 0, 0), id="other name"),
        pytest.param(
            {}, [("f", {"x": {"a": 1, "b": [1, 2]}})], [("f", {"x": {"b": [1, 2], "a": 1}})], (1, 1, 1), id="nested"
        ),
        pytest.param({}, [A], [("book", {"id": 1, "note": ""})], (0, 0, 0), id="extra argument"),
        pytest.param(
            {"ignore_extra_arguments": True}, [A], [("book", {"id": 1, "note": ""})], (1, 1, 1), id="extra ignored"
        ),
        pytest.param({"ignore_extra_arguments": True}, [("book", {"id": 1, "n": 2})], [A], (0, 0, 0), id="one missing"),
        pytest.param({"only": ("pay",)}, [A, B], [("look", {}), B], (1, 1, 1), id="only some tools"),
        pytest.param({"only": ("p*",)}, [A, B], [("look", {})], (0, 0, 0), id="only some tools, by a glob"),
        pytest.param({}, [], [], (1, 1, 1), id="none expected, none made"),
        pytest.param({}, [], [A], (0, 0, 0), id="none expected"),
        pytest.param({}, [A], [], (0, 0, 0), id="none made"),
        pytest.param({"only": ("pay",)}, [], [A], (1, 1, 1), id="what does not count is not a call"),
    ],
)
def test_matching(options: dict[str, object], expected: list[Call], made: list[Call], parts: tuple[float, ...]) -> None:
    """Precision, recall and F1 follow from the calls that agree, each used once."""
    scores = grade(ToolCalls(**options), expected, made)  # type: ignore[arg-type]
    assert [score.value for score in scores] == pytest.approx(parts)
    assert [score.passed for score in scores] == [None, None, parts[2] == 1]


def test_extra_arguments_are_matched_as_well_as_possible() -> None:
    """A call that fits two expectations is left to the one that nothing else fits."""
    expected = [("f", {"x": 1, "y": 2}), ("f", {"x": 1, "z": 3})]
    made = [("f", {"x": 1, "y": 2, "z": 3}), ("f", {"x": 1, "y": 2})]
    assert grade(ToolCalls(ignore_extra_arguments=True), expected, made)[1].value == 1.0
    assert grade(ToolCalls(ignore_extra_arguments=True, order="strict"), expected, made)[1].value == 0.5


def test_both_empty_is_named() -> None:
    """A perfect score for nothing says so."""
    assert grade(ToolCalls(), [], [])[0].reason == "no call expected and none made"


def test_pass_mark() -> None:
    """F1 passes at the mark."""
    assert grade(ToolCalls(min_f1=0.5), [A, B], [A, ("x", {})])[2].passed is True
    with pytest.raises(ValueError, match=r"^min_f1: .+; .+"):
        ToolCalls(min_f1=90)


@pytest.mark.parametrize(
    ("fields", "calls", "kind"),
    [({"expected_tool_calls": []}, None, "missing_tool_calls"), ({}, (), "missing_expected_tool_calls")],
    ids=["system", "case"],
)
def test_unscored(fields: dict[str, object], calls: tuple[ToolCall, ...] | None, kind: str) -> None:
    """A system that does not say what it called, and a case that does not say what to call, are unscored."""
    scores = ToolCalls().score(Case(id="c", input="q", fields=fields), Output(text="x", tool_calls=calls))
    assert [score.kind for score in scores if isinstance(score, Unscored)] == [kind] * 3


@pytest.mark.parametrize("value", ["book", [{"arguments": {}}], [{"name": "f", "arguments": [1]}]])
def test_a_bad_field_says_how_to_mend_it(value: object) -> None:
    """Another form is an error; who calls adds the case and its place."""
    case = Case(id="c", input="q", fields={"expected_tool_calls": value})
    with pytest.raises(ValueError, match=r"`expected_tool_calls` must be a list of {name, arguments}; write"):
        ToolCalls().score(case, Output(text="", tool_calls=(ToolCall("f"),)))


calls = st.lists(
    st.tuples(st.sampled_from("fg"), st.dictionaries(st.sampled_from("xy"), st.integers(0, 1))), max_size=6
)


@given(calls, calls, st.booleans())
def test_values_are_shares_and_options_only_loosen(expected: list[Call], made: list[Call], extra: bool) -> None:
    """Values are within 0 and 1; order is free unless strict, which never scores more."""
    free, strict = (
        grade(ToolCalls(order=order, ignore_extra_arguments=extra), expected, made)[2].value  # type: ignore[arg-type]
        for order in ("any", "strict")
    )
    turned = grade(ToolCalls(ignore_extra_arguments=extra), expected[::-1], made[::-1])[2].value
    exact = grade(ToolCalls(), expected, made)[2].value
    assert 0 <= strict <= free <= 1
    assert exact <= free == turned
