"""Read spans from OTLP in JSON: one object, a list of them, or one a line.

Source: opentelemetry-proto, `trace.proto` and `logs.proto`, and the JSON encoding of the OTLP specification.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalkit.errors import Problem
from evalkit.golden.source_file import SourceFile
from evalkit.traces.span import SpanEvent, TracedSpan, TracedSpans

RESOURCES = ("resourceSpans", "resourceLogs")
NO_IDS = "a span whose `traceId` or `spanId` is not an id of 32 or 16 hex digits", "export it again"
"""What is wrong with a span that cannot be read, and the fix."""
EVALUATION = "gen_ai.evaluation.result"
"""Name of the event that holds what an evaluator said of an answer."""
_RESPONSE = "gen_ai.response.id"
_CASE = "evalkit.case_id"
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_MOST_NANOSECONDS = 1 << 64
_ERRORS = (2, "2", "STATUS_CODE_ERROR")
_Key = tuple[str, str]


def holds_traces(source: SourceFile) -> bool:
    """Tell whether a file holds spans, or logs about spans."""
    return any(key in source.first for key in RESOURCES)


def read_spans(sources: Sequence[SourceFile]) -> TracedSpans:
    """Return the spans of files that are read as one; of a span that occurs several times, the last counts."""
    reader = _Reader()
    for source in sources:
        for at, record in enumerate(source.rows or [source.value]):
            reader.read(source, source.at(at) if source.rows else source.shown, record)
    return reader.spans()


def trace_ids(record: Any) -> frozenset[str]:
    """Return the ids of the traces that one record has spans or logs of."""
    reader, found = _Reader(), set()
    scopes = (("resourceSpans", "scopeSpans", "spans"), ("resourceLogs", "scopeLogs", "logRecords"))
    for resources, scope, items in scopes if isinstance(record, Mapping) else ():
        for resource in reader.items("", record, resources):
            for each in reader.items("", resource, scope):
                found |= {_hex(item.get("traceId"), 32)[0] for item in reader.items("", each, items)}
    return frozenset(found - {""})


def unreadable_spans(record: Mapping[str, object]) -> int:
    """Return the number of spans of one record that have no ids, and of parts that are not lists of objects."""
    return _unreadable(record, ("resourceSpans", "scopeSpans", "spans"))


def _unreadable(value: Mapping[str, object], keys: Sequence[str]) -> int:
    if not keys:
        return int(not (_hex(value.get("traceId"), 32)[0] and _hex(value.get("spanId"), 16)[0]))
    given = value.get(keys[0])
    if not isinstance(given, list):
        return int(given is not None)
    return sum(_unreadable(each, keys[1:]) if isinstance(each, Mapping) else 1 for each in given)


class _Reader:
    """Collects spans, the log records about them, and what cannot be read."""

    def __init__(self) -> None:
        self._spans: dict[_Key, TracedSpan] = {}
        self._logs: dict[_Key, list[SpanEvent]] = {}
        self._log_places: dict[_Key, str] = {}
        self._of_responses: dict[str, list[tuple[str, SpanEvent]]] = {}
        self._notes: dict[Problem, None] = {}

    def read(self, source: SourceFile, place: str, record: Any) -> None:
        """Read one record: an object with `resourceSpans` or `resourceLogs`."""
        if not isinstance(record, Mapping) or not any(key in record for key in RESOURCES):
            self._note(place, "neither spans nor logs", 'a record of OTLP/JSON begins with {"resourceSpans": ...}')
            return
        for resource in self.items(place, record, "resourceSpans"):
            shared = _shared(resource)
            for scope in self.items(place, resource, "scopeSpans"):
                for span in self.items(place, scope, "spans"):
                    self._span(source, place, span, shared)
        for resource in self.items(place, record, "resourceLogs"):
            for scope in self.items(place, resource, "scopeLogs"):
                for log in self.items(place, scope, "logRecords"):
                    self._log(source, place, log)

    def spans(self) -> TracedSpans:
        """Return the spans with the log records about them."""
        self._join_responses()
        for key, logs in self._logs.items():
            if (span := self._spans.get(key)) is None:
                what = "logs of a span that is not in the file"
                self._note(self._log_places[key], what, "import the file with the span too")
                continue
            events = tuple(sorted([*span.events, *logs], key=lambda event: event.time or 0))
            self._spans[key] = replace(span, events=events)
        ordered = sorted(self._spans.values(), key=lambda span: (span.trace, span.started or 0, span.id))
        return TracedSpans(tuple(ordered), tuple(self._notes))

    def _join_responses(self) -> None:
        """Give each log record that names a response instead of a span to the span of that response."""
        of = {span.attributes.get(_RESPONSE): key for key, span in self._spans.items()} if self._of_responses else {}
        for response, logs in self._of_responses.items():
            for place, event in logs:
                if (key := of.get(response)) is None:
                    what = "an evaluation of a response that is not in the file"
                    self._note(place, what, "read it with the span of the response, or give it `traceId` and `spanId`")
                else:
                    self._logs.setdefault(key, []).append(event)

    def _note(self, place: str, what: str, fix: str) -> None:
        self._notes.setdefault(Problem(place, what, fix))

    def items(self, place: str, value: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
        """Yield the objects of a list, and note what is none."""
        given = value.get(key)
        for item in given if isinstance(given, list) else ():
            if isinstance(item, Mapping):
                yield item
            else:
                self._note(place, f"an item of `{key}` that is not an object", "export it again")
        if given is not None and not isinstance(given, list):
            self._note(place, f"`{key}` is not a list", "export it again")

    def _id(self, source: SourceFile, value: Any, n_digits: int) -> str:
        """Return an id in lower case, also one in base64; empty if it is none."""
        found, is_hex = _hex(value, n_digits)
        if found and not is_hex:
            what = "ids in base64, which OTLP/JSON writes in hex: they are read"
            self._note(source.shown, what, "export it with an exporter of OTLP/JSON")
        return found

    def _span(self, source: SourceFile, place: str, value: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        trace, own = self._id(source, value.get("traceId"), 32), self._id(source, value.get("spanId"), 16)
        if not (trace and own):
            self._note(place, *NO_IDS)
            return
        faults: list[str] = []
        parent = value.get("parentSpanId")
        given = value.get("status")
        status = given if isinstance(given, Mapping) else {}
        code, message = status.get("code"), status.get("message")
        if any(isinstance(each, str) and not each.isdigit() for each in (code, value.get("kind"))):
            what = "enums by their names, which OTLP/JSON writes as numbers: they are read"
            self._note(source.shown, what, "export it with an exporter of OTLP/JSON")
        if value.get("droppedAttributesCount"):
            faults.append("attributes that the emitter dropped")
        span = TracedSpan(
            place=f"{source.shown} span {own}",
            trace=trace,
            id=own,
            parent=self._id(source, parent, 16),
            name=_text(value.get("name")),
            started=_nanoseconds(value, "startTimeUnixNano", faults),
            ended=_nanoseconds(value, "endTimeUnixNano", faults),
            attributes={**shared, **attributes_of(value.get("attributes"), faults)},
            events=tuple(_events(value.get("events"), faults)),
            failed=code in _ERRORS,
            message=_text(message),
        )
        if parent and not span.parent and str(parent).strip("0"):
            faults.append("`parentSpanId`, which is not an id")
        self._spans[trace, own] = replace(span, faults=tuple(dict.fromkeys(faults)))

    def _log(self, source: SourceFile, place: str, value: Mapping[str, Any]) -> None:
        key = self._id(source, value.get("traceId"), 32), self._id(source, value.get("spanId"), 16)
        faults: list[str] = []
        attributes = attributes_of(value.get("attributes"), faults)
        name = _text(value.get("eventName")) or _text(attributes.get("event.name"))
        response = _text(attributes.get(_RESPONSE))
        if not all(key) and not (name == EVALUATION and response):
            return  # a log record that is not about a span
        body = _plain(value.get("body"), "body", faults)
        time = _nanoseconds(value, "timeUnixNano", faults)
        for fault in faults:
            self._note(place, f"{fault} of a log record", "export it again")
        event = SpanEvent(name, time, attributes, body)
        if not all(key):
            self._of_responses.setdefault(response, []).append((place, event))
            return
        self._log_places.setdefault(key, place)
        self._logs.setdefault(key, []).append(event)


def _hex(value: Any, n_digits: int) -> tuple[str, bool]:
    """Return an id in hex, empty if it is none, and whether it was written so; else it is in base64."""
    if isinstance(value, str) and re.fullmatch(f"[0-9a-fA-F]{{{n_digits}}}", value):
        return value.lower() if value.strip("0") else "", True
    try:
        raw = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        raw = b""
    return raw.hex() if len(raw) == n_digits // 2 and any(raw) else "", False


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _shared(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the case that a whole process was about, if its resource names one."""
    given = resource.get("resource")
    found = attributes_of(given.get("attributes"), []) if isinstance(given, Mapping) else {}
    return {_CASE: found[_CASE]} if _CASE in found else {}


