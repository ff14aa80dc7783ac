"""Scan the days since the reference, and list the alarms and the state of every stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.monitor.alarms import Episode, episodes
from evalkit.monitor.key_changes import KeyChange
from evalkit.monitor.recovery import RestartedScan, restarted_scan
from evalkit.monitor.reference import Reference, ReferenceStream
from evalkit.monitor.sampled_texts import id_hash, sampled_rows
from evalkit.monitor.series import Stream, date_of
from evalkit.monitor.streams import DayTable
from evalkit.report.monitor.status import Alarm, AlarmLevel
from evalkit.stats.scan import DailySums, window_mean
from evalkit.types import Score

MOST_EXAMPLES = 5
_PASSED = ".passed"


@dataclass(frozen=True, eq=False)
class WatchedDays:
    """The days since the reference, scanned."""

    reference: Reference
    table: DayTable
    """One row for each stream of the reference, in its order."""
    sums: DailySums
    scanned: RestartedScan
    changes: Mapping[tuple[str, str], KeyChange]
    """(metric, score key) of the reference -> its change."""

    def end_of(self, stream: ReferenceStream) -> int:
        """Return the number of days that belong to a stream: those before its score key changed."""
        change = self.changes.get((stream.metric, stream.score_key))
        return self.table.length if change is None else max(0, min(self.table.length, change.day - self.table.first))

    def last_statistic(self, row: int) -> tuple[float | None, int]:
        """Return statistic and window of the last day of a stream; `None` without enough answers."""
        end = self.end_of(self.reference.streams[row])
        result = self.scanned.result
        value = float(result.statistic[row, end - 1]) if end else -math.inf
        return (value, int(result.window[row, end - 1])) if math.isfinite(value) else (None, 0)


def watch_days(reference: Reference, table: DayTable, changes: Sequence[KeyChange]) -> WatchedDays:
    """Scan all days of the table."""
    sums = table.sums([each.effect for each in reference.streams])
    found = restarted_scan(sums, table.weekend, reference.level, reference.scanned, reference.warning_threshold)
    return WatchedDays(reference, table, sums, found, {(each.metric, each.old): each for each in changes})


def alarms_of(watched: WatchedDays, is_trusted: Callable[[Stream], bool]) -> list[Alarm]:
    """Return all alarms and warnings since the reference, in the order of the streams and days.

    A warning is left out while an alarm of the same stream lasts. Streams of a judge that is not trusted have warnings
    only.
    """
    found = []
    limits: tuple[tuple[AlarmLevel, float, float], ...] = (
        ("alarm", watched.reference.alarm_threshold, watched.reference.alarms_per_year),
        ("warning", watched.reference.warning_threshold, watched.reference.warnings_per_year),
    )
    for row, stream in enumerate(watched.reference.streams):
        end = watched.end_of(stream)
        values = watched.scanned.result.statistic[row, :end].tolist()
        recoveries = watched.scanned.recoveries[row]
        trusted, lasts = is_trusted(stream.stream), False
        for level, threshold, per_year in limits:
            if level == "alarm" and not trusted:
                continue
            for episode in episodes(values, threshold, recoveries):
                if level == "warning" and (lasts and episode.ended is None):
                    continue
                found.append(_alarm(watched, row, episode, (level, threshold, per_year)))
                lasts = lasts or episode.ended is None
    return found


def with_examples(alarm: Alarm, folder: Path, day_of: Callable[[str], int]) -> Alarm:
    """Add the hashes of the ids of sampled calls of the window that failed, as far as their texts are kept.

    Raises:
        StoreError: A file of texts cannot be read.
    """
    if not alarm.metric.endswith(_PASSED):
        return alarm
    last = day_of(alarm.at)
    days = range(last, last - alarm.window, -1)
    found = list(_failed_ids(folder, days, alarm.metric.removesuffix(_PASSED), alarm.cohort))
    # Texts are deleted after some days; the hashes that were found stay.
    return replace(alarm, examples=tuple(found) or alarm.examples)


def _failed_ids(folder: Path, days: Sequence[int], metric: str, cohort: str) -> Iterator[str]:
    name, _, value = cohort.partition("=")
    n = 0
    for row in sampled_rows(folder, days):
        score = row.scores.get(metric)
        if isinstance(score, Score) and score.passed is False and (not cohort or row.case.cohorts.get(name) == value):
            yield id_hash(row.case.id)
            n += 1
            if n == MOST_EXAMPLES:
                return


def _alarm(watched: WatchedDays, row: int, episode: Episode, limit: tuple[AlarmLevel, float, float]) -> Alarm:
    stream, first = watched.reference.streams[row], watched.table.first
    window = int(watched.scanned.result.window[row, episode.peak])
    level = watched.reference.level
    now = window_mean(watched.sums, watched.table.weekend, level, row, episode.peak, window)
    ended, reason = None if episode.ended is None else date_of(first + episode.ended), ""
    change = watched.changes.get((stream.metric, stream.score_key))
    if ended is not None:
        reason = "the figures are back"
    elif change is not None:
        ended, reason = date_of(change.day), change.what
    began = date_of(first + episode.began)
    return Alarm(
        id=" ".join(filter(None, (limit[0], stream.metric, stream.cohort, stream.score_key, began))),
        level=limit[0],
        metric=stream.metric,
        cohort=stream.cohort,
        score_key=stream.score_key,
        is_rate=stream.is_rate,
        began=began,
        ended=ended,
        end_reason=reason,
        window=window,
        at=date_of(first + episode.peak),
        was=stream.mean,
        now=min(1.0, max(0.0, now.mean)) if stream.is_rate else now.mean,
        n=now.n,
        statistic=float(watched.scanned.result.statistic[row, episode.peak]),
        threshold=limit[1],
        per_year=limit[2],
    )
