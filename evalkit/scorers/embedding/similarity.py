"""Compare an answer with its reference by meaning: whole texts, or token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evalkit.scorers.base import Services
from evalkit.scorers.embedding.batches import EmbeddingError, Vectors
from evalkit.scorers.embedding.embedders import Embedder
from evalkit.types import Case, Metric, Output, Score, Unscored

NEEDS_REFERENCE = frozenset({"reference"})
BLOCK_ROWS = 1024
"""Number of answer tokens compared at once, which limits the memory for a very long answer."""


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Measure the cosine of answer and reference under the suite's embedding.

    The value is -1 to 1, the best over the acceptable references. With `min`, the answer passes if the value reaches
    it.

    The offline default ignores case. An empty answer scores 0. If no reference has text, or a vector is not finite, the
    case is unscored.
    """

    name: str = "similarity"
    min: float | None = None
    """Smallest value that passes, -1 to 1; without it, the value has no pass mark."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "min"

    def __post_init__(self) -> None:
        _check_mark("min", self.min, -1.0)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """One cosine."""
        return (Metric(name=self.name, low=-1.0, high=1.0, pass_at=self.min),)

    @property
    def needs(self) -> frozenset[str]:
        """A reference to compare with."""
        return NEEDS_REFERENCE

    def bind(self, services: Services) -> BoundSimilarity:
        """Take the run's embedder."""
        return BoundSimilarity(self, _embedder(services))


class BoundSimilarity:
    """`Similarity` with its embedder."""

    version: ClassVar[str] = Similarity.version

    def __init__(self, options: Similarity, embedder: Embedder) -> None:
        self._options = options
        self._embedder = embedder
        self.name = options.name
        self.metrics = options.metrics
        self.needs = options.needs
        self.key_parts: Mapping[str, str] = {"embedding": embedder.name}

    async def score(self, case: Case, output: Output) -> Score | Unscored:
        """Grade one answer."""
        references = filled_references(case, self.name)
        if isinstance(references, Unscored):
            return references
        if not output.text.strip():
            return self._graded(0.0, references[0], "the answer is empty")
        try:
            vectors = await self._embedder.embed([output.text, *references])
        except EmbeddingError as error:
            return Unscored(self.name, "embedding_error", str(error))
        return self._best(vectors, references)

    def _best(self, vectors: Vectors, references: Sequence[str]) -> Score | Unscored:
        if not np.isfinite(vectors).all():
            return _not_finite(self.name, self._embedder)
        if not vectors.any(axis=1).all():
            return Unscored(
                self.name, "zero_vector", f"{self._embedder.name} gave a vector of zeros: it has no direction"
            )
        cosines = vectors[1:] @ vectors[0]
        best = int(np.argmax(cosines))
        value = _rounded(cosines[best])
        return self._graded(value, references[best], f"cosine {value:.2f} to the reference, {self._embedder.name}")

    def _graded(self, value: float, reference: str, reason: str) -> Score:
        passed = None if self._options.min is None else value >= self._options.min
        details = {"reference": reference, "embedding": self._embedder.name}
        return Score(self.name, value, passed=passed, reason=reason, details=details)


@dataclass(frozen=True, kw_only=True)
class TokenMatch:
    """Match tokens greedily by cosine: precision over the answer, recall over the reference, F1.

    Three metrics from 0 to 1. With `min_f1`, the answer passes if F1 reaches it. The matching is that of BERTScore
    (arXiv:1904.09675, without idf weights and without rescaling) over the suite's embedding. Tokens are those of the
    offline default; any other embedding gives one vector for each text, so each word is embedded by itself. Vectors do
    not depend on context, and figures are comparable only under the same embedding. Cosines below 0 count as 0. With
    several references, the one with the best F1 counts.
    """

    name: str = "token_match"
    min_f1: float | None = None
    """Smallest F1 that passes, 0 to 1; without it, the values have no pass mark."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "min_f1"

    def __post_init__(self) -> None:
        _check_mark("min_f1", self.min_f1, 0.0)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Precision, recall and F1."""
        marks = {"precision": None, "recall": None, "f1": self.min_f1}
        return tuple(Metric(name=f"{self.name}.{part}", pass_at=mark) for part, mark in marks.items())

    @property
    def needs(self) -> frozenset[str]:
        """A reference to compare with."""
        return NEEDS_REFERENCE

    def bind(self, services: Services) -> BoundTokenMatch:
        """Take the run's embedder."""
        return BoundTokenMatch(self, _embedder(services))


