"""Read MLflow's traces and the records of its evaluation data sets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evalkit.formats.rows import output_record
from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.ids_and_fields import is_number, label_of, own_field, texts_of
from evalkit.imports.imported import FoundScorer, Imported, PersonsLabel
from evalkit.imports.questions_and_answers import answer_text, asked_fields
from evalkit.imports.suite_scorers import suite_scorers
from evalkit.traces.answers import traced_output
from evalkit.traces.attributes import whole
from evalkit.traces.meaning import SpanMeaning
from evalkit.traces.parts import MeantSpan
from evalkit.traces.span import TracedSpan
from evalkit.traces.tree import trace_tree
from evalkit.types import StepKind

_KINDS: Mapping[str, StepKind] = {
    **{"CHAT_MODEL": "llm", "LLM": "llm", "TOOL": "tool", "AGENT": "agent", "CHAIN": "node", "WORKFLOW": "node"},
    **{"RETRIEVER": "retrieval", "RERANKER": "retrieval", "EMBEDDING": "embedding", "GUARDRAIL": "guardrail"},
}
_ERRORS = ("ERROR", "STATUS_CODE_ERROR")
_MOST_DIGITS = 19
_RECORD = frozenset({"inputs", "expectations", "outputs", "tags", "source", "dataset_record_id", "dataset_id"})
_TIMES = frozenset({"create_time", "last_update_time", "created_by", "last_updated_by", "created_time", "source_type"})


def is_traces(source: SourceFile) -> bool:
    """Tell whether a file holds traces: one, or a list of them."""
    data = source.first.get("data")
    return isinstance(source.first.get("info"), Mapping) and isinstance(data, Mapping) and "spans" in data


def is_records(source: SourceFile) -> bool:
    """Tell whether a file holds records of a data set."""
    return bool(source.rows) and {"inputs", "expectations"} <= source.first.keys()


def read_traces(source: SourceFile, limit: int | None = None) -> Imported:
    """Read traces: each is a case with its stored output, steps, and the feedback of people as labels."""
    found = Collector(source)
    sessions: set[str] = set()
    for _, place, row in found.rows(limit):
        info, data = _mapping(row.get("info")), _mapping(row.get("data"))
        spans = [_renamed(each) for each in _list(data.get("spans")) if isinstance(each, Mapping)]
        root = next((span for span in spans if not span.get("parent_span_id")), None)
        if root is None:
            found.lose(place, "a trace without a root span", "export whole traces", "case")
            continue
        metadata = _mapping(info.get("trace_metadata", info.get("request_metadata")))
        session = str(metadata.get("mlflow.trace.session") or "")
        if session in sessions:
            found.lose(place, f"another trace of the session {session[:60]!r}: each is a case of its own", "join them")
        sessions |= {session} - {""}
        fields = asked_fields(_value(root, "mlflow.spanInputs"))
        tags = _mapping(info.get("tags"))
        found.metadata(fields, {key: value for key, value in tags.items() if not key.startswith("mlflow.")})
        notes = [each for each in _list(info.get("assessments")) if isinstance(each, Mapping)]
        _expect(fields, notes)
        case_id = found.case(place, info.get("trace_id", info.get("request_id")), fields)
        text = answer_text(_value(root, "mlflow.spanOutputs"))
        recorded = _recorded(notes)
        failure = _failure(root)
        if failure is None and text is None and "mlflow.spanOutputs" in _mapping(root.get("attributes")):
            failure = "no output"
        if failure is not None:
            found.output(place, case_id, failure=failure[:2000], recorded=recorded)
            continue
        tree = trace_tree([_meant(span, place) for span in spans])
        for each in tree.notes:
            found.lose(each.place, each.what, each.fix)
        took: Any = info.get("execution_duration_ms", info.get("execution_time_ms"))
        latency_s = took / 1000 if is_number(took) and took >= 0 else None
        output = output_record(traced_output(tree, text, latency_s))
        found.output(place, case_id, output=output, recorded=recorded)
        if text is None:
            found.lose(place, "the text of the answer: the root span has no outputs", "trace the outputs of the root")
        else:
            _labels(found, place, case_id, text, notes)
    return found.imported("MLflow traces")


def _renamed(span: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a span of MLflow 2 under the names of MLflow 3."""
    if "span_id" in span or not isinstance(span.get("context"), Mapping):
        return span
    names = {"parent_id": "parent_span_id", "start_time": "start_time_unix_nano", "end_time": "end_time_unix_nano"}
    status = {"code": span.get("status_code"), "message": span.get("status_message")}
    return {**{names.get(key, key): value for key, value in span.items()}, **span["context"], "status": status}


def _value(span: Mapping[str, Any], name: str) -> Any:
    """Return an attribute, which is JSON text; text that is not JSON stays text."""
    text = _mapping(span.get("attributes")).get(name)
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return text


def _failure(span: Mapping[str, Any]) -> str | None:
    status = _mapping(span.get("status"))
    return str(status.get("message") or "failed") if status.get("code") in _ERRORS else None


def _meant(span: Mapping[str, Any], place: str) -> MeantSpan:
    """Return a span as those of other conventions are."""
    own, failure = str(span.get("span_id") or ""), _failure(span)
    kind = _value(span, "mlflow.spanType")
    inputs, outputs = _value(span, "mlflow.spanInputs"), _value(span, "mlflow.spanOutputs")
    tokens = _mapping(_value(span, "mlflow.chat.tokenUsage"))
    traced = TracedSpan(
        place=f"{place} span {own}",
        trace=str(span.get("trace_id") or ""),
        id=own,
        parent=str(span.get("parent_span_id") or ""),
        name=str(span.get("name") or ""),
        started=_nanoseconds(span.get("start_time_unix_nano")),
        ended=_nanoseconds(span.get("end_time_unix_nano")),
        attributes={},
        failed=failure is not None,
        message=failure or "",
    )
    known = _KINDS.get(kind, "other") if isinstance(kind, str) else "other"
    return MeantSpan(
        traced,
        SpanMeaning(
            kind=known,
            arguments=inputs if known == "tool" else None,
            result=outputs if known == "tool" else None,
            given=inputs,
            returned=outputs,
            input_tokens=whole(tokens.get("input_tokens")),
            output_tokens=whole(tokens.get("output_tokens")),
        ),
    )


