"""Score an answer by its overlap with a reference: ROUGE-L, token F1, BLEU, chrF."""

from __future__ import annotations

import importlib.util
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from evalkit.scorers.rules.normalise import fold, split_spaceless, without_punctuation, words
from evalkit.scorers.rules.rule import Share, check_share, no_reference, shown
from evalkit.text.patterns import well_formed
from evalkit.types import Case, Metric, Output, Score, Unscored

_ASCII_SIGNS = str.maketrans("", "", string.punctuation)
_ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True, slots=True)
class Overlap:
    """Shares of an answer and of a reference that agree, each from 0 to 1."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of both, 0 if both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def overlap(common: int, n_answer: int, n_reference: int) -> Overlap:
    """Turn counts into shares; two empty texts agree fully, an empty and a non-empty one not at all."""
    if not n_answer or not n_reference:
        return Overlap(*[float(n_answer == n_reference)] * 2)
    return Overlap(common / n_answer, common / n_reference)


def rouge_l(answer: Sequence[str], reference: Sequence[str]) -> Overlap:
    """Return ROUGE-L of two lists of words, by longest common subsequence (Lin 2004, aclanthology.org/W04-1013)."""
    from rapidfuzz.distance import LCSseq

    return overlap(int(LCSseq.similarity(answer, reference)), len(answer), len(reference))


def squad_tokens(text: str) -> list[str]:
    """Return words as SQuAD normalises them: no case, punctuation, articles (Rajpurkar et al. 2016, arXiv 1606.05250).

    In addition, Unicode forms are folded, and each character of a script without spaces is a word.
    """
    plain = without_punctuation(fold(text)).translate(_ASCII_SIGNS)
    return [word for word in split_spaceless(plain).split() if word not in _ARTICLES]


class AgainstReference(Share):
    """A share measured against the references; a scorer inherits it and implements `measure`."""

    min: float | None

    def __post_init__(self) -> None:
        check_share("min", self.min)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The one metric, from 0 to 1."""
        return (Metric(self.name, pass_at=self.min),)

    @property
    def needs(self) -> frozenset[str]:
        """The reference."""
        return frozenset({"reference"})

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Measure the answer, and compare with the pass mark if there is one."""
        if not case.reference:
            return no_reference(self.name)
        value, reason, details = self.measure(output.text, case.reference)
        passed = None if self.min is None else value >= self.min
        if passed is False:
            reason = f"expected {shown(case.reference)}: {reason}"
        return Score(self.name, value, passed, reason, details)

    def measure(self, answer: str, references: tuple[str, ...]) -> tuple[float, str, Mapping[str, Any]]:
        """Return value, reason and details."""
        raise NotImplementedError


def _best(overlaps: Sequence[Overlap]) -> tuple[float, str, Mapping[str, Any]]:
    best = max(overlaps, key=lambda one: (one.f1, one.precision))
    reason = f"F1 {best.f1:.2f}, precision {best.precision:.2f}, recall {best.recall:.2f}"
    return best.f1, reason, {"precision": best.precision, "recall": best.recall}


@dataclass(frozen=True, kw_only=True)
class RougeL(AgainstReference):
    """Measure ROUGE-L F1: the longest sequence of words that answer and reference share, in order.

    The value is 0 to 1, the best over several references; `details` hold precision and recall. With `min`, the answer
    passes if the value reaches it. Words are compared without case and punctuation, and are not stemmed. An empty
    answer scores 0, unless the reference is empty too.

    It cannot see meaning: a negation costs one word, a paraphrase nearly all. Source: Lin 2004,
    aclanthology.org/W04-1013.
    """

    name: str = "rouge_l"
    min: float | None = None
    """Smallest value that passes; without it, the value has no pass mark."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "min"

    def measure(self, answer: str, references: tuple[str, ...]) -> tuple[float, str, Mapping[str, Any]]:
        """Measure against each reference and take the best."""
        said = words(answer)
        return _best([rouge_l(said, words(reference)) for reference in references])


