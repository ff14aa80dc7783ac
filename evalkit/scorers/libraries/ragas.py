"""Grade with metrics of ragas, through evalkit's judge client and embedding."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from evalkit.scorers.base import Questions, Services
from evalkit.scorers.judges.asking import NO_ENDPOINT
from evalkit.scorers.judges.identity import judge_key, judge_name
from evalkit.scorers.libraries.asked import Asked, NotApplicable
from evalkit.scorers.libraries.grader import Attempt, LibraryGrader, installed
from evalkit.scorers.libraries.inputs import Missing
from evalkit.scorers.libraries.options import MARKS, Entry, read_entries, refuse_repeats
from evalkit.scorers.libraries.ragas_inputs import attempts_for
from evalkit.scorers.libraries.ragas_library import embedding_for, judge_for, load_ragas
from evalkit.scorers.libraries.ragas_metrics import CASE_FIELDS, RAGAS_METRICS, REFERENCE_CONTEXTS, RagasMetric
from evalkit.scorers.libraries.ragas_programs import PROGRAMS
from evalkit.scorers.libraries.ragas_replies import RagasRules
from evalkit.types import Case, Metric, Output, Score, Unscored

if TYPE_CHECKING:
    from evalkit.scorers.libraries.ragas_library import RagasLibrary

OPTIONS = {name: spec.options for name, spec in RAGAS_METRICS.items()}


@dataclass(frozen=True, kw_only=True)
class Ragas:
    """Grade with metrics of ragas: `ragas: [semantic_similarity, {faithfulness: {min: 0.8}}]`.

    Metrics that ask a model use the suite's judge, and are unscored if it has none; the others run offline. If a case
    has several references, the best value counts. Each metric takes `min` or `max` as its pass mark, and ragas' own
    options under their names.
    """

    name: str = "ragas"
    """Prefix of the metrics' names."""
    use: tuple[str | Mapping[str, Any], ...]
    """Metrics: a name, or `{name: {option: value}}`."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "use"

    def __post_init__(self) -> None:
        refuse_repeats([name for name, _ in self._entries()])

    def _entries(self) -> list[Entry]:
        return read_entries(self.use, OPTIONS)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """One metric for each name; the judge's own name is known once bound."""
        return tuple(_metric(self.name, entry, "chat") for entry in self._entries())

    @property
    def needs(self) -> frozenset[str]:
        """Case fields that any of the metrics needs."""
        return frozenset().union(*(_needs(RAGAS_METRICS[name]) for name, _ in self._entries()))

    def bind(self, services: Services) -> tuple[BoundRagas, ...]:
        """Return one scorer for each metric."""
        return tuple(BoundRagas(self.name, entry, services) for entry in self._entries())


class BoundRagas:
    """One metric of ragas with the judge and the embedding of a run."""

    version: ClassVar[str] = Ragas.version

    def __init__(self, prefix: str, entry: Entry, services: Services) -> None:
        self._kind, options = entry
        self._spec = RAGAS_METRICS[self._kind]
        self._options = {key: value for key, value in options.items() if key not in MARKS}
        self._client = services.llm
        self._embedder = services.embedder
        metric = _metric(prefix, entry, judge_name(services.llm))
        self._grader = LibraryGrader("ragas", metric, {key: options[key] for key in MARKS if key in options})
        self.metrics = (metric,)
        self.name = metric.name
        self.needs = _needs(self._spec)
        self.key_parts: Mapping[str, str] = {
            "ragas": installed("ragas"),
            **(judge_key(services.llm) if self._spec.llm else {}),
            **({"embedding": services.embedder.name} if self._spec.embeddings and services.embedder else {}),
        }

    def check_case(self, case: Case) -> None:
        """Reject a row without a right passage if the metric is a share of the right ones.

        Raises:
            ValueError: the message names the field.
        """
        if REFERENCE_CONTEXTS in self.needs and case.fields.get(REFERENCE_CONTEXTS) == []:
            fix = f"remove it and give the scorer `when: {{has: {REFERENCE_CONTEXTS}}}`, or add a passage"
            raise ValueError(f"`{REFERENCE_CONTEXTS}` is empty, and the metric compares with the passages in it; {fix}")

    def questions(self, case: Case) -> tuple[Questions, ...]:
        """Return at least one; the number depends on the answer."""
        return (Questions(self._client, 1, None, None),) if self._client and self._spec.llm else ()

    async def score(self, case: Case, output: Output) -> Score | Unscored:
        """Grade one answer, against each of its references, and keep the best."""
        return await self.score_repeat(case, output, 0)

    async def score_repeat(self, case: Case, output: Output, repeat: int) -> Score | Unscored:
        """Grade one answer of one repeat."""
        lacking = self._lacking()
        if lacking:
            return lacking
        try:
            library = await asyncio.to_thread(load_ragas)
        except Exception as error:  # an import can fail in any way at all
            return self._grader.unavailable(error, "ragas>=0.4.3,<0.5")
        try:
            attempts = attempts_for(self._spec, case, output)
        except Missing as missing:
            return self._grader.unscored(missing.kind, str(missing))
        asked = Asked(self._client, RagasRules(), repeat) if self._client and self._spec.llm else None

        async def run(attempt: Attempt) -> tuple[float, str]:
            return await self._run(library, attempt, asked)

        return await self._grader.best(attempts, run, asked)

    def _lacking(self) -> Unscored | None:
        package = self._spec.package
        if package and importlib.util.find_spec(package[0]) is None:
            why = f"{package[0]} is not installed; pip install {package[1]}"
            return self._grader.unscored("missing_package", why)
        if self._spec.llm and self._client is None:
            return self._grader.unscored("no_judge_endpoint", NO_ENDPOINT)
        if self._spec.embeddings and self._embedder is None:
            return self._grader.unscored("no_embedding", "the suite has no embedding; write `embedding: wordllama`")
        return None

    async def _run(self, library: RagasLibrary, attempt: Attempt, asked: Asked | None) -> tuple[float, str]:
        if self._kind in PROGRAMS:
            return await PROGRAMS[self._kind](library, attempt, self._options), ""
        parts: dict[str, Any] = {**self._options}
        if asked:
            parts["llm"] = judge_for(library, asked)
        if self._spec.embeddings and self._embedder:
            # A metric without a judge embeds without awaiting, so its texts must be embedded before.
            texts = [] if asked else [attempt["reference"], attempt["response"]]
            parts["embeddings"] = await embedding_for(library, self._embedder, texts)
        result = await getattr(library.collections, self._spec.cls)(**parts).ascore(**attempt)
        if str(result.reason or "").startswith("No quoted spans"):
            raise NotApplicable("the answer quotes nothing")
        return float(result.value), str(result.reason or "")


def _metric(prefix: str, entry: Entry, judge: str) -> Metric:
    name, options = entry
    spec = RAGAS_METRICS[name]
    return Metric(
        f"{prefix}.{name}",
        spec.low,
        spec.high,
        higher_is_better=spec.higher_is_better,
        binary=spec.binary,
        judge=judge if spec.llm else None,
        pass_at=options.get("min" if spec.higher_is_better else "max"),
        concern=spec.concern,
    )


def _needs(spec: RagasMetric) -> frozenset[str]:
    return frozenset(CASE_FIELDS[name] for name in spec.takes if name in CASE_FIELDS)
