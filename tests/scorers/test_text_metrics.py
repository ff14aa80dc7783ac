"""ROUGE-L, token F1, BLEU and chrF measure overlap with a reference."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.text_metrics import AgainstReference, Bleu, Chrf, RougeL, TokenF1, rouge_l, squad_tokens
from evalkit.types import Case, Output, Score, Unscored

SCORERS = (RougeL, TokenF1, Bleu, Chrf)


def grade(scorer: AgainstReference, answer: str, *references: str) -> Score:
    """Grade an answer against references."""
    score = scorer.score(Case(id="c", input="q", reference=references), Output(text=answer))
    assert isinstance(score, Score)
    return score


def test_rouge_l_by_hand() -> None:
    """Lin's example: "police kill the gunman" shares "police the gunman" with its reference, 3 of 4 both ways."""
    best = rouge_l("police kill the gunman".split(), "police killed the gunman".split())
    assert (best.precision, best.recall, best.f1) == (0.75, 0.75, 0.75)
    turned = rouge_l("the gunman kill police".split(), "police killed the gunman".split())
    assert turned.f1 == 0.5  # "the gunman" alone is in order


@pytest.mark.parametrize(
    ("answer", "references", "precision", "recall"),
    [
        pytest.param("the fee is 30", ["the fee is 30 EUR per year"], 1.0, 4 / 7, id="shorter"),
        pytest.param("THE FEE!", ["the fee"], 1.0, 1.0, id="case and punctuation"),
        pytest.param("İSTANBUL cafe\u0301", ["istanbul\u2028café"], 1.0, 1.0, id="unicode"),
        pytest.param("\u05d0 \u05d1\u200f", ["\u05d0 \u05d1"], 1.0, 1.0, id="right to left"),
        pytest.param("我爱你", ["我恨你"], 2 / 3, 2 / 3, id="script without spaces"),
        pytest.param("x", ["y", "x z"], 1.0, 0.5, id="best reference"),
        pytest.param("", ["x"], 0.0, 0.0, id="empty answer"),
        pytest.param("", [""], 1.0, 1.0, id="both empty"),
    ],
)
def test_rouge_l(answer: str, references: list[str], precision: float, recall: float) -> None:
    """Precision and recall are in the details, their harmonic mean is the value."""
    score = grade(RougeL(), answer, *references)
    total = precision + recall
    assert score.details == pytest.approx({"precision": precision, "recall": recall})
    assert score.value == pytest.approx(2 * precision * recall / total if total else 0.0)


@pytest.mark.parametrize(
    ("answer", "references", "value"),
    [
        pytest.param("The fee is 30.", ["fee is 30"], 1.0, id="article and full stop"),
        pytest.param("30 is a fee", ["the fee is 30"], 1.0, id="order"),
        pytest.param("fee fee", ["fee"], 2 / 3, id="counted as often as said"),
        pytest.param("a b c", ["b d"], 0.5, id="half"),
        pytest.param("don't", ["dont"], 1.0, id="apostrophe"),
        pytest.param("x", ["y", "x"], 1.0, id="best reference"),
        pytest.param("", ["x"], 0.0, id="empty answer"),
        pytest.param("the", [""], 1.0, id="nothing but an article"),
    ],
)
def test_token_f1(answer: str, references: list[str], value: float) -> None:
    """Words count in the SQuAD normalisation."""
    assert grade(TokenF1(), answer, *references).value == pytest.approx(value)


def test_an_answer_below_the_pass_mark_shows_what_was_expected() -> None:
    """The figures alone do not tell a reader what is missing; above the mark they are enough."""
    failed = grade(TokenF1(min=0.5), "no idea", "Account 1 costs 9.80")
    assert failed.reason == "expected 'Account 1 costs 9.80': F1 0.00, precision 0.00, recall 0.00"
    assert grade(TokenF1(min=0.5), "9.80", "9.80").reason.startswith("F1 1.00")
    assert grade(TokenF1(), "no idea", "9.80").reason.startswith("F1 0.00")


