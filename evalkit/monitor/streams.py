"""Choose the streams that are watched, and sum them by day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.monitor.feedback import BLOCKED_GOOD, DELIVERED_BAD
from evalkit.monitor.grading import BLOCKED, SCORED, THUMB
from evalkit.monitor.series import ALL_CALLS, CALLS, HOURS_PER_DAY, MetricFacts, Series, Stream
from evalkit.stats.scan import Bools, DailySums, is_weekend
from evalkit.stats.weighted_sums import WeightedSums

CUT_SHARES = {"p50": 0.50, "p95": 0.95}
CUT_METRICS = ("latency_s", "cost_usd")
"""Amounts that are watched as the share of calls above the reference's quantiles."""
RATED = "rated"
"""Name of the share of calls with a rating of their user."""
FALSE_BLOCK = "false_block"
"""Name of the share of good answers that the guard blocked."""
MEANS = ("steps", "tool_errors")
"""Figures of the log that are watched as means over all calls."""
SHOWN_ONLY = ("input_tokens", "output_tokens", "judge_cost_usd")
"""Figures of the log that are never watched: cost and length follow from them."""
_WEEK = 7
THURSDAY = 3
"""Weekday of 1 January 1970, where Monday is 0."""

ByDay = Mapping[Stream, Mapping[int, WeightedSums]]
Cuts = Mapping[str, float]
"""Name of a stream of shares, such as `latency_s_above_p95` -> the amount that it counts from."""


@dataclass(frozen=True, eq=False)
class DayTable:
    """Sums of several streams over the same days."""

    streams: tuple[Stream, ...]
    first: int
    """First day, since 1970."""
    days: tuple[Mapping[int, WeightedSums], ...]
    """Day -> sums of each stream; days without values are absent."""
    length: int

    @property
    def weekend(self) -> Bools:
        """True for a Saturday or Sunday, shape (days,)."""
        return is_weekend(self.first + THURSDAY, self.length)

    def sums(self, effects: Sequence[float]) -> DailySums:
        """Return the sums for the scan.

        Args:
            effects: Design effect of clusters of each stream, at least 1, by which sums of w^2 are multiplied.
        """
        shape = (len(self.streams), self.length)
        weights, squares, totals = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for row, (found, effect) in enumerate(zip(self.days, effects, strict=True)):
            for day, each in found.items():
                at = day - self.first
                weights[row, at], squares[row, at], totals[row, at] = each.w, each.w2 * effect, each.wy
        return DailySums(weights, squares, totals)

    def total(self, row: int, first: int | None = None) -> WeightedSums:
        """Return the sums of a stream over all days, or from the day `first` on."""
        sums = WeightedSums()
        for day, each in self.days[row].items():
            sums += each if first is None or day >= first else WeightedSums()
        return sums


def is_watched(facts: MetricFacts, cohort: str) -> bool:
    """Return whether alarms look at a metric in a cohort ("" for all calls)."""
    if facts.metric in SHOWN_ONLY or facts.metric in CUT_METRICS:
        return False
    if facts.metric in MEANS:
        return cohort == ALL_CALLS
    if facts.metric.endswith(SCORED):
        return facts.is_judged and cohort == ALL_CALLS
    return True


def cut_name(metric: str, quantile: str) -> str:
    """Return the name of the share of calls above a quantile of the reference, such as `latency_s_above_p95`."""
    return f"{metric}_above_{quantile}"


def known_facts(series: Series, cuts: Cuts) -> dict[tuple[str, str], MetricFacts]:
    """Return (metric, score key) -> what is known of it, also of the streams that `read_days` derives."""
    derived = [MetricFacts(RATED), *(MetricFacts(name, higher_is_better=False) for name in (FALSE_BLOCK, *cuts))]
    return {(each.metric, each.score_key): each for each in (*series.facts(), *derived)}


def find_cuts(series: Series, first: int, end: int) -> dict[str, float]:
    """Return the quantiles of the amounts of a reference period, by the name of their stream."""
    cuts: dict[str, float] = {}
    for metric in CUT_METRICS:
        cells = [each.histogram for each in series.hours(Stream(metric), first * HOURS_PER_DAY, end * HOURS_PER_DAY)]
        known = [each for each in cells if each is not None]
        if known:
            merged = known[0]
            for each in known[1:]:
                merged += each
            for name, share in CUT_SHARES.items():
                if (amount := merged.quantile(share)) is not None:
                    cuts[cut_name(metric, name)] = amount
    return cuts


