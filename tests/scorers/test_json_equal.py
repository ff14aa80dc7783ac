"""The `json_equal` scorer compares the answer's JSON with the reference's, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.json_equal import JsonEqual
from evalkit.types import Case, Output, Score, Unscored

INVOICE = {"total": 9.8, "currency": "EUR", "items": [{"name": "pen", "price": 4.9}, {"name": "ink", "price": 4.9}]}


def grade(answer: Any, *references: Any, **options: Any) -> Score:
    """Grade an answer against references; what is not a text is written as JSON."""
    texts = [each if isinstance(each, str) else json.dumps(each) for each in (answer, *references)]
    case = Case(id="c", input="q", reference=tuple(texts[1:]))
    scorer = JsonEqual(**options)
    scorer.check_case(case)
    score = scorer.score(case, Output(text=texts[0]))
    assert isinstance(score, Score)
    return score


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ('{"zip":75001,"city":"Paris"}', '{"city": "Paris", "zip": 75001}'),
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('Here it is:\n```\n{"a": 1}\n```\nAnything else?', '{"a": 1}'),
        ('{"a": 1.0}', '{"a": 1}'),
        ('{"a": "\\u00fc"}', '{"a": "ü"}'),
        ("{}", "{}"),
        ("[1, [2, []], null, true]", "[1,[2,[]],null,true]"),
        ('"text"', '"text"'),
        ("7", "7"),
    ],
)
def test_equal(answer: str, reference: str) -> None:
    """The order of keys, white space, a code block and the form of numbers do not matter."""
    score = grade(answer, reference)
    assert (score.value, score.passed) == (1.0, True), score.reason


@pytest.mark.parametrize(
    ("answer", "reference", "value", "reason"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, 0.5, "1 of 2 fields equal; b is 2, expected 3"),
        ({"a": 1}, {"a": 1, "b": 3}, 0.5, "1 of 2 fields equal; b is missing, expected 3"),
        ({"a": 1, "b": 3}, {"a": 1}, 0.5, "1 of 2 fields equal; b is not expected: 3"),
        ({"a": {"b": "1"}}, {"a": {"b": 1}}, 0, '0 of 1 fields equal; a.b is "1", expected 1'),
        ({"a": True}, {"a": 1}, 0, "0 of 1 fields equal; a is true, expected 1"),
        ({"a": None}, {}, 0, "0 of 2 fields equal; the value is missing, expected {}; a is not expected: null"),
        ([1, 2], [2, 1], 0, "0 of 2 fields equal; [0] is 1, expected 2; [1] is 2, expected 1"),
        ({"a.b": [0]}, {"a.b": [1]}, 0, '0 of 1 fields equal; ["a.b"][0] is 0, expected 1'),
        (7, 8, 0, "0 of 1 fields equal; the value is 7, expected 8"),
        ([], {}, 0, "0 of 1 fields equal; the value is [], expected {}"),
        ({"a": []}, {"a": [1]}, 0, "0 of 2 fields equal; a[0] is missing, expected 1; a is not expected: []"),
    ],
)
def test_different(answer: Any, reference: Any, value: float, reason: str) -> None:
    """The value is the share of equal fields; the reason names each field that differs, with both values."""
    score = grade(answer, reference)
    assert (score.value, score.passed, score.reason) == (value, False, reason)


def test_a_long_reason_is_cut() -> None:
    """Five fields are shown, 50 kept."""
    score = grade({}, dict.fromkeys(map(str, range(100)), 0))
    assert score.reason.endswith("; and 96 more")
    assert len(score.details["different"]) == 50


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "not JSON: the answer is empty"),
        ("The city is Paris.", "not JSON: Expecting value at line 1, column 1"),
        ('{"a": 1,}', "not JSON: Expecting property name enclosed in double quotes at line 1, column 9"),
        ('```json\n{"a": }\n```', "not JSON: Expecting value at line 1, column 7"),
        ('It is {"a": 1}.', "not JSON: Expecting value at line 1, column 1"),
        ('{"a": 1, "a": 2}', "key 'a' given twice"),
    ],
)
def test_not_json(answer: str, reason: str) -> None:
    """An answer that is not JSON fails, and the reason has the place."""
    score = grade(answer, {"a": 1})
    assert (score.value, score.passed, score.reason) == (0.0, False, reason)


def test_prose_is_searched_on_request() -> None:
    """With `extract`, JSON inside prose counts."""
    assert grade('It is {"a": 1}.', {"a": 1}, extract=True).passed


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ({}, False),
        ({"tolerance": 0.01}, True),
        ({"tolerance": 0.009}, False),
        ({"tolerance": {"total": 0.01}}, True),
        ({"tolerance": {"items": 0.01}}, False),
        ({"ignore": ("total",)}, True),
        ({"ignore": ("$.total",)}, True),
        ({"fields": ("currency", "items")}, True),
        ({"fields": ("currency", "total")}, False),
        ({"fields": ("items[*].price",)}, True),
        ({"min": 0.8}, True),
    ],
)
def test_options(options: dict[str, Any], passed: bool) -> None:
    """Fields are chosen, left out, and given a tolerance by path; 9.81 is within 0.01 of 9.80."""
    assert grade({**INVOICE, "total": 9.81}, INVOICE, **options).passed is passed


def test_a_field_that_is_chosen_includes_what_is_below_it() -> None:
    """Of two items with two fields, one price differs: 3 of 4."""
    items = [INVOICE["items"][0], {"name": "ink", "price": 5}]  # type: ignore[index]
    score = grade({**INVOICE, "items": items}, INVOICE, fields=("items",))
    assert (score.value, score.reason) == (0.75, "3 of 4 fields equal; items[1].price is 5, expected 4.9")


@pytest.mark.parametrize(
    ("answer", "reference", "n_equal", "n"),
    [
        ([3, 1, 2], [1, 2, 3], 3, 3),
        ([3, 1], [1, 2, 3], 2, 3),
        ([1, 2, 3], [3, 1], 2, 3),
        ([{"t": ["b", "a"]}, 1.0], [1, {"t": ["a", "b"]}], 3, 3),
        ([{"n": "ink", "p": 5}, {"n": "pen", "p": 1}], [{"n": "pen", "p": 1}, {"n": "ink", "p": 4}], 3, 4),
        ({"t": [1, 1, 2]}, {"t": [2, 1, 1]}, 3, 3),
    ],
)
def test_order_of_lists(answer: Any, reference: Any, n_equal: int, n: int) -> None:
    """Equal items are paired wherever they are; the others in order."""
    assert grade(answer, reference, ignore_order=True).reason.startswith(f"{n_equal} of {n} fields equal")


def test_the_best_reference_counts() -> None:
    """One of several references is enough."""
    assert grade({"a": 2}, {"a": 1}, {"a": 2}).passed


@pytest.mark.parametrize(
    ("reference", "options", "message"),
    [
        ("Paris", {}, "the reference is not JSON: Expecting value at line 1, column 1; write the JSON that you expect"),
        ("{'a': 1}", {}, "the reference is not JSON: "),
        ('{"a": 1}', {"fields": ("b", "c")}, "the reference has no b or c; correct the paths in `fields`"),
    ],
)
def test_a_reference_is_checked_before_the_first_call(reference: str, options: dict[str, Any], message: str) -> None:
    """A reference that cannot be compared is a problem of the golden set."""
    with pytest.raises(ValueError, match="the reference") as raised:
        JsonEqual(**options).check_case(Case(id="c", input="q", reference=(reference,)))
    assert str(raised.value).startswith(message)


def test_a_case_without_reference_is_unscored() -> None:
    """Nothing to compare with is no failure of the answer."""
    found = JsonEqual().score(Case(id="c", input="q"), Output(text="{}"))
    assert isinstance(found, Unscored)


@pytest.mark.parametrize(
    "options",
    [
        {"fields": ("a..b",)},
        {"fields": ("",)},
        {"ignore": ("a[x]",)},
        {"tolerance": -1.0},
        {"tolerance": {"a": float("nan")}},
        {"tolerance": {"a]": 1.0}},
        {"min": 2.0},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    """What is not a path, a tolerance or a share is refused with the option's name."""
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: "):
        JsonEqual(**options)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=3), part, max_size=4),
    max_leaves=8,
)