def _nanoseconds(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < _MOST_DIGITS:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_MOST_DIGITS else None


def _source(note: Mapping[str, Any]) -> tuple[str, str]:
    source = _mapping(note.get("source"))
    return str(source.get("source_type") or "").upper(), str(source.get("source_id") or "").strip() or "unknown"


def _recorded(notes: list[Mapping[str, Any]]) -> dict[str, Any]:
    recorded = {}
    for note in notes:
        kind, who = _source(note)
        feedback = _mapping(note.get("feedback"))
        if "value" in feedback and kind != "HUMAN":
            name = own_field(str(note.get("assessment_name") or "assessment"))
            recorded[name] = {"value": feedback["value"], "by": who}
    return recorded


def _labels(found: Collector, place: str, case_id: str, text: str, notes: list[Mapping[str, Any]]) -> None:
    seen: set[tuple[str, str]] = set()
    for note in notes:
        kind, who = _source(note)
        feedback = _mapping(note.get("feedback"))
        if kind != "HUMAN" or "value" not in feedback:
            continue
        name, value = str(note.get("assessment_name") or "").strip() or "assessment", feedback["value"]
        label = label_of(value)
        if label is None or (name, who) in seen:
            what = "given twice" if (name, who) in seen else "feedback that is neither pass or fail nor a number"
            fix = "label it again: docs/calibration.md"
            found.lose(f"{place} assessments", f"{name[:60]} of {who[:60]}: {what}", fix)
            continue
        seen.add((name, who))
        found.labels.append(PersonsLabel(place, case_id, text, name, label, who))


def _expect(fields: dict[str, Any], notes: list[Mapping[str, Any]]) -> None:
    """Take over what assessments say that the answer should be."""
    given = {str(note.get("assessment_name")): _mapping(note.get("expectation")).get("value") for note in notes}
    if isinstance(given.get("expected_response"), str):
        fields["reference"] = given["expected_response"]
    if facts := texts_of(given.get("expected_facts")):
        fields["required"] = facts


def read_records(source: SourceFile, limit: int | None = None) -> Imported:
    """Read records: expectations become the reference, required facts, expected calls, and rubrics."""
    found = Collector(source)
    wanted: list[list[FoundScorer]] = []
    for _, place, row in found.rows(limit, "outputs"):
        inputs, expected = row.get("inputs"), _mapping(row.get("expectations"))
        goal = _mapping(inputs).get("goal")
        fields: dict[str, Any] = asked_fields(inputs)
        if isinstance(goal, str):
            fields = {"user": _user(found, place, _mapping(inputs))}
        fields["reference"] = expected.pop("expected_response", None)
        fields["required"] = texts_of(expected.pop("expected_facts", None)) or None
        calls = expected.pop("expected_tool_calls", None)
        if calls is not None:
            at = f"{place} expectations.expected_tool_calls"
            fields["expected_tool_calls"] = found.calls(at, calls, "arguments") if calls != [] else []
        wanted.append(_guidelines(found, place, expected.pop("guidelines", None)))
        fields.update({own_field(str(key)): value for key, value in expected.items()})
        found.metadata(fields, row.get("tags"))
        found.rest(fields, row, _RECORD | _TIMES)
        case_id = found.case(place, row.get("dataset_record_id"), fields)
        if (text := answer_text(row.get("outputs"))) is not None:
            found.output(place, case_id, output={"text": text})
    rows = [dict(case.fields) for case in found.cases]
    shared = suite_scorers(wanted, rows)
    cases = tuple(replace(case, fields=row) for case, row in zip(found.cases, rows, strict=True))
    keywords = FoundScorer("", "keywords", {"when": {"has": "required"}})
    facts = [keywords] if any("required" in row for row in rows) else []
    return found.imported(
        "MLflow records",
        cases=cases,
        scorers=(*facts, *shared.scorers),
        rubrics=shared.rubrics,
        losses=(*found.losses, *shared.losses),
    )


def _user(found: Collector, place: str, inputs: dict[str, Any]) -> dict[str, Any]:
    user: dict[str, Any] = {"goal": inputs["goal"]}
    if isinstance(inputs.get("persona"), str):
        user["persona"] = inputs["persona"]
    facts = _mapping(inputs.get("context"))
    if facts:
        texts = {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
        user["facts"] = texts
    for key in sorted(inputs.keys() - {"goal", "persona", "context"}):
        found.lose(f"{place} inputs.{key}", "a simulated user has goal, persona and facts", "write it into the persona")
    return user


def _guidelines(found: Collector, place: str, value: Any) -> list[FoundScorer]:
    texts = texts_of(value)
    if value is not None and (not texts or any("{{" in text for text in texts)):
        found.lose(f"{place} expectations.guidelines", "not texts to judge by", "write a rubric: docs/judges.md")
        return []
    listed = "\n".join(f"- {text}" for text in texts)
    body = f"{{{{answer}}}} is the answer to {{{{question}}}}.\n\nIt passes if it keeps these guidelines:\n\n{listed}"
    return [FoundScorer(f"{place} expectations.guidelines", "judge", {"rubric": body})] if texts else []


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
