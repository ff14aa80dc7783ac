"""The `contains` scorer looks for literal texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.contains import Contains
from evalkit.types import Case, Output, Score, Unscored


def grade(scorer: Contains, answer: str, **fields: object) -> Score | Unscored:
    """Grade an answer to a case with the given fields."""
    return scorer.score(Case(id="c", input="q", fields=fields), Output(text=answer))


@pytest.mark.parametrize(
    ("options", "answer", "expected"),
    [
        pytest.param({"all": ("fee", "30 EUR")}, "The FEE is 30\u00a0EUR.", True, id="all found"),
        pytest.param({"all": ("fee", "40 EUR")}, "The fee is 30 EUR.", False, id="one missing"),
        pytest.param({"any": ("yes", "sure")}, "Sure!", True, id="any found"),
        pytest.param({"any": ("yes", "sure")}, "No.", False, id="none of any"),
        pytest.param({"none": ("guarantee",)}, "No promise.", True, id="none absent"),
        pytest.param({"none": ("guarantee",)}, "Guaranteed!", False, id="found inside a word"),
        pytest.param({"none": ("guarantee",), "whole_words": True}, "Guaranteed!", True, id="whole words"),
        pytest.param({"all": ("Fee",), "ignore_case": False}, "fee", False, id="case counts where asked"),
        pytest.param({"all": ("a b",)}, "a\u2028b", True, id="line separator"),
        pytest.param({"all": ("istanbul",)}, "İSTANBUL", True, id="turkish i"),
        pytest.param({"all": ("café",)}, "CAFE\u0301", True, id="combining mark"),
        pytest.param(
            {"all": ("\u05e9\u05dc\u05d5\u05dd",)}, "\u202b\u05e9\u05dc\u05d5\u05dd\u202c", True, id="right to left"
        ),
        pytest.param({"all": ("x",)}, "", False, id="empty answer lacks"),
        pytest.param({"none": ("x",)}, "", True, id="empty answer holds nothing wrong"),
        pytest.param({"all": (".*",)}, "anything", False, id="no pattern"),
    ],
)
def test_lists(options: dict[str, object], answer: str, expected: bool) -> None:
    """Every list says what passes."""
    score = grade(Contains(**options), answer)  # type: ignore[arg-type]
    assert isinstance(score, Score)
    assert (score.passed, score.value) == (expected, float(expected))


def test_texts_of_the_case_join_those_of_the_options() -> None:
    """A field adds its texts, and the reason names what is missing and what is wrong."""
    scorer = Contains(all=("fee",), all_field="required", none_field="forbidden")
    assert scorer.needs == {"required", "forbidden"}
    score = grade(scorer, "The fee is free of charge.", required=["30 EUR"], forbidden=["free"])
    assert isinstance(score, Score)
    assert (score.passed, score.reason) == (False, "missing '30 EUR'; found 'free'")


def test_a_missing_field_is_unscored() -> None:
    """A case without the named field is not a pass."""
    score = grade(Contains(all_field="required"), "anything")
    assert isinstance(score, Unscored)
    assert score.kind == "missing_required"


@pytest.mark.parametrize("value", [5, ["a", 5], ["  "], {"a": 1}], ids=["number", "mixed", "blank", "mapping"])
def test_a_bad_field_says_how_to_mend_it(value: object) -> None:
    """A field of the wrong type is an error; who calls adds the case and its place."""
    with pytest.raises(ValueError, match=r"`required` must be a list of non-blank strings; write"):
        grade(Contains(all_field="required"), "a", required=value)


@pytest.mark.parametrize(
    "options", [{}, {"all": ("",)}, {"none": ("\u200b ",)}], ids=["nothing to look for", "empty text", "invisible text"]
)
def test_bad_options_are_refused(options: dict[str, tuple[str, ...]]) -> None:
    """Options that would pass or fail everything are refused."""
    with pytest.raises(ValueError, match=r"^all: .+; .+"):
        Contains(**options)  # type: ignore[arg-type]


@given(st.text(), st.lists(st.text(alphabet="abc dİ", min_size=1).filter(str.strip), min_size=1))
def test_order_is_free_and_all_implies_any(answer: str, texts: list[str]) -> None:
    """The order of a list changes nothing, and what holds all texts holds one."""
    every = [grade(Contains(all=tuple(order)), answer) for order in (texts, texts[::-1])]
    some = grade(Contains(any=tuple(texts)), answer)
    assert isinstance(some, Score)
    assert all(isinstance(score, Score) for score in every)
    assert every[0].passed == every[1].passed  # type: ignore[union-attr]
    assert some.passed or not every[0].passed  # type: ignore[union-attr]


@pytest.mark.parametrize("texts", [[""], ["x", "  "], "", [3], {"a": "b"}, ["\u200b"], ["\u00ad"], None])
@pytest.mark.parametrize("option", ["all_field", "any_field", "none_field"])
def test_a_field_without_texts_to_look_for_is_refused_before_the_first_call(option: str, texts: object) -> None:
    """A blank text would be found in every answer."""
    scorer = Contains(**{option: "texts"})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`texts` must be a list of non-blank strings; write"):
        scorer.check_case(Case(id="c", input="q", fields={"texts": texts}))


@pytest.mark.parametrize("texts", [[], ["x"], "x", ["\u200bx"]])
def test_texts_to_look_for_are_sound(texts: object) -> None:
    """An empty list adds no condition."""
    Contains(none_field="texts").check_case(Case(id="c", input="q", fields={"texts": texts}))


@pytest.mark.parametrize(
    ("field", "given"),
    [("reference", {"reference": ("9.80 EUR", "9,80 EUR")}), ("contexts", {"contexts": ("9.80 EUR",)})],
)
def test_the_texts_may_be_the_reference_or_the_contexts(field: str, given: dict[str, tuple[str, ...]]) -> None:
    """They are fields of the row like any other; a row without one is unscored."""
    scorer = Contains(any_field=field)
    case = Case(id="c", input="q", **given)
    assert [getattr(scorer.score(case, Output(text=text)), "passed", None) for text in ("It is 9.80 EUR.", "No.")] == [
        True,
        False,
    ]
    assert scorer.score(Case(id="c", input="q"), Output(text="x")) == Unscored(
        "contains", f"missing_{field}", f"the case has no `{field}`"
    )
