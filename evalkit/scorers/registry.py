"""Map names in a suite to scorers.

A module is imported when a suite names one of its scorers. To add a scorer: write the class, add its line here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.formats.options import is_left_out
from evalkit.scorers.base import Bindable, Keyed, Scorer, Services
from evalkit.scorers.custom.packages import PackagedScorer, packaged_names, packaged_scorer

SCORERS: Mapping[str, str] = {
    "bleu": "rules.text_metrics:Bleu",
    "budget": "agents.budget:AnswerBudget",
    "chrf": "rules.text_metrics:Chrf",
    "citation": "rules.citation:Citation",
    "claims": "judges.claims:Claims",
    "consistency": "judges.consistency:Consistency",
    "contains": "rules.contains:Contains",
    "context_size": "rules.context_size:ContextSize",
    "cost": "rules.measured:Cost",
    "deepeval": "libraries.deepeval:Deepeval",
    "efficiency": "agents.steps:Efficiency",
    "exact": "rules.exact:Exact",
    "fabricated_calls": "agents.fabricated_calls:FabricatedCalls",
    "facts": "rules.facts:KnownFacts",
    "geval": "judges.geval:GEval",
    "groundedness": "rules.overlap:Groundedness",
    "json": "rules.json_schema:Json",
    "json_equal": "rules.json_equal:JsonEqual",
    "judge": "judges.rubric_judge:Judge",
    "keywords": "rules.keywords:Keywords",
    "latency": "rules.measured:Latency",
    "leak": "rules.leak:Leak",
    "length": "rules.length:Length",
    "loops": "agents.loops:Loops",
    "numbers": "rules.numbers:Numbers",
    "pairwise": "judges.pairwise:Pairwise",
    "policy": "agents.policy:KeepsPolicy",
    "prompt_leak": "rules.leak:PromptLeak",
    "ragas": "libraries.ragas:Ragas",
    "recorded": "judges.recorded:Recorded",
    "python": "custom.python_scorer:PythonScorer",
    "refusal": "rules.refusal:Refusal",
    "regex": "rules.pattern:Regex",
    "retrieval": "rules.retrieval:Retrieval",
    "rouge_l": "rules.text_metrics:RougeL",
    "similarity": "embedding.similarity:Similarity",
    "state": "agents.state:FinalState",
    "steps": "agents.steps:Steps",
    "token_f1": "rules.text_metrics:TokenF1",
    "token_match": "embedding.similarity:TokenMatch",
    "tool_calls": "agents.tool_calls:ToolCalls",
    "tool_errors": "agents.tool_errors:ToolErrors",
    "trajectory": "agents.trajectory:Trajectory",
    "verify": "judges.verification:Verify",
}
"""Name in a suite -> `module:class` below `evalkit.scorers`."""
ELSEWHERE: Mapping[str, str] = {
    "bert_score": "token_match",
    "bertscore": "token_match",
    "f1": "token_f1",
    "g_eval": "geval",
    "hit_rate": "retrieval",
    "icontains": "contains",
    "is_json": "json",
    "json_diff": "json_equal",
    "json_schema": "json",
    "llm_judge": "judge",
    "llm_rubric": "judge",
    "mrr": "retrieval",
    "ndcg": "retrieval",
    "numbers_in_contexts": "numbers",
    "pii": "leak",
    "similar": "similarity",
    "state_equals": "state",
    "tool_call": "tool_calls",
    "tool_call_f1": "tool_calls",
    "tool_trajectory_avg_score": "trajectory",
    "trajectory_match": "trajectory",
}
"""Name of a scorer in other tools -> its name here."""
LOCAL_JUDGE = "judges.local_judge:LocalCorrectness"
NEGATION = "not_"


def scorer_class(target: str) -> type[Any]:
    """Import the class behind a value of `SCORERS`."""
    module, _, name = target.partition(":")
    cls = getattr(importlib.import_module(f"evalkit.scorers.{module}"), name)
    return cls  # type: ignore[no-any-return]


def find_scorer(kind: str, *, local: bool = False) -> PackagedScorer | None:
    """Import the class that a suite names; installed packages are searched only for a name that is not shipped.

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
    """List the names of shipped scorers and of those from packages."""
    return [*SCORERS, *packaged_names()]


def known_elsewhere(name: str) -> str | None:
    """Return evalkit's name for another tool's scorer `name`; library metrics are used through their family."""
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
    """Return the scorers of an options object, ready to score.

    A plain rule scorer is its own options object; a family (ragas, deepeval) gives one scorer for each metric.
    """
    if not isinstance(options, Bindable):
        return (options,)
    bound = options.bind(services)
    return tuple(bound) if isinstance(bound, Sequence) else (bound,)


def score_key(
    kind: str, options: Any, scorer: Scorer, package: str = "", *, negated: bool = False
) -> Mapping[str, str]:
    """Return the parts that must be equal for two scores to be comparable.

    Args:
        kind: the scorer's name in suites.
        options: its options.
        scorer: bound to the run.
        package: name and version of the distribution that provides it; empty for a shipped one.
        negated: whether the name begins with `not_`.
    """
    given = dataclasses.asdict(options)
    given = {
        each.name: given[each.name]
        for each in dataclasses.fields(options)
        if not is_left_out(each, getattr(options, each.name))
    }
    plain = json.dumps(given, sort_keys=True, default=str)
    return {
        "scorer": f"{kind} {'not ' if negated else ''}{scorer.version}",
        "options": hashlib.sha256(plain.encode()).hexdigest()[:16],
        **({"package": package} if package else {}),
        **(scorer.key_parts if isinstance(scorer, Keyed) else {}),
    }
