"""Read the runs of LangSmith as spans: one a line, in a list, or nested as `child_runs`.

Source: the run format in LangSmith's documentation, and `langsmith.schemas.Run`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from evalkit.errors import Problem
from evalkit.golden.source_file import SourceFile
from evalkit.traces.attributes import call_of, decoded, message_of, python_literal, whole, words_of
from evalkit.traces.conventions import CASE_ID
from evalkit.traces.interrupts import STEERING
from evalkit.traces.meaning import SpanMeaning
from evalkit.traces.parts import MeantSpan
from evalkit.traces.span import SpanEvent, TracedSpan
from evalkit.traces.texts import ANSWERS
from evalkit.types import MOST, Message, StepKind, ToolCall

_KINDS: Mapping[str, StepKind] = {
    **{"llm": "llm", "chain": "node", "tool": "tool", "retriever": "retrieval", "embedding": "embedding"},
    **{"prompt": "other", "parser": "other"},
}
_SESSIONS = ("session_id", "thread_id", "conversation_id")
"""Keys of the metadata that name a conversation; the `session_id` of the run itself is its project."""
RUN_KEYS = {"run_type", "trace_id"}
"""Keys that every run has."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RAISED = re.compile(r"([A-Za-z_][\w.]*)\(")
"""Begins an error, which is the exception as Python writes it, and its traceback."""
_ERROR_CHARS = 2_000


def holds_runs(source: SourceFile) -> bool:
    """Tell whether a file holds runs."""
    return source.first.keys() >= RUN_KEYS


def read_runs(sources: Sequence[SourceFile]) -> tuple[list[MeantSpan], list[Problem]]:
    """Return the runs of files that are read as one, and what cannot be read of them; of a repeated run, the last."""
    spans: dict[tuple[str, str], MeantSpan] = {}
    notes: dict[Problem, None] = {}
    for source in sources:
        for at, row in enumerate(source.rows or [source.value]):
            place = source.at(at) if source.rows else source.shown
            for run in _with_children(row):
                own, trace = _id(run.get("id")), _id(run.get("trace_id"))
                if not own or not trace:
                    notes.setdefault(Problem(place, "a run without `id` or `trace_id`", "export it again"))
                    continue
                if run.get("feedback_stats"):
                    what = "means of feedback, not single verdicts"
                    notes.setdefault(Problem(f"{place} feedback_stats", what, "export the feedback itself"))
                spans[trace, own] = _meant(run, own, trace, source.shown)
    return [*spans.values()], [*notes]


def _with_children(row: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a run and those nested in it, the outer first."""
    waiting = [row]
    while waiting:
        run = waiting.pop()
        if isinstance(run, Mapping):
            yield run
            inner = run.get("child_runs")
            waiting += reversed(inner) if isinstance(inner, list) else []


def _id(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _meant(run: Mapping[str, Any], own: str, trace: str, shown: str) -> MeantSpan:
    faults: list[str] = []
    error = run.get("error")
    said = str(error)[:_ERROR_CHARS] if error else ""
    attributes = dict(_steering(str(error))) if error else {}
    example = _id(run.get("reference_example_id"))
    parent = _id(run.get("parent_run_id"))
    span = TracedSpan(
        place=f"{shown} span {own}",
        trace=trace,
        id=own,
        parent=parent,
        name=run["name"] if isinstance(run.get("name"), str) else "",
        started=_nanoseconds(run, "start_time", faults),
        ended=_nanoseconds(run, "end_time", faults),
        attributes={CASE_ID: example} if example else {},
        events=(SpanEvent("exception", None, attributes),) if attributes else (),
        failed=bool(said),
        message=said,
        faults=tuple(faults),
    )
    return MeantSpan(span, _meaning(run, is_root=not parent))


def _steering(error: str) -> Iterator[tuple[str, str]]:
    """Yield the type and arguments of an exception with which LangGraph steers a graph; nothing for an error."""
    raised = _RAISED.match(error)
    if raised is not None and raised[1].endswith(STEERING):
        yield "exception.type", raised[1]
        given = error.partition("Traceback (most recent")[0].strip()
        yield "exception.message", given[raised.end() :].removesuffix(")")


def _meaning(run: Mapping[str, Any], *, is_root: bool) -> SpanMeaning:
    kind = run.get("run_type")
    known = _KINDS.get(kind, "other") if isinstance(kind, str) else "other"
    inputs, outputs, extra = run.get("inputs"), run.get("outputs"), _mapping(run.get("extra"))
    metadata = _mapping(extra.get("metadata"))
    is_model = known == "llm"
    tokens = _tokens(run, outputs, metadata)
    sessions = (metadata.get(key) for key in _SESSIONS)
    return SpanMeaning(
        kind=known,
        name=_name(run, extra, metadata) if known in ("llm", "tool", "embedding") else None,
        arguments=_arguments(inputs) if known == "tool" else None,
        result=_only(outputs, "output") if known == "tool" else None,
        asked=_asked(inputs) if is_model else None,
        replied=_replied(outputs) if is_model else None,
        given=inputs,
        returned=outputs,
        answer=_answer(outputs) if is_root and not is_model else None,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        cost_usd=_cost(run.get("total_cost")),
        session=next((each for each in sessions if isinstance(each, str) and each.strip()), None),
        documents=_documents(outputs) if known == "retrieval" else None,
        metadata=metadata,
    )


def _name(run: Mapping[str, Any], extra: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """Return the name of the tool, or of the model if the run says which it is."""
    settings = _mapping(extra.get("invocation_params"))
    models = (metadata.get("ls_model_name"), settings.get("model"), settings.get("model_name"))
    given = () if run.get("run_type") == "tool" else models
    return next((each for each in (*given, run.get("name")) if isinstance(each, str) and each), None)


def _nanoseconds(run: Mapping[str, Any], key: str, faults: list[str]) -> int | None:
    """Return a time, which is in UTC if it names no zone."""
    value = run.get(key)
    if value in (None, ""):
        return None
    try:
        found = datetime.fromisoformat(value)
        found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return (found - _EPOCH) // timedelta(microseconds=1) * 1000
    except (TypeError, ValueError, OverflowError):
        faults.append(f"`{key}`")
        return None


def _tokens(run: Mapping[str, Any], outputs: Any, metadata: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the tokens that the model read and wrote; a run that counts none has 0 of both, which is unknown."""
    counts: list[tuple[Any, Any]] = [(run.get("prompt_tokens"), run.get("completion_tokens"))]
    for used in (_mapping(outputs).get("usage_metadata"), metadata.get("usage_metadata"), *_usages(outputs)):
        given = _mapping(used)
        counts.append((given.get("input_tokens"), given.get("output_tokens")))
        counts.append((given.get("prompt_tokens"), given.get("completion_tokens")))
    found = ((whole(first), whole(second)) for first, second in counts)
    return next((each for each in found if any(each)), (None, None))


def _usages(outputs: Any) -> Iterator[Any]:
    given = _mapping(outputs)
    yield given.get("usage")
    yield _mapping(given.get("llm_output")).get("token_usage")
    for message in _said(outputs):
        inner = _inner(message)
        yield inner.get("usage_metadata")
        yield _mapping(inner.get("response_metadata")).get("token_usage")


def _cost(value: Any) -> float | None:
    """Return a cost, which LangSmith also writes as text; 0 is that of a model whose price is unknown."""
    try:
        cost = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return cost if 0 < cost < MOST else None


def _arguments(inputs: Any) -> Any:
    """Return the arguments of a call, which LangChain writes under `input`: as JSON or as Python writes a dict."""
    given = _only(inputs, "input")
    if not isinstance(given, str):
        return given
    read = decoded(given)
    read = python_literal(read) if isinstance(read, str) and read.startswith("{") else read
    return read if isinstance(read, Mapping) else given


def _only(value: Any, key: str) -> Any:
    """Return the value under a key that a mapping has alone, else the mapping."""
    return value[key] if isinstance(value, Mapping) and set(value) == {key} else value


def _asked(inputs: Any) -> tuple[Message, ...] | None:
    """Return the messages that a model got; LangChain nests them in a list of conversations."""
    given = _mapping(inputs)
    listed = given.get("messages")
    if isinstance(listed, list) and listed and isinstance(listed[0], list) and not _is_pair(listed[0]):
        listed = listed[0]
    if isinstance(listed, list):
        return tuple(message for each in listed if (message := _message(each)) is not None)
    prompts = given.get("prompts", given.get("prompt"))
    words = prompts[0] if isinstance(prompts, list) and prompts else prompts
    return (Message("user", words),) if isinstance(words, str) else None


def _is_pair(value: list[Any]) -> bool:
    return len(value) == 2 and all(isinstance(each, str) for each in value)


def _replied(outputs: Any) -> tuple[Message, ...] | None:
    """Return the messages that a model wrote."""
    found = [_message(each, "assistant") for each in _said(outputs)]
    kept = tuple(message for message in found if message is not None and message.role == "assistant")
    return kept if found else None


def _said(outputs: Any) -> Iterator[Any]:
    """Yield what a model wrote, in the forms of LangChain, of chat completions and of plain functions."""
    given = _mapping(outputs)
    generated = given.get("generations")
    while isinstance(generated, list) and generated and isinstance(generated[0], list):
        generated = generated[0]
    if isinstance(generated, list):
        for each in generated[:1]:
            inner = _mapping(each)
            yield inner.get("message") or {"role": "assistant", "content": inner.get("text")}
    elif isinstance(given.get("choices"), list):
        yield from (_mapping(each).get("message") for each in given["choices"][:1])
    elif "role" in given or "kwargs" in given or isinstance(given.get("content"), list):
        yield {"role": "assistant", **given}
    else:
        answer = next((given[key] for key in ("message", "messages", "output", *ANSWERS) if given.get(key)), None)
        last = answer[-1] if isinstance(answer, list) and answer else answer
        if last is not None:
            yield last if isinstance(last, Mapping) else {"role": "assistant", "content": last}


def _inner(value: Any) -> dict[str, Any]:
    """Return the fields of a message, which LangChain serialises under `kwargs` or `data`."""
    given = _mapping(value)
    return _mapping(given.get("kwargs", given.get("data"))) or given


def _message(value: Any, otherwise: str | None = None) -> Message | None:
    if isinstance(value, list) and _is_pair(value):
        return message_of(value[0], value[1])
    given, inner = _mapping(value), _inner(value)
    kind = given.get("id")
    named = str(kind[-1]) if isinstance(kind, list) and kind else ""
    role = inner.get("role", inner.get("type", given.get("type")))
    role = named.removesuffix("Chunk").removesuffix("Message").lower() if role in (None, "constructor") else role
    content = inner.get("content")
    calls = tuple(_calls(inner, content))
    known = message_of(role, content, calls, inner.get("tool_call_id"))
    return known if known is not None or otherwise is None else message_of(otherwise, content, calls)


def _calls(message: Mapping[str, Any], content: Any) -> Iterator[ToolCall | None]:
    """Yield the calls that a message asks for, in the forms of LangChain, of chat completions and of Anthropic."""
    listed = message.get("tool_calls") or _mapping(message.get("additional_kwargs")).get("tool_calls")
    for each in listed if isinstance(listed, list) else ():
        call = _mapping(each)
        function = _mapping(call.get("function")) or call
        yield call_of(function.get("name"), function.get("args", function.get("arguments")), call.get("id"))
    if not listed:
        for part in content if isinstance(content, list) else ():
            if isinstance(part, Mapping) and part.get("type") == "tool_use":
                yield call_of(part.get("name"), part.get("input"), part.get("id"))


def _answer(outputs: Any) -> str | None:
    """Return the answer that the output of a root run states; `None` if it states none."""
    if not isinstance(outputs, Mapping) or not outputs:
        return None
    name = next((key for key in ANSWERS if key in outputs), next(iter(outputs)) if len(outputs) == 1 else None)
    value = outputs.get("messages") if name is None else outputs[name]
    if isinstance(value, list) and value and (last := _message(value[-1])) is not None:
        return last.content if last.role == "assistant" else None
    if isinstance(value, str):
        return value
    return words_of(_inner(value).get("content")) if isinstance(value, Mapping) and "content" in _inner(value) else None


def _documents(outputs: Any) -> tuple[Mapping[str, Any], ...] | None:
    listed = (
        outputs if isinstance(outputs, list) else _mapping(outputs).get("documents", _mapping(outputs).get("output"))
    )
    if not isinstance(listed, list):
        return None
    documents = [_inner(each) for each in listed]
    return tuple(
        {
            "id": each.get("id") or _mapping(each.get("metadata")).get("id"),
            "text": each.get("page_content"),
            "score": _mapping(each.get("metadata")).get("score"),
        }
        for each in documents
    )


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
