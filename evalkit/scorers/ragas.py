"""The metrics of ragas, through our judge client and our embedding."""

from __future__ import annotations

import asyncio
import difflib
import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar

from evalkit.errors import RunError
from evalkit.llm.errors import JudgeError
from evalkit.scorers.asked import Asked, NotApplicable
from evalkit.scorers.base import Services
from evalkit.scorers.judge import NO_ENDPOINT, judge_key, judge_name
from evalkit.scorers.ragas_inputs import Missing, attempts_for
from evalkit.scorers.ragas_library import embedding_for, judge_for, load_ragas
from evalkit.scorers.ragas_metrics import CASE_FIELDS, RAGAS_METRICS, RagasMetric
from evalkit.scorers.ragas_programs import PROGRAMS
from evalkit.scorers.ragas_replies import RagasRules
from evalkit.types import Case, Metric, Output, Score, Unscored

if TYPE_CHECKING:
    from evalkit.scorers.ragas_library import Library

MARKS = ("min", "max")
PLACES = 6
"""ragas adds small terms to denominators: a perfect score is 0.99999999995 there."""


@dataclass(frozen=True, kw_only=True)
class Ragas:
    """Grade with metrics of ragas: `ragas: [semantic_similarity, {faithfulness: {min: 0.8}}]`.

    Metrics that ask a model use the suite's judge, and are unscored where it has none; the others run offline. Where
    a case has several references, the best value counts. Each metric takes `min` or `max` as its pass mark, and its
    own options as ragas calls them.
    """

    name: str = "ragas"
    """Prefix of the metrics."""
    use: tuple[str | Mapping[str, Any], ...]
    """Metrics: a name, or `{name: {option: value}}`."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "use"

    def __post_init__(self) -> None:
        if not self.use:
            raise ValueError("use: no metric is named; choose from " + ", ".join(sorted(RAGAS_METRICS)))
        names = [name for name, _ in self._entries()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"use: {name} is named twice; remove one, or give a second scorer another `name`")

    def _entries(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [_entry(item) for item in self.use]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """One for each name; the judge's own name is known once bound."""
        return tuple(_metric(self.name, name, "chat") for name, _ in self._entries())

    @property
    def needs(self) -> frozenset[str]:
        """Case fields that any of the metrics needs."""
        return frozenset().union(*(_needs(RAGAS_METRICS[name]) for name, _ in self._entries()))

    def bind(self, services: Services) -> tuple[BoundRagas, ...]:
        """One scorer for each metric."""
        return tuple(BoundRagas(self.name, name, options, services) for name, options in self._entries())


