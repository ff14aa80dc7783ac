"""Encode everything the page of one case shows as compact JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from evalkit.formats.labelled_text import shown_text
from evalkit.report.conversation import changed_conversation, conversation_shown
from evalkit.report.steps import end_shown, origins_shown, rounded, steps_shown, turn_shown
from evalkit.report.transcript import held
from evalkit.types import Case, Output, Row, Score, Unscored, Usage

SNIPPET_CHARS = 120

Json = dict[str, Any] | list[Any]


def body_of(row: Row | None, before: Row | None) -> Json:
    """Return the case with the current output, and the baseline's differences under `before`.

    Args:
        row: the candidate's, `None` for a case that was removed.
        before: the baseline's, `None` if there is none; at least one of the two is given.
    """
    either = row or before
    if either is None:
        raise ValueError("a body needs a row")
    body = {**_case(either.case), **(_answer(row) if row else {})}
    if before is not None:
        body["before"] = _less(_answer(before), body) if row else _answer(before)
    return body


def snippet_of(case: Case) -> str:
    """Return the start of the question on one line, for the table of cases."""
    return " ".join(case.question[: 2 * SNIPPET_CHARS].split())[:SNIPPET_CHARS]


def _case(case: Case) -> dict[str, Any]:
    """Return the case, without its input if the index holds all of it."""
    shown: dict[str, Any] = {}
    if not isinstance(case.input, str):
        shown["input"] = [turn_shown(message) for message in case.input]
    elif len(case.input) > SNIPPET_CHARS or case.input != snippet_of(case):
        shown["input"] = case.input
    for key in ("reference", "contexts", "cluster", "fields", "place"):
        if value := getattr(case, key):
            shown[key] = value
    if case.origins:
        shown["origins"] = origins_shown(case.origins)
    return shown


def _answer(row: Row) -> dict[str, Any]:
    """Return the output of a system for a case, and its grades."""
    shown: dict[str, Any] = {}
    if row.output is not None:
        shown["output"] = _output(row.output) | _doing(row)
    elif partial := _doing(row):
        shown["partial"] = partial
    if row.failure is not None:
        shown["failure"] = [row.failure.kind, row.failure.message]
    if row.skipped is not None:
        shown["skipped"] = row.skipped
    if row.scores:
        shown["scores"] = [_grade(grade) for grade in row.scores.values()]
    return shown


def _less(before: dict[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Remove from the baseline's answer its steps, and the text, turns and grades that have not changed."""
    less = dict(before)
    for part in less.keys() & {"output", "partial"}:
        less[part] = changed_conversation(before[part], now.get("output") or now.get("partial") or {})
    if "output" in before and before["output"]["text"] == now.get("output", {}).get("text"):
        less["output"] = {key: value for key, value in less["output"].items() if key != "text"}
    if "scores" in before:
        same = {grade["metric"]: grade for grade in now.get("scores", ())}
        scores = [grade for grade in before["scores"] if same.get(grade["metric"]) != grade]
        less["scores"] = scores
        if kept := [grade["metric"] for grade in before["scores"] if same.get(grade["metric"]) == grade]:
            less["kept"] = 1 if len(kept) == len(before["scores"]) == len(same) else kept
        if not scores:
            del less["scores"]
    return less


def _output(output: Output) -> dict[str, Any]:
    shown: dict[str, Any] = {"text": shown_text(output)}
    if output.contexts is not None:
        shown["contexts"] = output.contexts
    if output.origins:
        shown["origins"] = origins_shown(output.origins)
    if output.usage is not None:
        shown["usage"] = _usage(output.usage)
    if output.user_usage is not None:
        shown["user_usage"] = _usage(output.user_usage)
    if output.latency_s is not None:
        shown["latency_s"] = rounded(output.latency_s)
    if output.ttft_s is not None:
        shown["ttft_s"] = rounded(output.ttft_s)
    if output.attempts > 1:
        shown["attempts"] = output.attempts
    if output.replayed:
        shown["replayed"] = True
    return shown


def _doing(row: Row) -> dict[str, Any]:
    """Return the conversation, or else the steps of the answer, and how it ended."""
    output = held(row)
    if output is None:
        return {}
    conversation = conversation_shown(row)
    did = steps_shown(output, row.scores.values()) if conversation is None else end_shown(output)
    return _filled(conversation=conversation, did=did or None)


def _grade(grade: Score | Unscored) -> dict[str, Any]:
    shown: dict[str, Any] = {"metric": grade.metric}
    if isinstance(grade, Unscored):
        shown["unscored"] = grade.kind
        reason = grade.message
    else:
        shown["value"] = grade.value
        if grade.passed is not None:
            shown["passed"] = grade.passed
        if grade.details:
            shown["details"] = grade.details
        reason = grade.reason
    if reason:
        shown["reason"] = reason
    if grade.usage is not None:
        shown["usage"] = _usage(grade.usage)
    return shown


def _usage(usage: Usage) -> dict[str, Any]:
    return _filled(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
        model=usage.model,
        cached=usage.cached or None,
    )


def _filled(**values: Any) -> dict[str, Any]:
    """Return the values without `None`, empty texts and empty collections; zero and `False` stay."""
    return {
        key: value for key, value in values.items() if value is not None and value != "" and value != () and value != []
    }


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain)


def to_ascii(value: Json) -> str:
    """Return the compact ASCII JSON; NaN and infinities, which JSON lacks, become their names."""
    try:
        return _ENCODER.encode(value)
    except ValueError:
        return _ENCODER.encode(_named(value))


def _named(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _named(entry) for key, entry in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return [_named(entry) for entry in value]
    return value
