"""Take ratings and labels of calls, which wait until their call is taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from evalkit.errors import Problem
from evalkit.monitor.batches import Batch
from evalkit.monitor.call_source import RefusedRows
from evalkit.monitor.calls import DAY_S
from evalkit.monitor.cursors import Cursor, Cursors
from evalkit.monitor.feedback import (
    LABELLED_DAYS,
    CallFeedback,
    FeedbackLook,
    feedback_observations,
    read_feedback,
    settle_feedback,
)
from evalkit.monitor.log_files import LogBlock
from evalkit.monitor.month_heads import first_unsealed_day
from evalkit.monitor.settings import Monitor
from evalkit.monitor.store import MonitorStore
from evalkit.monitor.waiting_feedback import read_waiting, write_waiting


def take_feedback(
    blocks: Iterable[LogBlock],
    monitor: Monitor,
    store: MonitorStore,
    cursors: Cursors,
    now: float,
    before: float | None,
) -> tuple[Mapping[str, int], Sequence[Problem]]:
    """Store ratings and labels, block by block: first those that waited; the calls of this look are known by now.

    Args:
        blocks: Lines of feedback.
        monitor: Whose calls they are about.
        store: Of the monitor.
        cursors: Get those of the files that were read.
        now: Seconds since 1970.
        before: Seconds since 1970 of the newest call of earlier takes; `None` without one.

    Returns:
        Name -> ratings and labels, as `TakenCalls.feedback`; some of what is no feedback, or can never count.

    Raises:
        InputError: A file cannot be read.
        StoreError: The disk refuses, or a file of the monitor was altered.
    """
    names, refusals = tuple(monitor.cohorts), RefusedRows()
    waited = {each.key: each for each in read_waiting(store.folder)}
    waiting: dict[int, CallFeedback] = {}
    total = Counter({"counted": 0, "double": 0})
    labelled = 0 if before is None else int(before // DAY_S) - LABELLED_DAYS
    open_day = max(labelled, first_unsealed_day(store.folder))

    def given() -> Iterator[tuple[list[CallFeedback], Cursor | None]]:
        yield [*waited.values()], None
        for found, block in read_feedback(blocks, monitor, now, refusals):
            yield found, block.cursor

    for said, cursor in given():
        last = store.state().last
        found = settle_feedback(FeedbackLook(store.folder, names, open_day, now, last), said, refusals)
        new = {each.key: each for each in found.waiting if each.key not in waiting}
        waiting |= new
        write_waiting(store.folder, {**waited, **waiting}.values())  # before the cursor counts: a kill loses none
        number, n_double = last + 1, len(found.double) + len(found.waiting) - len(new)
        counts = {"counted": len(found.fresh), "double": n_double}
        if cursor is not None or found.fresh:
            read_to = {} if cursor is None else {cursor.name: cursor.encoded()}
            batch = Batch(number=number, files={}, cursors=read_to, counts=counts)
            store.commit(batch, feedback_observations(number, found.fresh, names))
        if cursor is not None:
            cursors.add(cursor)
        total.update(counts)
    write_waiting(store.folder, waiting.values())
    return {**total, "refused": refusals.n, "waiting": len(waiting)}, refusals.shown
