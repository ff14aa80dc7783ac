"""Scan streams by day, and begin anew after each recovery.

The long windows of the scan keep bad days for six weeks. Once a week or more of good days shows that a stream has
recovered, the days before no longer count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from evalkit.monitor.alarms import episodes
from evalkit.stats.scan import (
    Bools,
    DailySums,
    Floats,
    Ints,
    Level,
    ScanResult,
    Streams,
    first_recovery,
    scan,
    window_mean,
)


@dataclass(frozen=True, eq=False)
class RestartedScan:
    """A scan that begins anew after each recovery."""

    result: ScanResult
    recoveries: tuple[frozenset[int], ...]
    """Positions of the days on which each stream had recovered; none of the later windows begins before the window
    that showed it."""


def restarted_scan(days: DailySums, weekend: Bools, level: Level, streams: Streams, threshold: float) -> RestartedScan:
    """Scan all days, and begin anew where a stream recovers.

    To begin anew leaves windows out and adds none, so no statistic is larger than without it.

    Args:
        days: Days in order, without the reference period, shape (S, days).
        weekend: True for a Saturday or Sunday, shape (days,).
        level: The reference.
        streams: What the streams are.
        threshold: Statistic above which an episode begins.
    """
    plain = scan(days, weekend, level, streams)
    statistic, window = plain.statistic.copy(), plain.window.copy()
    recoveries = []
    for row in np.arange(len(statistic)).tolist():
        own = _Stream(days.of(row), weekend, level.of(row), streams.of(row), threshold)
        recoveries.append(frozenset(own.restart(statistic[row], window[row])))
    return RestartedScan(ScanResult(statistic, window), tuple(recoveries))


@dataclass(frozen=True, eq=False)
class _Stream:
    """One stream; `days`, `level` and `streams` have the length 1."""

    days: DailySums
    weekend: Bools
    level: Level
    streams: Streams
    threshold: float

    def restart(self, statistic: Floats, window: Ints) -> Iterator[int]:
        """Yield the days of recoveries, and replace the statistics and windows of the days after each."""
        last = -1
        while True:
            found = None
            for episode in episodes(statistic[last + 1 :].tolist(), self.threshold):
                end = len(statistic) if episode.ended is None else last + 1 + episode.ended
                found = self._recovery(statistic, window, last + 1 + episode.began, end)
                if found is not None:
                    break
            if found is None:
                return
            last, length = found
            first = last + 1 - length
            anew = scan(self.days.between(first, None), self.weekend[first:], self.level, self.streams)
            statistic[last + 1 :], window[last + 1 :] = anew.statistic[0, length:], anew.window[0, length:]
            yield last

    def _recovery(self, statistic: Floats, window: Ints, began: int, end: int) -> tuple[int, int] | None:
        """Return the day of the recovery from an episode, and the length of the window that shows it."""
        # The fall is the window with the largest statistic so far.
        highest = np.maximum.accumulate(statistic[began:end])
        peaks = began + np.flatnonzero(statistic[began:end] == highest)
        for peak, until in pairwise([*peaks.tolist(), end]):
            first = peak + 1
            fall = window_mean(self.days, self.weekend, self.level, 0, peak, int(window[peak]))
            fallen = replace(self.level, mean=np.array([fall.mean]), n=np.array([fall.n]))
            after = self.days.between(first, until), self.weekend[first:until]
            found = first_recovery(*after, (self.level, fallen), self.streams, self.threshold)
            if found is not None:
                return first + found[0], found[1]
        return None