class BoundTokenMatch:
    """`TokenMatch` with its embedder."""

    version: ClassVar[str] = TokenMatch.version

    def __init__(self, options: TokenMatch, embedder: Embedder) -> None:
        self._options = options
        self._embedder = embedder
        self.name = options.name
        self.metrics = options.metrics
        self.needs = options.needs
        self.key_parts: Mapping[str, str] = {"embedding": embedder.name}

    async def score(self, case: Case, output: Output) -> Sequence[Score | Unscored]:
        """Grade one answer: three scores."""
        references = filled_references(case, self.name)
        if isinstance(references, Unscored):
            return self._unscored(references)
        if not output.text.strip():
            return self._graded((0.0, 0.0, 0.0), references[0], "the answer is empty")
        try:
            answer = (await self._embedder.tokens(output.text))[1]
            rows = [(await self._embedder.tokens(reference))[1] for reference in references]
        except EmbeddingError as error:
            return self._unscored(Unscored(self.name, "embedding_error", str(error)))
        if not all(np.isfinite(vectors).all() for vectors in (answer, *rows)):
            return self._unscored(_not_finite(self.name, self._embedder))
        matches = [greedy_match(answer, reference) for reference in rows]
        best = max(range(len(matches)), key=lambda index: matches[index][2])
        return self._graded(matches[best], references[best], f"tokens matched under {self._embedder.name}")

    def _graded(self, values: tuple[float, float, float], reference: str, reason: str) -> tuple[Score, ...]:
        mark = self._options.min_f1
        marks = (None, None, None if mark is None else values[2] >= mark)
        details = {"reference": reference, "embedding": self._embedder.name}
        return tuple(
            Score(metric.name, value, passed=passed, reason=reason, details=details)
            for metric, value, passed in zip(self.metrics, values, marks, strict=True)
        )

    def _unscored(self, why: Unscored) -> tuple[Unscored, ...]:
        return tuple(Unscored(metric.name, why.kind, why.message) for metric in self.metrics)


def greedy_match(answer: Vectors, reference: Vectors) -> tuple[float, float, float]:
    """Return the precision, recall and F1 of the best match of each token, each in 0 to 1.

    Args:
        answer: unit rows, shape (n, d), n >= 1.
        reference: unit rows, shape (m, d), m >= 1.
    """
    to_reference = 0.0
    to_answer = np.zeros(len(reference), dtype=np.float32)
    for start in range(0, len(answer), BLOCK_ROWS):
        cosines = np.clip(answer[start : start + BLOCK_ROWS] @ reference.T, 0.0, 1.0)
        to_reference += float(cosines.max(axis=1).sum(dtype=np.float64))
        np.maximum(to_answer, cosines.max(axis=0), out=to_answer)
    precision, recall = _rounded(to_reference / len(answer)), _rounded(to_answer.mean(dtype=np.float64))
    f1 = _rounded(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
    return precision, recall, f1


def _rounded(value: float) -> float:
    """Round to six places, so that an answer equal to its reference reaches a pass mark of 1."""
    return round(min(1.0, max(-1.0, float(value))), 6)


def _check_mark(option: str, mark: float | None, low: float) -> None:
    if mark is not None and not low <= mark <= 1.0:
        raise ValueError(f"{option}: {mark} is out of range; give a number from {low:g} to 1")


def _embedder(services: Services) -> Embedder:
    if services.embedder is None:
        raise ValueError("embedding: none is configured; write `embedding: wordllama`")
    return services.embedder


def filled_references(case: Case, metric: str) -> tuple[str, ...] | Unscored:
    """Return the acceptable answers that hold any text."""
    filled = tuple(text for text in case.reference if text.strip())
    if filled:
        return filled
    kind = "empty_reference" if case.reference else "missing_reference"
    return Unscored(metric, kind, "nothing to compare with; give the case a reference")


def _not_finite(metric: str, embedder: Embedder) -> Unscored:
    return Unscored(metric, "not_finite", f"{embedder.name} gave a vector that is not finite")
