"""Make one answer of all traces of a conversation, or of a trace without one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.errors import Problem
from evalkit.formats.contexts import read_contexts
from evalkit.formats.rows import output_record
from evalkit.formats.steps import usage_record
from evalkit.golden.source_file import SourceFile
from evalkit.text.numbers import plural
from evalkit.traces.calls import TraceCalls, calls_of_trace
from evalkit.traces.interrupts import PersonsQuestion, question_of, resumed_with
from evalkit.traces.langsmith import holds_runs, read_runs
from evalkit.traces.meaning import Feedback
from evalkit.traces.otlp import read_spans
from evalkit.traces.steps import AnswerFrame, approval_steps, error_of, steps_of_trace
from evalkit.traces.texts import text_of_turn, user_text, user_texts
from evalkit.traces.tree import TraceTree, traces_of, trees_of
from evalkit.traces.usage import usage_of
from evalkit.types import Message, Origin, Output, Step, ToolCall

_NANO = 1_000_000_000
NO_CONTENT = (
    "the text of the answer: the trace has no content, so scorers that read the text leave it unscored",
    "set OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true, or what your emitter calls it, and trace again",
)
"""What a trace without content lacks, and the fix."""


@dataclass(frozen=True, slots=True)
class TracedAnswer:
    """The answer of a traced system, and what it was asked.

    Attributes:
        place: File and first trace, for messages.
        case: Id of the case: `evalkit.case_id`, else the session, else the trace.
        names: Further ids by which a case may name it: the session, the traces.
        asked: What the user said in each turn; `None` if a trace does not hold it.
        history: The chat up to the question, if the only turn has one.
        given: Input of the first trace in the form of the traced function.
        metadata: What the user gave the first trace.
        output: The answer as a system returns it; its text may be unknown. `None` if the system failed.
        failure: Why the system failed; `None` if it did not.
        calls: The tool calls; `None` if they are unknown.
        verdicts: Of people and programs.
    """

    place: str
    case: str
    names: tuple[str, ...]
    asked: tuple[str | None, ...]
    history: tuple[Message, ...]
    given: Any
    metadata: Mapping[str, Any]
    output: Mapping[str, Any] | None
    failure: str | None
    calls: tuple[ToolCall, ...] | None
    verdicts: tuple[Feedback, ...]


@dataclass(frozen=True, slots=True)
class TracedAnswers:
    """The answers in some files, by the time at which they began, and what is odd about the traces."""

    answers: tuple[TracedAnswer, ...]
    notes: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class TracedCall:
    """What one trace shows of one call.

    Attributes:
        asked: What the user said last; `None` if the trace does not hold it.
        history: The chat up to the question, if there is one.
        output: The answer; its text may be unknown.
        failure: Why the root failed; `None` if it did not.
        verdicts: Of people and programs.
    """

    asked: str | None
    history: tuple[Message, ...]
    output: Output
    failure: str | None
    verdicts: tuple[Feedback, ...]


@dataclass(slots=True)
class _Turn:
    asked: str | None
    traces: list[TraceTree]


def read_answers(sources: Sequence[SourceFile]) -> TracedAnswers:
    """Return the answers of all traces in files that are read as one: OTLP/JSON, or runs of LangSmith."""
    if all(map(holds_runs, sources)):
        runs, read_notes = read_runs(sources)
        found = trees_of(runs)
    else:
        read = read_spans(sources)
        found, read_notes = traces_of(read.spans), [*read.notes]
    kept = [trace for trace in found if trace.is_known]
    notes = [*read_notes, *(note for trace in kept for note in trace.notes)]
    if unknown := [trace for trace in found if not trace.is_known]:
        what = f"{plural(len(unknown), 'trace')} without a model, tool, agent or node (the first is named)"
        fix = "leave them out, or trace with the GenAI or OpenInference conventions"
        notes.append(Problem(unknown[0].place, what, fix))
    return TracedAnswers(tuple(map(_answer, _groups(kept))), tuple(dict.fromkeys(notes)))


def _groups(traces: Iterable[TraceTree]) -> list[list[TraceTree]]:
    """Return the traces of each conversation; a trace without one is alone.

    Traces of one session that name different cases are conversations of their own.
    """
    sessions: dict[str, list[TraceTree]] = {}
    for trace in traces:
        sessions.setdefault(f"session {trace.session}" if trace.session else f"trace {trace.id}", []).append(trace)
    groups: dict[tuple[str, str | None], list[TraceTree]] = {}
    for key, found in sessions.items():
        cases = {trace.case for trace in found if trace.case}
        only = next(iter(cases)) if len(cases) == 1 else None
        for trace in found:
            groups.setdefault((key, trace.case or only), []).append(trace)
    return [*groups.values()]


def _answer(traces: list[TraceTree]) -> TracedAnswer:
    turns = _turns(traces)
    first = traces[0]
    case = next((trace.case for trace in traces if trace.case), None) or first.session or first.id
    names = dict.fromkeys([*([first.session] if first.session else []), *(trace.id for trace in traces)])
    calls = {trace.id: calls_of_trace(trace) for trace in traces}
    steps, waiting = _steps(turns, calls)
    failure = None if waiting else _failure(traces[-1])
    output = None if failure is not None else _output(turns, steps, waiting)
    tools = tuple(
        ToolCall(step.name, step.arguments or {}, step.call_id, step.result, step.error)
        for step in steps
        if step.kind == "tool"
    )
    known = bool(tools) or all(each.are_known for each in calls.values())
    if output is not None and known and not tools:
        output = replace(output, tool_calls=())
    history = user_texts(first) if len(turns) == 1 else ()
    return TracedAnswer(
        place=first.place,
        case=case,
        names=tuple(names),
        asked=tuple(turn.asked for turn in turns),
        history=history if sum(message.role == "user" for message in history) > 1 else (),
        given=first.meanings[first.top].given,
        metadata=first.meanings[first.root].metadata,
        output=None if output is None else output_record(output),
        failure=failure,
        calls=tools if known else None,
        verdicts=tuple(_verdicts(traces)),
    )


def _turns(traces: Sequence[TraceTree]) -> list[_Turn]:
    """Return the turns of the user: a trace with a message of the user begins one, another goes on with it."""
    turns: list[_Turn] = []
    for trace in traces:
        asked = None if resumed_with(trace) is not None else user_text(trace)
        if turns and (asked is None or turns[-1].asked is None):
            turns[-1].traces.append(trace)
            turns[-1].asked = turns[-1].asked if asked is None else asked
        else:
            turns.append(_Turn(asked, [trace]))
    return turns


def _steps(turns: Sequence[_Turn], calls: Mapping[str, TraceCalls]) -> tuple[list[Step], list[PersonsQuestion]]:
    """Return the steps of all turns, and the questions that nobody answered."""
    traces = [trace for turn in turns for trace in turn.traces]
    ids = Counter(span.id for trace in traces for span in trace.spans)
    shared = any(number > 1 for number in ids.values())
    zero = min((span.started for trace in traces for span in trace.spans if span.started), default=None)
    steps: list[Step] = []
    waiting: list[PersonsQuestion] = []
    for number, turn in enumerate(turns, 1):
        for trace in turn.traces:
            frame = AnswerFrame(zero, number, f"{trace.id}-" if shared else "")
            if (decisions := resumed_with(trace)) is not None:
                steps += approval_steps(trace, waiting, decisions, frame)
                waiting = []
            steps += steps_of_trace(trace, calls[trace.id], frame)
            for span in trace.spans:
                waiting += [each for each in question_of(span) if each not in waiting]
    return steps, waiting


def _failure(trace: TraceTree) -> str | None:
    """Return why the root of a trace failed; `None` if it did not."""
    root = trace.spans[trace.root]
    return error_of(root) if root.failed and trace.root not in trace.orphans else None


def _output(turns: Sequence[_Turn], steps: Sequence[Step], waiting: Sequence[PersonsQuestion]) -> Output:
    """Return the answer; its text is unknown if the traces of the last turn do not hold it."""
    traces = [trace for turn in turns for trace in turn.traces]
    text = text_of_turn(turns[-1].traces)
    contexts, origins = _contexts(traces)
    return Output(
        text=text or "",
        text_known=text is not None or bool(waiting),
        contexts=contexts,
        origins=origins,
        usage=usage_of(traces),
        trajectory=tuple(steps),
        messages=tuple(_messages(turns)) if len(turns) > 1 else None,
        interrupt=_interrupt(waiting[0]) if waiting else None,
        latency_s=_latency(traces),
    )


def call_of_trace(trace: TraceTree) -> TracedCall:
    """Return the call that a trace shows, whatever conversation it is part of."""
    turns = _turns([trace])
    calls = calls_of_trace(trace)
    steps, waiting = _steps(turns, {trace.id: calls})
    output = _output(turns, steps, waiting)
    if calls.are_known and not any(step.kind == "tool" for step in steps):
        output = replace(output, tool_calls=())
    history = user_texts(trace)
    several = sum(message.role == "user" for message in history) > 1
    return TracedCall(turns[0].asked, history if several else (), output, _failure(trace), tuple(_verdicts([trace])))


def traced_output(tree: TraceTree, text: str | None, latency_s: float | None) -> Output:
    """Return the answer of one trace; its text is `None` if the trace does not hold it."""
    calls = calls_of_trace(tree)
    zero = min((span.started for span in tree.spans if span.started is not None), default=None)
    steps = steps_of_trace(tree, calls, AnswerFrame(zero, 1))
    without = calls.are_known and not any(step.kind == "tool" for step in steps)
    return Output(
        text=text or "",
        text_known=text is not None,
        usage=usage_of([tree]),
        tool_calls=() if without else None,
        trajectory=tuple(steps),
        latency_s=latency_s,
    )


def _messages(turns: Sequence[_Turn]) -> Iterator[Message]:
    for turn in turns:
        usage, latency = usage_of(turn.traces), _latency(turn.traces)
        contexts, _ = _contexts(turn.traces)
        said = text_of_turn(turn.traces)
        details = {
            "text_known": None if said is not None else False,
            "usage": None if usage is None else usage_record(usage),
            "latency_s": latency,
            "contexts": None if contexts is None else [*contexts],
        }
        known = {name: value for name, value in details.items() if value is not None}
        yield Message("user", turn.asked or "")
        yield Message("assistant", said or "", details=known)


def _interrupt(question: PersonsQuestion) -> dict[str, Any]:
    known = {
        "id": question.id or None,
        "tool": question.tool or None,
        "arguments": question.arguments,
        "payload": question.payload,
    }
    return {name: value for name, value in known.items() if value is not None}


def _contexts(traces: Sequence[TraceTree]) -> tuple[tuple[str, ...] | None, tuple[Origin, ...]]:
    """Return the passages that were retrieved, each once; `None` if no span reports any."""
    reported = [own.documents for trace in traces for own in trace.meanings if own.documents is not None]
    if not reported:
        return None, ()
    found: dict[str, dict[str, Any]] = {}
    for document in (each for documents in reported for each in documents):
        kept = {
            "id": document.get("id") if isinstance(document.get("id"), str | int) else None,
            "text": document.get("text") if isinstance(document.get("text"), str) else None,
            "score": document.get("score") if isinstance(document.get("score"), int | float) else None,
        }
        if kept["text"] is not None or kept["id"] is not None:
            key = json.dumps([kept["id"], kept["text"]])
            found.setdefault(key, {name: value for name, value in kept.items() if value is not None})
    try:
        return read_contexts("contexts", [*found.values()])
    except ValueError:
        return None, ()


def _latency(traces: Sequence[TraceTree]) -> float | None:
    """Return the seconds that the system worked: those of the root of each trace."""
    total = 0
    for trace in traces:
        root = trace.spans[trace.root]
        if trace.root in trace.orphans or root.started is None or root.ended is None or root.ended < root.started:
            return None
        total += root.ended - root.started
    return round(total / _NANO, 6)


def _verdicts(traces: Sequence[TraceTree]) -> Iterator[Feedback]:
    """Yield the verdicts; those on the root of a trace are about the answer."""
    for trace in traces:
        whole = trace.root, trace.top
        for at, own in enumerate(trace.meanings):
            for each in own.verdicts:
                yield replace(each, of_the_answer=True) if at in whole else each
