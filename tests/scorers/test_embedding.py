"""Similarity and token matching over the offline embedding."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from evalkit.scorers.base import Scorer, Services
from evalkit.scorers.embedding.batches import BatchedEmbedder, EmbeddingError, Vectors, unit_rows
from evalkit.scorers.embedding.embedders import WordLlama
from evalkit.scorers.embedding.similarity import BLOCK_ROWS, Similarity, TokenMatch, greedy_match
from evalkit.types import Case, Output, Score, Unscored

SERVICES = Services(root=Path(), embedder=WordLlama())


def similarity(answer: str, *references: str, minimum: float | None = None) -> Score | Unscored:
    """Similarity of one answer."""
    bound = Similarity(min=minimum).bind(SERVICES)
    return asyncio.run(bound.score(Case(id="1", input="?", reference=references), Output(text=answer)))


def token_match(answer: str, *references: str, min_f1: float | None = None) -> Sequence[Score | Unscored]:
    """Token matching of one answer."""
    bound = TokenMatch(min_f1=min_f1).bind(SERVICES)
    return asyncio.run(bound.score(Case(id="1", input="?", reference=references), Output(text=answer)))


class Fixed:
    """A source of vectors that always gives the same ones."""

    name = "fixed"

    def __init__(self, rows: list[list[float]] | None) -> None:
        self.rows = rows

    async def open(self) -> None:
        """Nothing to open."""

    async def raw(self, texts: list[str]) -> Vectors:
        """The fixed rows, or a fault."""
        if self.rows is None:
            raise EmbeddingError("fixed: the endpoint is down")
        return np.array(self.rows[: len(texts)], dtype=np.float32)

    async def close(self) -> None:
        """Nothing to release."""


def over(rows: list[list[float]] | None) -> Score | Unscored:
    """Similarity of two texts with the given vectors."""

    async def main() -> Score | Unscored:
        async with BatchedEmbedder(Fixed(rows)) as embedder:
            bound = Similarity().bind(Services(root=Path(), embedder=embedder))
            return await bound.score(Case(id="1", input="?", reference=("b",)), Output(text="a"))

    return asyncio.run(main())


def test_bound_scorers_hold_the_contract() -> None:
    """Both are scorers once bound, and name the embedding in what makes scores incomparable."""
    for options in (Similarity(), TokenMatch()):
        bound = options.bind(SERVICES)
        assert isinstance(bound, Scorer)
        assert bound.key_parts == {"embedding": "wordllama l2_supercat 256, case-folded"}
        assert bound.metrics == options.metrics


def test_equal_texts_reach_a_pass_mark_of_one() -> None:
    """An answer equal to its reference scores exactly 1, whatever float32 makes of it."""
    score = similarity("The report is due in 30 days.", "The report is due in 30 days.", minimum=1.0)
    assert isinstance(score, Score)
    assert (score.value, score.passed) == (1.0, True)


def test_similarity_is_the_cosine_of_the_vectors() -> None:
    """The value is the cosine, and the best of the references counts."""
    texts = ["Cats sleep.", "A cat is asleep.", "Interest rates rose."]
    rows = WordLlama().vectors(texts)
    score = similarity(*texts)
    assert isinstance(score, Score)
    assert score.value == pytest.approx(float(rows[0] @ rows[1]), abs=1e-5)
    assert score.details["reference"] == "A cat is asleep."
    assert score.passed is None


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title, str.swapcase])
@pytest.mark.parametrize(
    "text", ["Firms report to the FIU within 24 hours.", "Straße nach Zürich", "ПРИВЕТ, мир", "Σίσυφος"]
)
def test_case_does_not_count(text: str, change: Callable[[str], str]) -> None:
    """A copy in another case scores 1, as a whole and token by token."""
    scores = [similarity(change(text), text, minimum=1.0), *token_match(change(text), text)]
    assert [one.value for one in scores if isinstance(one, Score)] == [1.0] * 4


@pytest.mark.parametrize("answer", ["", " \n\t"], ids=["empty", "blank"])
def test_empty_answer_is_no_match(answer: str) -> None:
    """An empty answer is a real answer that is nothing like the reference: 0, failed, and said so."""
    score = similarity(answer, "Paris", minimum=0.1)
    assert isinstance(score, Score)
    assert (score.value, score.passed, score.reason) == (0.0, False, "the answer is empty")
    matched = token_match(answer, "Paris", min_f1=0.1)
    assert [one.value for one in matched if isinstance(one, Score)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("references", "kind"),
    [
        pytest.param((), "missing_reference", id="none"),
        pytest.param(("", " "), "empty_reference", id="blank"),
    ],
)
def test_nothing_to_compare_with_is_unscored(references: tuple[str, ...], kind: str) -> None:
    """Without a reference there is no number, not even for an empty answer."""
    for answer in ("Paris", ""):
        graded = [similarity(answer, *references), *token_match(answer, *references)]
        assert [one.kind for one in graded if isinstance(one, Unscored)] == [kind] * 4


def test_blank_reference_beside_a_filled_one_is_left_out() -> None:
    """An acceptable answer without text does not spoil the others."""
    score = similarity("Paris", "", "Paris")
    assert isinstance(score, Score)
    assert score.value == 1.0


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        pytest.param([[np.nan, 1.0], [1.0, 1.0]], "not_finite", id="nan"),
        pytest.param([[1.0, 1.0], [np.inf, 1.0]], "not_finite", id="infinite"),
        pytest.param([[0.0, 0.0], [1.0, 1.0]], "zero_vector", id="zero"),
        pytest.param(None, "embedding_error", id="endpoint down"),
    ],
)
def test_unusable_vectors_are_unscored(rows: list[list[float]] | None, kind: str) -> None:
    """Vectors without a direction, or none at all, give a named gap, never a number."""
    score = over(rows)
    assert isinstance(score, Unscored)
    assert score.kind == kind


def test_opposite_vectors_score_minus_one() -> None:
    """The scale goes down to -1."""
    score = over([[1.0, 0.0], [-2.0, 0.0]])
    assert isinstance(score, Score)
    assert score.value == -1.0


def test_greedy_match_by_hand() -> None:
    """Two answer tokens against three reference tokens, worked out by hand."""
    answer = unit_rows([[1, 0], [1, 1]])
    reference = unit_rows([[1, 0], [0, 1], [-1, 0]])
    half = 1 / np.sqrt(2)
    precision, recall = (1 + half) / 2, (1 + half + 0) / 3
    assert greedy_match(answer, reference) == pytest.approx(
        (precision, recall, 2 * precision * recall / (precision + recall)), abs=1e-6
    )


def test_greedy_match_in_blocks_equals_the_whole() -> None:
    """A long answer is compared in blocks with the same result."""
    random = np.random.default_rng(3)
    answer, reference = (unit_rows(random.normal(size=(n, 8))) for n in (2 * BLOCK_ROWS + 5, 40))
    cosines = np.clip(answer @ reference.T, 0, 1)
    expected = (cosines.max(axis=1).mean(), cosines.max(axis=0).mean())
    assert greedy_match(answer, reference)[:2] == pytest.approx(expected, abs=1e-5)


def test_greedy_match_without_any_likeness_is_zero() -> None:
    """Nothing in common is 0, not a division by zero."""
    assert greedy_match(unit_rows([[1, 0]]), unit_rows([[-1, 0]])) == (0.0, 0.0, 0.0)


def test_token_match_tells_extra_from_missing() -> None:
    """A longer answer that holds the reference has full recall and less precision; the pass mark is on F1."""
    precision, recall, f1 = token_match("The capital is Paris, on the Seine.", "The capital is Paris", min_f1=0.99)
    assert isinstance(precision, Score)
    assert isinstance(recall, Score)
    assert isinstance(f1, Score)
    assert recall.value == 1.0
    assert precision.value < 1.0
    assert (precision.passed, recall.passed, f1.passed) == (None, None, False)
    assert "wordllama" in f1.reason


@pytest.mark.parametrize("mark", [-1.5, 1.5, float("nan")])
def test_wrong_pass_marks_are_refused(mark: float) -> None:
    """A pass mark that no value can reach, or every value does, is an error of the suite."""
    with pytest.raises(ValueError, match=r"^min: "):
        Similarity(min=mark)
    with pytest.raises(ValueError, match=r"^min_f1: "):
        TokenMatch(min_f1=mark)


class ByWord:
    """A model of whole texts: each distinct word has a direction of its own, `sum` and `total` nearly the same."""

    name = "by word"
    rows: Mapping[str, tuple[float, ...]] = {
        "the": (1.0, 0.0, 0.0, 0.0),
        "sum": (0.0, 1.0, 0.0, 0.0),
        "total": (0.0, 0.8, 0.6, 0.0),
        "five": (0.0, 0.0, 0.0, 1.0),
    }

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def open(self) -> None:
        """Nothing to open."""

    async def raw(self, texts: list[str]) -> Sequence[Sequence[float]]:
        """Each text's row; a text that is not a single word of these has none."""
        self.asked += texts
        return [self.rows[text] for text in texts]

    async def close(self) -> None:
        """Nothing to release."""


