"""Take a trace apart that holds several cases or conversations, such as that of a whole experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalkit.traces.conventions import case_of
from evalkit.traces.meaning import SpanMeaning
from evalkit.traces.parents import cut_cycles, from_below, parents_of
from evalkit.traces.span import TracedSpan

_SEVERAL = ""
"""Stands for the names below a span of several parts; no part has an empty name."""


@dataclass(frozen=True, slots=True)
class MeantSpan:
    """A span with its meaning; `None` if no convention knows it."""

    span: TracedSpan
    meaning: SpanMeaning | None


def parts_of(spans: Sequence[MeantSpan]) -> list[list[MeantSpan]]:
    """Return the spans of each case that a trace names, or of each conversation if its roots belong to none.

    A span belongs to what it names itself, else to the only name below it, else to what it is part of. A trace with
    one name, or without one, stays whole.
    """
    parents = parents_of([each.span for each in spans])
    cut_cycles(parents)
    names = [case_of(each.span, each.meaning) for each in spans]
    if len({*names} - {None}) < 2:
        names = [None if each.meaning is None else each.meaning.session for each in spans]
        if any(names[at] for at, above in enumerate(parents) if above is None):
            return [[*spans]]
    if len({*names} - {None}) < 2:
        return [[*spans]]
    found: dict[str | None, list[MeantSpan]] = {}
    for at, name in enumerate(owners := _owners(names, parents)):
        above, each = parents[at], spans[at]
        begins = above is not None and owners[above] != name
        found.setdefault(name, []).append(replace(each, span=replace(each.span, parent="")) if begins else each)
    return [*found.values()]


def _owners(names: Sequence[str | None], parents: Sequence[int | None]) -> list[str | None]:
    order = from_below(parents)
    below = [*names]
    for at in order:
        above = parents[at]
        if above is not None and names[above] is None and below[at] is not None:
            below[above] = below[at] if below[above] in (None, below[at]) else _SEVERAL
    owners = [None if name == _SEVERAL else name for name in below]
    for at in reversed(order):
        above = parents[at]
        if owners[at] is None and above is not None:
            owners[at] = owners[above]
    return owners
