"""The `groundedness` scorer measures how far an answer rests on its contexts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.overlap import Groundedness
from evalkit.types import Case, Output, Score, Unscored

BEGIN = Path(__file__).parents[3] / "shared" / "data" / "grounded_begin_wow.jsonl.gz"


def grade(answer: str, *contexts: str, minimum: float | None = None) -> tuple[Score, Score]:
    """Grade an answer against contexts."""
    both = Groundedness(min=minimum).score(Case(id="c", input="q", contexts=contexts), Output(text=answer))
    words, rouge = both
    assert isinstance(words, Score)
    assert isinstance(rouge, Score)
    assert (words.metric, rouge.metric) == ("groundedness.content_words", "groundedness.rouge_l")
    return words, rouge


@pytest.mark.parametrize(
    ("answer", "contexts", "content_words", "rouge"),
    [
        pytest.param("The fee is 30 EUR.", ["A yearly fee of 30 EUR is due."], 3 / 4, 3 / 5, id="mostly"),
        pytest.param("fee refund", ["the fee", "a refund"], 1.0, 0.5, id="over two contexts"),
        pytest.param("İSTANBUL CAFE\u0301", ["istanbul\u2028café"], 1.0, 1.0, id="unicode"),
        pytest.param("合规", ["不合规"], 1.0, 1.0, id="script without spaces"),
        pytest.param("\u200fחוק\u200f", ["חוק"], 1.0, 1.0, id="right to left"),
        pytest.param("No.", ["No, it is."], 1.0, 1.0, id="short words count where there are no others"),
        pytest.param("KYC", ["AML"], 0.0, 0.0, id="abbreviations count"),
        pytest.param("", ["x"], 0.0, 0.0, id="empty answer"),
        pytest.param("...", ["..."], 0.0, 0.0, id="no words"),
    ],
)
def test_values(answer: str, contexts: list[str], content_words: float, rouge: float) -> None:
    """Words are looked up in all contexts, sequences in the best one."""
    scores = grade(answer, *contexts)
    assert [score.value for score in scores] == pytest.approx([content_words, rouge])


def test_pass_mark_is_for_content_words() -> None:
    """Only the share of content words passes or fails; the reason names what is missing."""
    words, rouge = grade("fee refund", "fee", minimum=0.6)
    assert (words.passed, rouge.passed) == (False, None)
    assert words.reason == "1 of 2 content words in the contexts; not 'refund'"
    assert grade("fee refund", "fee", minimum=0.5)[0].passed is True
    with pytest.raises(ValueError, match=r"^min: .+; .+"):
        Groundedness(min=70)


def test_contexts_of_the_system_come_first() -> None:
    """What the system says it used counts, also where that is nothing."""
    case = Case(id="c", input="q", contexts=("fee",))
    for contexts, value in ((("refund",), 0.0), ((), 0.0), (None, 1.0)):
        words = Groundedness().score(case, Output(text="fee", contexts=contexts))[0]
        assert isinstance(words, Score)
        assert words.value == value


def test_missing_contexts_are_unscored() -> None:
    """Without any contexts both metrics are unscored."""
    scores = Groundedness().score(Case(id="c", input="q"), Output(text="fee"))
    assert [score.kind for score in scores if isinstance(score, Unscored)] == ["missing_contexts"] * 2


@given(st.text(), st.lists(st.text(), min_size=1, max_size=4))
def test_values_are_shares_and_order_is_free(answer: str, contexts: list[str]) -> None:
    """Any text scores within 0 and 1, alike for any order of the contexts."""
    values = [score.value for score in grade(answer, *contexts)]
    assert all(0 <= value <= 1 for value in values)
    assert values == [score.value for score in grade(answer, *contexts[::-1])]


@given(st.text(alphabet="abc d12.", min_size=1).filter(lambda text: any(map(str.isalnum, text))))
def test_a_context_grounds_itself(text: str) -> None:
    """An answer that repeats a context rests on it in full."""
    assert [score.value for score in grade(text, "other", text)] == [1.0, 1.0]


@pytest.mark.skipif(not BEGIN.exists(), reason="the shared BEGIN rows are not on this machine")
def test_separates_grounded_from_ungrounded_answers() -> None:
    """Over 4,037 labelled answers the area under the ROC curve is above .93 for both metrics."""
    from sklearn.metrics import roc_auc_score

    with gzip.open(BEGIN, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    labels = [row["human"]["attributable"] for row in rows]
    graded = [grade(row["output"], *row["contexts"]) for row in rows]
    assert len(rows) == 4037
    for metric in (0, 1):
        assert roc_auc_score(labels, [scores[metric].value for scores in graded]) > 0.93