def test_token_match_over_a_model_of_whole_texts_matches_word_by_word() -> None:
    """Each distinct word is embedded once, by itself; the figures are those of the greedy match by hand."""
    source = ByWord()

    async def main() -> Sequence[Score | Unscored]:
        async with BatchedEmbedder(source) as embedder:
            bound = TokenMatch().bind(Services(root=Path(), embedder=embedder))
            await bound.score(Case(id="0", input="?", reference=("the sum",)), Output(text="the total"))
            return await bound.score(Case(id="1", input="?", reference=("the sum",)), Output(text="The total: five."))

    precision, recall, f1 = asyncio.run(main())
    assert isinstance(precision, Score)
    assert isinstance(recall, Score)
    assert isinstance(f1, Score)
    assert (precision.value, recall.value) == (pytest.approx((1 + 0.8 + 0) / 3, abs=1e-6), pytest.approx(0.9))
    assert f1.value == pytest.approx(2 * 0.6 * 0.9 / 1.5, abs=1e-6)
    assert "by word" in f1.reason
    assert sorted(source.asked) == ["five", "sum", "the", "total"]


def test_an_answer_of_signs_alone_is_one_token() -> None:
    """`?!` has no word: it is embedded as it stands."""

    async def main() -> tuple[list[str], Vectors]:
        async with BatchedEmbedder(Fixed([[1.0, 0.0]])) as embedder:
            return await embedder.tokens("?!")

    tokens, vectors = asyncio.run(main())
    assert (tokens, vectors.tolist()) == (["?!"], [[1.0, 0.0]])


def test_scorers_without_any_embedding_say_so() -> None:
    """Without an embedder there is an error, not a default."""
    with pytest.raises(ValueError, match="write `embedding: wordllama`"):
        Similarity().bind(Services(root=Path()))
