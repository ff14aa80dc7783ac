"""Read logged calls from traces in OTLP/JSON: a trace is one call, and counts once it is complete.

The spans of a trace come in several lines, and the root mostly last. A trace is complete if its root is there and
nothing was added for 30 seconds. Until then the cursor stays before its first line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from evalkit.errors import Problem
from evalkit.golden.source_file import SourceFile
from evalkit.imports.ids_and_fields import own_field
from evalkit.monitor.call_source import Chunk, RefusedRows
from evalkit.monitor.calls import (
    AMOUNTS,
    MISSING,
    Identity,
    LoggedCall,
    RowRefused,
    check_time,
    cohort_label,
    cohort_value,
    read_action,
    read_thumb,
)
from evalkit.monitor.cursors import Cursor, Cursors
from evalkit.monitor.log_files import LogBlock, LogNote, cursor_in
from evalkit.monitor.settings import Monitor
from evalkit.traces.answers import NO_CONTENT, TracedCall, call_of_trace
from evalkit.traces.meaning import Feedback
from evalkit.traces.otlp import NO_IDS, read_spans, trace_ids, unreadable_spans
from evalkit.traces.tree import TraceTree, traces_of
from evalkit.types import NO_INPUT, Case

SETTLED_S = 30.0
"""Seconds without another span after which a trace with a root is complete."""
GIVEN_UP_S = 600.0
"""Seconds without another span after which a trace without a root is refused."""
MOST_WAITING_BYTES = 64 << 20
"""Bytes of lines with incomplete traces beyond which these are taken as they are."""
SETTLED_BYTES = 4 << 20
"""Bytes of new lines after which complete traces are taken: the lines of the others are read again each time."""
_NANO = 1e9


@dataclass(frozen=True, slots=True)
class TraceLog:
    """One log of traces.

    Attributes:
        path: The file; `None` for standard input.
        blocks: Its new lines.
        quiet_s: Seconds since it last grew.
    """

    path: Path | None
    blocks: Iterable[LogBlock]
    quiet_s: float


@dataclass(frozen=True, slots=True)
class _Line:
    log: TraceLog
    shown: str
    number: int
    start: int
    size: int
    record: Any
    traces: frozenset[str]


class TraceReader:
    """Collects the lines of traces until these are complete."""

    def __init__(self, monitor: Monitor, now: float, cursors: Cursors, notes: list[LogNote]) -> None:
        """Begin with the traces that were taken before.

        Args:
            monitor: Names cohorts.
            now: Seconds since 1970.
            cursors: Of the files that were read.
            notes: Gets what is odd about the traces.
        """
        self._identity, self._now = Identity.of(monitor), now
        self._cohorts, self._options = tuple(monitor.cohorts.items()), monitor.options.logs
        self._notes = notes
        self._lines: list[_Line] = []
        self._taken = {each for cursor in cursors for each in cursor.taken}
        self._ends: dict[Path, Cursor] = {}
        self._newest = 0.0
        self._absent, self._n_calls = dict(self._cohorts), 0

    def absent(self) -> list[str]:
        """Return the cohorts that no call had a value of; none without a call."""
        return [cohort_label(*each) for each in self._absent.items()] if self._n_calls else []

    def chunks(self, logs: Iterable[TraceLog]) -> Iterator[Chunk]:
        """Yield the calls of complete traces; many small logs are settled together."""
        refusals, n_bytes = RefusedRows(), 0
        for log in logs:
            for block in refusals.readable(log.blocks):
                self._lines += self._decoded(log, block, refusals)
                if log.path is not None and block.cursor is not None:
                    self._ends[log.path] = block.cursor
                n_bytes += block.end - block.start
                if n_bytes >= SETTLED_BYTES:
                    yield replace(self._settled(refusals, is_end=False), n_bytes=n_bytes)
                    refusals, n_bytes = RefusedRows(), 0
        if self._ends or self._lines or refusals.n:
            yield self._settled(refusals, is_end=True)

    @property
    def n_waiting(self) -> int:
        """Number of traces that are not complete."""
        return len(self._waiting() - self._taken)

    def _decoded(self, log: TraceLog, block: LogBlock, refusals: RefusedRows) -> Iterator[_Line]:
        decode = msgspec.json.Decoder().decode
        end = block.start
        for number, line in enumerate(block.lines, block.first):
            start, end = end, end + len(line) + 1
            if not line.strip():
                continue
            try:
                record = decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                refusals.add(f"{block.shown}:{number}", "not JSON; write one export of OTLP/JSON a line")
                continue
            if not isinstance(record, Mapping) or not record.keys() & {"resourceSpans", "resourceLogs"}:
                what = 'neither spans nor logs; a line of OTLP/JSON begins with {"resourceSpans": ...}'
                refusals.add(f"{block.shown}:{number}", what)
                continue
            for _ in range(unreadable_spans(record)):
                refusals.add(f"{block.shown}:{number}", "; ".join(NO_IDS))
            yield _Line(log, block.shown, number, start, len(line), record, trace_ids(record))

    def _settled(self, refusals: RefusedRows, *, is_end: bool) -> Chunk:
        """Take the traces that are complete, and keep the lines of the others."""
        is_full = sum(line.size for line in self._lines) > MOST_WAITING_BYTES
        by_log = groupby(self._lines, lambda line: (line.shown, line.log.path))
        sources = [_source(shown, path, list(lines)) for (shown, path), lines in by_log]
        spans = read_spans(sources)
        trees = [tree for tree in traces_of(spans.spans) if tree.id not in self._taken]
        self._note(spans.notes)
        self._newest = max([self._newest, *map(_last, trees)])
        quiet: dict[str, float] = {}
        for line in self._lines:
            quiet |= {each: min(line.log.quiet_s, quiet.get(each, float("inf"))) for each in line.traces}
        calls, unknown = [], 0
        for tree in trees:
            silence = self._newest - _last(tree)
            if is_end:
                silence = max(silence, quiet.get(tree.id, float("inf")))
            has_root = tree.root not in tree.orphans and not tree.spans[tree.root].parent
            if not is_full and silence < (SETTLED_S if has_root else GIVEN_UP_S):
                continue
            self._taken.add(tree.id)
            if not tree.is_known:
                unknown += 1
                continue
            try:
                if not has_root:
                    raise RowRefused("the span that began it is missing; write all spans of a trace to the same logs")
                calls.append(self._call(tree))
            except RowRefused as error:
                refusals.add(tree.place, error)
        if unknown:
            what = f"{unknown:,} traces without a model, tool, agent or node: they are not calls"
            self._notes.append(LogNote("traces", what))
        pending = {tree.id for tree in trees} - self._taken
        self._lines = [line for line in self._lines if line.traces & pending]
        return Chunk(calls, refusals.shown, refusals.n, tuple(self._cursors()))

    def _waiting(self) -> set[str]:
        return {each for line in self._lines for each in line.traces}

    def _cursors(self) -> Iterator[Cursor]:
        """Yield the cursor of each file: before the first line of a trace that is not complete."""
        held: dict[Path | None, list[_Line]] = {}
        for line in self._lines:
            held.setdefault(line.log.path, []).append(line)
        for path, end in [*self._ends.items()]:
            if path not in held:
                del self._ends[path]  # it changes only if the file has more lines
                yield end
                continue
            taken = {each for line in held[path] for each in line.traces if each in self._taken}
            cursor = cursor_in(path, end, held[path][0].start, held[path][0].number - 1, taken)
            if cursor is not None:
                yield cursor

    def _note(self, notes: Iterable[Problem]) -> None:
        known = {(note.place, note.what) for note in self._notes}
        self._notes += [
            LogNote(each.place, f"{each.what}; {each.fix}")
            for each in notes
            if (each.what, each.fix) != NO_IDS  # counted as refused
            and (each.place, f"{each.what}; {each.fix}") not in known
        ]

    def _call(self, tree: TraceTree) -> LoggedCall:
        """Return the call of a complete trace.

        Raises:
            RowRefused: the trace does not hold question or time.
        """
        found = call_of_trace(tree)
        at = check_time(tree.started / _NANO if tree.started else None, "startTimeUnixNano", self._now)
        values = tuple(cohort_value(_attribute(tree, name)) for _, name in self._cohorts)
        self._n_calls += 1
        for (name, _), value in zip(self._cohorts, values, strict=True):
            if value != MISSING:
                self._absent.pop(name, None)
        case = output = None
        if found.failure is None:
            output = found.output
            if found.asked is None and output.text_known:
                raise RowRefused(f"the trace holds no question; {NO_CONTENT[1]}")
            if not output.text_known:
                self._note([Problem("traces", *NO_CONTENT)])
            labels = dict(zip((name for name, _ in self._cohorts), values, strict=True))
            recorded = _recorded(found.verdicts)
            fields = {"recorded": recorded} if recorded else {}
            case = Case(id=tree.id, input=found.history or found.asked or NO_INPUT, cohorts=labels, fields=fields)
        thumb, action = self._options.thumb, self._options.action
        is_up = None if thumb is None else read_thumb(_attribute(tree, thumb), thumb)
        is_blocked = None if action is None else read_action(_attribute(tree, action), action)
        unit = self._identity.unit_of(tree.id, tree.session)
        return LoggedCall(
            self._identity.id_of(tree.id),
            unit,
            at,
            values,
            case,
            output,
            is_up,
            is_blocked,
            _amounts(found),
            tree.place,
        )


def _source(shown: str, path: Path | None, lines: list[_Line]) -> SourceFile:
    rows, numbers = [line.record for line in lines], tuple(line.number for line in lines)
    return SourceFile(shown, "rows", rows, path or Path("-"), lines=numbers)


def _last(tree: TraceTree) -> float:
    """Return when the last span of a trace ended, in seconds since 1970."""
    return max((span.ended or span.started or 0) for span in tree.spans) / _NANO


def _attribute(tree: TraceTree, name: str) -> Any:
    """Return an attribute of the first span that has it, from the root on."""
    root = tree.spans[tree.root]
    if name in root.attributes:
        return root.attributes[name]
    for span, meaning in zip(tree.spans, tree.meanings, strict=True):
        if name in span.attributes:
            return span.attributes[name]
        if name in meaning.metadata:
            return meaning.metadata[name]
    return None


def _recorded(verdicts: Iterable[Feedback]) -> dict[str, Mapping[str, Any]]:
    """Return evaluator -> what it said first, in the form of an import, so that `recorded` reads both alike."""
    found: dict[str, Mapping[str, Any]] = {}
    for each in verdicts:
        if each.value is not None or each.label:
            value = each.label if each.value is None else each.value
            found.setdefault(own_field(each.name), {"value": value, **({"label": each.label} if each.label else {})})
    return found


def _amounts(found: TracedCall) -> tuple[float | None, ...]:
    usage = found.output.usage
    tools = [step for step in found.output.trajectory or () if step.kind == "tool"]
    known: dict[str, float | None] = {
        "latency_s": found.output.latency_s,
        "cost_usd": usage.cost_usd if usage else None,
        "steps": float(len(tools)),
        "tool_errors": float(sum(step.error is not None for step in tools)),
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
    }
    return tuple(known[name] for name in AMOUNTS)
