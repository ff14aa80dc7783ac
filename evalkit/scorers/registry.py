"""Which scorer stands behind which name in a suite.

A module is imported when a suite names one of its scorers. To add a scorer: write the class, add its line here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import inspect
import json
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.scorers.base import Grades, PerRepeat, Questions, Scorer, Services
from evalkit.scorers.custom.packages import PackagedScorer, packaged_names, packaged_scorer
from evalkit.types import Case, Metric, Output, Score, Unscored

SCORERS: Mapping[str, str] = {
    "bleu": "rules.text_metrics:Bleu",
    "chrf": "rules.text_metrics:Chrf",
    "citation": "rules.citation:Citation",
    "claims": "judges.claims:Claims",
    "contains": "rules.contains:Contains",
    "cost": "rules.measured:Cost",
    "deepeval": "libraries.deepeval:Deepeval",
    "exact": "rules.exact:Exact",
    "geval": "judges.geval:GEval",
    "groundedness": "rules.overlap:Groundedness",
    "json": "rules.structured:Json",
    "judge": "judges.rubric_judge:Judge",
    "keywords": "rules.keywords:Keywords",
    "latency": "rules.measured:Latency",
    "leak": "rules.leak:Leak",
    "length": "rules.length:Length",
    "numbers": "rules.numbers:Numbers",
    "pairwise": "judges.pairwise:Pairwise",
    "prompt_leak": "rules.leak:PromptLeak",
    "ragas": "libraries.ragas:Ragas",
    "recorded": "judges.recorded:Recorded",
    "python": "custom.python_scorer:PythonScorer",
    "refusal": "rules.refusal:Refusal",
    "regex": "rules.pattern:Regex",
    "rouge_l": "rules.text_metrics:RougeL",
    "similarity": "embedding.similarity:Similarity",
    "token_f1": "rules.text_metrics:TokenF1",
    "token_match": "embedding.similarity:TokenMatch",
    "tool_calls": "rules.tools:ToolCalls",
}
"""Name in a suite -> `module:class` below `evalkit.scorers`."""
ELSEWHERE: Mapping[str, str] = {
    "bert_score": "token_match",
    "bertscore": "token_match",
    "f1": "token_f1",
    "g_eval": "geval",
    "icontains": "contains",
    "is_json": "json",
    "json_schema": "json",
    "llm_judge": "judge",
    "llm_rubric": "judge",
    "pii": "leak",
    "similar": "similarity",
    "tool_call": "tool_calls",
}
"""What other tools call a scorer -> its name here."""
LOCAL_JUDGE = "judges.local_judge:LocalCorrectness"
NEGATION = "not_"


def scorer_class(target: str) -> type[Any]:
    """Import the class behind a value of `SCORERS`."""
    module, _, name = target.partition(":")
    cls = getattr(importlib.import_module(f"evalkit.scorers.{module}"), name)
    return cls  # type: ignore[no-any-return]


def find_scorer(kind: str, *, local: bool = False) -> PackagedScorer | None:
    """Import the class that a suite names; installed packages are looked at only for a name that is not shipped.

    Args:
        kind: the name without `not_`.
        local: whether the suite's judge is the local one.

    Returns:
        The class with an empty `package` for a shipped scorer; `None` for an unknown name.

    Raises:
        ValueError: `what; fix`, for a package that cannot be used.
    """
    target = LOCAL_JUDGE if kind == "judge" and local else SCORERS.get(kind)
    return PackagedScorer(scorer_class(target), "") if target else packaged_scorer(kind, SCORERS)


def known_names() -> list[str]:
    """List the names of shipped scorers and of those that packages bring."""
    return [*SCORERS, *packaged_names()]


def known_elsewhere(name: str) -> str | None:
    """What to write for a scorer that other tools know by `name`; a metric of a library is used through its family."""
    from evalkit.scorers.libraries.deepeval_metrics import DEEPEVAL_METRICS
    from evalkit.scorers.libraries.ragas_metrics import RAGAS_METRICS

    library, _, plain = name.lower().replace("-", "_").rpartition(".")
    if plain in ELSEWHERE:
        return f"here it is `{ELSEWHERE[plain]}`"
    families = {"ragas": RAGAS_METRICS, "deepeval": DEEPEVAL_METRICS}
    uses = [
        f"`{family}: {{use: [{plain}]}}`"
        for family, metrics in families.items()
        if plain in metrics and library in ("", family)
    ]
    return f"write {' or '.join(uses)}" if uses else None


def bind(options: Any, services: Services) -> tuple[Scorer, ...]:
    """The scorers that an options object stands for, ready to score.

    A plain rule scorer is its own options object; a family (ragas, deepeval) gives one scorer for each metric.
    """
    if not hasattr(options, "bind"):
        return (options,)
    bound = options.bind(services)
    return tuple(bound) if isinstance(bound, tuple | list) else (bound,)


def score_key(kind: str, options: Any, scorer: Scorer, package: str = "") -> Mapping[str, str]:
    """What must be equal for two scores to be comparable, part by part.

    Args:
        kind: the scorer's name in suites.
        options: its options.
        scorer: bound to the run.
        package: name and version of the distribution that brings it; empty for a shipped one.
    """
    plain = json.dumps(dataclasses.asdict(options), sort_keys=True, default=str)
    return {
        "scorer": f"{kind} {scorer.version}",
        "options": hashlib.sha256(plain.encode()).hexdigest()[:16],
        **({"package": package} if package else {}),
        **getattr(scorer, "key_parts", {}),
    }


def questions_of(scorer: Scorer, case: Case) -> tuple[Questions, ...]:
    """What grading an answer to `case` asks of judges; nothing where the scorer asks none."""
    asked = getattr(scorer, "questions", None)
    return tuple(asked(case)) if asked else ()


@dataclass(frozen=True)
class Negated:
    """`not_` before a scorer's name: a pass is a fail and 1 is 0; only for metrics of passes and fails."""

    scorer: Scorer

    def __post_init__(self) -> None:
        """Refuse a scorer whose values are no passes."""
        graded = [metric.name for metric in self.scorer.metrics if not metric.binary]
        if graded:
            raise ValueError(f"name: {graded[0]} is graded, not pass or fail; use its `max`, or drop `not_`")

    @property
    def name(self) -> str:
        """Name of the scorer that it turns around."""
        return self.scorer.name

    @property
    def version(self) -> str:
        """Version of the scorer that it turns around."""
        return f"not {self.scorer.version}"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The same metrics: their values are turned around."""
        return self.scorer.metrics

    @property
    def needs(self) -> frozenset[str]:
        """What the scorer needs."""
        return self.scorer.needs

    @property
    def key_parts(self) -> Mapping[str, str]:
        """The parts of the scorer's key."""
        return getattr(self.scorer, "key_parts", {})

    def check_case(self, case: Case) -> None:
        """Refuse what the scorer cannot read."""
        check = getattr(self.scorer, "check_case", None)
        check(case) if check else None

    def questions(self, case: Case) -> tuple[Questions, ...]:
        """What the scorer asks of its judges."""
        return questions_of(self.scorer, case)

    def score(self, case: Case, output: Output) -> Grades | Awaitable[Grades]:
        """Grade and turn the grade around; what could not be scored stays unscored."""
        return self.score_repeat(case, output, 0)

    def score_repeat(self, case: Case, output: Output, repeat: int) -> Grades | Awaitable[Grades]:
        """Grade and turn the grade of one repeat."""
        if isinstance(self.scorer, PerRepeat):
            grades = self.scorer.score_repeat(case, output, repeat)
        else:
            grades = self.scorer.score(case, output)
        return self._later(grades) if inspect.isawaitable(grades) else _turned(grades)

    async def _later(self, grades: Awaitable[Grades]) -> Grades:
        return _turned(await grades)


def _turned(grades: Grades) -> Grades:
    if isinstance(grades, Iterable):
        return tuple(_turned_one(grade) for grade in grades)
    return _turned_one(grades)


def _turned_one(grade: Score | Unscored) -> Score | Unscored:
    if isinstance(grade, Unscored):
        return grade
    passed = None if grade.passed is None else not grade.passed
    return dataclasses.replace(grade, value=1.0 - grade.value, passed=passed, reason=f"not: {grade.reason}")
