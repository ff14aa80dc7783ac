"""Collect what the page of a monitor shows beside the status: days by stream, failing kinds, coverage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.aggregate.failure_kinds import FailureGroups
from evalkit.monitor.grading import PASSED, SCORED
from evalkit.monitor.key_changes import KeyChange
from evalkit.monitor.period import WatchPeriod, stream_estimate
from evalkit.monitor.sampled_texts import id_hash, sampled_rows
from evalkit.monitor.sampling import labels_of
from evalkit.monitor.series import ALL_CALLS, Series, Stream, date_of
from evalkit.monitor.settings import KeepOptions
from evalkit.monitor.streams import ByDay, is_watched, read_days
from evalkit.report.monitor.history import (
    CohortCoverage,
    DayPoint,
    History,
    SampleKinds,
    StreamTrend,
    ThinValue,
    TrendPart,
)
from evalkit.report.monitor.status import Alarm, StreamLine, StreamState
from evalkit.stats.sampling import ENOUGH_CASES, production_coverage
from evalkit.types import verdict_of

TREND_DAYS = 84
"""Longest period of a trend."""
MOST_TRENDS = 120
MOST_KINDS = 12
COVERAGE_DAYS = 28
COVERAGE_GOAL = 0.95
"""Share of production that should be covered by judged answers."""
WORDS_FROM = 5
"""Failing calls from which the words that they have in common are shown: of fewer, a word may name a single person."""
_STATES: Sequence[StreamState] = ("alarm", "warning", "cannot say", "quiet", "not watched")


@dataclass(frozen=True, kw_only=True, eq=False)
class HistoryRequest:
    """What a history is made of.

    Attributes:
        folder: Of the monitor.
        keep: What is kept of texts.
        series: Of the monitor.
        period: The figures of the status.
        lines: The streams of the status.
        alarms: All that are known, ended ones too.
    """

    folder: Path
    keep: KeepOptions
    series: Series
    period: WatchPeriod
    lines: Sequence[StreamLine]
    alarms: Sequence[Alarm]


def monitor_history(request: HistoryRequest) -> History:
    """Return the days of the reference and since, at most 84.

    Raises:
        StoreError: The series or a file of texts cannot be read.
    """
    period = request.period
    reference, last = period.reference, period.last
    first = max(reference.first, last - TREND_DAYS + 1) if reference else last - TREND_DAYS + 1
    first = min(first, period.first)
    by_day = read_days(request.series, reference.cuts if reference else {}, first, last + 1)
    names = _chosen(request, by_day)
    return History(
        first=date_of(first),
        last=date_of(last),
        trends=tuple(_trend(request, by_day, name, date_of(first)) for name in names[:MOST_TRENDS]),
        n_more=max(0, len(names) - MOST_TRENDS),
        sample=_kinds(request) if request.keep.text == "sampled" else None,
        keep_days=request.keep.days,
        coverage=tuple(_coverage(request, by_day, last)),
        coverage_days=COVERAGE_DAYS,
        coverage_goal=COVERAGE_GOAL,
        enough=ENOUGH_CASES,
    )


Names = tuple[str, str]
"""Metric and cohort."""


def _chosen(request: HistoryRequest, by_day: ByDay) -> list[Names]:
    """Return the streams that are shown, with those first that stay if there are too many."""
    period, found = request.period, dict[Names, float]()
    for stream, days in by_day.items():
        facts = period.facts.get((stream.metric, stream.score_key))
        if facts is not None and is_watched(facts, stream.cohort):
            n = sum(each.n_eff for each in days.values())
            found[stream.metric, stream.cohort] = found.get((stream.metric, stream.cohort), 0.0) + n
    states = _states(request.lines)
    rank = {name: _STATES.index(states.get(name, "not watched")) for name in found}
    kept = sorted(found, key=lambda each: (rank[each] > 1, each[1] != ALL_CALLS, -found[each], each))
    kept, rest = kept[:MOST_TRENDS], kept[MOST_TRENDS:]
    worst = {metric: min(rank[each] for each in kept if each[0] == metric) for metric, _ in kept}
    kept.sort(key=lambda each: (min(worst[each[0]], 2), each[0], each[1] != ALL_CALLS, min(rank[each], 2), each[1]))
    return kept + rest


def _states(lines: Sequence[StreamLine]) -> Mapping[Names, StreamState]:
    found: dict[Names, StreamState] = {}
    for line in lines:
        name = (line.metric, line.cohort)
        if name not in found or _STATES.index(line.state) < _STATES.index(found[name]):
            found[name] = line.state
    return found


def _trend(request: HistoryRequest, by_day: ByDay, name: Names, first: str) -> StreamTrend:
    period, (metric, cohort) = request.period, name
    own = {stream: days for stream, days in by_day.items() if (stream.metric, stream.cohort) == name and days}
    order = sorted(own, key=lambda stream: (min(own[stream]), max(own[stream]), stream.score_key))
    known = (period.facts.get((stream.metric, stream.score_key)) for stream in order)
    facts = [each for each in known if each is not None]
    is_rate = all(each.is_rate for each in facts)
    means = {each.stream: each.mean for each in period.reference.streams} if period.reference else {}
    parts = []
    for at, stream in enumerate(order):
        days = sorted(own[stream].items())
        points = [DayPoint(date=date_of(day), now=stream_estimate(sums, is_rate)) for day, sums in days]
        parts.append(
            TrendPart(
                score_key=stream.score_key,
                what=_change(period, order[at - 1], stream, days[0][0]) if at else "",
                was=means.get(stream),
                points=tuple(each for each in points if each.now.value is not None),
            )
        )
    alarms = [
        each
        for each in request.alarms
        if (each.metric, each.cohort) == name and (each.ended is None or each.ended >= first)
    ]
    return StreamTrend(
        metric=metric,
        cohort=cohort,
        is_rate=is_rate,
        higher_is_better=all(each.higher_is_better for each in facts),
        state=_states(request.lines).get(name, "not watched"),
        parts=tuple(parts),
        alarms=tuple(sorted(alarms, key=lambda each: (each.began, each.level))),
    )


def _change(period: WatchPeriod, old: Stream, new: Stream, day: int) -> str:
    """Return the change of the score key in words."""
    streams = period.reference.streams if period.reference else ()
    before, after = (period.judge_of(each) for each in (old, new))
    return KeyChange(
        metric=new.metric,
        old=old.score_key,
        new=new.score_key,
        day=day,
        is_known=any(each.stream == new for each in streams),
        judges=(before, after),
    ).what


def _kinds(request: HistoryRequest) -> SampleKinds:
    """Group the sampled calls of the period that failed, with hashes of their ids."""
    groups, calls, failing = FailureGroups(), 0, 0
    period = request.period
    for row in sampled_rows(request.folder, range(period.first, period.last + 1)):
        verdict = verdict_of(row, frozenset())
        groups.add(verdict, [row])
        calls += 1
        failing += verdict == "failed"
    kinds = sorted(groups.kinds(), key=lambda each: (each.state != "failed", -each.n, each.name, each.words))
    shown = (
        replace(each, words=each.words if each.n >= WORDS_FROM else (), case_ids=tuple(map(id_hash, each.case_ids)))
        for each in kinds[:MOST_KINDS]
    )
    return SampleKinds(calls=calls, failing=failing, kinds=tuple(shown))


def _coverage(request: HistoryRequest, by_day: ByDay, last: int) -> Iterator[CohortCoverage]:
    """Yield for every judged metric and every cohort how much of production has enough judged answers."""
    days = range(last - COVERAGE_DAYS + 1, last + 1)
    calls: dict[str, dict[str, int]] = {}
    for (_, stratum), n in request.series.strata(days.start, days.stop).items():
        for label in labels_of(stratum):
            cohort, _, value = label.partition("=")
            own = calls.setdefault(cohort, {})
            own[value] = own.get(value, 0) + n
    judged = _judged(request.period, by_day, days)
    for metric in sorted({each for each, _ in judged}):
        for cohort, values in sorted(calls.items()):
            counts = {value: judged.get((metric, f"{cohort}={value}"), 0) for value in values}
            order = sorted(values, key=lambda each: (-values[each], each))
            estimate = production_coverage(
                [counts[each] for each in order], [values[each] for each in order], sampled=True
            )
            total = sum(values.values())
            yield CohortCoverage(
                metric=metric,
                cohort=cohort,
                estimate=estimate,
                is_enough=estimate.low is not None and estimate.low >= COVERAGE_GOAL,
                thin=tuple(
                    ThinValue(value=each, share=values[each] / total, judged=counts[each])
                    for each in order
                    if counts[each] < ENOUGH_CASES
                ),
            )


def _judged(period: WatchPeriod, by_day: ByDay, days: Sequence[int]) -> dict[Names, int]:
    """Return (scorer, cohort) -> answers with a score of the key that was used last."""
    newest: dict[str, tuple[int, str]] = {}
    found: dict[tuple[str, str, str], int] = {}
    for stream, sums in by_day.items():
        facts = period.facts.get((stream.metric, stream.score_key))
        if facts is None or not facts.is_judged or not facts.score_key:
            continue
        is_grade = not stream.metric.endswith(SCORED)
        scorer = stream.metric.removesuffix(PASSED if is_grade else SCORED)
        newest[scorer] = max(newest.get(scorer, (-1, "")), (max(sums), stream.score_key))
        name = (scorer, stream.cohort, stream.score_key)
        n = sum(sums[day].n for day in days if day in sums) if is_grade else 0
        found[name] = max(found.get(name, 0), n)
    return {(scorer, cohort): n for (scorer, cohort, key), n in found.items() if newest[scorer][1] == key}
