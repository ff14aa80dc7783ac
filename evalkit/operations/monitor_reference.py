"""Make the reference of a monitor: what a period of whole weeks showed, and thresholds simulated from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.monitor.inputs import TextVectors, embedded_days
from evalkit.monitor.reference import InputReference, Reference, ReferenceStream, shown_stream, write_reference
from evalkit.monitor.series import HOURS_PER_DAY, MetricFacts, Stream, date_of, day_of, open_series
from evalkit.monitor.settings import Monitor, load_monitor
from evalkit.monitor.skewness import skewness_of
from evalkit.monitor.streams import DayTable, day_table, find_cuts, is_watched, known_facts, read_days
from evalkit.stats.scan import FEWEST, DailySums, Level, Streams, estimate_level, smallest_change
from evalkit.stats.scan_threshold import YEARS, simulated_maxima, threshold
from evalkit.stats.weighted_sums import WeightedSums

SHORTEST_DAYS = 14
USUAL_DAYS = 28


@dataclass(frozen=True, kw_only=True)
class ReferenceRequest:
    """What to make a reference of.

    Attributes:
        file: File of the monitor.
        first: First date, such as `2026-09-01`.
        last: Last date; it belongs to the period.
        now: Seconds since 1970.
        seed: Of the simulated years.
        years: Simulated years without a change.
        embedder: Embeds the questions; `None` to leave out the test of their mean.
    """

    file: Path
    first: str
    last: str
    now: float
    seed: int = 0
    years: int = YEARS
    embedder: TextVectors | None = None


@dataclass(frozen=True, kw_only=True)
class MadeReference:
    """A reference, and what to say about it.

    Attributes:
        file: Where it was written.
        reference: The reference.
        changes: For each stream, the change for the worse found within 7 and within 30 days; `None` if none is.
        notes: Days without calls, a short period.
    """

    file: Path
    reference: Reference
    changes: tuple[tuple[float | None, float | None], ...]
    notes: tuple[str, ...]


def make_reference(request: ReferenceRequest) -> MadeReference:
    """Estimate every stream from the period, simulate years without a change, and write `reference.json`.

    Raises:
        InputError: The dates or the figures of the period cannot be used.
        StoreError: The disk refuses, or a file of the monitor was altered.
    """
    monitor = load_monitor(request.file)
    first, last = _period(request)
    with open_series(monitor, request.file) as series:
        newest = series.newest_hour()
        if newest is None or last >= newest // HOURS_PER_DAY:
            until = (
                "no call was taken"
                if newest is None
                else f"the last whole day is {date_of(newest // HOURS_PER_DAY - 1)}"
            )
            raise InputError(Problem("--to", f"{until}, so {request.last} is not over", "choose an earlier date"))
        cuts = find_cuts(series, first, last + 1)
        facts = known_facts(series, cuts)
        by_day = read_days(series, cuts, first, last + 1)
    named = [each for each in by_day if is_watched(facts[each.metric, each.score_key], each.cohort)]
    table = day_table(by_day, named, first, last + 1)
    left_out = dict(_left_out(table))
    table = _without(table, left_out)
    if not table.streams:
        what = f"no stream has {FEWEST} answers on {SHORTEST_DAYS} days from {request.first} to {request.last}"
        raise InputError(Problem("--from", what, "choose a longer period with calls"))
    graded = {(each.metric, each.score_key) for each in table.streams if not facts[each.metric, each.score_key].is_rate}
    skews = skewness_of(monitor.folder, first, last, graded) if graded else {}
    texts = InputReference()
    if request.embedder is not None:
        texts = embedded_days(monitor.folder, range(first, last + 1), request.embedder)
    found = _simulated(_ReferenceFigures(table, facts, skews), request, monitor)
    reference = replace(found, first=first, last=last, cuts=cuts, left_out=left_out, inputs=texts)
    file = write_reference(monitor.folder, reference)
    return MadeReference(
        file=file, reference=reference, changes=changes_found(reference), notes=tuple(_notes(table, reference))
    )


def question_embedder() -> TextVectors:
    """Return what embeds questions: always the packaged one, so that looking at a monitor calls nothing."""
    from evalkit.scorers.embedding.embedders import WordLlama

    return WordLlama()


def changes_found(reference: Reference) -> tuple[tuple[float | None, float | None], ...]:
    """Return for each stream the change for the worse that an alarm finds within 7 and within 30 days."""
    a_day = np.array([each.a_day for each in reference.streams])
    found = [
        smallest_change(reference.level, reference.scanned, a_day, reference.alarm_threshold, days) for days in (7, 30)
    ]
    return tuple((_known(week), _known(month)) for week, month in zip(*found, strict=True))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _period(request: ReferenceRequest) -> tuple[int, int]:
    problems: list[Problem] = []
    days = []
    for flag, text in (("--from", request.first), ("--to", request.last)):
        try:
            days.append(day_of(text))
        except ValueError:
            problems.append(Problem(flag, f"{text!r} is not a date", "write it as 2026-09-01"))
    if not problems:
        length = days[1] - days[0] + 1
        if length < SHORTEST_DAYS or length % 7:
            weeks = max(SHORTEST_DAYS // 7, round(length / 7))
            fix = (
                f"for {weeks} weeks, write --to {date_of(days[0] + 7 * weeks - 1)}; {USUAL_DAYS} days or more are best"
            )
            problems.append(Problem("--to", f"{length} days; whole weeks are needed, at least 2", fix))
    if problems:
        raise InputError(problems)
    return days[0], days[1]


def _left_out(table: DayTable) -> Iterator[tuple[str, str]]:
    """Yield the streams that are too small or do not vary, and why."""
    for row, stream in enumerate(table.streams):
        total, days = table.total(row), len(table.days[row])
        if total.n_eff < FEWEST or days < min(SHORTEST_DAYS, table.length):
            yield (
                shown_stream(stream),
                f"{total.n_eff:.0f} effective answers on {days} days; {FEWEST} on {SHORTEST_DAYS} are needed",
            )


def _without(table: DayTable, left_out: Mapping[str, str]) -> DayTable:
    kept = [row for row, stream in enumerate(table.streams) if shown_stream(stream) not in left_out]
    return replace(
        table, streams=tuple(table.streams[row] for row in kept), days=tuple(table.days[row] for row in kept)
    )


@dataclass(frozen=True, eq=False)
class _ReferenceFigures:
    """The figures of the period."""

    table: DayTable
    facts: Mapping[tuple[str, str], MetricFacts]
    skews: Mapping[tuple[str, str], float]

    def of(self, stream: Stream) -> MetricFacts:
        """What is known of a stream's metric."""
        return self.facts[stream.metric, stream.score_key]

    @property
    def streams(self) -> Streams:
        """What the scan needs: the cohorts of a metric make one pool, all its calls another."""
        pools: dict[tuple[str, str, bool], int] = {}
        groups, signs, variances, skews = [], [], [], []
        for row, stream in enumerate(self.table.streams):
            facts = self.of(stream)
            groups.append(pools.setdefault((stream.metric, stream.score_key, stream.cohort == ""), len(pools)))
            signs.append(1 if facts.higher_is_better else -1)
            spread = self.table.total(row).spread
            variances.append(np.nan if facts.is_rate else spread if spread is not None else 0.0)
            skews.append(self.skews.get((stream.metric, stream.score_key), 0.0))
        return Streams(np.array(groups), np.array(signs), np.array(variances, float), np.array(skews, float))


