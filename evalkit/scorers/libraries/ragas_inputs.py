"""Build the arguments of a ragas metric from a case and an output."""

from __future__ import annotations

from typing import Any

from evalkit.scorers.base import contexts_of
from evalkit.scorers.libraries.inputs import answer_of, expected_calls, filled, made_calls, references_of, texts_of
from evalkit.scorers.libraries.ragas_metrics import REFERENCE_CONTEXTS, RETRIEVED, RagasMetric
from evalkit.types import Case, Output


def attempts_for(spec: RagasMetric, case: Case, output: Output) -> list[dict[str, Any]]:
    """Return the arguments for `ascore`: one mapping for each acceptable reference, or a single one.

    Raises:
        Missing: An input of the metric is missing or blank.
    """
    fields: dict[str, Any] = {name: _field(name, case, output) for name in spec.takes if name != "reference"}
    if spec.cls == "SQLSemanticEquivalence" and case.fields.get(REFERENCE_CONTEXTS):
        fields[REFERENCE_CONTEXTS] = texts_of(case, REFERENCE_CONTEXTS)
    if "reference" not in spec.takes:
        return [fields]
    return [{**fields, "reference": text} for text in references_of(case)]


def _field(name: str, case: Case, output: Output) -> Any:
    if name == "user_input":
        return filled(case.question, "missing_input", "the question is empty")
    if name == "response":
        return answer_of(output)
    if name == RETRIEVED:
        return filled(list(contexts_of(case, output)), "missing_contexts", "neither system nor case has contexts")
    if name == REFERENCE_CONTEXTS:
        return texts_of(case, name)
    if name == "rubrics":
        return filled(case.fields.get(name), "missing_rubrics", "the case has no `rubrics`; add score1_description ...")
    return {"expected": expected_calls(case), "called": made_calls(output)}
