"""Define the metrics of deepeval that a suite may name, and build each with its inputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.scorers.base import contexts_of
from evalkit.scorers.libraries.inputs import answer_of, expected_calls, filled, made_calls, references_of
from evalkit.scorers.libraries.options import Entry
from evalkit.types import Case, Concern, Output

if TYPE_CHECKING:
    from evalkit.scorers.libraries.deepeval_library import DeepevalLibrary

PARTS: Mapping[str, str] = {
    "question": "input",
    "answer": "actual_output",
    "reference": "expected_output",
    "contexts": "retrieval_context",
}
"""Name in evalkit -> the field of deepeval's case."""
NO_TOOL = "\0no tool"
"""Placeholder among the expected tools for each unexpected call; no call is equal to it."""


@dataclass(frozen=True, kw_only=True)
class DeepevalMetric:
    """One metric of deepeval.

    Attributes:
        cls: Class in `deepeval.metrics`.
        parts: Parts of a case that it reads; options may name others.
        llm: True if it asks a model.
        options: Option -> its type.
        concern: Section of the release decision that shows its checks.
    """

    cls: str
    parts: tuple[str, ...] = ("question", "answer")
    llm: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    concern: Concern = "quality"


DEEPEVAL_METRICS: Mapping[str, DeepevalMetric] = {
    "answer_relevancy": DeepevalMetric(cls="AnswerRelevancyMetric", options={"include_reason": bool}),
    "faithfulness": DeepevalMetric(
        cls="FaithfulnessMetric",
        concern="safety",
        parts=("question", "answer", "contexts"),
        options={"include_reason": bool, "penalize_ambiguous_claims": bool, "truths_extraction_limit": int},
    ),
    "g_eval": DeepevalMetric(
        cls="GEval", options={"name": str, "criteria": str, "evaluation_steps": list, "parts": list}
    ),
    # From deepeval 4 on, 1 is an answer that contradicts no context and 0 one that contradicts all.
    "hallucination": DeepevalMetric(
        cls="HallucinationMetric",
        concern="safety",
        parts=("question", "answer", "contexts"),
        options={"include_reason": bool},
    ),
    "tool_correctness": DeepevalMetric(
        cls="ToolCorrectnessMetric", parts=(), llm=False, options={"exact": bool, "ordered": bool}
    ),
}
"""Name in a suite -> the metric; in reports it is `deepeval.<name>`."""


def check_entry(entry: Entry) -> None:
    """Reject options of `g_eval` that contradict each other.

    Raises:
        ValueError: `use: what; fix`.
    """
    kind, options = entry
    if kind != "g_eval":
        return
    steps = options.get("evaluation_steps")
    if not options.get("criteria") and not steps:
        raise ValueError("use: g_eval has neither criteria nor evaluation_steps; write one of them")
    if steps is not None and not (steps and all(isinstance(step, str) and step.strip() for step in steps)):
        raise ValueError("use: g_eval.evaluation_steps is not a list of texts; write one step per line")
    unknown = [part for part in options.get("parts", ()) if part not in PARTS]
    if unknown or options.get("parts") == []:
        raise ValueError(f"use: g_eval.parts names {unknown or 'nothing'}; choose from {', '.join(PARTS)}")


def name_of(entry: Entry) -> str:
    """Return the name of the metric in the suite: its kind, or the name given to a `g_eval`."""
    return str(entry[1].get("name", entry[0]))


def parts_of(entry: Entry) -> tuple[str, ...]:
    """Return the parts of a case that the metric reads."""
    return tuple(entry[1].get("parts", DEEPEVAL_METRICS[entry[0]].parts))


def attempts_for(entry: Entry, case: Case, output: Output) -> list[dict[str, Any]]:
    """Return the fields of deepeval's case: one mapping for each acceptable reference, or a single one.

    Raises:
        Missing: Something that the metric reads is missing or blank.
    """
    if entry[0] == "tool_correctness":
        return [{"expected": expected_calls(case), "called": made_calls(output)}]
    parts = parts_of(entry)
    contexts = list(contexts_of(case, output))
    fields: dict[str, Any] = {
        "input": filled(case.question, "missing_input", "the question is empty"),
        "actual_output": answer_of(output),
    }
    if "contexts" in parts:
        filled(contexts, "missing_contexts", "neither system nor case has contexts")
        fields["context" if entry[0] == "hallucination" else "retrieval_context"] = contexts
    if "reference" not in parts:
        return [fields]
    return [{**fields, "expected_output": text} for text in references_of(case)]


def build_metric(library: DeepevalLibrary, entry: Entry, judge: Any, steps: list[str] | None = None) -> Any:
    """Create a metric for each case, because deepeval stores the result of a case on the metric.

    `steps` are the evaluation steps of a `g_eval`; without them it generates its own.
    """
    kind, options = entry
    common: dict[str, Any] = {"model": judge, "async_mode": True}
    if kind == "g_eval":
        params = [library.test_case.SingleTurnParams(PARTS[part]) for part in parts_of(entry)]
        given = {"criteria": options.get("criteria"), "evaluation_steps": steps or options.get("evaluation_steps")}
        return library.metrics.GEval(name=name_of(entry), evaluation_params=params, **given, **common)
    if kind == "tool_correctness":
        # By default only the names of the tools are compared.
        compared = [library.test_case.ToolCallParams.INPUT_PARAMETERS]
        order = {
            "should_exact_match": options.get("exact", False),
            "should_consider_ordering": options.get("ordered", False),
        }
        return library.metrics.ToolCorrectnessMetric(evaluation_params=compared, eval_mode="llm", **order, **common)
    own = {key: options[key] for key in DEEPEVAL_METRICS[kind].options if key in options}
    with warnings.catch_warnings():  # a notice that Hallucination changed its direction
        warnings.simplefilter("ignore")
        return getattr(library.metrics, DEEPEVAL_METRICS[kind].cls)(eval_mode="llm", **own, **common)


def build_case(library: DeepevalLibrary, attempt: Mapping[str, Any]) -> Any:
    """Return deepeval's case for one attempt."""
    if "called" in attempt:
        return _tool_case(library, attempt)
    made = library.test_case.LLMTestCase(**attempt)
    # deepeval reads texts like `[DEEPEVAL:IMAGE:...]` as pictures.
    made.multimodal = False
    return made


def _tool_case(library: DeepevalLibrary, attempt: Mapping[str, Any]) -> Any:
    """Compare tool calls as deepeval does, but count equal calls separately and unexpected calls as wrong.

    Each call gets its own `output`, which is not compared, and each surplus call is matched with a tool that cannot be
    called.
    """
    tool = library.test_case.ToolCall
    called = [
        tool(name=name, input_parameters=dict(args), output=number)
        for number, (name, args) in enumerate(attempt["called"])
    ]
    surplus = max(0, len(called) - len(attempt["expected"]))
    expected = [tool(name=name, input_parameters=dict(args)) for name, args in attempt["expected"]]
    expected += [tool(name=NO_TOOL, input_parameters={}) for _ in range(surplus)]
    return library.test_case.LLMTestCase(
        input="tool calls", actual_output="tool calls", tools_called=called, expected_tools=expected
    )
