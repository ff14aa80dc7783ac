"""Grade with metrics of deepeval, through evalkit's judge client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from evalkit.scorers.base import Questions, Services
from evalkit.scorers.judges.asking import NO_ENDPOINT
from evalkit.scorers.judges.identity import judge_key, judge_name
from evalkit.scorers.libraries.asked import Asked
from evalkit.scorers.libraries.deepeval_library import DeepevalRules, judge_for, load_deepeval
from evalkit.scorers.libraries.deepeval_metrics import (
    DEEPEVAL_METRICS,
    attempts_for,
    build_case,
    build_metric,
    check_entry,
    name_of,
    parts_of,
)
from evalkit.scorers.libraries.grader import Attempt, LibraryGrader, installed
from evalkit.scorers.libraries.inputs import Missing
from evalkit.scorers.libraries.options import MARKS, Entry, read_entries, refuse_repeats
from evalkit.types import Case, Metric, Output, Score, Unscored

if TYPE_CHECKING:
    from evalkit.scorers.libraries.deepeval_library import DeepevalLibrary

OPTIONS = {name: spec.options for name, spec in DEEPEVAL_METRICS.items()}


@dataclass(frozen=True, kw_only=True)
class Deepeval:
    """Grade with metrics of deepeval: `deepeval: [faithfulness, {g_eval: {name: tone, criteria: ...}}]`.

    All but `tool_correctness` use the suite's judge, and are unscored if it has none. Every value is from 0 to 1 and
    higher is better, even for `hallucination`, where 1 contradicts no context. Each metric takes `min` or `max` as its
    pass mark. If a `g_eval` reads the reference and a case has several, the best value counts. The evaluation steps of
    a `g_eval` are generated once in a run; write `evaluation_steps` to use the same ones in every run.
    """

    name: str = "deepeval"
    """Prefix of the metrics' names."""
    use: tuple[str | Mapping[str, Any], ...]
    """Metrics: a name, or `{name: {option: value}}`."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "use"

    def __post_init__(self) -> None:
        entries = self._entries()
        for entry in entries:
            check_entry(entry)
        refuse_repeats([name_of(entry) for entry in entries])

    def _entries(self) -> list[Entry]:
        return read_entries(self.use, OPTIONS)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """One metric for each entry; the judge's own name is known once bound."""
        return tuple(_metric(self.name, entry, "chat") for entry in self._entries())

    @property
    def needs(self) -> frozenset[str]:
        """Case fields that any of the metrics needs."""
        return frozenset().union(*map(_needs, self._entries()))

    def bind(self, services: Services) -> tuple[BoundDeepeval, ...]:
        """Return one scorer for each metric."""
        return tuple(BoundDeepeval(self.name, entry, services) for entry in self._entries())


class BoundDeepeval:
    """One metric of deepeval with the judge of a run."""

    version: ClassVar[str] = Deepeval.version

    def __init__(self, prefix: str, entry: Entry, services: Services) -> None:
        self._entry = entry
        self._llm = DEEPEVAL_METRICS[entry[0]].llm
        self._client = services.llm
        metric = _metric(prefix, entry, judge_name(services.llm))
        self._grader = LibraryGrader("deepeval", metric, {key: entry[1][key] for key in MARKS if key in entry[1]})
        self._steps: list[str] | None = None
        self._steps_turn = asyncio.Lock()
        self.metrics = (metric,)
        self.name = metric.name
        self.needs = _needs(entry)
        self.key_parts: Mapping[str, str] = {
            "deepeval": installed("deepeval"),
            **(judge_key(services.llm) if self._llm else {}),
        }

    def questions(self, case: Case) -> tuple[Questions, ...]:
        """Return the smallest number of questions; the actual number depends on the answer."""
        return (Questions(self._client, 1, None, None),) if self._client and self._llm else ()

    async def score(self, case: Case, output: Output) -> Score | Unscored:
        """Grade one answer on a metric of its own."""
        return await self.score_repeat(case, output, 0)

    async def score_repeat(self, case: Case, output: Output, repeat: int) -> Score | Unscored:
        """Grade one answer of one repeat on a metric of its own."""
        if self._llm and self._client is None:
            return self._grader.unscored("no_judge_endpoint", NO_ENDPOINT)
        try:
            library = await asyncio.to_thread(load_deepeval)
        except Exception as error:  # an import can fail in any way at all
            return self._grader.unavailable(error, "deepeval>=4.3,<4.4")
        try:
            attempts = attempts_for(self._entry, case, output)
        except Missing as missing:
            return self._grader.unscored(missing.kind, str(missing))
        # Hallucination has one verdict for each context; for other metrics the number of items is known later.
        rules = DeepevalRules(len(attempts[0].get("context", ())))
        asked = Asked(self._client, rules, repeat) if self._client and self._llm else None

        async def run(attempt: Attempt) -> tuple[float, str]:
            return await self._run(library, attempt, asked)

        grade = await self._grader.best(attempts, run, asked)
        if self._steps is None or isinstance(grade, Unscored):
            return grade
        return replace(grade, details={"evaluation_steps": self._steps})

    async def _run(self, library: DeepevalLibrary, attempt: Attempt, asked: Asked | None) -> tuple[float, str]:
        judge = judge_for(library, asked)
        metric = build_metric(library, self._entry, judge, await self._evaluation_steps(library, judge))
        value = await metric.a_measure(build_case(library, attempt), _show_indicator=False)
        return float(value), str(metric.reason or "")

    async def _evaluation_steps(self, library: DeepevalLibrary, judge: Any) -> list[str] | None:
        """Return the steps of a `g_eval`, generated for the first case; a failure is not cached."""
        if self._entry[0] != "g_eval":
            return None
        async with self._steps_turn:
            if self._steps is None:
                metric = build_metric(library, self._entry, judge)
                self._steps = list(await metric._a_generate_evaluation_steps(multimodal=False))
        return self._steps


def _metric(prefix: str, entry: Entry, judge: str) -> Metric:
    spec = DEEPEVAL_METRICS[entry[0]]
    asked = judge if spec.llm else None
    return Metric(f"{prefix}.{name_of(entry)}", judge=asked, pass_at=entry[1].get("min"), concern=spec.concern)


def _needs(entry: Entry) -> frozenset[str]:
    if entry[0] == "tool_correctness":
        return frozenset({"expected_tool_calls"})
    return frozenset({"reference"}) & set(parts_of(entry))