@given(VALUES, VALUES, st.booleans())
def test_any_two_values(ours: Any, theirs: Any, ignore_order: bool) -> None:
    """A value equals itself, and the share of two is the same either way."""
    ours_text, theirs_text = json.dumps(ours), json.dumps(theirs)
    assert grade(ours_text, ours_text, ignore_order=ignore_order).value == 1
    there, back = grade(ours_text, theirs_text), grade(theirs_text, ours_text)
    assert there.value == back.value
    assert there.passed is (there.value == 1)
    shuffled = list(reversed(ours)) if isinstance(ours, list) else ours
    assert grade(json.dumps(shuffled), ours_text, ignore_order=True).value == 1


def test_where_nothing_is_left_to_compare_nothing_is_known() -> None:
    """`ignore` that names every field of the reference grades no answer."""
    case = Case(id="a", input="q", reference=('{"total": 1}',))
    grade = JsonEqual(ignore=("total",)).score(case, Output(text='{"total": 2}'))
    assert isinstance(grade, Unscored)
    assert grade.kind == "nothing_compared"


def test_two_code_blocks_that_differ_are_no_answer() -> None:
    """A draft and a correction: which of them is meant is not for the scorer to guess."""
    case = Case(id="a", input="q", reference=('{"a": 1}',))
    twice = 'Draft:\n```json\n{"a": 1}\n```\nCorrected:\n```json\n{"a": 2}\n```'
    grade = JsonEqual().score(case, Output(text=twice))
    assert isinstance(grade, Score)
    assert (grade.value, grade.reason) == (0.0, "several code blocks with different JSON, of which any may be meant")
    assert JsonEqual().score(case, Output(text=twice.replace("2", "1"))).value == 1.0  # type: ignore[union-attr]
