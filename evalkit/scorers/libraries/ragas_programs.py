"""Compute metrics of ragas with inputs that avoid their known defects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from evalkit.scorers.libraries.inputs import Call

if TYPE_CHECKING:
    from evalkit.scorers.libraries.ragas_library import RagasLibrary

Program = Callable[["RagasLibrary", Mapping[str, Any], Mapping[str, Any]], Awaitable[float]]

UNEXPECTED = "\0not expected"
"""Placeholder among the expected arguments for an unexpected one; it is not equal to any value."""
THRESHOLD = 0.5


async def tool_call_accuracy(library: RagasLibrary, fields: Mapping[str, Any], options: Mapping[str, Any]) -> float:
    """Compute ToolCallAccuracy with unexpected arguments counted as wrong, which ragas ignores."""
    expected, called = fields["reference_tool_calls"]["expected"], fields["reference_tool_calls"]["called"]
    if not expected and not called:
        return 1.0
    if len(expected) != len(called):
        return 0.0  # as ragas says, after a warning
    if not options.get("strict_order", True):
        expected, called = sorted(expected, key=_sort_key), sorted(called, key=_sort_key)
    padded: list[Call] = [
        (name, {**dict.fromkeys(set(got) - set(args), UNEXPECTED), **args})
        for (name, args), (_, got) in zip(expected, called, strict=True)
    ]
    return await _tool_metric(library, library.collections.ToolCallAccuracy(), padded, called)


async def tool_call_f1(library: RagasLibrary, fields: Mapping[str, Any], options: Mapping[str, Any]) -> float:
    """Compute ToolCallF1 with repeated calls counted, and 1 if no call was expected or made."""
    expected, called = fields["reference_tool_calls"]["expected"], fields["reference_tool_calls"]["called"]
    if not expected and not called:
        return 1.0
    return await _tool_metric(library, library.collections.ToolCallF1(), _numbered(expected), _numbered(called))


async def _tool_metric(library: RagasLibrary, metric: Any, expected: list[Call], called: list[Call]) -> float:
    calls = [library.messages.ToolCall(name=name, args=dict(args)) for name, args in called]
    wanted = [library.messages.ToolCall(name=name, args=dict(args)) for name, args in expected]
    turn = library.messages.AIMessage(content="", tool_calls=calls)
    return float((await metric.ascore(user_input=[turn], reference_tool_calls=wanted)).value)


def _sort_key(call: Call) -> tuple[str, ...]:
    return call[0], *(part for key in sorted(call[1]) for part in (key, str(call[1][key])))


def _numbered(calls: list[Call]) -> list[Call]:
    """Make equal calls distinct, because ragas compares sets."""
    seen: Counter[tuple[str, ...]] = Counter()
    result: list[Call] = []
    for call in calls:
        seen[_sort_key(call)] += 1
        result.append((call[0], {**call[1], "\0number": seen[_sort_key(call)]}))
    return result


async def bleu_score(library: RagasLibrary, fields: Mapping[str, Any], options: Mapping[str, Any]) -> float:
    """Compute BleuScore over the whole text, as ragas cuts both texts at ". " and compares the first sentence only."""
    whole = {name: text.replace(". ", ".\n") for name, text in fields.items()}
    return float((await library.collections.BleuScore().ascore(**whole)).value)


async def non_llm_context_precision(
    library: RagasLibrary, fields: Mapping[str, Any], options: Mapping[str, Any]
) -> float:
    """Compute the average precision of retrieved contexts; relevant is similar (>= 0.5) to a reference context."""
    similarity = await _similarities(library, fields)
    relevant = [max(row) >= THRESHOLD for row in similarity]
    precisions = [sum(relevant[: rank + 1]) / (rank + 1) for rank, hit in enumerate(relevant) if hit]
    return sum(precisions) / len(precisions) if precisions else 0.0


async def non_llm_context_recall(library: RagasLibrary, fields: Mapping[str, Any], options: Mapping[str, Any]) -> float:
    """Compute the share of reference contexts to which a retrieved one is similar (> 0.5)."""
    similarity = await _similarities(library, fields)
    found: list[bool] = [max(column) > THRESHOLD for column in zip(*similarity, strict=True)]
    return sum(found) / len(found)


async def _similarities(library: RagasLibrary, fields: Mapping[str, Any]) -> list[list[float]]:
    """Return one row for each retrieved context, one column for each reference context."""
    metric = library.collections.NonLLMStringSimilarity()
    return [
        [float((await metric.ascore(reference=got, response=wanted)).value) for wanted in fields["reference_contexts"]]
        for got in fields["retrieved_contexts"]
    ]


PROGRAMS: Mapping[str, Program] = {
    "bleu_score": bleu_score,
    "non_llm_context_precision": non_llm_context_precision,
    "non_llm_context_recall": non_llm_context_recall,
    "tool_call_accuracy": tool_call_accuracy,
    "tool_call_f1": tool_call_f1,
}
"""Metric -> function that computes it."""
