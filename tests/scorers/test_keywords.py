"""The `keywords` scorer measures the facts an answer names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.keywords import Keywords
from evalkit.types import Case, Output, Score, Unscored


def grade(answer: str, scorer: Keywords | None = None, **fields: object) -> Score:
    """Grade an answer to a case with the given fields."""
    score = (scorer or Keywords()).score(Case(id="c", input="q", fields=fields), Output(text=answer))
    assert isinstance(score, Score)
    return score


@pytest.mark.parametrize(
    ("answer", "entry", "found"),
    [
        pytest.param("Within 30 days.", "30 days|thirty days", True, id="first alternative"),
        pytest.param("Within thirty\ndays.", "30 days|thirty days", True, id="second alternative over a line break"),
        pytest.param("It costs 10 000 EUR", "10,000", True, id="space thousands"),
        pytest.param("It costs 10'000 EUR", "10000", True, id="apostrophe thousands"),
        pytest.param("It costs 10\u202f000\u00a0EUR", "10,000 EUR", True, id="narrow space thousands"),
        pytest.param("In 12 300 cases", "300", False, id="part of a number with a space"),
        pytest.param("From EUR 10 000", "10", False, id="thousands are another number"),
        pytest.param("Call +48 600 123 456", "600 123 456", True, id="part of a telephone number"),
        pytest.param("Take 2 100 mg tablets", "100 mg", True, id="a number and its unit after another number"),
        pytest.param("Article 5 101 firms", "article 5", True, id="a number before another number"),
        pytest.param("In 2003 200 people", "200 people", True, id="two numbers"),
        pytest.param("It costs 100000", "10,000", False, id="longer number"),
        pytest.param("It costs 10.5", "10", False, id="decimal is another number"),
        pytest.param("a party", "art", False, id="inside a word"),
        pytest.param("SINIR KAPISI", "sınır kapısı", True, id="turkish"),
        pytest.param("KYC‑check", "kyc-check", True, id="no-break hyphen"),
        pytest.param("\u200fחוק\u200f", "חוק", True, id="right to left"),
        pytest.param("根据合规要求", "合规", True, id="no spaces between words"),
        pytest.param("Cafe\u0301 Nero", "café nero", True, id="combining mark"),
        pytest.param("a\u2028b", "a b", True, id="line separator"),
        pytest.param("", "x", False, id="empty answer"),
    ],
)
def test_matching(answer: str, entry: str, found: bool) -> None:
    """An entry is found as whole words in any of its spellings."""
    assert grade(answer, required=[entry]).passed is found


def test_recall_and_reason() -> None:
    """The value is the share found; the reason names what is missing and what is forbidden."""
    score = grade(
        "The fee is 30 EUR, guaranteed", required=["fee", "refund", "30 EUR"], forbidden=["guaranteed", "free"]
    )
    assert score.value == pytest.approx(2 / 3)
    assert score.passed is False
    assert score.reason == "found 2 of 3 required; missing 'refund'; forbidden found 'guaranteed'"
    assert score.details == {"missing": ["refund"], "forbidden_found": ["guaranteed"]}


@pytest.mark.parametrize(("min_recall", "passed"), [(0.5, True), (0.51, False)])
def test_pass_mark(min_recall: float, passed: bool) -> None:
    """Recall at the mark passes, below it fails."""
    assert grade("fee", Keywords(min_recall=min_recall), required=["fee", "refund"]).passed is passed


def test_forbidden_fails_at_full_recall() -> None:
    """A forbidden word fails an answer that names everything."""
    score = grade("fee free", required=["fee"], forbidden="free")
    assert (score.value, score.passed) == (1.0, False)


def test_nothing_required() -> None:
    """An empty list is fully recalled, also by an empty answer."""
    score = grade("", required=[])
    assert (score.value, score.passed, score.reason) == (1.0, True, "nothing is required")


def test_needs_and_unscored() -> None:
    """The field that must be there is named, and a case without it is unscored."""
    forbids = Keywords(required_field=None)
    assert (Keywords().needs, forbids.needs) == ({"required"}, {"forbidden"})
    score = forbids.score(Case(id="c", input="q"), Output(text="x"))
    assert isinstance(score, Unscored)
    assert score.kind == "missing_forbidden"


@pytest.mark.parametrize("options", [{"min_recall": 70}, {"required_field": None, "forbidden_field": None}])
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    """A mark beyond 1 and a scorer without fields are refused."""
    with pytest.raises(ValueError, match=r"^(min_recall|required_field): .+; .+"):
        Keywords(**options)  # type: ignore[arg-type]


words_ = st.lists(st.text(alphabet="abé1 0,", min_size=1).filter(str.strip), max_size=5)


@given(st.text() | st.text(alphabet="abé1 0,"), words_, words_)
def test_value_is_a_share_and_order_is_free(answer: str, required: list[str], forbidden: list[str]) -> None:
    """Any text scores within 0 and 1, alike for any order of the lists."""
    score = grade(answer, required=required, forbidden=forbidden)
    turned = grade(answer, required=required[::-1], forbidden=forbidden[::-1])
    assert 0 <= score.value <= 1
    assert (score.value, score.passed) == (turned.value, turned.passed)


@given(words_)
def test_an_answer_of_the_keywords_has_full_recall(required: list[str]) -> None:
    """Lines that hold each keyword hold them all."""
    assert grade("\n;\n".join(required), required=required).value == 1.0


def test_the_keywords_may_be_the_reference() -> None:
    """It is a field of the row like any other."""
    scorer = Keywords(required_field="reference", forbidden_field=None)
    case = Case(id="c", input="q", reference=("30 EUR",))
    values = [getattr(scorer.score(case, Output(text=text)), "value", None) for text in ("30 EUR", "40 EUR")]
    assert values == [1.0, 0.0]
