"""Read traces in OTLP/JSON: each conversation, or trace without one, is a case with its stored output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.formats.conversation import MOST_TURNS
from evalkit.formats.messages import message_record
from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.ids_and_fields import label_of, own_field
from evalkit.imports.imported import FoundScorer, Imported, PersonsLabel
from evalkit.imports.questions_and_answers import asked_fields
from evalkit.traces.answers import NO_CONTENT, TracedAnswer, read_answers
from evalkit.traces.meaning import Feedback
from evalkit.traces.otlp import holds_traces

__all__ = ["ONE_FILE", "TraceOptions", "holds_traces", "read_traces"]

RUNS = "LangSmith runs"
_OF_TRACERS = ("ls_", "langgraph_", "LANGSMITH_", "LANGCHAIN_", "__", "checkpoint_")
_NOT_COHORTS = ("thread_id", "session_id", "conversation_id", "revision_id", "usage_metadata", "run_id")
_NO_INPUT = "(the trace does not hold the input)"


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """How traces are read.

    Attributes:
        more: Further files with spans of the same traces.
        expect_observed: Whether the successful calls of a trace become the expected ones.
    """

    more: tuple[SourceFile, ...] = ()
    expect_observed: bool = False


ONE_FILE = TraceOptions()


def read_traces(source: SourceFile, limit: int | None = None, options: TraceOptions = ONE_FILE) -> Imported:
    """Read traces; several of one case are its repeats."""
    return imported_answers("OTLP traces", source, limit, options)


def imported_answers(kind: str, source: SourceFile, limit: int | None, options: TraceOptions) -> Imported:
    """Read the answers of traced systems.

    Args:
        kind: what the file is; the inputs of `LangSmith runs` are fields of their cases.
        source: the file.
        limit: cases to read.
        options: how traces are read.
    """
    found = Collector(source)
    read = read_answers([source, *options.more])
    for note in read.notes:
        found.lose(note.place, note.what, note.fix)
    cases: dict[str, str] = {}
    repeats: dict[str, int] = {}
    for answer in read.answers:
        if answer.case not in cases:
            if limit is not None and len(cases) >= limit:
                continue
            fields = _fields(found, answer, options.expect_observed)
            if kind == RUNS:
                others = asked_fields(answer.given)
                fields = {**{key: value for key, value in others.items() if key != "input"}, **fields}
                found.metadata(fields, {key: value for key, value in answer.metadata.items() if _is_users(key)})
            cases[answer.case] = found.case(answer.place, answer.case, fields)
        repeats[answer.case] = repeats.get(answer.case, -1) + 1
        _stored(found, answer, cases[answer.case], repeats[answer.case])
    expecting = [case for case in found.cases if "expected_tool_calls" in case.fields]
    when = {} if len(expecting) == len(found.cases) else {"when": {"has": "expected_tool_calls"}}
    observed = FoundScorer("", "tool_calls", {"match": "any_order", "count": "successful", **when})
    return found.imported(kind, scorers=(observed,) if expecting else ())


def _is_users(key: str) -> bool:
    """Tell whether a key of a run's metadata is the user's own, and not one that LangSmith or LangGraph adds."""
    return not key.startswith(_OF_TRACERS) and key not in _NOT_COHORTS


def _fields(found: Collector, answer: TracedAnswer, expect_observed: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if None in answer.asked:
        what = "no span holds what the user said"
        found.lose(answer.place, what, "record the content of messages, or write the input into golden.jsonl")
    asked = [_NO_INPUT if text is None else text for text in answer.asked]
    if len(asked) > 1:
        fields["turns"] = [{"user": text} for text in asked[:MOST_TURNS]]
    elif answer.history:
        fields["input"] = [message_record(message) for message in answer.history]
    else:
        fields["input"] = asked[0]
    if len(asked) > MOST_TURNS:
        found.lose(
            answer.place, f"{len(asked):,} turns, of which the first {MOST_TURNS} are cases", "split the session"
        )
    if expect_observed and answer.calls is None:
        found.lose(
            answer.place, "the trace does not show which tools were called, so none is expected", "trace tools too"
        )
    elif expect_observed:
        fields["expected_tool_calls"] = [
            {"name": call.name, "arguments": call.arguments} for call in answer.calls or () if call.error is None
        ]
    return fields


def _stored(found: Collector, answer: TracedAnswer, case_id: str, repeat: int) -> None:
    recorded = dict(_recorded(found, answer))
    if answer.output is None:
        found.output(answer.place, case_id, repeat=repeat, failure=answer.failure, recorded=recorded)
        return
    found.output(answer.place, case_id, repeat=repeat, output=answer.output, recorded=recorded)
    if answer.output.get("text_known") is False:
        found.lose(answer.place, *NO_CONTENT)
        return
    found.labels.extend(_labels(found, answer, case_id, str(answer.output["text"])))


def _recorded(found: Collector, answer: TracedAnswer) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the verdicts of programs, and those of people on single steps."""
    seen: set[str] = set()
    for each in answer.verdicts:
        if each.by == "HUMAN" and each.of_the_answer:
            continue
        if each.value is None and not each.label:
            found.lose(answer.place, f"{each.name[:60]}: a verdict without a score or a label", "evaluate it again")
            continue
        if each.name in seen:
            found.lose(answer.place, f"{each.name[:60]}: a second verdict, of which the first is recorded", "keep one")
            continue
        seen.add(each.name)
        known = {"label": each.label, "reason": each.reason, "by": each.rater or each.by}
        value = each.label if each.value is None else each.value
        yield own_field(each.name), {"value": value, **{key: text for key, text in known.items() if text}}


def _labels(found: Collector, answer: TracedAnswer, case_id: str, text: str) -> Iterator[PersonsLabel]:
    seen: set[tuple[str, str]] = set()
    for each in answer.verdicts:
        if each.by != "HUMAN" or not each.of_the_answer:
            continue
        rater = each.rater or "unknown"
        label = _label(each)
        if label is None or (each.name, rater) in seen:
            what = "given twice" if label is not None else "feedback that is neither pass or fail nor a number"
            found.lose(answer.place, f"{each.name[:60]} of {rater[:60]}: {what}", "label it again: docs/calibration.md")
            continue
        seen.add((each.name, rater))
        yield PersonsLabel(answer.place, case_id, text, each.name, label, rater)


def _label(verdict: Feedback) -> str | float | None:
    named = label_of(verdict.label)
    return named if named is not None else label_of(verdict.value)
