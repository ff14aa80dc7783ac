"""Failing cases by what failed them and by the words that their texts share."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.aggregate.failure_kinds import MOST_TEXTS, FailureGroups, FailureKind, _average_linkage
from evalkit.types import NO_INPUT, Case, Failure, Output, Row, Score, Unscored, verdict_of

REFUSALS = "I cannot help with this request, please contact the branch"
CAUSES = {
    "refund": ("Where is my refund {}?", "Refunds take fourteen days after the parcel arrives", "missing '9.80 EUR'"),
    "refusal": ("Question number {} on opening hours", REFUSALS, "missing 'Monday'"),
    "language": ("Wann kommt Paket {}?", "Das Paket kommt morgen zwischen acht und zehn", "missing 'tomorrow'"),
    "links": ("Show invoice {}", "Open https://shop.example/invoices and download the document", "missing 'PDF'"),
}


def failing(name: str, number: int, metric: str = "keywords") -> Row:
    """A case that fails one scorer."""
    question, answer, reason = CAUSES[name]
    case = Case(id=f"{name}-{number:04d}", input=question.format(number))
    return Row(case=case, output=Output(text=answer), scores={metric: Score(metric, 0.0, False, reason)})


def kinds_of(
    rows: Iterable[Row], new: Iterable[str] = (), advisory: frozenset[str] = frozenset()
) -> tuple[FailureKind, ...]:
    """The kinds of rows, one a case."""
    groups = FailureGroups(advisory, new)
    for row in sorted(rows, key=lambda row: row.case.id):
        groups.add(verdict_of(row, advisory), [row])
    return groups.kinds()


def test_forty_failures_read_as_their_causes() -> None:
    """Ten cases of each of four causes become four kinds, each with words of its own and its own cases."""
    rows = [failing(name, number) for name in CAUSES for number in range(10)]
    kinds = kinds_of(rows)
    assert len(kinds) == 4
    for kind in kinds:
        assert kind.n == 10
        assert len({case_id.partition("-")[0] for case_id in kind.case_ids}) == 1
    words = {kind.case_ids[0].partition("-")[0]: kind.words for kind in kinds}
    for name, marks in words.items():
        own = " ".join(CAUSES[name]).lower()
        assert len(marks) >= 3
        assert all(mark in own for mark in marks)


@pytest.mark.parametrize("reason", ["returned False", "expected true", "found 0 of 1 required; missing 'x'"])
def test_a_reason_that_says_no_more_than_that_it_failed_marks_no_kind(reason: str) -> None:
    """The words are those of questions and answers, not those that every failure of a scorer has."""
    rows = [
        Row(
            case=Case(id=f"c{number}", input=f"Where is parcel {number}?"),
            output=Output(text="go away"),
            scores={"tone": Score("tone", 0.0, False, reason)},
        )
        for number in range(8)
    ]
    (kind,) = kinds_of(rows)
    assert set(kind.words) == {"parcel", "away"}


def test_the_note_that_an_input_is_missing_has_no_words_in_common() -> None:
    """A file of results need not hold the questions; evalkit's own words about that mark no kind."""
    rows = [
        Row(
            case=Case(id=f"q{number:02d}", input=NO_INPUT),
            output=Output(text=""),
            scores={"correct": Score("correct", 0.0, False)},
        )
        for number in range(12)
    ]
    (kind,) = kinds_of(rows)
    assert (kind.name, kind.words, kind.n) == ("correct", (), 12)


def test_the_failed_scorer_comes_first() -> None:
    """The same text that failed two scorers is two kinds; an advisory scorer fails nothing."""
    rows = [failing("refund", number, "keywords" if number < 3 else "tone") for number in range(8)]
    assert [(kind.name, kind.n) for kind in kinds_of(rows)] == [("tone", 5), ("keywords", 3)]
    assert [(kind.name, kind.n) for kind in kinds_of(rows, advisory=frozenset({"tone"}))] == [("keywords", 3)]


def test_errors_and_missing_scores_are_kinds_of_their_own() -> None:
    """A case without an answer and one without a score are never counted as a scorer's failure."""
    lost = [Row(case=Case(id=f"l{n}", input="x"), failure=Failure("timeout", "late")) for n in range(3)]
    unread = Row(case=Case(id="u", input="x"), output=Output(text="y"), scores={"j": Unscored("j", "judge_error", "?")})
    found = {(kind.state, kind.name): kind.n for kind in kinds_of([*lost, unread, failing("refund", 1)])}
    assert found == {("system_error", "timeout"): 3, ("unscored", "judge_error"): 1, ("failed", "keywords"): 1}


def test_new_failures_are_counted_and_shown_first() -> None:
    """Of each kind it is known how many did not fail before, and examples begin with them."""
    rows = [failing(name, number) for name in ("refund", "refusal") for number in range(10)]
    first = kinds_of(rows, new=["refusal-0007", "refusal-0008"])[0]
    assert (first.n, first.n_new) == (10, 2)
    assert set(first.case_ids[:2]) == {"refusal-0007", "refusal-0008"}


def test_the_same_rows_give_the_same_kinds() -> None:
    """Neither the order in which rows arrive nor a second run changes a letter."""
    rows = [failing(name, number) for name in CAUSES for number in range(7)]
    wanted = kinds_of(rows)
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        assert kinds_of(rows) == wanted


def test_every_failing_case_is_in_one_kind() -> None:
    """Beyond the sample that is clustered cases still join a cluster; texts without words are counted too."""
    rows = [failing(name, number) for name in CAUSES for number in range(MOST_TEXTS)]
    rows += [
        Row(case=Case(id=f"z{n}", input="?"), output=Output(text="!"), scores={"keywords": Score("keywords", 0, False)})
        for n in range(9)
    ]
    kinds = kinds_of(rows)
    assert sum(kind.n for kind in kinds) == len(rows)
    assert sorted(kind.n for kind in kinds) == [9, *[MOST_TEXTS] * 4]
    assert [kind.words for kind in kinds if kind.n == 9] == [()]


def test_faults_of_the_model_are_kinds_of_their_own() -> None:
    """Broken tool calls and spent tokens fail the same scorer, and have different causes."""
    faults = ["broken_tool_call: not JSON"] * 3 + ["out_of_tokens: the model used all its tokens"] * 2
    rows = [
        Row(
            case=Case(id=f"c{number}", input="q"),
            output=Output(text="", fault=fault),
            scores={"tool_calls.f1": Score("tool_calls.f1", 0.0, False, f"no answer: {fault}")},
        )
        for number, fault in enumerate(faults)
    ]
    kinds = kinds_of([*rows, failing("refund", 1)])
    assert [(kind.state, kind.name, kind.n) for kind in kinds] == [
        ("failed", "broken_tool_call", 3),
        ("failed", "out_of_tokens", 2),
        ("failed", "keywords", 1),
    ]


@settings(deadline=None, max_examples=60)
@given(n=st.integers(0, 40), seed=st.integers(0, 2**32 - 1), most=st.floats(0.05, 1.2))
def test_average_linkage_joins_the_items_that_scipy_joins(n: int, seed: int, most: float) -> None:
    """Two items are in one cluster if and only if they are in one cluster of scipy's average linkage."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist, squareform

    points = np.random.default_rng(seed).normal(size=(n, 3))
    distances = squareform(pdist(points)) if n > 1 else np.zeros((n, n))
    expected = fcluster(linkage(squareform(distances), "average"), most, "distance") if n > 1 else np.arange(n)
    found = _average_linkage(distances, most)
    assert (found[:, None] == found).tolist() == (expected[:, None] == expected).tolist()
