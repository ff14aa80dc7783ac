"""What the tests of traces share: spans in OTLP/JSON, from plain values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evalkit.golden.source_file import open_source
from evalkit.traces.answers import TracedAnswer, TracedAnswers, read_answers

TRACE = "0af7651916cd43dd8448eb211c80319c"


def any_value(value: Any) -> dict[str, Any]:
    """A value as OTLP/JSON writes it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(each) for each in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": key_values(value)}}
    return {} if value is None else {"stringValue": value}


def key_values(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP/JSON writes them."""
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def span(
    number: int,
    parent: int = 0,
    attributes: dict[str, Any] | None = None,
    *,
    name: str = "work",
    trace: str = TRACE,
    at: tuple[int, int] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A span; its number is its id, and without times it lasts a second from that many seconds on."""
    started, ended = at or (number, number + 1)
    made = {
        "traceId": trace,
        "spanId": f"{number:016x}",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(1_700_000_000_000_000_000 + started * 1_000_000_000),
        "endTimeUnixNano": str(1_700_000_000_000_000_000 + ended * 1_000_000_000),
        "attributes": key_values(attributes or {}),
        "status": {},
        **more,
    }
    return {**made, "parentSpanId": f"{parent:016x}"} if parent else made


def event(name: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """An event of a span."""
    return {"name": name, "timeUnixNano": "1700000000000000001", "attributes": key_values(attributes)}


def document(*spans: dict[str, Any], logs: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """An export with some spans, and logs about them."""
    resource = {"attributes": key_values({"service.name": "shop"})}
    made: dict[str, Any] = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": [*spans]}]}]}
    if logs:
        made["resourceLogs"] = [{"resource": resource, "scopeLogs": [{"scope": {}, "logRecords": [*logs]}]}]
    return made


def model(number: int, parent: int = 0, said: str | None = "hello", **more: Any) -> dict[str, Any]:
    """A model's call with 10 and 2 tokens, asked `hi`."""
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.response.model": "toy", **more.pop("attributes", {})}
    attributes = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2, **attributes}
    if said is not None:
        attributes["gen_ai.input.messages"] = json.dumps(
            [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
        )
        attributes["gen_ai.output.messages"] = json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": said}]}]
        )
    return span(number, parent, {key: value for key, value in attributes.items() if value is not None}, **more)


def read(folder: Path, *documents: dict[str, Any]) -> TracedAnswers:
    """Read some exports, each a file."""
    files = [folder / f"{number}.otlp.json" for number in range(len(documents))]
    for file, content in zip(files, documents, strict=True):
        file.write_text(json.dumps(content), encoding="utf-8")
    return read_answers([open_source(file, file.name) for file in files])


def only(folder: Path, *spans: dict[str, Any], logs: tuple[dict[str, Any], ...] = ()) -> TracedAnswer:
    """The only answer of some spans, of which nothing is odd."""
    found = read(folder, document(*spans, logs=logs))
    assert found.notes == ()
    (answer,) = found.answers
    return answer


def output_of(answer: TracedAnswer) -> dict[str, Any]:
    """The answer as a system returns it."""
    assert answer.output is not None
    return dict(answer.output)


def steps_of(answer: TracedAnswer, kind: str) -> list[dict[str, Any]]:
    """Its steps of a kind."""
    return [step for step in output_of(answer)["trajectory"] if step["kind"] == kind]
