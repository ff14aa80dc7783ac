"""Find the questions to a person that stopped a graph, and the decisions with which it went on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.traces.attributes import arguments_of, python_calls
from evalkit.traces.span import TracedSpan
from evalkit.traces.tree import TraceTree
from evalkit.types import Approval

_INTERRUPT = "GraphInterrupt"
STEERING = (_INTERRUPT, "GraphBubbleUp", "ParentCommand")
"""Ends of the names of exceptions with which LangGraph steers a graph."""
_RESUMED = frozenset({"graph", "update", "resume", "goto"})
"""Keys of LangGraph's `Command`."""
_DECISIONS: Mapping[str, Approval] = {
    **dict.fromkeys(("approve", "approved", "accept", "accepted"), "approved"),
    **dict.fromkeys(("reject", "rejected", "deny", "denied"), "rejected"),
    **dict.fromkeys(("edit", "edited"), "edited"),
    **dict.fromkeys(("expire", "expired"), "expired"),
}


@dataclass(frozen=True, slots=True)
class PersonsQuestion:
    """What a person is asked.

    Attributes:
        id: Of the interrupt; empty if unknown.
        tool: The tool that is to be called; empty if unknown.
        arguments: Of the call; `None` if unknown.
        payload: The question as the graph writes it.
    """

    id: str
    tool: str
    arguments: Mapping[str, Any] | None
    payload: Any


@dataclass(frozen=True, slots=True)
class PersonsDecision:
    """What a person answered: the decision, if it is one, and the answer as it is."""

    decision: Approval | None
    answer: Any


def is_steering(span: TracedSpan) -> bool:
    """Tell whether a span ended with an exception that is not an error."""
    kinds = [event.attributes.get("exception.type") for event in span.events if event.name == "exception"]
    return bool(kinds) and isinstance(kinds[-1], str) and kinds[-1].endswith(STEERING)


def question_of(span: TracedSpan) -> list[PersonsQuestion]:
    """Return what a span that was interrupted asks."""
    found: list[PersonsQuestion] = []
    for event in span.events:
        kind, said = event.attributes.get("exception.type"), event.attributes.get("exception.message")
        if event.name == "exception" and isinstance(kind, str) and kind.endswith(_INTERRUPT):
            found += _questions(said if isinstance(said, str) else "")
    return found


def _questions(said: str) -> Iterator[PersonsQuestion]:
    calls = [values for name, values in python_calls(said) if name == "Interrupt"]
    for values in calls or [{"value": said}]:
        asked, own = values.get("value"), values.get("id")
        requests = asked.get("action_requests") if isinstance(asked, Mapping) else None
        for each in requests if isinstance(requests, list) and requests else [asked]:
            inner = each if isinstance(each, Mapping) else {}
            tool = inner.get("tool", inner.get("name"))
            arguments = inner.get("arguments", inner.get("args"))
            yield PersonsQuestion(
                own if isinstance(own, str) else "",
                tool if isinstance(tool, str) else "",
                dict(arguments) if isinstance(arguments, Mapping) else None,
                each,
            )


def resumed_with(trace: TraceTree) -> list[PersonsDecision] | None:
    """Return the decisions with which a trace goes on; `None` if it begins anew."""
    given = trace.meanings[trace.top].given
    if not isinstance(given, Mapping) or not {"resume", "goto"} <= given.keys() <= _RESUMED or given["resume"] is None:
        return None
    answer = given["resume"]
    several = answer.get("decisions") if isinstance(answer, Mapping) else None
    return [_decision(each) for each in (several if isinstance(several, list) and several else [answer])]


def _decision(answer: Any) -> PersonsDecision:
    inner = arguments_of(answer)
    approved = inner.get("approved")
    said = inner.get("decision", inner.get("type"))
    if isinstance(approved, bool):
        return PersonsDecision("approved" if approved else "rejected", answer)
    return PersonsDecision(_DECISIONS.get(said.lower()) if isinstance(said, str) else None, answer)
