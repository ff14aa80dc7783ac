"""From a case and an output to what a metric of ragas takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.scorers.base import contexts_of
from evalkit.scorers.ragas_metrics import CALLS, REFERENCE_CONTEXTS, RETRIEVED, RagasMetric
from evalkit.types import Case, Output


class Missing(Exception):
    """The case or the output lacks what a metric takes; `kind` names it."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


def attempts_for(spec: RagasMetric, case: Case, output: Output) -> list[dict[str, Any]]:
    """Arguments for `ascore`: one mapping for each acceptable reference, or a single one.

    Raises:
        Missing: Something that the metric takes is not there or blank.
    """
    fields: dict[str, Any] = {name: _field(name, case, output) for name in spec.takes if name != "reference"}
    if spec.cls == "SQLSemanticEquivalence" and REFERENCE_CONTEXTS in case.fields:
        fields[REFERENCE_CONTEXTS] = _texts(case.fields[REFERENCE_CONTEXTS], REFERENCE_CONTEXTS)
    if "reference" not in spec.takes:
        return [fields]
    references = [text for text in case.reference if text.strip()]
    if not references:
        raise Missing("missing_reference", "the metric compares with a reference; give the case one")
    return [{**fields, "reference": text} for text in references]


def _field(name: str, case: Case, output: Output) -> Any:
    if name == "user_input":
        return _filled(case.question, "missing_input", "the question is empty")
    if name == "response":
        # ragas gives an empty answer 0, 1 or an error, by metric; it says nothing that could be graded.
        return _filled(output.text, "not_applicable", "the answer is empty")
    if name == RETRIEVED:
        return _filled(list(contexts_of(case, output)), "missing_contexts", "neither system nor case has contexts")
    if name == REFERENCE_CONTEXTS:
        return _texts(case.fields.get(name), name)
    if name == "rubrics":
        return _filled(
            case.fields.get(name), "missing_rubrics", "the case has no `rubrics`; add score1_description ..."
        )
    return {"expected": _calls(case.fields.get("expected_tool_calls")), "called": _made(output)}


def _filled(value: Any, kind: str, message: str) -> Any:
    texts = [value] if isinstance(value, str) else list(value or ())
    if not any(str(text).strip() for text in texts):
        raise Missing(kind, message)
    return value


def _texts(value: Any, name: str) -> list[str]:
    texts = [value] if isinstance(value, str) else list(value or ())
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise Missing(f"missing_{name}", f"the case has no `{name}`; add a list of texts")
    return texts


def _calls(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise Missing(f"missing_{CALLS}", "the case has no `expected_tool_calls`; add a list, [] where none is right")
    return [_call(item) for item in value]


def _call(item: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and isinstance(item.get("name"), str):
        arguments: Any = next((item[key] for key in ("arguments", "args") if key in item), {})
        if isinstance(arguments, Mapping):
            return item["name"], arguments
    raise Missing(f"bad_{CALLS}", "`expected_tool_calls` must be a list of {name: ..., arguments: {...}}")


def _made(output: Output) -> list[tuple[str, Mapping[str, Any]]]:
    if output.tool_calls is None:
        raise Missing("missing_tool_calls", "the system reports no tool calls; return `tool_calls`, [] for none")
    return [(call.name, call.arguments) for call in output.tool_calls]
