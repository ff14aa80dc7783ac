"""Prepare the steps, messages and state of an answer for the page of a case."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.formats.steps import step_record
from evalkit.formats.tool_calls import call_record
from evalkit.types import Message, Output

MOST_CHARS = 20_000
"""Maximum characters of one value on the page; the row holds all of it."""
MOST_STEPS = 500
"""Maximum steps of one answer on the page."""
_LINE_CHARS = 80
_VALUES = ("arguments", "result", "details")


def steps_shown(output: Output) -> dict[str, Any]:
    """Return what the system did: steps, calls that are not among the steps, messages, state, stop and interrupt."""
    steps, calls = output.trajectory or (), output.tool_calls or ()
    shown: dict[str, Any] = {}
    if steps:
        shown["steps"] = _listed([step_record(step) for step in steps[:MOST_STEPS]], len(steps))
    if calls and not any(step.kind == "tool" for step in steps):
        shown["calls"] = _listed([call_record(call) for call in calls[:MOST_STEPS]], len(calls))
    if output.messages:
        shown["messages"] = [turn_shown(message) for message in output.messages]
    if output.state is not None:
        shown["state"] = written(output.state)
    if output.stop is not None:
        shown["stop"] = output.stop
    if output.fault is not None:
        shown["fault"] = output.fault
    if output.interrupt is not None:
        shown["interrupt"] = written(output.interrupt)
    return shown


def turn_shown(message: Message) -> list[Any]:
    """Return a message as role and text, with a third item for everything else."""
    others = {
        "name": message.name,
        "call_id": message.call_id,
        "calls": [_entry(call_record(call)) for call in message.tool_calls],
        "parts": [[part["type"], written(part)] for part in message.parts if part["type"] != "text"],
        "details": written(message.details) if message.details else "",
    }
    kept = {key: value for key, value in others.items() if value}
    return [message.role, message.content, *([kept] if kept else [])]


def _listed(records: Sequence[Mapping[str, Any]], n: int) -> dict[str, Any]:
    return {"list": [_entry(record) for record in records], **({"n": n} if n > len(records) else {})}


def _entry(record: Mapping[str, Any]) -> dict[str, Any]:
    values = {key: written(record[key]) for key in _VALUES if record.get(key) not in (None, {})}
    return {key: value for key, value in record.items() if key not in _VALUES} | values


def written(value: Any) -> str:
    """Return a value as text: JSON on one line if it is short, cut if it is too long for a page."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain)
    if not isinstance(value, str) and len(text) > _LINE_CHARS:
        text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    hidden = len(text) - MOST_CHARS
    return text if hidden <= 0 else f"{text[:MOST_CHARS]} … ({hidden:,} more characters in the row)"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