def day_table(by_day: ByDay, streams: Iterable[Stream], first: int, end: int) -> DayTable:
    """Choose streams, from the day `first` to the day before `end`; those without a cell have no day."""
    chosen = tuple(streams)
    days = tuple({day: sums for day, sums in by_day.get(each, {}).items() if first <= day < end} for each in chosen)
    return DayTable(chosen, first, days, end - first)


def read_days(series: Series, cuts: Cuts, first: int, end: int) -> ByDay:
    """Return stream -> day -> sums of all streams, and of those that follow.

    These are the shares of calls above the cuts, of rated calls, and of good answers that were blocked.

    Args:
        series: Of the monitor.
        cuts: Of the reference.
        first: First day, since 1970.
        end: The day after the last.
    """
    found, shares = series.by_day(first, end), _shares_above(series, cuts, first, end)
    rated = {Stream(RATED): _rated(found)} if Stream(THUMB) in found else {}
    blocks = {
        Stream(FALSE_BLOCK, each.cohort): _false_blocks(series, each.cohort, first, end)
        for each in found
        if each.metric == BLOCKED
    }
    return {**found, **{Stream(name): days for name, days in shares.items()}, **rated, **blocks}


def _false_blocks(series: Series, cohort: str, first: int, end: int) -> dict[int, WeightedSums]:
    """Return day -> sums of the good labelled answers, of which the blocked ones have the value 1.

    People label more of the blocked answers than of the delivered ones. Each therefore has the weight of the answers
    that it stands for: those of its kind of the week that ends on its day, divided by the labelled ones. A day has no
    value if one kind has answers in that week but none with a label. Labels count as independent.
    """
    streams = (Stream(name, cohort) for name in (BLOCKED, BLOCKED_GOOD, DELIVERED_BAD))
    calls, blocked, delivered = (series.days(each, first - _WEEK + 1, end) for each in streams)
    found = {}
    for day in range(first, end):
        all_calls, of_blocked, of_delivered = (
            sum((days[at].sums for at in range(day - _WEEK + 1, day + 1) if at in days), WeightedSums())
            for days in (calls, blocked, delivered)
        )
        kinds = ((all_calls.wy, of_blocked.n), (all_calls.n - all_calls.wy, of_delivered.n))
        if any(n_calls and not n_labels for n_calls, n_labels in kinds):
            continue
        weights = [n_calls / n_labels if n_labels else 0.0 for n_calls, n_labels in kinds]
        bad = delivered[day].sums if day in delivered else WeightedSums()
        good = (blocked[day].sums.wy if day in blocked else 0.0, bad.n - bad.wy)
        if n := int(sum(good)):
            w, w2 = (sum(k * weight**power for k, weight in zip(good, weights, strict=True)) for power in (1, 2))
            wy, wy2 = good[0] * weights[0], good[0] * weights[0] ** 2
            found[day] = WeightedSums(n, n, w, w2, wy, wy, w2, wy2, wy2)
    return found


def _rated(by_day: ByDay) -> dict[int, WeightedSums]:
    """Return day -> sums of the share of calls with a rating; a rating of a call of another day counts on its own."""
    ratings = by_day[Stream(THUMB)]
    n_rated = {day: ratings[day].n if day in ratings else 0 for day in by_day.get(CALLS, {})}
    return {day: _share(min(n_rated[day], calls.n), calls.n) for day, calls in by_day.get(CALLS, {}).items()}


def _share(part: float, n: int) -> WeightedSums:
    """Return the sums of `n` calls of which `part` have the value 1 and the others 0; every call counts once."""
    return WeightedSums(n, n, float(n), float(n), part, part, float(n), part, part)


def _shares_above(series: Series, cuts: Cuts, first: int, end: int) -> dict[str, dict[int, WeightedSums]]:
    """Return stream -> day -> sums of the calls above each cut; every call counts once."""
    found: dict[str, dict[int, WeightedSums]] = {name: {} for name in cuts}
    for metric in CUT_METRICS:
        own = {name: amount for name, amount in cuts.items() if name.startswith(f"{metric}_above_")}
        for cell in series.hours(Stream(metric), first * HOURS_PER_DAY, end * HOURS_PER_DAY) if own else ():
            if cell.histogram is None:
                continue
            n = cell.histogram.n
            for name, amount in own.items():
                sums = _share(float(cell.histogram.above(amount)), n)
                found[name][cell.day] = found[name].get(cell.day, WeightedSums()) + sums
    return found