class BoundRagas:
    """One metric of ragas with the judge and the embedding of a run."""

    version: ClassVar[str] = Ragas.version

    def __init__(self, prefix: str, metric: str, options: Mapping[str, Any], services: Services) -> None:
        self._kind = metric
        self._spec = RAGAS_METRICS[metric]
        self._options = {key: value for key, value in options.items() if key not in MARKS}
        self._marks = {key: options[key] for key in MARKS if key in options}
        self._client = services.llm
        self._embedder = services.embedder
        self.metrics = (_metric(prefix, metric, judge_name(services.llm)),)
        self.name = self.metrics[0].name
        self.needs = _needs(self._spec)
        self.key_parts: Mapping[str, str] = {
            "ragas": _installed(),
            **(judge_key(services.llm) if self._spec.llm else {}),
            **({"embedding": services.embedder.name} if self._spec.embeddings and services.embedder else {}),
        }

    async def score(self, case: Case, output: Output) -> Score | Unscored:
        """Grade one answer, against each of its references, and keep the best."""
        lacking = self._lacking()
        if lacking:
            return lacking
        try:
            library = await asyncio.to_thread(load_ragas)
        except Exception as error:  # an import can fail in any way at all
            why = f"{type(error).__name__}: {error}; reinstall it: pip install 'ragas>=0.4.3,<0.5'"
            return Unscored(self.name, "ragas_unavailable", why)
        try:
            attempts = attempts_for(self._spec, case, output)
        except Missing as missing:
            return Unscored(self.name, missing.kind, str(missing))
        asked = Asked(self._client, RagasRules()) if self._client and self._spec.llm else None
        return await self._best(library, attempts, asked)

    def _lacking(self) -> Unscored | None:
        package = self._spec.package
        if package and importlib.util.find_spec(package[0]) is None:
            return Unscored(self.name, "missing_package", f"{package[0]} is not installed; pip install {package[1]}")
        if self._spec.llm and self._client is None:
            return Unscored(self.name, "no_judge_endpoint", NO_ENDPOINT)
        if self._spec.embeddings and self._embedder is None:
            return Unscored(self.name, "no_embedding", "the suite has no embedding; write `embedding: wordllama`")
        return None

    async def _best(self, library: Library, attempts: list[dict[str, Any]], asked: Asked | None) -> Score | Unscored:
        """Every attempt must give a value: of one that failed, nobody knows whether it was the best."""
        found: list[tuple[float, str]] = []
        for fields in attempts:
            try:
                value, reason = await self._one(library, fields, asked)
            except NotApplicable as nothing:
                return self._unscored("not_applicable", str(nothing), asked)
            except JudgeError as error:
                return self._unscored(f"judge_{error.kind}", error.message, asked)
            except RunError as error:
                return self._unscored("embedding_error", str(error), asked)
            except Exception as error:  # whatever a metric of ragas raises is its failure, not the answer's
                return self._unscored("ragas_error", f"{type(error).__name__}: {error}"[:500], asked)
            problem = self._out_of_range(value)
            if problem:
                return self._unscored(problem, f"ragas gave {value}", asked)
            found.append((round(value, PLACES) + 0.0, reason))
        value, reason = (max if self._spec.higher_is_better else min)(found, key=lambda pair: pair[0])
        return Score(self.name, value, self._passed(value), reason, usage=asked.usage if asked else None)

    async def _one(self, library: Library, fields: dict[str, Any], asked: Asked | None) -> tuple[float, str]:
        if self._kind in PROGRAMS:
            return await PROGRAMS[self._kind](library, fields, self._options), ""
        parts: dict[str, Any] = {**self._options}
        if asked:
            parts["llm"] = judge_for(library, asked)
        if self._spec.embeddings and self._embedder:
            texts = [] if asked else [fields["reference"], fields["response"]]
            parts["embeddings"] = await embedding_for(library, self._embedder, texts)
        metric = getattr(library.collections, self._spec.cls)(**parts)
        result = await metric.ascore(**fields)
        if asked and asked.error is not None:
            raise asked.error
        if str(result.reason or "").startswith("No quoted spans"):
            raise NotApplicable("the answer quotes nothing")
        return float(result.value), str(result.reason or "")

    def _out_of_range(self, value: float) -> str | None:
        if not math.isfinite(value):
            return "not_finite"
        slack = 10.0**-PLACES
        return None if self._spec.low - slack <= value <= self._spec.high + slack else "out_of_range"

    def _passed(self, value: float) -> bool | None:
        if not self._marks:
            return value == 1.0 if self._spec.binary else None
        return bool(self._marks.get("min", -math.inf) <= value <= self._marks.get("max", math.inf))

    def _unscored(self, kind: str, message: str, asked: Asked | None) -> Unscored:
        return Unscored(self.name, kind, message, asked.usage if asked else None)


def _entry(item: str | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Name and options of one item, checked."""
    if isinstance(item, str):
        item = {item: None}
    if len(item) != 1:
        raise ValueError("use: an entry with several names; start each with its own `- name:`")
    name, given = next(iter(item.items()))
    options = {} if given is None else given
    if name not in RAGAS_METRICS:
        near = difflib.get_close_matches(name, RAGAS_METRICS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"use: no ragas metric {name!r}; {hint}choose from {', '.join(sorted(RAGAS_METRICS))}")
    if not isinstance(options, Mapping):
        raise ValueError(f"use: {name} takes options as a mapping; write {{{name}: {{min: 0.8}}}}")
    for key, value in options.items():
        _check_option(name, key, value)
    return name, options


def _check_option(name: str, key: str, value: Any) -> None:
    known = {**dict.fromkeys(MARKS, float), **RAGAS_METRICS[name].options}
    if key not in known:
        raise ValueError(f"use: {name} takes no option {key!r}; choose from {', '.join(sorted(known))}")
    wanted = known[key]
    if isinstance(wanted, tuple):
        if value not in wanted:
            raise ValueError(f"use: {name}.{key} is {value!r}; choose from {', '.join(wanted)}")
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number if wanted is float else type(value) is wanted):
        raise ValueError(f"use: {name}.{key} is {value!r}; write a value of type {wanted.__name__}")


def _metric(prefix: str, name: str, judge: str) -> Metric:
    spec = RAGAS_METRICS[name]
    return Metric(
        f"{prefix}.{name}",
        spec.low,
        spec.high,
        higher_is_better=spec.higher_is_better,
        binary=spec.binary,
        judge=judge if spec.llm else None,
    )


def _needs(spec: RagasMetric) -> frozenset[str]:
    return frozenset(CASE_FIELDS[name] for name in spec.takes if name in CASE_FIELDS)


def _installed() -> str:
    try:
        return version("ragas")
    except PackageNotFoundError:
        return "none"
