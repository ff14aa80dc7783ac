"""Put the spans of one trace in order, each with the span that it is part of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from evalkit.errors import Problem
from evalkit.traces.conventions import case_of, meaning_of
from evalkit.traces.meaning import SpanMeaning
from evalkit.traces.parents import cut_cycles, depths_of, parents_of
from evalkit.traces.parts import MeantSpan, parts_of
from evalkit.traces.span import TracedSpan

_NOTHING = SpanMeaning()
_LAST = 1 << 64
_NAMED = 3


@dataclass(frozen=True, slots=True)
class TraceTree:
    """The spans of one trace.

    Attributes:
        id: 32 hex digits.
        place: File and trace, for messages.
        spans: By start, then the outer first, then the longer, so that a span follows the one that it is part of.
        meanings: Of each span.
        parents: Position of the span that each is part of; `None` for a root, or if it is not in the file.
        orphans: Positions of spans whose parent is not in the file.
        is_known: Whether a convention knows some span.
        notes: What is odd about the trace.
    """

    id: str
    place: str
    spans: tuple[TracedSpan, ...]
    meanings: tuple[SpanMeaning, ...]
    parents: tuple[int | None, ...]
    orphans: frozenset[int]
    is_known: bool
    notes: tuple[Problem, ...]

    @property
    def root(self) -> int:
        """Position of the first span that is part of no other."""
        whole = (at for at, above in enumerate(self.parents) if above is None and at not in self.orphans)
        return next(whole, 0)

    @property
    def top(self) -> int:
        """Position of the first span that a convention knows: a web framework may have begun the trace."""
        known = (at for at, own in enumerate(self.meanings) if own.kind is not None and at not in self.orphans)
        return next(known, self.root)

    @property
    def started(self) -> int:
        """When the trace began, in nanoseconds since 1970; 0 if unknown."""
        return self.spans[self.root].started or min((span.started for span in self.spans if span.started), default=0)

    @property
    def session(self) -> str | None:
        """Id of the conversation that the trace is part of."""
        return next((meaning.session for meaning in self._from_the_root() if meaning.session), None)

    @property
    def case(self) -> str | None:
        """The case that the trace says it is about."""
        return next(
            (case for span, own in zip(self.spans, self.meanings, strict=True) if (case := case_of(span, own))), None
        )

    def _from_the_root(self) -> Iterator[SpanMeaning]:
        yield self.meanings[self.root]
        yield from self.meanings


def traces_of(spans: Iterable[TracedSpan]) -> list[TraceTree]:
    """Return the traces by the time at which they began; one with several cases is several."""
    return trees_of(MeantSpan(span, meaning_of(span)) for span in spans)


def trees_of(spans: Iterable[MeantSpan]) -> list[TraceTree]:
    """Return the traces of spans whose meaning is known, as `traces_of` does."""
    found: dict[str, list[MeantSpan]] = {}
    for each in spans:
        found.setdefault(each.span.trace, []).append(each)
    parts = [part for spans_of_trace in found.values() for part in parts_of(spans_of_trace)]
    return sorted(map(trace_tree, parts), key=lambda trace: (trace.started, trace.id, trace.spans[0].id))


def trace_tree(spans: Sequence[MeantSpan]) -> TraceTree:
    """Return the spans of one trace, of which there is at least one, in order."""
    meanings = {each.span.id: each.meaning for each in spans}
    by_start = sorted(
        (each.span for each in spans),
        key=lambda span: (span.started is None, span.started or 0, -(span.ended or _LAST), span.id),
    )
    parents = parents_of(by_start)
    cut = cut_cycles(parents)
    depths = depths_of(parents)
    order = sorted(range(len(by_start)), key=lambda at: _position(by_start[at], depths[at]))
    moved = {old: new for new, old in enumerate(order)}
    kept = tuple(by_start[at] for at in order)
    above = tuple(None if (parent := parents[at]) is None else moved[parent] for at in order)
    found = [meanings[span.id] for span in kept]
    orphans = frozenset(at for at, span in enumerate(kept) if span.parent and span.parent not in meanings)
    file = kept[0].place.partition(" span ")[0]
    trace = TraceTree(
        id=kept[0].trace,
        place=f"{file} trace {kept[0].trace}",
        spans=kept,
        meanings=tuple(each or _NOTHING for each in found),
        parents=above,
        orphans=orphans,
        is_known=any(each is not None and each.kind is not None for each in found),
        notes=(),
    )
    return replace(trace, notes=tuple(_notes(trace, [by_start[at].id for at in cut])))


def _position(span: TracedSpan, depth: int) -> tuple[bool, int, int, int, str]:
    return span.started is None, span.started or 0, depth, -(span.ended or _LAST), span.id


def _notes(trace: TraceTree, cut: Sequence[str]) -> Iterator[Problem]:
    spans = trace.spans
    roots = [
        span.id
        for at, span in enumerate(spans)
        if trace.parents[at] is None and at not in trace.orphans and span.id not in cut
    ]
    open_ended = [span.id for span in spans if span.ended is None]
    backwards = [span.id for span in spans if span.started and span.ended and span.ended < span.started]
    faulty: dict[str, list[str]] = {}
    for span, own in zip(spans, trace.meanings, strict=True):
        for fault in dict.fromkeys([*span.faults, *own.faults]):
            faulty.setdefault(fault, []).append(span.id)
    if trace.orphans:
        what = "is part of a span that is not in the file: the output is marked as incomplete"
        ids = [spans[at].id for at in sorted(trace.orphans)]
        yield _note(trace, ids, what, "import the file with the whole trace")
    if len(roots) > 1:
        what = "begins a trace that has several beginnings: the first counts"
        yield _note(trace, roots, what, "give each run a trace of its own")
    if cut:
        yield _note(trace, sorted(cut), "is part of itself: it is read as a beginning", "export the trace again")
    if open_ended:
        what = "has no end: its step has the error `unfinished`"
        yield _note(trace, open_ended, what, "export the trace after the run has ended")
    if backwards:
        yield _note(trace, backwards, "ends before it starts: its times are unknown", "synchronise the clocks")
    for fault, ids in faulty.items():
        fix = "export the trace again, without a limit on attributes"
        yield _note(trace, ids, f"not read: {fault}", fix)


def _note(trace: TraceTree, ids: Sequence[str], what: str, fix: str) -> Problem:
    """Return a note about some spans, of which the first are named."""
    others = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return Problem(f"{trace.place} span {', '.join(ids[:_NAMED])}{others}", what, fix)