@dataclass(frozen=True, kw_only=True)
class TokenF1(AgainstReference):
    """Measure the F1 of the words that answer and reference share, in any order, as SQuAD does.

    The value is 0 to 1, the best over several references; `details` hold precision and recall. With `min`, the answer
    passes if the value reaches it. Case, punctuation and the articles a, an, the do not count. An empty answer scores
    0, unless the reference is empty too.

    It cannot see meaning or order, and a long answer loses for each word beyond the reference. Source: Rajpurkar et al.
    2016, arXiv 1606.05250.
    """

    name: str = "token_f1"
    min: float | None = None
    """Smallest value that passes; without it, the value has no pass mark."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "min"

    def measure(self, answer: str, references: tuple[str, ...]) -> tuple[float, str, Mapping[str, Any]]:
        """Measure against each reference and take the best."""
        said = squad_tokens(answer)
        return _best([_shared(said, squad_tokens(reference)) for reference in references])


def _shared(answer: list[str], reference: list[str]) -> Overlap:
    common = (Counter(answer) & Counter(reference)).total()
    return overlap(common, len(answer), len(reference))


def _require_sacrebleu() -> None:
    if importlib.util.find_spec("sacrebleu") is None:
        raise ValueError("name: needs the sacrebleu package, which is not installed; run `pip install 'sacrebleu<3'`")


def _sacrebleu_key() -> Mapping[str, str]:
    from importlib.metadata import version

    return {"sacrebleu": version("sacrebleu")}


def _scaled(percent: float) -> float:
    """Convert 0 to 100 into 0 to 1; sacrebleu's own rounding may exceed 100 by 1e-13."""
    return min(percent / 100, 1.0)


@dataclass(frozen=True, kw_only=True)
class Bleu(AgainstReference):
    """Measure BLEU of one answer against all its references, with sacrebleu (extra `sacrebleu`).

    The value is 0 to 1 (sacrebleu's figure / 100), with the effective order for short answers. With `min`, the answer
    passes if the value reaches it. An empty answer scores 0. BLEU was made for whole test sets: the mean over cases is
    not corpus BLEU, and single answers vary widely.

    It cannot see meaning. Source: Papineni et al. 2002, aclanthology.org/P02-1040; Post 2018, arXiv 1804.08771.
    """

    name: str = "bleu"
    tokenize: Literal["13a", "intl", "zh", "char"] = "13a"
    """How words are split: 13a as at WMT, intl for other alphabets, zh for Chinese, char for single characters."""
    min: float | None = None
    """Smallest value that passes; without it, the value has no pass mark."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "min"

    def __post_init__(self) -> None:
        _require_sacrebleu()
        check_share("min", self.min)

    @property
    def key_parts(self) -> Mapping[str, str]:
        """Version of sacrebleu."""
        return _sacrebleu_key()

    def measure(self, answer: str, references: tuple[str, ...]) -> tuple[float, str, Mapping[str, Any]]:
        """Compute sacrebleu's sentence BLEU."""
        from sacrebleu.metrics import BLEU

        metric = BLEU(effective_order=True, tokenize=self.tokenize)
        value = _scaled(metric.sentence_score(well_formed(answer), [well_formed(text) for text in references]).score)
        return value, f"BLEU {value:.2f}", {"signature": str(metric.get_signature())}


@dataclass(frozen=True, kw_only=True)
class Chrf(AgainstReference):
    """Measure chrF of one answer against its best reference, with sacrebleu (extra `sacrebleu`).

    The value is 0 to 1 (sacrebleu's figure / 100): F2 of the character sequences, up to six long, that both share. With
    `min`, the answer passes if the value reaches it. It does not depend on words, so it suits every script. An empty
    answer scores 0.

    It cannot see meaning. Source: Popović 2015, aclanthology.org/W15-3049.
    """

    name: str = "chrf"
    word_order: int = 0
    """Longest sequence of words that also counts; 2 is chrF++."""
    min: float | None = None
    """Smallest value that passes; without it, the value has no pass mark."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "min"

    def __post_init__(self) -> None:
        _require_sacrebleu()
        check_share("min", self.min)
        if not 0 <= self.word_order <= 4:
            raise ValueError(f"word_order: expected 0 to 4, got {self.word_order}; 0 is chrF, 2 is chrF++")

    @property
    def key_parts(self) -> Mapping[str, str]:
        """Version of sacrebleu."""
        return _sacrebleu_key()

    def measure(self, answer: str, references: tuple[str, ...]) -> tuple[float, str, Mapping[str, Any]]:
        """Compute sacrebleu's sentence chrF."""
        from sacrebleu.metrics import CHRF

        metric = CHRF(word_order=self.word_order)
        value = _scaled(metric.sentence_score(well_formed(answer), [well_formed(text) for text in references]).score)
        return value, f"chrF {value:.2f}", {"signature": str(metric.get_signature())}
