"""Hold everything that a status is computed from, and list its streams and amounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.monitor.grading import PASSED, SCORED
from evalkit.monitor.key_changes import KeyChange
from evalkit.monitor.reference import Reference, ReferenceStream
from evalkit.monitor.series import ALL_CALLS, HOURS_PER_DAY, MetricFacts, Series, Stream
from evalkit.monitor.streams import CUT_METRICS, ByDay, cut_name, is_watched
from evalkit.monitor.watch_days import WatchedDays
from evalkit.report.monitor.status import Alarm, AmountLine, StreamLine, StreamState
from evalkit.results import Estimate
from evalkit.stats.log_histogram import LogHistogram
from evalkit.stats.weighted_sums import WeightedSums, weighted_average, weighted_rate

LEAST_GRADED = 0.90
"""Share of the calls of a scorer that must have a grade."""
Finds = Sequence[tuple[float | None, float | None]]
_ORDER: Mapping[StreamState, int] = {"alarm": 0, "warning": 1, "cannot say": 2, "quiet": 2, "not watched": 2}


@dataclass(frozen=True, slots=True)
class ScorerCoverage:
    """The share of its calls that a scorer graded."""

    name: str
    share: float
    is_judged: bool
    """Whether a judge grades, which is asked about sampled calls alone."""


@dataclass(frozen=True, eq=False)
class WatchPeriod:
    """The figures of a monitor up to a day."""

    facts: Mapping[tuple[str, str], MetricFacts]
    """(metric, score key) -> what is known of it."""
    distrusted: Mapping[tuple[str, str], str]
    """(metric, score key) of judges that are not trusted -> why."""
    reference: Reference | None
    first: int
    """First day that is shown, since 1970."""
    last: int
    """Last whole day."""
    by_day: ByDay

    def total(self, stream: Stream) -> WeightedSums:
        """Return the sums of a stream over the days that are shown."""
        sums = WeightedSums()
        for day, each in self.by_day.get(stream, {}).items():
            if self.first <= day <= self.last:
                sums += each
        return sums

    def trusts(self, stream: Stream) -> bool:
        """Return whether no judge gives the scores of a stream, or a trusted one."""
        return (stream.metric, stream.score_key) not in self.distrusted

    def judge_of(self, stream: Stream) -> str:
        """Return the model of the judge of a stream; empty for a program."""
        facts = self.facts.get((stream.metric, stream.score_key))
        return facts.judge if facts else ""

    @property
    def judged(self) -> int:
        """Calls that a judge graded in the days that are shown: the most of any of its scorers."""
        return max((self.scores(each) for each in self.by_day if self._is_coverage(each)), default=0)

    def scores(self, coverage: Stream) -> int:
        """Return the number of grades of the scorer whose coverage a stream is."""
        name = coverage.metric.removesuffix(SCORED)
        own = (replace(coverage, metric=each) for each in (name, name + PASSED))
        return max(self.total(each).n for each in own)

    def coverages(self) -> Iterator[ScorerCoverage]:
        """Yield each scorer with the share of its calls that it graded."""
        for stream in self.by_day:
            mean = self.total(stream).mean
            if stream.metric.endswith(SCORED) and stream.cohort == ALL_CALLS and mean is not None:
                yield ScorerCoverage(stream.metric.removesuffix(SCORED), mean, self._is_coverage(stream))

    def _is_coverage(self, stream: Stream) -> bool:
        facts = self.facts.get((stream.metric, stream.score_key))
        return facts is not None and facts.is_judged and stream.cohort == ALL_CALLS and stream.metric.endswith(SCORED)


def stream_lines(
    period: WatchPeriod,
    watched: WatchedDays | None,
    finds: Finds,
    alarms: Sequence[Alarm],
    changes: Sequence[KeyChange],
) -> tuple[StreamLine, ...]:
    """List the streams of the reference and of the days that are shown, those with an alarm first.

    Args:
        period: The figures.
        watched: The scanned days; `None` without a day after the reference.
        finds: For each stream of the reference, the change found within 7 and within 30 days.
        alarms: All alarms, the worst first.
        changes: Score keys that were replaced; their streams are not listed.
    """
    states = {
        Stream(each.metric, each.cohort, each.score_key): each.level for each in reversed(alarms) if each.ended is None
    }
    replaced = {(each.metric, each.old) for each in changes}
    streams = period.reference.streams if period.reference else ()
    lines = []
    for row, each in enumerate(streams):
        if (each.metric, each.score_key) not in replaced:
            statistic = watched.last_statistic(row) if watched else (None, 0)
            lines.append(_watched_line(period, each, statistic, finds[row], states.get(each.stream, "quiet")))
    known = {each.stream for each in streams}
    for stream in period.by_day:
        facts = period.facts.get((stream.metric, stream.score_key))
        if stream not in known and facts is not None and is_watched(facts, stream.cohort):
            lines += _unwatched_line(period, stream, facts)
    return tuple(sorted(lines, key=lambda each: (_ORDER[each.state], each.metric, each.cohort, each.score_key)))


def _watched_line(
    period: WatchPeriod,
    stream: ReferenceStream,
    statistic: tuple[float | None, int],
    finds: tuple[float | None, float | None],
    state: StreamState,
) -> StreamLine:
    sums = period.total(stream.stream)
    if state == "quiet" and stream.metric.endswith(SCORED) and sums.mean is not None and sums.mean < LEAST_GRADED:
        state = "cannot say"
    is_gone = not sums.n
    return StreamLine(
        metric=stream.metric,
        cohort=stream.cohort,
        score_key=stream.score_key,
        is_rate=stream.is_rate,
        higher_is_better=stream.higher_is_better,
        judge=period.judge_of(stream.stream),
        trusted=period.trusts(stream.stream),
        was=stream.mean,
        now=stream_estimate(sums, stream.is_rate),
        state="not watched" if is_gone and state == "quiet" else state,
        statistic=statistic[0],
        window=statistic[1],
        finds_7=finds[0],
        finds_30=finds[1],
        a_day=stream.a_day,
        note="no values in these days" if is_gone else _why_unknown(stream) if statistic[0] is None else "",
    )


def _why_unknown(stream: ReferenceStream) -> str:
    return "never varied in the reference" if stream.variance == 0 else "too few answers since the reference"


def _unwatched_line(period: WatchPeriod, stream: Stream, facts: MetricFacts) -> Iterator[StreamLine]:
    sums = period.total(stream)
    if sums.n:
        yield StreamLine(
            metric=stream.metric,
            cohort=stream.cohort,
            score_key=stream.score_key,
            is_rate=facts.is_rate,
            higher_is_better=facts.higher_is_better,
            judge=facts.judge,
            trusted=period.trusts(stream),
            was=None,
            now=stream_estimate(sums, facts.is_rate),
            state="not watched",
            statistic=None,
            window=0,
            finds_7=None,
            finds_30=None,
            a_day=sums.n_eff / (period.last - period.first + 1),
            note="not in the reference" if period.reference else "no reference",
        )


def stream_estimate(sums: WeightedSums, is_rate: bool) -> Estimate:
    """Return the rate or the mean of a stream with its 95 % interval."""
    return weighted_rate(sums) if is_rate else weighted_average(sums)


def amount_lines(period: WatchPeriod, series: Series) -> Iterator[AmountLine]:
    """Yield the quantiles of latency and cost of the days that are shown."""
    cuts = period.reference.cuts if period.reference else {}
    for metric in CUT_METRICS:
        found: LogHistogram | None = None
        for each in series.hours(Stream(metric), period.first * HOURS_PER_DAY, (period.last + 1) * HOURS_PER_DAY):
            if each.histogram is not None:
                found = each.histogram if found is None else found + each.histogram
        if found is not None:
            yield AmountLine(
                metric=metric,
                n=found.n,
                p50=found.quantile(0.5),
                p95=found.quantile(0.95),
                was_p50=cuts.get(cut_name(metric, "p50")),
                was_p95=cuts.get(cut_name(metric, "p95")),
            )
