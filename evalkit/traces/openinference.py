"""Read spans that follow the conventions of OpenInference.

Source: Arize-ai/openinference, `spec/semantic_conventions.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evalkit.traces.attributes import amount, call_of, count, decoded, message_of, numbered, text
from evalkit.traces.meaning import Feedback, SpanMeaning
from evalkit.traces.span import TracedSpan
from evalkit.types import Message, StepKind

_KINDS: Mapping[str, StepKind] = {
    **{"LLM": "llm", "TOOL": "tool", "AGENT": "agent", "CHAIN": "node", "GUARDRAIL": "guardrail"},
    **{"RETRIEVER": "retrieval", "RERANKER": "retrieval", "EMBEDDING": "embedding"},
    **{"EVALUATOR": "other", "PROMPT": "other"},
}
_KIND = "openinference.span.kind"
_DOCUMENTS = ("reranker.output_documents", "retrieval.documents")


def meaning_of(span: TracedSpan) -> SpanMeaning | None:
    """Return what a span means; `None` if it has no attribute of this convention."""
    given = span.attributes
    written = given.get(_KIND)
    if written is None and not any(key.startswith("llm.") for key in given) and "input.value" not in given:
        return None
    metadata = decoded(given.get("metadata"))
    metadata = metadata if isinstance(metadata, Mapping) else {}
    kind = _KINDS.get(written.upper(), "other") if isinstance(written, str) else None
    kind = _graph_kind(span, kind, metadata)
    returned = decoded(given.get("output.value"))
    reason = text(given, "llm.finish_reason")
    asked, replied = _messages(given, "llm.input_messages"), _messages(given, "llm.output_messages")
    if kind == "llm" and replied is None and "output.value" in given:
        replied = _said(returned)
    return SpanMeaning(
        kind=kind,
        name=_name(given, kind),
        call_id=text(given, "tool.id", "tool_call.id") if kind == "tool" else None,
        result=returned if kind == "tool" else None,
        asked=asked,
        replied=replied,
        finished=None if reason is None else (reason,),
        given=decoded(given.get("input.value")),
        returned=returned,
        input_tokens=count(given, "llm.token_count.prompt"),
        output_tokens=count(given, "llm.token_count.completion"),
        cost_usd=amount(given, "llm.cost.total"),
        session=text(given, "session.id") or text(metadata, "session_id", "thread_id"),
        documents=_documents(given),
        metadata=metadata,
        verdicts=tuple(_verdicts(given)),
    )


def _graph_kind(span: TracedSpan, kind: StepKind | None, metadata: Mapping[str, Any]) -> StepKind | None:
    """Return the kind of a span of LangGraph.

    The instrumentation marks every runnable as a chain, or as an agent if `agent` is part of its name. The metadata
    says which node it belongs to: the span of the node has the node's name, and the graph as a whole has no node.
    """
    if kind not in ("node", "agent") or metadata.get("ls_integration") != "langgraph":
        return kind
    node = metadata.get("langgraph_node")
    return "agent" if node is None else "node" if node == span.name else "other"


def _name(given: Mapping[str, Any], kind: StepKind | None) -> str | None:
    names = {"llm": "llm.model_name", "tool": "tool.name", "agent": "agent.name", "embedding": "embedding.model_name"}
    return text(given, names[kind]) if kind in names else None


def _messages(given: Mapping[str, Any], prefix: str) -> tuple[Message, ...] | None:
    found = [_message(each) for each in numbered(given, prefix)]
    return tuple(message for message in found if message is not None) if found else None


def _message(given: Mapping[str, Any]) -> Message | None:
    content = given.get("message.content")
    if not isinstance(content, str):
        parts = [each.get("message_content.text") for each in numbered(given, "message.contents")]
        content = "\n".join(part for part in parts if isinstance(part, str))
    called = [
        call_of(each.get("tool_call.function.name"), each.get("tool_call.function.arguments"), each.get("tool_call.id"))
        for each in numbered(given, "message.tool_calls")
    ]
    return message_of(given.get("message.role"), content, tuple(called), given.get("message.tool_call_id"))


def _said(returned: Any) -> tuple[Message, ...] | None:
    """Return the reply of a model that is only known as a text."""
    return (Message("assistant", returned),) if isinstance(returned, str) and returned else None


def _documents(given: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    for prefix in _DOCUMENTS:
        if found := numbered(given, prefix):
            return tuple(
                {
                    "id": each.get("document.id"),
                    "text": each.get("document.content"),
                    "score": each.get("document.score"),
                }
                for each in found
            )
    return None


def _verdicts(given: Mapping[str, Any]) -> Iterator[Feedback]:
    for prefix in ("annotations", "trace.annotations", "session.annotations"):
        for each in numbered(given, prefix):
            score = each.get("annotation.score")
            yield Feedback(
                name=text(each, "annotation.name") or "annotation",
                value=float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None,
                label=text(each, "annotation.label") or "",
                reason=text(each, "annotation.explanation") or "",
                by=(text(each, "annotation.annotator_kind") or "").upper(),
                rater=text(each, "annotation.user_id", "annotation.identifier") or "",
                of_the_answer=prefix != "annotations",
            )
