"""Encode and decode one row of the journal as a checksummed line of JSON."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any

from evalkit.formats.contexts import context_records
from evalkit.formats.line import ROW_FORMAT, body_of, seal
from evalkit.formats.messages import message_record
from evalkit.formats.steps import step_record, usage_record
from evalkit.formats.tool_calls import call_record
from evalkit.types import Case, Output, Row, Score, Unscored

RowKey = tuple[str, str, int]
"""(case id, digest of the case, repeat); the last row of a key counts."""
_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_KEY = re.compile(rb'\{"v":1,"repeat":(\d+),"case":\{"id":(' + _TEXT + rb'),"digest":(' + _TEXT + rb")")
_START, _AFTER_KEY = b'{"v":1,"repeat":', b'","input":'
_encoder = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def encode_row(row: Row) -> bytes:
    """Encode a row as one sealed line.

    The text is ASCII, so that a lone surrogate or U+2028 of an answer survives and never ends a line.
    """
    return seal(_encoder.encode(_row_dict(row)).encode())


def decode_row(line: bytes) -> Row | None:
    """Decode the row of one line, `None` if it is torn, its checksum does not match, or evalkit did not write it."""
    body = body_of(line)
    if body is None:
        return None
    try:
        return _reader()(body)
    except (ValueError, AttributeError, RecursionError):
        return None


@functools.cache
def _reader() -> Callable[[bytes], Row]:
    from evalkit.formats.stored_row import read_row  # a run that reads no rows does without its library

    return read_row


def row_key(line: bytes) -> RowKey | None:
    """Return the key of an intact line, `None` for any other."""
    body = body_of(line)
    if body is None:
        return None
    found = _KEY.match(body)
    if found is not None:  # the beginning of a row says it all, however long its answer is
        return json.loads(found[2]), json.loads(found[3]), int(found[1])
    row = decode_row(line)
    return None if row is None else (row.case.id, row.case.digest, row.repeat)


def row_name(line: bytes) -> bytes | None:
    """Return the beginning of an intact line's row, which identifies the key of the row."""
    body = body_of(line)
    if body is not None and not body.startswith(_START):
        row = decode_row(line)
        body = None if row is None else _encoder.encode(_row_dict(row)).encode()
    # Quotes inside an id are escaped, so the first occurrence of this mark is the end of id and digest.
    return None if body is None else body[: body.index(_AFTER_KEY)]


def key_of_name(name: bytes) -> RowKey:
    """Return the key of a name made by `row_name`.

    Raises:
        ValueError: it is not such a name.
    """
    try:
        row = json.loads(name + b'"}}')
        return str(row["case"]["id"]), str(row["case"]["digest"]), int(row["repeat"])
    except (KeyError, TypeError, RecursionError):
        raise ValueError("not the name of a row") from None


def _row_dict(row: Row) -> dict[str, Any]:
    data: dict[str, Any] = {"v": ROW_FORMAT, "repeat": row.repeat, "case": _case_dict(row.case)}
    if row.output is not None:
        data["output"] = output_record(row.output)
    if row.failure is not None:
        data["failure"] = {"kind": row.failure.kind, "message": row.failure.message}
        if row.failure.partial is not None:
            data["failure"]["partial"] = output_record(row.failure.partial)
    if row.skipped is not None:
        data["skipped"] = row.skipped
    data["scores"] = {name: _grade_dict(grade) for name, grade in row.scores.items()}
    if row.scored_by:
        data["scored_by"] = row.scored_by
    return data


def _case_dict(case: Case) -> dict[str, Any]:
    data: dict[str, Any] = {
        "id": case.id,
        "digest": case.digest,
        "input": case.input if isinstance(case.input, str) else [message_record(each) for each in case.input],
        "kind": case.kind,
        "severity": case.severity,
    }
    optional = {
        "reference": case.reference,
        "contexts": context_records(case.contexts, case.origins),
        "cohorts": case.cohorts,
        "cluster": case.cluster,
        "fields": case.fields,
        "place": case.place,
    }
    return data | {key: value for key, value in optional.items() if value}


def output_record(output: Output) -> dict[str, Any]:
    """Return an output as rows store it, without fields that the system did not report."""
    data: dict[str, Any] = {"text": output.text}
    if not output.text_known:
        data["text_known"] = False
    if output.usage is not None:
        data["usage"] = usage_record(output.usage)
    if output.user_usage is not None:
        data["user_usage"] = usage_record(output.user_usage)
    if output.tool_calls is not None:
        data["tool_calls"] = [call_record(call) for call in output.tool_calls]
    if output.replayed:
        data["replayed"] = True
    if output.attempts > 1:
        data["attempts"] = output.attempts
    if output.contexts is not None:
        data["contexts"] = context_records(output.contexts, output.origins)
    if output.trajectory is not None:
        data["trajectory"] = [step_record(step) for step in output.trajectory]
    if output.messages is not None:
        data["messages"] = [message_record(message) for message in output.messages]
    for key in ("state", "stop", "user_why", "interrupt", "fault", "latency_s", "ttft_s"):
        if (value := getattr(output, key)) is not None:
            data[key] = value
    return data


def _grade_dict(grade: Score | Unscored) -> dict[str, Any]:
    data: dict[str, Any]
    if isinstance(grade, Unscored):
        data = {"unscored": grade.kind, "message": grade.message}
    else:
        data = {"value": grade.value}
        if grade.passed is not None:
            data["passed"] = grade.passed
        if grade.reason:
            data["reason"] = grade.reason
        if grade.details:
            data["details"] = grade.details
        if grade.turns:
            data["turns"] = grade.turns
    if grade.usage is not None:
        data["usage"] = usage_record(grade.usage)
    return data