def _effect(total: WeightedSums) -> float:
    """Return the design effect of clusters, at least 1."""
    return max(1.0, total.w**2 / total.w2 / total.n_eff)


def _simulated(period: _ReferenceFigures, request: ReferenceRequest, monitor: Monitor) -> Reference:
    table, streams = period.table, period.streams
    effects = [_effect(table.total(row)) for row in range(len(table.streams))]
    days = table.sums(effects)
    level = estimate_level(days, table.weekend, streams)
    rng = np.random.default_rng(request.seed)
    maxima = simulated_maxima(level, days, table.weekend, streams, rng=rng, years=request.years)
    if not np.isfinite(maxima).all():
        what = "no window of 42 days would have 30 answers"
        raise InputError(
            Problem(shown_path(request.file), what, "raise `sample: {per_day: ...}`, or wait for more calls")
        )
    options = monitor.options.alarms
    return Reference(
        monitor=monitor.name,
        made=datetime.fromtimestamp(request.now, UTC).isoformat(timespec="seconds"),
        first=table.first,
        last=table.first + table.length - 1,
        seed=request.seed,
        years=request.years,
        alarm_threshold=threshold(maxima, options.alarms_per_year),
        warning_threshold=threshold(maxima, options.warnings_per_year),
        alarms_per_year=options.alarms_per_year,
        warnings_per_year=options.warnings_per_year,
        streams=tuple(_lines(period, level, days, streams, effects)),
    )


def _lines(
    period: _ReferenceFigures, level: Level, days: DailySums, streams: Streams, effects: Sequence[float]
) -> Iterator[ReferenceStream]:
    a_day = days.n.mean(axis=-1)
    for row, stream in enumerate(period.table.streams):
        facts = period.of(stream)
        yield ReferenceStream(
            metric=stream.metric,
            cohort=stream.cohort,
            score_key=stream.score_key,
            is_rate=facts.is_rate,
            higher_is_better=facts.higher_is_better,
            mean=float(level.mean[row]),
            n=float(level.n[row]),
            variance=float(level.variance[row]),
            factor=float(level.factor[row]),
            day_sd=float(level.day_sd[row]),
            weekend=float(level.weekend[row]),
            weekend_share=float(level.weekend_share[row]),
            skew=float(streams.skews[row]),
            effect=effects[row],
            a_day=float(a_day[row]),
        )


def _notes(table: DayTable, reference: Reference) -> Iterator[str]:
    seen = {day for found in table.days for day in found}
    missing = table.length - len(seen)
    if missing:
        yield f"{missing} of {table.length} days have no calls"
    if table.length < USUAL_DAYS:
        yield f"{table.length} days are a short reference: changes are found later than with {USUAL_DAYS}"
    still = [each for each in reference.streams if each.variance == 0]
    if still:
        yield f"{still[0].metric} never varied, so it cannot alarm" + (
            f"; {len(still)} streams" if len(still) > 1 else ""
        )