def test_squad_tokens() -> None:
    """Case, punctuation and articles go, words stay whole."""
    assert squad_tokens("The U.S. paid $3,000 — an A+ deal, 北京!") == ["us", "paid", "3000", "deal", "北", "京"]


@pytest.mark.parametrize("reference", ["The cat sat on the mat.", "A fee of 30 EUR applies each year."])
@pytest.mark.parametrize("answer", ["The cat sat on a mat.", "No fee.", "", "x"])
def test_bleu_and_chrf_are_sacrebleus(answer: str, reference: str) -> None:
    """The values are sacrebleu's own, divided by 100."""
    bleu = sacrebleu.sentence_bleu(answer, [reference], use_effective_order=True).score
    chrf = sacrebleu.sentence_chrf(answer, [reference], word_order=2).score
    assert grade(Bleu(), answer, reference).value == pytest.approx(bleu / 100)
    assert grade(Chrf(word_order=2), answer, reference).value == pytest.approx(chrf / 100)


def test_version_of_sacrebleu_is_a_part_of_the_key() -> None:
    """Another version of the library makes other scores."""
    assert Bleu().key_parts == Chrf().key_parts == {"sacrebleu": sacrebleu.__version__}


def test_without_sacrebleu_the_error_says_what_to_install(tmp_path: Path) -> None:
    """A missing extra is named before the first call, with the command; the other scorers work."""
    program = (
        "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p]\n"
        "from evalkit.scorers.rules.text_metrics import Bleu, Chrf, TokenF1\n"
        "TokenF1()\n"
        "for scorer in (Bleu, Chrf):\n"
        "    try: scorer()\n"
        "    except ValueError as error: assert 'pip install' in str(error), error\n"
        "    else: raise SystemExit('no error')\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("cls", SCORERS)
def test_pass_mark_needs_and_missing_reference(cls: type[AgainstReference]) -> None:
    """Without `min` there is no pass; without a reference there is no score."""
    plain, marked = cls(), cls(min=0.9)  # type: ignore[call-arg]
    assert plain.needs == {"reference"}
    assert grade(plain, "the fee is thirty", "the fee is thirty").passed is None
    assert grade(marked, "the fee is thirty", "the fee is thirty").passed is True
    assert grade(marked, "no", "the fee is thirty").passed is False
    unscored = plain.score(Case(id="c", input="q"), Output(text="x"))
    assert isinstance(unscored, Unscored)
    assert unscored.kind == "missing_reference"


@pytest.mark.parametrize("cls", SCORERS)
def test_pass_mark_beyond_one_is_refused(cls: type[AgainstReference]) -> None:
    """A mark of 90 is a slip."""
    with pytest.raises(ValueError, match=r"^min: .+; write 0.9 for 90 %"):
        cls(min=90)  # type: ignore[call-arg]


def test_word_order_is_bounded() -> None:
    """A word order that chrF does not know is refused."""
    with pytest.raises(ValueError, match=r"^word_order: .+; .+"):
        Chrf(word_order=9)


@pytest.mark.parametrize("cls", SCORERS)
@given(answer=st.text(), references=st.lists(st.text(), min_size=1, max_size=3))
def test_value_is_a_share_and_order_is_free(cls: type[AgainstReference], answer: str, references: list[str]) -> None:
    """Any text scores within 0 and 1, alike for any order of the references."""
    value = grade(cls(), answer, *references).value
    assert 0 <= value <= 1
    assert grade(cls(), answer, *references[::-1]).value == pytest.approx(value)


@given(st.text())
def test_a_text_overlaps_itself_in_full(text: str) -> None:
    """An answer that repeats the reference has F1 1."""
    assert grade(RougeL(), text, text).value == grade(TokenF1(), text, text).value == 1.0
