"""Walk over spans by the span that each is part of, however deep, and also if some are part of themselves."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.traces.span import TracedSpan


def parents_of(spans: Sequence[TracedSpan]) -> list[int | None]:
    """Return the position of the span that each is part of; `None` if there is none among them."""
    places = {span.id: at for at, span in enumerate(spans)}
    return [places.get(span.parent) if span.parent else None for span in spans]


def cut_cycles(parents: list[int | None]) -> list[int]:
    """Take the parent of one span of each cycle away; return the positions of these spans."""
    checked = [False] * len(parents)
    cut = []
    for start in range(len(parents)):
        at: int | None = start
        path: set[int] = set()
        while at is not None and not checked[at]:
            path.add(at)
            checked[at] = True
            above = parents[at]
            if above in path:
                parents[at] = None
                cut.append(at)
                break
            at = above
    return cut


def depths_of(parents: Sequence[int | None]) -> list[int]:
    """Return how many spans each is part of."""
    depths: list[int | None] = [None] * len(parents)
    for start in range(len(parents)):
        path: list[int] = []
        at: int | None = start
        while at is not None and depths[at] is None:
            path.append(at)
            at = parents[at]
        depth = -1 if at is None else depths[at] or 0
        for each in reversed(path):
            depth += 1
            depths[each] = depth
    return [depth or 0 for depth in depths]


def from_below(parents: Sequence[int | None]) -> list[int]:
    """Return the positions, each before the one that it is part of; there must be no cycle."""
    waiting = [0] * len(parents)
    for above in parents:
        if above is not None:
            waiting[above] += 1
    order = [at for at, n_below in enumerate(waiting) if n_below == 0]
    for at in order:
        above = parents[at]
        if above is not None:
            waiting[above] -= 1
            if waiting[above] == 0:
                order.append(above)
    return order
