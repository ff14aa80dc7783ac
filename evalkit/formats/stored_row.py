"""Decode a stored row straight into the types of a row."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from evalkit.errors import InputError, Problem
from evalkit.formats.contexts import read_contexts
from evalkit.formats.line import ROW_FORMAT
from evalkit.formats.steps import stored_steps
from evalkit.types import (
    MOST,
    Case,
    Failure,
    Kind,
    Message,
    Output,
    Row,
    Score,
    Severity,
    ToolCall,
    Unscored,
    Usage,
)

_MAX_REPEATS = 1 << 31
_MOST_CALLS = 1000
"""Maximum number of calls in one value of a row, such as the votes of a judge."""


class _StoredGrade(msgspec.Struct, frozen=True):
    """A `Score` (with a value) or an `Unscored` (with a kind), without its metric, which is its key in the row."""

    value: float | None = None
    passed: bool | None = None
    reason: str = ""
    details: dict[str, Any] = {}
    usage: Usage | None = None
    unscored: str | None = None
    message: str = ""
    turns: tuple[tuple[int, float | None], ...] = ()

    def of(self, metric: str) -> Score | Unscored:
        if self.unscored is not None and self.value is not None:
            raise ValueError("both a value and why there is none")
        if self.unscored is not None:
            return Unscored(metric, self.unscored, self.message, self.usage)
        if self.value is None:
            raise ValueError("neither a value nor why there is none")
        return Score(metric, self.value, self.passed, self.reason, self.details, self.usage, self.turns)


class _StoredCase(msgspec.Struct, frozen=True, kw_only=True):
    """A `Case` whose identity, kind and severity must be given."""

    id: str
    digest: str
    input: str | tuple[Message, ...]
    kind: Kind
    severity: Severity
    reference: tuple[str, ...] = ()
    contexts: tuple[str | dict[str, Any], ...] = ()
    cohorts: dict[str, str] = {}
    cluster: str | None = None
    fields: dict[str, Any] = {}
    place: str = ""

    def case(self) -> Case:
        if not (self.id and self.digest and self.input):
            raise ValueError("a case without an id, a digest or an input")
        return Case(**_with_origins(msgspec.structs.asdict(self)))


def _with_origins(values: dict[str, Any]) -> dict[str, Any]:
    """Split contexts that are more than texts into texts and origins."""
    contexts = values["contexts"]
    if contexts and any(type(context) is dict for context in contexts):
        values["contexts"], values["origins"] = read_contexts("contexts", contexts)
    return values


class _StoredOutput(msgspec.Struct, frozen=True, kw_only=True):
    """An `Output` whose steps may be any mappings, as in earlier versions."""

    text: str
    text_known: bool = True
    contexts: tuple[str | dict[str, Any], ...] | None = None
    usage: Usage | None = None
    user_usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    trajectory: tuple[dict[str, Any], ...] | None = None
    messages: tuple[Message, ...] | None = None
    state: dict[str, Any] | None = None
    stop: str | None = None
    user_why: str | None = None
    interrupt: dict[str, Any] | None = None
    fault: str | None = None
    latency_s: float | None = None
    ttft_s: float | None = None
    attempts: int = 1
    replayed: bool = False

    def output(self) -> Output:
        values = _with_origins(msgspec.structs.asdict(self))
        if self.trajectory is not None:
            values["trajectory"] = stored_steps(self.trajectory)
        return Output(**values)


class _StoredFailure(msgspec.Struct, frozen=True):
    kind: str
    message: str
    partial: _StoredOutput | None = None

    def failure(self) -> Failure:
        return Failure(self.kind, self.message, None if self.partial is None else self.partial.output())


class _StoredRow(msgspec.Struct, frozen=True, kw_only=True):
    case: _StoredCase
    repeat: int
    scores: dict[str, _StoredGrade]
    v: int = ROW_FORMAT
    output: _StoredOutput | None = None
    failure: _StoredFailure | None = None
    skipped: str | None = None
    scored_by: str = ""


_parse = msgspec.json.Decoder(_StoredRow).decode


def read_row(body: bytes) -> Row:
    """Decode a row.

    Raises:
        InputError: a later evalkit wrote it. ValueError, AttributeError, RecursionError: evalkit did not write the row.
    """
    try:
        stored = _parse(body)
    except ValueError:
        stored = _parse_otherwise(body)
    if stored.v != ROW_FORMAT:
        raise _other_format(stored.v)
    ends = (stored.output, stored.failure, stored.skipped)
    if _absurd(stored):
        raise ValueError("a figure that no call has")
    if not 0 <= stored.repeat < _MAX_REPEATS or sum(end is not None for end in ends) != 1:
        raise ValueError("no run writes such a row")
    return Row(
        case=stored.case.case(),
        repeat=stored.repeat,
        output=None if stored.output is None else stored.output.output(),
        failure=None if stored.failure is None else stored.failure.failure(),
        scores={metric: grade.of(metric) for metric, grade in stored.scores.items()},
        skipped=stored.skipped,
        scored_by=stored.scored_by,
    )


def _absurd(stored: _StoredRow) -> bool:
    """Return True for tokens, cost or times that would make sums overflow; this version never writes them."""
    usages = [grade.usage for grade in stored.scores.values()]
    figures: list[float | None] = []
    for output in (stored.output, None if stored.failure is None else stored.failure.partial):
        if output is not None:
            usages += (output.usage, output.user_usage)
            figures += (output.latency_s, output.ttft_s)
    for usage in usages:
        if usage is not None:
            figures += (usage.input_tokens, usage.output_tokens, usage.cost_usd)
    for figure in figures:
        if figure is not None and not 0 <= figure < _MOST_CALLS * MOST:
            return True
    return False


def _parse_otherwise(body: bytes) -> _StoredRow:
    """Parse a row with a lone surrogate, which UTF-8 cannot encode and the fast parser does not read."""
    data = json.loads(body, parse_constant=_finite, parse_float=_finite)
    if data.get("v", ROW_FORMAT) != ROW_FORMAT:
        raise _other_format(data["v"])
    return msgspec.convert(data, _StoredRow)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a number")
    return value


def _other_format(found: Any) -> InputError:
    what = f"a row of format {found}, this evalkit reads {ROW_FORMAT}"
    return InputError(Problem("rows", what, "upgrade evalkit"))
