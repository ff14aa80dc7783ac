"""Turn the spans of a trace into steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.formats.steps import UNKNOWN_CALLS
from evalkit.traces.calls import TraceCalls
from evalkit.traces.interrupts import PersonsDecision, PersonsQuestion, is_steering, question_of
from evalkit.traces.meaning import SpanMeaning
from evalkit.traces.span import TracedSpan
from evalkit.traces.tree import TraceTree
from evalkit.traces.usage import own_usage
from evalkit.types import Step, ToolCall

_NANO = 1_000_000_000
_WITH_USAGE = ("llm", "agent", "node", "embedding")
INCOMPLETE = {"incomplete": True}
"""Details of a step whose parent is not in the file."""


@dataclass(frozen=True, slots=True)
class AnswerFrame:
    """Where a trace stands in an answer.

    Attributes:
        zero: Time at which the answer began, in nanoseconds since 1970; `None` if unknown.
        turn: Number of the user turn, from 1.
        prefix: Put before the ids of spans, if two traces of the answer share one.
    """

    zero: int | None
    turn: int
    prefix: str = ""


def steps_of_trace(trace: TraceTree, calls: TraceCalls, frame: AnswerFrame) -> list[Step]:
    """Return a step for each span, and one for each call that only a model's reply has."""
    steps: list[Step] = []
    root = trace.root  # which may look at every span
    for at in range(len(trace.spans)):
        steps.append(_step(trace, at, calls, frame, is_root=at == root))
        for number, call in enumerate(calls.asked.get(at, ()), 1):
            steps.append(_asked_step(trace, at, call, number, frame))
    return steps


def approval_steps(
    trace: TraceTree, questions: Sequence[PersonsQuestion], decisions: Sequence[PersonsDecision], frame: AnswerFrame
) -> list[Step]:
    """Return the approvals with which a trace goes on, each with the call that it is about."""
    paired = len(questions) == len(decisions)
    started, _ = _times(trace.spans[trace.root], frame)
    made = []
    for number, each in enumerate(decisions):
        asked = questions[number] if paired else PersonsQuestion("", "", None, None)
        details = {"answer": each.answer, **({"interrupt": asked.id} if asked.id else {})}
        made.append(
            Step(
                kind="approval",
                name=asked.tool,
                turn=frame.turn,
                arguments=asked.arguments,
                started_s=started,
                decision=each.decision,
                details=details,
            )
        )
    return made


def _step(trace: TraceTree, at: int, calls: TraceCalls, frame: AnswerFrame, *, is_root: bool) -> Step:
    span, own = trace.spans[at], trace.meanings[at]
    started, ended = _times(span, frame)
    call = calls.made.get(at)
    error = None if call is None else call.error
    return Step(
        kind=own.kind or "other",
        name=call.name if call is not None else own.name or span.name,
        id=frame.prefix + span.id,
        parent=frame.prefix + span.parent if span.parent else None,
        call_id="" if call is None else call.id,
        turn=frame.turn,
        arguments=None if call is None else call.arguments,
        result=_said(own) if call is None else call.result,
        error=error_of(span) or error,
        started_s=started,
        ended_s=ended,
        usage=own_usage(own) if own.kind in _WITH_USAGE else None,
        details=dict(_details(trace, at, calls, is_root=is_root)),
    )


def _details(trace: TraceTree, at: int, calls: TraceCalls, *, is_root: bool) -> Iterator[tuple[str, Any]]:
    if at in trace.orphans:
        yield from INCOMPLETE.items()
    if questions := question_of(trace.spans[at]):
        yield "interrupt", [each.payload for each in questions]
    if is_root and not calls.are_known:
        yield from UNKNOWN_CALLS.items()


def _said(own: SpanMeaning) -> str | None:
    """Return the text of a model's reply."""
    if own.kind != "llm":
        return None
    return "\n".join(message.content for message in own.replied or () if message.content) or None


def _asked_step(trace: TraceTree, at: int, call: ToolCall, number: int, frame: AnswerFrame) -> Step:
    span = trace.spans[at]
    return Step(
        kind="tool",
        name=call.name,
        id=f"{frame.prefix}{span.id}-{number}",
        parent=frame.prefix + span.parent if span.parent else None,
        call_id=call.id,
        turn=frame.turn,
        arguments=call.arguments,
        result=call.result,
    )


def error_of(span: TracedSpan) -> str | None:
    """Return why a span failed; `None` if it did not."""
    if is_steering(span):
        return None
    kind = span.attributes.get("error.type")
    if span.failed or (isinstance(kind, str) and kind):
        raised = [event.attributes.get("exception.message") for event in span.events if event.name == "exception"]
        known = [each for each in [*reversed(raised), span.message, kind] if isinstance(each, str) and each.strip()]
        return known[0] if known else "failed"
    return "unfinished" if span.ended is None else None


def _times(span: TracedSpan, frame: AnswerFrame) -> tuple[float | None, float | None]:
    """Return the seconds at which a span started and ended; unknown if it ends before it starts."""
    if span.started is None or frame.zero is None:
        return None, None
    started = round((span.started - frame.zero) / _NANO, 6)
    if span.ended is None:
        return started, None
    if span.ended < span.started:
        return None, None
    return started, round((span.ended - frame.zero) / _NANO, 6)
