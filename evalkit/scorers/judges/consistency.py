"""Score whether a system gives the same answer when it is asked again."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evalkit.formats.conversation import conversation_of
from evalkit.formats.options import LATER
from evalkit.scorers.base import AskAgain, Questions, Services
from evalkit.scorers.embedding.batches import EmbeddingError
from evalkit.scorers.judges.asking import NO_ENDPOINT, total_usage
from evalkit.scorers.judges.entailment import Entailer, JudgeEntailer, same_meanings
from evalkit.scorers.judges.identity import judge_key, judge_name
from evalkit.scorers.judges.local_entailment import NliEntailer, NliModel, load_entailment
from evalkit.scorers.rules.length import sentences
from evalkit.scorers.rules.rule import check_share
from evalkit.stats.meanings import meanings, semantic_entropy, weighted_entropy
from evalkit.text.numbers import plural
from evalkit.types import Case, Concern, Failure, Metric, Output, Score, Unscored, Usage

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.scorers.embedding.embedders import Embedder

MOST_SAMPLES = 20
MOST_SENTENCES = 40


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Measure whether a system says the same when it is asked again, without any reference.

    The system answers each case `samples` more times, one after the other. `<name>` is the mean over the sentences of
    the answer of 1 - P(contradiction), where P(contradiction) is the share of the other answers that contradict the
    sentence: 1 if none does. `<name>.entropy` is the semantic entropy of all answers, from 0 if they all mean the same
    to 1 if each means something else; two answers mean the same if they entail each other as answers to the question.
    Both need the suite's `judge:`, or `nli`. With `cosine` there is the entropy alone, by the suite's embedding, which
    hardly sees a negation or another number, and says nothing of contradictions. The system must be sampled as in
    production: at temperature 0 it repeats itself.

    Calls of the system: 1 + `samples` for each answer. Questions to the judge: sentences x `samples`, and up to
    (`samples` + 1) x `samples` for the entropy. If a further answer fails, the case is unscored, and so is a
    conversation, or an answer that `evalkit score` grades: no system can be asked then.

    It cannot see an error that the system always makes. Sources: Manakul et al. 2023, arXiv 2303.08896 (SelfCheckGPT
    with entailment); Farquhar et al. 2024, doi 10.1038/s41586-024-07421-0 (discrete semantic entropy, here with strict
    two-way entailment and complete link).
    """

    name: str = "consistency"
    samples: int = 5
    """Further answers of the system, 1 to 20."""
    min: float | None = None
    """Smallest value of `<name>` that passes."""
    nli: NliModel | None = None
    """A local model that decides entailment instead of the judge: `{path: models/nli}` (extra `nli`)."""
    cosine: float | None = field(default=None, metadata=LATER)
    """Smallest cosine at which two answers, case-folded, mean the same, above 0 to 1, where neither a judge nor `nli`
    decides. Choose it from labelled pairs of answers."""
    likelihoods: bool = False
    """Weigh each answer by its likelihood in the entropy: the last of its `messages` has `logprob`, the sum of the
    log-probabilities of its tokens."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "samples"
    concern: ClassVar[Concern] = "safety"

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= MOST_SAMPLES:
            raise ValueError(f"samples: expected 1 to {MOST_SAMPLES}, got {self.samples}; write 5")
        check_share("min", self.min)
        if self.cosine is not None:
            if not 0 < self.cosine <= 1:
                raise ValueError(f"cosine: expected above 0 to 1, got {self.cosine:g}; choose it from labelled pairs")
            if self.nli is not None:
                raise ValueError("cosine: `nli` decides which answers mean the same; remove one of them")
            if self.min is not None:
                raise ValueError(
                    "min: an embedding shows no contradiction, so that only the entropy is known; remove it"
                )

    def bind(self, services: Services) -> BoundConsistency:
        """Take the run's judge, or load the local model.

        Raises:
            InputError: the model cannot be used.
        """
        if self.cosine is not None:
            return BoundConsistency(self, None, embedder=services.embedder)
        if self.nli is None:
            return BoundConsistency(self, services.llm)
        model = load_entailment(self.nli, services.root, "nli")
        return BoundConsistency(self, None, NliEntailer(model, self.name))


class BoundConsistency:
    """`Consistency` with its judge, local model or embedding; without one every grade is `no_judge_endpoint`."""

    version: ClassVar[str] = Consistency.version
    needs: frozenset[str] = frozenset()

    def __init__(
        self,
        options: Consistency,
        client: ChatClient | None,
        local: NliEntailer | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self.name = options.name
        self._options, self._client, self._embedder = options, client, embedder
        self._entailer: Entailer | None = local or (JudgeEntailer(client, options.name) if client else None)
        named = f"nli:{options.nli.path}" if local is not None and options.nli is not None else None
        judge, concern = named or judge_name(client), options.concern
        consistent = Metric(options.name, judge=judge, pass_at=options.min, concern=concern)
        entropy = Metric(f"{options.name}.entropy", higher_is_better=False, judge=judge, concern=concern)
        self.metrics = (consistent, entropy) if options.cosine is None else (replace(entropy, judge=None),)
        asked = {**judge_key(client), "prompt": "entailment 1"}
        self.key_parts: Mapping[str, str] = asked if local is None else local.model.key
        if embedder is not None:
            self.key_parts = {"embedding": embedder.name}

    @property
    def more_answers(self) -> int:
        """The samples."""
        return self._options.samples

    def questions(self, case: Case) -> tuple[Questions, ...]:
        """Return the questions; how many depends on the sentences of the answer and on equal answers."""
        return (Questions(self._client, 0, None, None),) if self._client else ()

    async def score(self, case: Case, output: Output) -> tuple[Score | Unscored, ...]:
        """Return that no system can be asked."""
        return await self.score_again(case, output, 0, None)

    async def score_again(
        self, case: Case, output: Output, repeat: int, again: AskAgain | None
    ) -> tuple[Score | Unscored, ...]:
        """Ask the system again, and compare the answers."""
        if self._entailer is None and self._embedder is None:
            return self._unscored("no_judge_endpoint", NO_ENDPOINT)
        if "turns" in case.fields or conversation_of(case).user is not None:
            return self._unscored("conversation", "a later answer depends on what was said before")
        if again is None:
            return self._unscored("no_system", "stored answers are graded, so the system cannot be asked again")
        found = sentences(output.text)
        if len(found) > MOST_SENTENCES:
            why = f"the answer has {len(found)} sentences, at most {MOST_SENTENCES} are compared"
            return self._unscored("too_long", why)
        sampled = await self._sampled(case, repeat, again)
        if isinstance(sampled, Unscored):
            return self._unscored(sampled.kind, sampled.message)
        entropy = await self._entropy(case, [output, *sampled])
        if self._entailer is None:
            return (entropy,)
        return await self._contradicted(self._entailer, case, found, [each.text for each in sampled]), entropy

    async def _sampled(self, case: Case, repeat: int, again: AskAgain) -> tuple[Output, ...] | Unscored:
        answers = []
        for k in range(1, self._options.samples + 1):
            given = await again(case, repeat + k)
            why = f"{given.kind}: {given.message}" if isinstance(given, Failure) else given.fault
            if isinstance(given, Output) and not given.text_known:
                why = "its text is unknown"
            if isinstance(given, Failure) or why:
                return Unscored(self.name, "sample_failed", f"further answer {k} of {self._options.samples}: {why}")
            answers.append(given)
        return tuple(answers)

    async def _contradicted(
        self, entailer: Entailer, case: Case, found: Sequence[str], answers: Sequence[str]
    ) -> Score | Unscored:
        if not found:
            return Unscored(self.name, "no_claims", "the answer has no sentence")
        asked = [(sentence, answer) for sentence in found for answer in answers]
        relations = await asyncio.gather(*(entailer.relate(case, answer, sentence) for sentence, answer in asked))
        shares: dict[str, list[float]] = {sentence: [] for sentence in found}
        spent: list[Usage | None] = []
        for (sentence, _), relation in zip(asked, relations, strict=True):
            if isinstance(relation, Unscored):
                return Unscored(self.name, relation.kind, relation.message, total_usage([*spent, relation.usage]))
            shares[sentence].append(relation.contradiction)
            spent.append(relation.usage)
        means = {sentence: sum(each) / len(each) for sentence, each in shares.items()}
        value = 1 - sum(means[sentence] for sentence in found) / len(found)
        passed = None if self._options.min is None else value >= self._options.min
        doubted = [f"{share:.0%} contradict: {text}" for text, share in means.items() if share > 0]
        reason = f"{plural(len(found), 'sentence')}, {plural(len(answers), 'further answer')}"
        details = {
            "answers": list(answers),
            "sentences": [{"text": text, "contradiction": share} for text, share in means.items()],
        }
        return Score(self.name, value, passed, "; ".join([reason, *doubted]), details, total_usage(spent))

    async def _entropy(self, case: Case, outputs: Sequence[Output]) -> Score | Unscored:
        name = self.metrics[-1].name
        plain = [" ".join(output.text.split()) for output in outputs]
        weights = [_logprob(output) for output in outputs]
        if self._options.likelihoods and None in weights:
            why = f"{weights.count(None)} of {len(weights)} answers have no `logprob` (at most 0) in their last message"
            return Unscored(name, "no_likelihood", why)
        found = await self._same(case, plain)
        if isinstance(found, Unscored):
            return Unscored(name, found.kind, found.message, found.usage)
        alike, usage = found
        groups = sorted(meanings(plain, alike), key=len, reverse=True)
        value = semantic_entropy([len(group) for group in groups])
        if self._options.likelihoods:
            known = [(text, weight) for text, weight in zip(plain, weights, strict=True) if weight is not None]
            value = weighted_entropy([[weight for text, weight in known if text in group] for group in groups])
        reason = f"{plural(len(groups), 'meaning')} in {len(plain)} answers"
        details = {"meanings": [{"n": len(group), "text": group[0]} for group in groups]}
        return Score(name, value, None, reason, details, usage)

    async def _same(
        self, case: Case, answers: Sequence[str]
    ) -> tuple[frozenset[frozenset[str]], Usage | None] | Unscored:
        """Return the pairs of different texts that mean the same, and the usage."""
        if self._entailer is not None:
            return await same_meanings(self._entailer, case, answers)
        assert self._embedder is not None and self._options.cosine is not None  # noqa: S101 - of `bind`
        texts = sorted(set(answers))
        try:
            vectors = await self._embedder.embed([text.casefold() for text in texts])
        except EmbeddingError as error:
            return Unscored(self.name, "embedding_error", str(error))
        if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
            return Unscored(self.name, "zero_vector", f"{self._embedder.name} gave a vector without a direction")
        # Vectors are rounded to 32 bits, so that equal ones may be a little less than 1 apart.
        alike = np.argwhere(np.triu(vectors @ vectors.T >= self._options.cosine - 1e-6, 1))
        return frozenset(frozenset((texts[i], texts[j])) for i, j in alike.tolist()), None

    def _unscored(self, kind: str, message: str) -> tuple[Unscored, ...]:
        return tuple(Unscored(metric.name, kind, message) for metric in self.metrics)


def _logprob(output: Output) -> float | None:
    """Return the log-likelihood of an answer, `None` if the system does not report a possible one."""
    found = output.messages[-1].details.get("logprob") if output.messages else None
    if isinstance(found, bool) or not isinstance(found, int | float) or not -math.inf < found <= 0:
        return None
    return float(found)
