"""Tests for facts: numbers, dates, quotes and cited sources of an answer, looked up in its contexts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.facts import KnownFacts, Sources, facts_score, find_facts
from evalkit.types import Case, Origin, Output, Score, Unscored

CONTEXTS = (
    "The fee is 1,200 EUR a year, due on 12 March 2024. Customers may cancel the contract at any time, in writing.",
    "See doc-7 at https://example.org/fees for the \u201cterms of use\u201d.",
)


def wrong(answer: str, *contexts: str, question: str = "", origins: tuple[Origin, ...] = ()) -> list[str]:
    """The facts of an answer that are not found."""
    found = find_facts(answer, Sources(contexts or CONTEXTS, origins, question))
    return [fact.text for fact in found if not fact.supported]


@pytest.mark.parametrize(
    "answer",
    [
        "It costs 1200 EUR [1], due 12.03.2024.",
        "It is due in March 2024 [doc-7], see https://example.org/fees.",
        'You "may cancel the contract at any time" [1].',
        "You \u201cmay cancel ... in writing\u201d.",
        "\u201e[c]ustomers may cancel the contract\u201c, it says.",
        "**1 200** EUR \u00abdue on 12 March 2024\u00bb",
        "1. First\n2. Second [1, 2]",
        "Dear [Name], see [the page](https://example.org/fees).",
        'Press "Save" on a 6" pipe and an 8" pipe.'.replace("6", "12").replace("8", "2024"),
        "Yes, you can.",
        "",
    ],
)
def test_what_the_contexts_say_is_supported(answer: str) -> None:
    """In another form, shortened by dots, or not a fact at all."""
    assert wrong(answer) == []


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ("It costs 1,300 EUR, due 13 March 2024.", ["13 March 2024", "1,300"]),
        ("See [doc-8] and [3].", ["doc-8", "3"]),
        ("See https://example.org/other.", ["https://example.org/other"]),
        ('It says "may cancel the contract at no time".', ["may cancel the contract at no time"]),
        (
            "\u201cin writing ... may cancel\u201d it says \u201cat any time ... Customers\u201d",
            ["in writing ... may cancel"],
        ),
        ('"MAY CANCEL THE CONTRACT"', ["MAY CANCEL THE CONTRACT"]),
        ("1,300 EUR, I repeat: 1,300 EUR", ["1,300"]),
    ],
)
def test_what_the_contexts_do_not_say_is_named(answer: str, missing: list[str]) -> None:
    """Each once, in the words of the answer."""
    assert wrong(answer)[: len(missing)] == missing


def test_the_question_may_be_repeated() -> None:
    """The user named the 50 and the words."""
    assert wrong('With 50 users, "as many as you like" is no limit.', question="50 users, as many as you like?") == []


def test_the_ids_that_the_retriever_reports_are_known() -> None:
    """An origin has its id and its source."""
    origins = (Origin(id="kb/17", source="https://example.org/a"),)
    assert wrong("[kb/17] https://example.org/a [kb/18]", "text", origins=origins) == ["kb/18"]


def test_the_metrics_by_type() -> None:
    """A wrong figure fails the whole and its own type; the share stays in the details."""
    case = Case(id="1", input="What is the fee?", contexts=CONTEXTS)
    whole, citation, numerical, faithfulness = KnownFacts().score(case, Output(text="1,200 EUR, not 1,400 [1]."))
    assert isinstance(whole, Score) and isinstance(numerical, Score)
    assert [each.passed for each in (whole, citation, numerical, faithfulness)] == [False, True, False, True]  # type: ignore[union-attr]
    assert whole.reason == "2 of 3 facts in the contexts; not '1,400'"
    assert whole.details["share"] == pytest.approx(2 / 3)
    assert {fact["type"] for fact in whole.details["facts"]} == {"citation", "numerical"}


def test_an_answer_without_a_fact_passes_and_has_no_share() -> None:
    """None is invented, and 0 of 0 is not a number."""
    whole, *_ = KnownFacts().score(Case(id="1", input="?", contexts=CONTEXTS), Output(text="Yes."))
    assert isinstance(whole, Score)
    assert (whole.passed, whole.reason, whole.details["share"]) == (True, "no fact", None)


def test_without_contexts_nothing_can_be_looked_up() -> None:
    """An empty list is known: everything is invented. No list is unknown."""
    unknown = KnownFacts().score(Case(id="1", input="?"), Output(text="5"))
    assert {each.kind for each in unknown if isinstance(each, Unscored)} == {"missing_contexts"}
    whole, *_ = KnownFacts().score(Case(id="1", input="?"), Output(text="5", contexts=()))
    assert isinstance(whole, Score) and whole.passed is False


def test_options_out_of_range_are_refused() -> None:
    """A quote of no words is everywhere."""
    with pytest.raises(ValueError, match="min_words"):
        KnownFacts(min_words=0)


@given(st.text(max_size=150), st.text(max_size=150))
def test_any_text_can_be_looked_up(answer: str, context: str) -> None:
    """The share is a share, and an answer that is its own context invents nothing but what brackets add."""
    facts = find_facts(answer, Sources((context,)))
    share = facts_score(facts)
    assert share is None or 0 <= share <= 1
    assert all(fact.supported for fact in find_facts(answer, Sources((answer,))) if fact.kind in ("number", "date"))
