"""The `retrieval` scorer measures what a retriever found, against oracles and figures worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from evalkit.scorers.rules.context_size import ContextSize, count_tokens
from evalkit.scorers.rules.retrieval import Retrieval
from evalkit.systems.output import to_output
from evalkit.types import Case, Output, Score, Unscored

PARTS = ("recall", "precision", "hit", "mrr", "ndcg")


def grade(contexts: Any, scorer: Retrieval | None = None, **fields: Any) -> dict[str, Score | Unscored]:
    """Grade an answer with these contexts to a case with these fields."""
    scorer = scorer or Retrieval()
    case = Case(id="c", input="q", fields=fields)
    scorer.check_case(case)
    output = to_output({"text": "a", "contexts": contexts})
    assert isinstance(output, Output)
    return {score.metric.removeprefix("retrieval."): score for score in scorer.score(case, output)}


def values(contexts: Any, scorer: Retrieval | None = None, **fields: Any) -> tuple[float, ...]:
    """Return recall, precision, hit, MRR and nDCG."""
    found = grade(contexts, scorer, **fields)
    assert tuple(found) == PARTS
    return tuple(score.value for score in found.values() if isinstance(score, Score))


def ids(*names: str) -> list[dict[str, str]]:
    """Return contexts of which only ids are known."""
    return [{"id": name} for name in names]


def gain(*ranks: int) -> float:
    """Return the discounted gain of relevant places."""
    return sum(1 / math.log2(rank + 1) for rank in ranks)


@pytest.mark.parametrize(
    ("found", "relevant", "k", "expected"),
    [
        ("abcd", ["a", "c", "x"], None, (2 / 3, 2 / 4, 1, 1, gain(1, 3) / gain(1, 2, 3))),
        ("abcd", ["a", "c", "x"], 2, (1 / 3, 1 / 2, 1, 1, gain(1) / gain(1, 2))),
        ("abcd", ["a", "c", "x"], 8, (2 / 3, 2 / 8, 1, 1, gain(1, 3) / gain(1, 2, 3))),
        ("abcd", ["d"], None, (1, 1 / 4, 1, 1 / 4, gain(4))),
        ("abcd", ["d"], 3, (0, 0, 0, 0, 0)),
        ("abcd", ["x"], None, (0, 0, 0, 0, 0)),
        ("", ["x"], None, (0, 0, 0, 0, 0)),
        ("", ["x"], 5, (0, 0, 0, 0, 0)),
        ("aab", ["a", "b"], None, (1, 2 / 3, 1, 1, gain(1, 3) / gain(1, 2))),
        ("ba", ["a", "a"], None, (1, 1 / 2, 1, 1 / 2, gain(2))),
    ],
)
def test_figures_worked_by_hand(found: str, relevant: list[str], k: int | None, expected: tuple[float, ...]) -> None:
    """A repeated id is relevant once; precision divides by `k`; no contexts score 0."""
    assert values(ids(*found), Retrieval(k=k), relevant_ids=relevant) == pytest.approx(expected)


@given(
    st.permutations(range(8)),
    st.lists(st.integers(0, 3), min_size=8, max_size=8).filter(any),
    st.integers(1, 8),
    st.integers(1, 10),
)
def test_ndcg_is_that_of_scikit_learn(order: list[int], grades: list[int], n_found: int, k: int) -> None:
    """Graded relevance with linear gain, cut at `k`, for rankings that leave documents out."""
    found = order[:n_found]
    relevant = {str(item): each for item, each in enumerate(grades)}
    ours = values(ids(*map(str, found)), Retrieval(k=k), relevant_ids=relevant)[-1]
    # Ten fillers stand between what was returned and what was not, so that the latter is never among the first `k`.
    scores = [100 - found.index(item) if item in found else 0 for item in range(8)] + [50] * 10
    truth = np.array([grades + [0] * 10])
    assert ours == pytest.approx(ndcg_score(truth, np.array([scores]), k=k, ignore_ties=True))


def test_grades_count_for_ndcg_alone() -> None:
    """Of grades 3, 1 and 0, the third is not relevant; 3 in second place gains 3 / log2(3)."""
    found = values(ids("b", "a", "z"), relevant_ids={"a": 3, "b": 1, "z": 0})
    ideal = 3 + 1 / math.log2(3)
    assert found == pytest.approx((1, 2 / 3, 1, 1, (1 + 3 / math.log2(3)) / ideal))


def test_the_order_is_the_ranking() -> None:
    """Scores do not sort, so that ties mean nothing."""
    contexts = [{"id": "a", "score": 0.1}, {"id": "b", "score": 0.9}]
    assert values(contexts, relevant_ids=["a"])[3] == 1
    assert values([{"id": "a", "score": 1}, {"id": "b", "score": 1}], relevant_ids=["b"])[3] == 1 / 2


def test_whole_numbers_are_ids() -> None:
    """A data base gives numbers."""
    assert values([{"id": 7}, {"id": 8}], relevant_ids=[8])[0] == 1
    assert values([{"id": 7}], relevant_ids=7)[0] == 1


def test_an_expected_source() -> None:
    """Several contexts of one source are all relevant, and count once for recall and nDCG."""
    contexts = [{"text": name, "source": source} for name, source in (("x", "b.pdf"), ("y", "a.pdf"), ("z", "a.pdf"))]
    assert values(contexts, expected_source="a.pdf") == pytest.approx((1, 2 / 3, 1, 1 / 2, gain(2)))
    both = values(contexts, expected_source=["a.pdf", "c.pdf"])
    assert both == pytest.approx((1 / 2, 2 / 3, 1, 1 / 2, gain(2) / gain(1, 2)))
    assert grade(contexts, expected_source="c.pdf")["hit"].reason == "by source: none relevant of 3; missing 'c.pdf'"  # type: ignore[union-attr]


REFERENCES = ["The account costs 9.80 EUR a month.", "Cards are free in the first year."]


def test_overlap_where_there_are_no_ids() -> None:
    """A context is relevant if it contains a reference, or is a part of one."""
    contexts = [
        "Opening hours are 9 to 5.",
        "Fees. The account costs 9.80 EUR a month. It can be closed at any time.",
        "cards are free, in the first year",
    ]
    assert values(contexts, reference_contexts=REFERENCES) == pytest.approx(
        (1, 2 / 3, 1, 1 / 2, gain(2, 3) / gain(1, 2))
    )
    score = grade(contexts, Retrieval(k=2), reference_contexts=REFERENCES)["recall"]
    assert isinstance(score, Score)
    assert score.reason == "by overlap: relevant at rank 2 of 2; missing 'Cards are free in the first year.'"
    assert score.details["basis"] == "overlap"


def test_one_context_may_cover_several_references() -> None:
    """Recall counts both; nDCG never exceeds 1."""
    found = values([" ".join(REFERENCES)], reference_contexts=REFERENCES)
    assert found == pytest.approx((1, 1, 1, 1, 1 / gain(1, 2)))


def test_what_is_compared_is_chosen_and_told() -> None:
    """Ids first, then sources, then texts; ids that nobody returned are not compared with texts alone."""
    case: dict[str, Any] = {"relevant_ids": ["d1"], "reference_contexts": ["a b c"]}
    assert grade([{"id": "d1", "text": "x"}], **case)["hit"].reason == "by id: relevant at rank 1 of 1"  # type: ignore[union-attr]
    assert grade(["a b c"], **case)["hit"].reason == "by overlap: relevant at rank 1 of 1"  # type: ignore[union-attr]
    missing = grade(["d1"], relevant_ids=["d1"])["hit"]
    assert isinstance(missing, Unscored)
    assert (missing.kind, missing.message) == ("missing_id", "no context has the key `id`; return [{id, text, source}]")


def test_contexts_of_the_case_are_used_where_the_system_names_none() -> None:
    """A table of retrieved contexts can be scored without a system; without either, nothing is scored."""
    case = Case(id="c", input="q", contexts=("a b c",), fields={"reference_contexts": ["a b c"]})
    assert all(isinstance(score, Score) and score.value == 1 for score in Retrieval().score(case, Output(text="")))
    none = Retrieval().score(Case(id="c", input="q", fields={"relevant_ids": ["x"]}), Output(text=""))
    assert {score.kind for score in none if isinstance(score, Unscored)} == {"missing_contexts"}
    assert len(none) == 5


def test_pass_marks() -> None:
    """A hit passes; recall has a mark on request; the others have none."""
    found = grade(ids("a"), Retrieval(min_recall=0.6), relevant_ids=["a", "b"])
    assert [score.passed for score in found.values() if isinstance(score, Score)] == [False, None, True, None, None]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "the case has none of relevant_ids, expected_source, reference_contexts; add one, or give the scorer"),
        ({"relevant_ids": []}, "`relevant_ids` names nothing relevant, so no share of it can be found; remove it"),
        ({"relevant_ids": {"a": 0}}, "`relevant_ids` names nothing relevant"),
        ({"relevant_ids": {"a": "high"}}, "`relevant_ids.a` must be a grade of 0 or more"),
        ({"relevant_ids": {"a": -1}}, "`relevant_ids.a` must be a grade of 0 or more"),
        ({"relevant_ids": [1.5]}, "`relevant_ids` must be a list of ids"),
        ({"relevant_ids": [""]}, "`relevant_ids` must be a list of ids"),
        ({"expected_source": 3}, "`expected_source` must be a list of non-blank strings"),
        ({"reference_contexts": []}, "`reference_contexts` names nothing relevant"),
    ],
)
def test_a_case_is_checked_before_the_first_call(fields: dict[str, Any], message: str) -> None:
    """A case must say what is relevant, in a form that can be read."""
    with pytest.raises(ValueError, match="`") as raised:
        Retrieval().check_case(Case(id="c", input="q", fields=fields))
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(("option", "value"), [("k", 0), ("overlap", 2.0), ("min_recall", -0.1)])
def test_bad_options(option: str, value: Any) -> None:
    """An option out of range is refused."""
    with pytest.raises(ValueError, match=f"^{option}: "):
        Retrieval(**{option: value})


@pytest.mark.parametrize(
    ("text", "n"),
    [("", 0), ("Cards cost 9.80 EUR.", 7), ("don't", 3), ("日本語 です", 5), ("a_b  c\n", 4), ("naïve café", 2)],
)
def test_tokens(text: str, n: int) -> None:
    """Words, numbers and marks are counted, characters where words have no spaces."""
    assert count_tokens(text) == n


def test_context_size() -> None:
    """Contexts and tokens are counted; none is 0, unknown is unscored."""
    case = Case(id="c", input="q")

    def sizes(contexts: Any) -> list[float | str]:
        output = to_output({"text": "a", "contexts": contexts})
        assert isinstance(output, Output)
        return [score.value if isinstance(score, Score) else score.kind for score in ContextSize().score(case, output)]

    assert sizes(["one two", "three."]) == [2, 4]
    assert sizes([]) == [0, 0]
    assert sizes(None) == ["missing_contexts", "missing_contexts"]
    assert sizes([{"id": "d1"}]) == [1, "missing_text"]
    assert sizes([{"id": "d1"}, {"id": "d2", "text": "three words here"}]) == [2, "missing_text"]
    assert [metric.name for metric in ContextSize().metrics] == ["context_count", "context_tokens"]
    assert not any(metric.higher_is_better for metric in ContextSize().metrics)
    assert all(metric.higher_is_better for metric in ContextSize(more_is_better=True).metrics)