def _events(value: Any, faults: list[str]) -> Iterator[SpanEvent]:
    for event in value if isinstance(value, list) else ():
        if isinstance(event, Mapping):
            time = _nanoseconds(event, "timeUnixNano", faults)
            yield SpanEvent(_text(event.get("name")), time, attributes_of(event.get("attributes"), faults))
        else:
            faults.append("an event that is not an object")


def attributes_of(value: Any, faults: list[str]) -> dict[str, Any]:
    """Return a list of keys and values as a mapping of plain values.

    Args:
        value: list of `{key, value}`.
        faults: gets the names of those that cannot be read.
    """
    found: dict[str, Any] = {}
    for item in value if isinstance(value, list) else ():
        if isinstance(item, Mapping) and isinstance(key := item.get("key"), str):
            found[key] = _plain(item.get("value"), key, faults)
        else:
            faults.append("an attribute without a key")
    return found


def _plain(value: Any, key: str, faults: list[str]) -> Any:
    """Return an `AnyValue` as a plain value; `None`, with a fault, if it is none."""
    if value is None or value == {}:
        return None
    kind, inner = next(iter(value.items())) if isinstance(value, Mapping) else ("", value)
    if kind in ("stringValue", "bytesValue") and isinstance(inner, str):
        return inner
    if kind == "boolValue" and isinstance(inner, bool):
        return inner
    if kind == "intValue" and (number := _whole(inner)) is not None:
        return number
    if kind == "doubleValue" and isinstance(inner, int | float) and not isinstance(inner, bool):
        return inner
    if kind == "doubleValue" and inner in ("NaN", "Infinity", "-Infinity"):
        return None
    if kind == "arrayValue" and isinstance(inner, Mapping) and isinstance(inner.get("values", []), list):
        return [_plain(each, key, faults) for each in inner.get("values", [])]
    if kind == "kvlistValue" and isinstance(inner, Mapping) and isinstance(inner.get("values", []), list):
        return attributes_of(inner.get("values", []), faults)
    faults.append(f"the value of {key[:60]!r}")
    return None


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _nanoseconds(value: Mapping[str, Any], key: str, faults: list[str]) -> int | None:
    """Return a time; `None` if there is none, and if it is 0, which OTLP reads as none."""
    given = value.get(key)
    number = _whole(given)
    if number is not None and 0 < number < _MOST_NANOSECONDS:
        return number
    if given not in (None, "", 0, "0"):
        faults.append(f"`{key}`")
    return None
