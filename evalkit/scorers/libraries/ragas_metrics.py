"""Define the metrics of ragas' current API that grade one answer, and the inputs of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evalkit.types import Concern

RETRIEVED, REFERENCE_CONTEXTS, CALLS = "retrieved_contexts", "reference_contexts", "reference_tool_calls"
QA = ("user_input", "response")


@dataclass(frozen=True, kw_only=True)
class RagasMetric:
    """One metric of ragas.

    Attributes:
        cls: Class in `ragas.metrics.collections`.
        takes: Fields of its `ascore`.
        llm: True if it asks a model.
        embeddings: True if it embeds texts.
        low: Smallest value it can give.
        high: Largest value it can give.
        higher_is_better: Its direction.
        binary: True if every value is 0 or 1.
        package: (module, distribution) that the user has to install.
        options: Option -> its type, or the texts it may be.
        fixed: Arguments of the class that a suite cannot set.
        concern: Section of the release decision that shows its checks.
    """

    cls: str
    takes: tuple[str, ...]
    llm: bool = False
    embeddings: bool = False
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    binary: bool = False
    package: tuple[str, str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    concern: Concern = "quality"


def _judged(cls: str, *takes: str, **rest: Any) -> RagasMetric:
    return RagasMetric(cls=cls, takes=takes, llm=True, **rest)


def _program(cls: str, *takes: str, **rest: Any) -> RagasMetric:
    return RagasMetric(cls=cls, takes=takes, **rest)


F1 = ("precision", "recall", "f1")
LOW_HIGH = ("low", "high")
SACREBLEU, ROUGE, DATACOMPY = ("sacrebleu", "sacrebleu"), ("rouge_score", "rouge-score"), ("datacompy", "datacompy")
LEVELS: Mapping[str, Any] = {"low": 1.0, "high": 5.0}

RAGAS_METRICS: Mapping[str, RagasMetric] = {
    # with a judge
    "answer_accuracy": _judged("AnswerAccuracy", *QA, "reference"),
    "answer_correctness": _judged(
        "AnswerCorrectness", *QA, "reference", embeddings=True, low=-1.0, options={"weights": list, "beta": float}
    ),
    "answer_relevancy": _judged("AnswerRelevancy", *QA, embeddings=True, low=-1.0, options={"strictness": int}),
    "context_entity_recall": _judged("ContextEntityRecall", "reference", RETRIEVED),
    "context_precision": _judged("ContextPrecision", "user_input", "reference", RETRIEVED),
    "context_precision_without_reference": _judged("ContextPrecisionWithoutReference", *QA, RETRIEVED),
    "context_recall": _judged("ContextRecall", "user_input", RETRIEVED, "reference"),
    "context_relevance": _judged("ContextRelevance", "user_input", RETRIEVED),
    "context_utilization": _judged("ContextUtilization", *QA, RETRIEVED),
    "factual_correctness": _judged(
        "FactualCorrectness",
        "response",
        "reference",
        options={"mode": F1, "beta": float, "atomicity": LOW_HIGH, "coverage": LOW_HIGH},
    ),
    "faithfulness": _judged("Faithfulness", *QA, RETRIEVED, concern="safety"),
    "instance_specific_rubrics": _judged("InstanceSpecificRubrics", *QA, "rubrics", **LEVELS),
    "noise_sensitivity": _judged(
        "NoiseSensitivity",
        *QA,
        "reference",
        RETRIEVED,
        higher_is_better=False,
        options={"mode": ("relevant", "irrelevant")},
    ),
    "response_groundedness": _judged("ResponseGroundedness", "response", RETRIEVED, concern="safety"),
    "rubrics_score_with_reference": _judged(
        "RubricsScoreWithReference", *QA, "reference", options={"rubrics": dict}, **LEVELS
    ),
    "rubrics_score_without_reference": _judged(
        "RubricsScoreWithoutReference", *QA, options={"rubrics": dict}, **LEVELS
    ),
    "sql_semantic_equivalence": _judged("SQLSemanticEquivalence", "response", "reference", binary=True),
    "summary_score": _judged(
        "SummaryScore", REFERENCE_CONTEXTS, "response", options={"length_penalty": bool, "coeff": float}
    ),
    # with an embedding
    "semantic_similarity": _program("SemanticSimilarity", "reference", "response", embeddings=True, low=-1.0),
    # with neither
    "bleu_score": _program("BleuScore", "reference", "response", package=SACREBLEU),
    "chrf_score": _program("CHRFScore", "reference", "response", package=SACREBLEU),
    "datacompy_score": _program(
        "DataCompyScore",
        "reference",
        "response",
        package=DATACOMPY,
        options={"mode": ("rows", "columns"), "metric": F1},
    ),
    "exact_match": _program("ExactMatch", "reference", "response", binary=True),
    # ragas has these two only in its deprecated API, so they are built from the similarity of the current one
    "non_llm_context_precision": _program("NonLLMStringSimilarity", RETRIEVED, REFERENCE_CONTEXTS),
    "non_llm_context_recall": _program("NonLLMStringSimilarity", RETRIEVED, REFERENCE_CONTEXTS),
    "non_llm_string_similarity": _program("NonLLMStringSimilarity", "reference", "response"),
    "quoted_spans_alignment": _program(
        "QuotedSpansAlignment", "response", RETRIEVED, options={"casefold": bool, "min_span_words": int}
    ),
    "rouge_score": _program(
        "RougeScore",
        "reference",
        "response",
        package=ROUGE,
        options={"rouge_type": ("rouge1", "rougeL"), "mode": ("fmeasure", "precision", "recall")},
    ),
    "string_presence": _program("StringPresence", "reference", "response", binary=True),
    "tool_call_accuracy": _program("ToolCallAccuracy", CALLS, options={"strict_order": bool}),
    "tool_call_f1": _program("ToolCallF1", CALLS),
}
"""Name in a suite -> the metric; in reports it is `ragas.<name>`."""

CASE_FIELDS: Mapping[str, str] = {
    "reference": "reference",
    REFERENCE_CONTEXTS: "reference_contexts",
    "rubrics": "rubrics",
    CALLS: "expected_tool_calls",
}
"""Field of `ascore` -> the case field that it comes from; contexts may come from the system instead."""
