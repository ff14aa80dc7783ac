"""Define a span as a file of traces has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.errors import Problem


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span: an event of it, or a log record that names it.

    Attributes:
        name: Such as `exception`.
        time: Nanoseconds since 1970; `None` if unknown.
        attributes: Plain values by key.
        body: Body of a log record.
    """

    name: str
    time: int | None
    attributes: Mapping[str, Any]
    body: Any = None


@dataclass(frozen=True, slots=True)
class TracedSpan:
    """One operation of a traced system.

    Attributes:
        place: File and span, for messages.
        trace: Id of the trace, 32 hex digits in lower case.
        id: 16 hex digits in lower case.
        parent: Id of the span that this one is part of; empty if there is none.
        name: Such as `chat gpt-4o`.
        started: Nanoseconds since 1970; `None` if unknown.
        ended: Nanoseconds since 1970; `None` if the span has no end.
        attributes: Plain values by key.
        events: In the order of time.
        failed: Whether its status is an error.
        message: Text of the status.
        faults: What could not be read of it.
    """

    place: str
    trace: str
    id: str
    parent: str
    name: str
    started: int | None
    ended: int | None
    attributes: Mapping[str, Any]
    events: tuple[SpanEvent, ...] = ()
    failed: bool = False
    message: str = ""
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TracedSpans:
    """The spans of some files.

    Attributes:
        spans: By trace and start.
        notes: What could not be read.
    """

    spans: tuple[TracedSpan, ...]
    notes: tuple[Problem, ...]
