"""All that the page of one case shows, as JSON without what is empty or the same as before."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from evalkit.types import Case, Output, Row, Score, Unscored, Usage

SNIPPET_CHARS = 120

Json = dict[str, Any] | list[Any]


def body_of(row: Row | None, before: Row | None) -> Json:
    """The case with what the system gave now, and under `before` what differs in the baseline's row.

    Args:
        row: the candidate's, `None` for a case that was removed.
        before: the baseline's, `None` where there is none; one of them is there.
    """
    either = row or before
    if either is None:
        raise ValueError("a body needs a row")
    body = {**_case(either.case), **(_answer(row) if row else {})}
    if before is not None:
        body["before"] = _less(_answer(before), body) if row else _answer(before)
    return body


def snippet_of(case: Case) -> str:
    """The begin of the question on one line, for the table of cases."""
    return " ".join(case.question[: 2 * SNIPPET_CHARS].split())[:SNIPPET_CHARS]


def _case(case: Case) -> dict[str, Any]:
    """The case; an input that the index holds whole is left out."""
    text: Any = case.input if isinstance(case.input, str) else [[turn.role, turn.content] for turn in case.input]
    return _filled(
        input=None if text == snippet_of(case) else text,
        reference=case.reference,
        contexts=case.contexts,
        cluster=case.cluster,
        fields=case.fields,
        place=case.place,
    )


def _answer(row: Row) -> dict[str, Any]:
    """What a system gave for a case, and its grades."""
    return _filled(
        output=_output(row.output) if row.output else None,
        failure=[row.failure.kind, row.failure.message] if row.failure else None,
        skipped=row.skipped,
        scores=[_grade(grade) for grade in row.scores.values()],
    )


def _less(before: dict[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of the baseline's answer the text and the grades that are the same now."""
    less = dict(before)
    if "output" in before and before["output"]["text"] == now.get("output", {}).get("text"):
        less["output"] = {key: value for key, value in before["output"].items() if key != "text"}
    if "scores" in before:
        same = {grade["metric"]: grade for grade in now.get("scores", ())}
        scores = [grade for grade in before["scores"] if same.get(grade["metric"]) != grade]
        less["scores"] = scores
        if kept := [grade["metric"] for grade in before["scores"] if same.get(grade["metric"]) == grade]:
            less["kept"] = 1 if len(kept) == len(before["scores"]) == len(same) else kept
        if not scores:
            del less["scores"]
    return less


def _output(output: Output) -> Json:
    rest = _filled(
        usage=_usage(output.usage),
        tool_calls=[[call.name, dict(call.arguments)] for call in output.tool_calls or ()],
        trajectory=[dict(step) for step in output.trajectory or ()],
        latency_s=rounded(output.latency_s),
        ttft_s=rounded(output.ttft_s),
        attempts=output.attempts if output.attempts > 1 else None,
        replayed=output.replayed or None,
    )
    contexts = {} if output.contexts is None else {"contexts": output.contexts}
    return {"text": output.text, **contexts, **rest}


def _grade(grade: Score | Unscored) -> dict[str, Any]:
    if isinstance(grade, Unscored):
        rest = _filled(reason=grade.message, usage=_usage(grade.usage))
        return {"metric": grade.metric, "unscored": grade.kind, **rest}
    return _filled(
        metric=grade.metric,
        value=grade.value,
        passed=grade.passed,
        reason=grade.reason,
        details=grade.details,
        usage=_usage(grade.usage),
    )


def _usage(usage: Usage | None) -> Json | None:
    if usage is None:
        return None
    return _filled(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
        model=usage.model,
        cached=usage.cached or None,
    )


def _filled(**values: Any) -> dict[str, Any]:
    """The values without `None`, empty texts and empty collections; zero and `False` stay."""
    return {
        key: value for key, value in values.items() if value is not None and value != "" and value != () and value != []
    }


def rounded(seconds: float | None) -> float | None:
    """A time to the microsecond."""
    return None if seconds is None else round(seconds, 6)


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=str)


def to_ascii(value: Json) -> str:
    """Compact ASCII JSON; NaN and infinities, which JSON lacks, become their names."""
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
