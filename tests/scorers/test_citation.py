"""The `citation` scorer checks that sources are cited and were there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.citation import Citation
from evalkit.types import Case, Output, Score, Unscored

CONTEXTS = ("[doc-1] The fee is 30 EUR.", "doc-12: refunds take 5 days")


def grade(scorer: Citation, answer: str, contexts: tuple[str, ...] = CONTEXTS, **fields: object) -> Score | Unscored:
    """Grade an answer to a case with the given contexts and fields."""
    return scorer.score(Case(id="c", input="q", contexts=contexts, fields=fields), Output(text=answer))


@pytest.mark.parametrize(
    ("options", "answer", "expected", "reason"),
    [
        pytest.param({}, "30 EUR [doc-1].", True, "1 citation, all accounted for", id="cited"),
        pytest.param({}, "30 EUR [DOC-12: p. 4].", True, "1 citation", id="with a page, other case"),
        pytest.param({}, "30 EUR.", False, "0 citations, needs 1", id="not cited"),
        pytest.param({}, "30 EUR [doc-1] [doc-9].", False, "not in the contexts: 'doc-9'", id="invented"),
        pytest.param({}, "30 EUR [doc-2]", False, "'doc-2'", id="part of another id"),
        pytest.param({}, "30 EUR [doc-1, doc-12]", True, "2 citations", id="two in one bracket"),
        pytest.param({}, "30 EUR [doc-1;doc-9].", False, "not in the contexts: 'doc-9'", id="one of two invented"),
        pytest.param({}, "30 EUR [doc-1 , doc-9].", False, "not in the contexts: 'doc-9'", id="space before a comma"),
        pytest.param({}, "30 EUR [doc-1,\n  doc-9].", False, "not in the contexts: 'doc-9'", id="two lines"),
        pytest.param({}, "30 EUR [doc-1 and doc-12].", True, "2 citations", id="two with and"),
        pytest.param({}, "30 EUR [doc-1, doc-12 & doc-9].", False, "'doc-9'", id="the last of three invented"),
        pytest.param({}, "30 EUR [doc-1, doc-9 page 3].", False, "'doc-9'", id="the second invented, with a page"),
        pytest.param({}, "30 EUR [doc-1, p.4].", True, "1 citation,", id="a page after a comma"),
        pytest.param({}, "30 EUR [ ].", False, "0 citations", id="brackets alone"),
        pytest.param(
            {"pattern": r"\((.+?)\)"},
            "30 EUR (doc-1, Art. 5)",
            False,
            "'doc-1, Art. 5'",
            id="a comma of an own pattern",
        ),
        pytest.param({}, "30 EUR [doc-1, page 4].", True, "1 citation,", id="words after a comma"),
        pytest.param({}, "30 EUR [doc-1, doc-12: p. 4].", True, "2 citations", id="two with a page"),
        pytest.param({"ids": "position"}, "[1,2 ]", True, "2 citations", id="two positions"),
        pytest.param({"min": 2}, "30 EUR [doc-1]", False, "1 citation, needs 2", id="too few"),
        pytest.param({"min": 0}, "", True, "0 citations", id="empty answer, none needed"),
        pytest.param({}, "", False, "0 citations", id="empty answer"),
        pytest.param({"in_contexts": False}, "[doc-9]", True, "1 citation", id="contexts not asked"),
        pytest.param({"ids": "position"}, "[2]", True, "1 citation", id="by position"),
        pytest.param({"ids": "position"}, "[3] [0]", False, "'3', '0'", id="beyond the contexts"),
        pytest.param({"pattern": r"\((doc-\d+)\)"}, "(doc-1)\u2028(doc-12)", True, "2 citations", id="own pattern"),
    ],
)
def test_grading(options: dict[str, object], answer: str, expected: bool, reason: str) -> None:
    """The form, the number and the ids must be right."""
    score = grade(Citation(**options), answer)  # type: ignore[arg-type]
    assert isinstance(score, Score)
    assert (score.passed, score.value) == (expected, float(expected))
    assert reason in score.reason


def test_missing_contexts_are_unscored_but_empty_ones_are_known() -> None:
    """A system that retrieved nothing cannot cite; one that does not say is unscored."""
    unsaid = grade(Citation(), "[doc-1]", contexts=())
    assert isinstance(unsaid, Unscored)
    assert unsaid.kind == "missing_contexts"
    nothing = Citation().score(Case(id="c", input="q", contexts=CONTEXTS), Output(text="[doc-1]", contexts=()))
    assert isinstance(nothing, Score)
    assert nothing.passed is False


@pytest.mark.parametrize(("source", "expected"), [("doc-1", True), (["doc-7", "Doc-1"], True), ("doc-12", False)])
def test_source_field_must_be_cited(source: object, expected: bool) -> None:
    """The case's source must be among the cited."""
    scorer = Citation(source_field="source_id")
    score = grade(scorer, "30 EUR [doc-1]", source_id=source)
    assert scorer.needs == {"source_id"}
    assert isinstance(score, Score)
    assert score.passed is expected


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"pattern": r"\[\d+\]"}, "pattern"),
        ({"pattern": r"(a)(b)"}, "pattern"),
        ({"pattern": "("}, "pattern"),
        ({"min": -1}, "min"),
    ],
    ids=["no group", "two groups", "does not compile", "negative"],
)
def test_bad_options_are_refused(options: dict[str, object], field: str) -> None:
    """A pattern needs one group, and a count is not negative."""
    with pytest.raises(ValueError, match=f"^{field}: .+; .+"):
        Citation(**options)  # type: ignore[arg-type]


@given(st.text() | st.text(alphabet="[doc-1]: "), st.lists(st.text(), min_size=1))
def test_never_raises_and_order_of_contexts_is_free(answer: str, contexts: list[str]) -> None:
    """Any text is graded, alike for any order of the contexts."""
    grades = [grade(Citation(), answer, tuple(order)) for order in (contexts, contexts[::-1])]
    assert grades[0].passed == grades[1].passed  # type: ignore[union-attr]


def test_a_row_that_names_no_source_is_refused_before_the_first_call() -> None:
    """A list of nothing but null is no id."""
    scorer = Citation(source_field="source")
    with pytest.raises(ValueError, match="`source` names no source; add the id"):
        scorer.check_case(Case(id="c", input="q", fields={"source": [None]}))
    for sound in ([], "A-1", ["A-1"], 7):
        scorer.check_case(Case(id="c", input="q", fields={"source": sound}))
