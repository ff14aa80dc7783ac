"""Judge correctness without a language model, by two features calibrated on answers that people judged.

`benchmarks/train_local_judge.py` trains and measures the judge. `local_judge.json` holds the coefficients, their origin
and their agreement with people.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import exp
from pathlib import Path
from typing import Any, ClassVar

from evalkit.scorers.base import Services
from evalkit.scorers.embedding.embedders import THREAD_CHARS, WordLlama
from evalkit.scorers.embedding.similarity import NEEDS_REFERENCE, filled_references
from evalkit.scorers.judges.answer_features import Features, features
from evalkit.types import Case, Metric, Output, Score, Unscored

COEFFICIENTS = Path(__file__).with_name("local_judge.json")
BLIND_TO = "cannot see one-word edits or abstractive rewording"


@cache
def provenance() -> Mapping[str, Any]:
    """Return the coefficients, training data, settings and measured figures from `local_judge.json`."""
    loaded: Mapping[str, Any] = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))
    return loaded


def _notice() -> str:
    data, kappa = provenance()["data"], provenance()["figures"]["all"]["kappa"]
    return (
        f"measured on {data['name']}: kappa {kappa['value']:.2f} [{kappa['low']:.2f}, {kappa['high']:.2f}] "
        f"(grouped cross-validation, n={data['rows']}); unverified on your data; {BLIND_TO}"
    )


NOTICE = _notice()
"""Notice that is shown wherever this judge is used."""


@dataclass(frozen=True, slots=True)
class LocalOpinion:
    """The local judge's opinion about one answer."""

    probability: float
    """P(correct), 0 to 1."""
    reference: str
    """The reference that agrees with the answer best."""
    features: Features


class LocalJudge:
    """A logistic regression on `Features`; the best reference counts."""

    def __init__(self, embedding: WordLlama, coefficients: Mapping[str, float] | None = None) -> None:
        self._embedding = embedding
        self._coefficients = provenance()["coefficients"] if coefficients is None else coefficients

    def predict(self, question: str, references: Sequence[str], answer: str) -> float:
        """Return the probability that people call the answer correct, 0 to 1.

        An empty answer is a real answer, and wrong: 0.

        Raises:
            ValueError: no reference holds any text.
        """
        return self.judge(question, references, answer).probability

    def judge(self, question: str, references: Sequence[str], answer: str) -> LocalOpinion:
        """Return the probability with its features."""
        filled = [reference for reference in references if reference.strip()]
        if not filled:
            raise ValueError("references: none holds any text; give at least one")
        if not answer.strip():
            return LocalOpinion(0.0, filled[0], Features(0.0, 0.0, "the answer is empty"))
        found = features(question, filled, answer, self._embedding)
        opinions = [LocalOpinion(self._probability(one), text, one) for text, one in zip(filled, found, strict=True)]
        return max(opinions, key=lambda opinion: opinion.probability)

    def _probability(self, found: Features) -> float:
        weights = self._coefficients
        logit = weights["intercept"] + weights["meaning"] * found.meaning + weights["wording"] * found.wording
        return 1 / (1 + exp(-logit))


@dataclass(frozen=True, kw_only=True)
class LocalCorrectness:
    """Estimate correctness against the reference, without a language model.

    The value is the probability that people would call the answer correct, 0 to 1; the answer passes if it reaches
    `pass`. A small model, calibrated on short answers to search questions, compares meaning and wording of the best
    matching part of the answer with each acceptable reference. A different number, date or first name, a denial and a
    refusal count as a different answer; a year may stand for a full date, and a family name for a full name. Numbers
    agree at the precision of the reference, with their sign and in any unit of their kind; a reference of up to 12
    words needs all of its numbers, each at its own words. If an answer ends in "Answer: ...", only that is compared. An
    empty answer scores 0.

    It cannot see one-word edits or abstractive rewording, has no knowledge of the world, and does not replace a judge
    that is a language model.
    """

    name: str = "correctness"
    pass_at: float = field(default=0.5, metadata={"key": "pass"})
    """Smallest probability of being correct that passes, above 0 and at most 1."""

    version: ClassVar[str] = "6"
    shorthand: ClassVar[str] = "pass_at"

    def __post_init__(self) -> None:
        if not 0.0 < self.pass_at <= 1.0:
            raise ValueError(f"pass: {self.pass_at} is not a probability; write a number above 0 and at most 1")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The probability, as an opinion of this judge."""
        judge = f"local:correctness@{provenance()['version']}"
        return (Metric(name=self.name, judge=judge, pass_at=self.pass_at),)

    @property
    def needs(self) -> frozenset[str]:
        """A reference to compare with."""
        return NEEDS_REFERENCE

    def bind(self, services: Services) -> CorrectnessJudge:
        """Load the model; it is calibrated on the offline embedding and uses no other."""
        embedder = services.embedder
        return CorrectnessJudge(self, LocalJudge(embedder if isinstance(embedder, WordLlama) else WordLlama()))


class CorrectnessJudge:
    """`LocalCorrectness` with its model."""

    version: ClassVar[str] = LocalCorrectness.version

    def __init__(self, options: LocalCorrectness, judge: LocalJudge) -> None:
        self._pass_at = options.pass_at
        self._judge = judge
        self.name = options.name
        self.metrics = options.metrics
        self.needs = options.needs
        self.notice = f"{options.name}: local judge, {NOTICE}"
        self.key_parts: Mapping[str, str] = {
            "judge": f"local:correctness@{provenance()['version']}",
            "coefficients": _digest(provenance()["coefficients"]),
            "embedding": WordLlama.name,
        }

    async def score(self, case: Case, output: Output) -> Score | Unscored:
        """Grade one answer."""
        references = filled_references(case, self.name)
        if isinstance(references, Unscored):
            return references
        judge, arguments = self._judge.judge, (case.question, references, output.text)
        long = len(output.text) + sum(map(len, references)) > THREAD_CHARS
        opinion = await asyncio.to_thread(judge, *arguments) if long else judge(*arguments)
        return self._graded(opinion)

    def _graded(self, opinion: LocalOpinion) -> Score:
        found = opinion.features
        why = found.excluded or f"meaning {found.meaning:.2f}, wording {found.wording:.2f} against the reference"
        probability = round(opinion.probability, 6)
        return Score(
            self.name,
            probability,
            passed=probability >= self._pass_at,
            reason=f"P(correct) {probability:.2f}: {why}",
            details={"reference": opinion.reference, "notice": NOTICE},
        )


def _digest(coefficients: Mapping[str, float]) -> str:
    return hashlib.sha256(json.dumps(coefficients, sort_keys=True).encode()).hexdigest()[:16]
