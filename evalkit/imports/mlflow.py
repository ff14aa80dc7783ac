"""Read MLflow's traces and the records of its evaluation data sets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.ids_and_fields import is_number, label_of, own_field, texts_of
from evalkit.imports.imported import FoundScorer, Imported, PersonsLabel
from evalkit.imports.questions_and_answers import answer_text, asked_fields
from evalkit.imports.suite_scorers import suite_scorers

_KINDS = {
    **{"CHAT_MODEL": "llm", "LLM": "llm", "TOOL": "tool", "AGENT": "agent", "CHAIN": "node", "WORKFLOW": "node"},
    **{"RETRIEVER": "retrieval", "RERANKER": "retrieval", "EMBEDDING": "embedding", "GUARDRAIL": "guardrail"},
}
_ERRORS = ("ERROR", "STATUS_CODE_ERROR")
_NANO = 1_000_000_000
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
        spans = [_Span(each) for each in _list(data.get("spans")) if isinstance(each, Mapping)]
        root = next((span for span in spans if span.parent is None), None)
        if root is None:
            found.lose(place, "a trace without a root span", "export whole traces", "case")
            continue
        session = str(_mapping(info.get("trace_metadata")).get("mlflow.trace.session") or "")
        if session in sessions:
            found.lose(place, f"another trace of the session {session[:60]!r}: each is a case of its own", "join them")
        sessions |= {session} - {""}
        fields = asked_fields(root.value("mlflow.spanInputs"))
        tags = _mapping(info.get("tags"))
        found.metadata(fields, {key: value for key, value in tags.items() if not key.startswith("mlflow.")})
        notes = [each for each in _list(info.get("assessments")) if isinstance(each, Mapping)]
        _expect(fields, notes)
        case_id = found.case(place, info.get("trace_id"), fields)
        text = answer_text(root.value("mlflow.spanOutputs"))
        recorded = _recorded(notes)
        if root.error is not None or text is None:
            found.output(place, case_id, failure=(root.error or "no output")[:2000], recorded=recorded)
            continue
        found.output(place, case_id, output=_output(text, spans, root, info), recorded=recorded)
        _labels(found, place, case_id, text, notes)
    return found.imported("MLflow traces")


class _Span:
    """One span, whose attributes are JSON texts."""

    def __init__(self, span: Mapping[str, Any]) -> None:
        self.id, self.parent = str(span.get("span_id") or ""), span.get("parent_span_id") or None
        self.name = str(span.get("name") or "")
        self._attributes = _mapping(span.get("attributes"))
        kind = self.value("mlflow.spanType")
        self.kind = _KINDS.get(kind, "other") if isinstance(kind, str) else "other"
        self.started, self.ended = (_nanoseconds(span.get(f"{name}_time_unix_nano")) for name in ("start", "end"))
        status = _mapping(span.get("status"))
        failed = status.get("code") in _ERRORS
        self.error = str(status.get("message") or "failed") if failed else None

    def value(self, name: str) -> Any:
        """Return an attribute; text that is no JSON stays text."""
        text = self._attributes.get(name)
        if not isinstance(text, str):
            return text
        try:
            return json.loads(text, parse_constant=lambda name: None)
        except (ValueError, RecursionError):
            return text

    @property
    def usage(self) -> dict[str, int]:
        """Tokens; nothing if they are unknown."""
        given = _mapping(self.value("mlflow.chat.tokenUsage"))
        found = {name: given.get(name) for name in ("input_tokens", "output_tokens")}
        counts = {
            name: value for name, value in found.items() if isinstance(value, int) and not isinstance(value, bool)
        }
        return counts if len(counts) == len(found) and all(value >= 0 for value in counts.values()) else {}


def _nanoseconds(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 25:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _output(text: str, spans: list[_Span], root: _Span, info: Mapping[str, Any]) -> dict[str, Any]:
    output: dict[str, Any] = {"text": text, "trajectory": [_step(span, root) for span in _ordered(spans)]}
    took: Any = info.get("execution_duration_ms")
    if is_number(took) and took >= 0:
        output["latency_s"] = took / 1000
    if usage := _usage(spans):
        output["usage"] = usage
    return output


def _ordered(spans: list[_Span]) -> list[_Span]:
    """Return the spans by start, the longer first."""
    return sorted(spans, key=lambda span: (span.started or 0, -(span.ended or 0)))


def _step(span: _Span, root: _Span) -> dict[str, Any]:
    step: dict[str, Any] = {"kind": span.kind, "name": span.name, "id": span.id, "parent": str(span.parent or "")}
    if span.kind == "tool":
        arguments = span.value("mlflow.spanInputs")
        step["arguments"] = arguments if isinstance(arguments, Mapping) else {"input": arguments}
        step["result"] = span.value("mlflow.spanOutputs")
        step["name"] = span.name or "tool"
    if span.error is not None:
        step["error"] = span.error
    if span.kind == "llm" and span.usage:
        step["usage"] = span.usage
    if root.started is not None and span.started is not None and span.started >= root.started:
        step["started_s"] = round((span.started - root.started) / _NANO, 6)
        if span.ended is not None and span.ended >= span.started:
            step["ended_s"] = round((span.ended - root.started) / _NANO, 6)
    return {key: value for key, value in step.items() if value not in (None, "")}


def _usage(spans: list[_Span]) -> dict[str, int]:
    """Return the sum over model calls that have no model call below them; one without tokens makes it unknown."""
    parents = {str(span.id): span.parent for span in spans}
    above: set[str] = set()
    for span in spans:
        parent, seen = span.parent, set[str]()
        while span.kind == "llm" and parent is not None and str(parent) not in seen:
            seen.add(str(parent))
            above.add(str(parent))
            parent = parents.get(str(parent))
    counts = [span.usage for span in spans if span.kind == "llm" and span.id not in above]
    if not counts or not all(counts):
        return {}
    return {name: sum(each[name] for each in counts) for name in ("input_tokens", "output_tokens")}


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
