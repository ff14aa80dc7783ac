"""Prepare the steps, messages and state of an answer for the page of a case."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from evalkit.formats.steps import step_of, step_record, usage_record
from evalkit.formats.tool_calls import call_record
from evalkit.formats.turns import read_details
from evalkit.report.marks import Mark
from evalkit.report.transcript import Entry, Hidden, acted_in
from evalkit.types import Message, Origin, Output, Score, Unscored

MOST_CHARS = 20_000
"""Maximum number of characters of one value on the page; the row holds all of it."""
SHOWN_STEPS = 500
"""Maximum number of steps of one answer on the page."""
_LINE_CHARS = 80
_VALUES = ("arguments", "result", "details")
_MARK = ("metric", "value", "passed", "unscored", "reason")


def steps_shown(output: Output, grades: Iterable[Score | Unscored] = ()) -> dict[str, Any]:
    """Return the steps, the calls that are not among the steps, the messages, and how the answer ended."""
    steps, calls = output.trajectory or (), output.tool_calls or ()
    shown: dict[str, Any] = {}
    apart = bool(calls) and not any(step.kind == "tool" for step in steps)
    if steps:
        shown["steps"] = entries_shown(acted_in(steps, () if apart else grades, SHOWN_STEPS))
    if apart:
        shown["calls"] = entries_shown(acted_in(tuple(map(step_of, calls)), grades, SHOWN_STEPS))
    if output.messages:
        shown["messages"] = [turn_shown(message) for message in output.messages]
    return shown | end_shown(output)


def end_shown(output: Output) -> dict[str, Any]:
    """Return why the system and the simulated user stopped, the open approval request, and the final state."""
    shown: dict[str, Any] = {}
    if output.state is not None:
        shown["state"] = written(output.state)
    if output.stop is not None:
        shown["stop"] = output.stop
    if output.user_why is not None:
        shown["user_why"] = output.user_why
    if output.fault is not None:
        shown["fault"] = output.fault
    if output.interrupt is not None:
        shown["interrupt"] = written(output.interrupt)
    return shown


def entries_shown(entries: Iterable[Entry]) -> list[Any]:
    """Return each entry: a message as a list, a step as an object, omitted steps as their number."""
    return [
        entry.n_steps
        if isinstance(entry, Hidden)
        else turn_shown(entry)
        if isinstance(entry, Message)
        else _entry(step_record(entry.step)) | ({"marks": marks_shown(entry.marks)} if entry.marks else {})
        for entry in entries
    ]


def marks_shown(marks: Iterable[Mark]) -> list[dict[str, Any]]:
    """Return marks without their empty fields."""
    return [
        {key: value for key in _MARK if (value := getattr(mark, key)) is not None and value != ""} for mark in marks
    ]


def turn_shown(message: Message) -> list[Any]:
    """Return a message as role and text, with a third item for everything else."""
    found = read_details(message.details)
    known: dict[str, Any] = {
        "contexts": None if found.contexts is None else [*found.contexts],
        "origins": origins_shown(found.origins),
        "latency_s": rounded(found.latency_s),
        "usage": found.usage and usage_record(found.usage),
    }
    rest = {key: value for key, value in message.details.items() if known.get(key) is None}
    others: dict[str, Any] = {
        "name": message.name,
        "call_id": message.call_id,
        "calls": [_entry(call_record(call)) for call in message.tool_calls],
        "parts": [[part["type"], written(part)] for part in message.parts if part["type"] != "text"],
        "details": written(rest) if rest else "",
    }
    more = {key: value for key, value in known.items() if value not in (None, [])}
    more |= {key: value for key, value in others.items() if value}
    return [message.role, message.content, *([more] if more else [])]


def _entry(record: Mapping[str, Any]) -> dict[str, Any]:
    values = {key: written(record[key]) for key in _VALUES if record.get(key) not in (None, {})}
    return {key: value for key, value in record.items() if key not in _VALUES} | values


def origins_shown(origins: Iterable[Origin]) -> list[str]:
    """Return the line above each context: its id, score and source, if known."""
    return [
        " · ".join(filter(None, (each.id, "" if each.score is None else f"score {rounded(each.score):g}", each.source)))
        for each in origins
    ]


def rounded(seconds: float | None) -> float | None:
    """Round a time to microseconds."""
    return None if seconds is None else round(seconds, 6)


def written(value: Any) -> str:
    """Return a value as text: JSON on one line if it is short, cut if it is too long for a page."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain)
    if not isinstance(value, str) and len(text) > _LINE_CHARS:
        text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    hidden = len(text) - MOST_CHARS
    return text if hidden <= 0 else f"{text[:MOST_CHARS]} … ({hidden:,} more characters in the row)"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
