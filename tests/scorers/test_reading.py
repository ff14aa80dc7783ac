"""Texts are searched as a person reads them: without Markdown marks, numbers and signs written one way."""

from __future__ import annotations

import pytest

from evalkit.scorers.rules.contains import Contains
from evalkit.scorers.rules.keywords import Keywords
from evalkit.scorers.rules.reading import signs_joined, without_marks
from evalkit.types import Case, Output, Score


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Within **14** days", "Within 14 days"),
        ("In _Oslo_.", "In Oslo."),
        ("in __Oslo__, *Bergen* and ***Voss***", "in Oslo, Bergen and Voss"),
        ("**a *b* c**", "a b c"),
        ("**_Oslo_** and _**Voss**_", "Oslo and Voss"),
        ("run `make all` or ``a``", "run make all or a"),
        ("**서울**은", "서울은"),
        ("東京は**日本**の首都", "東京は日本の首都"),
        ("the_snake_case, _my_var_ and a__b", "the_snake_case, my_var and a__b"),
        ("2*3*4, 2**3**4 and 5 * 3 * 2", "2*3*4, 2**3**4 and 5 * 3 * 2"),
        ("`2 *3* 4` and `__init__`", "2 *3* 4 and __init__"),
        (r"snake\_case and \*not bold\*", "snake_case and *not bold*"),
        ("f(*args, **kwargs)", "f(*args, **kwargs)"),
        ("* one\n* two", "* one\n* two"),
        ("price* and cost*", "price* and cost*"),
        ("an open **mark", "an open **mark"),
    ],
)
def test_marks(written: str, read: str) -> None:
    """Marks around words go, marks inside words, in code and in arithmetic stay."""
    assert without_marks(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("5 % of 3 ‰", "5% of 3‰"),
        ("$ 5, 72 €, 10 £", "$5, 72€, 10£"),
        ("20 °C and 20° C", "20°C and 20°C"),
        ("3kg, 1.5l, 20m2 and 5EUR", "3 kg, 1.5 l, 20 m2 and 5 EUR"),
        ("a3kg, 2nd, 5gb8", "a3kg, 2nd, 5gb8"),
    ],
)
def test_signs(written: str, read: str) -> None:
    """A number has one distance to its sign and to its unit."""
    assert signs_joined(written) == read


SAME = [
    ("Within **14** days.", "14 days"),
    ("In _Oslo_.", "Oslo"),
    ("Use `Oslo`.", "Oslo"),
    ("The rate is 7 %.", "7%"),
    ("The rate is 7%.", "7 %"),
    ("The rate is **7** %.", "7%"),
    ("The rate is 7\u202f%.", "7%"),
    ("It is 7\u00a0€.", "7€"),
    ("It is 7€.", "7 €"),
    ("It is $ 7.", "$7"),
    ("It weighs 7\u2009kg.", "7kg"),
    ("It weighs 7kg.", "7 kg"),
    ("It is 20 °C.", "20°C"),
    (r"Call my\_function.", "my_function"),
    ("Call my_function.", "my_function"),
    ("Call __init__.", "__init__"),
    ("2*3 is 6", "2*3"),
]


@pytest.mark.parametrize(("answer", "wanted"), SAME)
@pytest.mark.parametrize("whole_words", [False, True])
def test_contains(answer: str, wanted: str, whole_words: bool) -> None:
    """`contains` finds what a reader sees, with and without whole words."""
    score = Contains(all=(wanted,), whole_words=whole_words).score(Case(id="c", input="q"), Output(text=answer))
    assert isinstance(score, Score)
    assert score.passed


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        *SAME,
        ("서울은 한국의 수도입니다.", "서울"),
        ("한국의 수도는 서울입니다.", "서울"),
        ("**서울**에서는 가능합니다.", "서울"),
        ("API를 호출", "API"),
        ("환불은 14일까지입니다", "14일"),
        ("Paris'te", "Paris"),
        ("הסניף בירושלים", "ירושלים"),
        ("הבנק והסניף", "סניף"),
        ("مكتبنا بالرياض", "رياض"),
        ("مكتبنا والرياض", "الرياض"),
        ("It costs **10** 000 EUR", "10,000 EUR"),
    ],
)
def test_keywords(answer: str, wanted: str) -> None:
    """`keywords` finds what a reader sees, a Korean word with its particle too."""
    score = Keywords().score(Case(id="c", input="q", fields={"required": [wanted]}), Output(text=answer))
    assert isinstance(score, Score)
    assert score.passed


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("서울대학교", "서울"),
        ("17 %", "7%"),
        ("7.5 %", "5%"),
        ("init", "__init__"),
        ("10 **000** EUR", "10"),
        ("snake_case", "snake"),
        ("אבגדירושלים", "ירושלים"),
        ("مدرسة", "درسة"),
        ("70kg", "7 kg"),
    ],
)
def test_still_missing(answer: str, wanted: str) -> None:
    """What a reader does not see is not found."""
    score = Keywords().score(Case(id="c", input="q", fields={"required": [wanted]}), Output(text=answer))
    assert isinstance(score, Score)
    assert not score.passed


def test_marks_can_be_forbidden() -> None:
    """A text that consists of marks is still found where it is written, so that a suite can forbid Markdown."""
    scorer = Contains(none=("**",))
    case = Case(id="c", input="q")
    assert [scorer.score(case, Output(text=text)).passed for text in ("**x**", "x")] == [False, True]  # type: ignore[union-attr]


@pytest.mark.parametrize("answer", ["pass**word**", "p**assword**", "the *pass*word"])
def test_a_word_that_is_partly_emphasised_is_a_word(answer: str) -> None:
    """A reader sees the forbidden word."""
    assert "password" in without_marks(answer)
