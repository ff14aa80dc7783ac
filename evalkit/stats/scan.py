"""Compare the last days of a stream with a reference period: the scan statistic of `monitor`.

A stream is one metric in one cohort, as sums by day. Its mean in the last 1, 2, 3, 5, 7, 10, 14, 21, 28 and 42 days is
compared with the reference; the largest of these statistics is compared with a simulated threshold
(`scan_threshold.py`), so that many looks over months cause no more false alarms than intended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
WINDOWS = (1, 2, 3, 5, 7, 10, 14, 21, 28, 42)
"""Lengths of the windows in days."""
FEWEST = 30
"""Effective answers that a window needs."""
SHORTEST_RECOVERY = 7
"""Days of the shortest window that shows that a stream has recovered."""
LEAST_SKEW = 1e-6
"""Skewness below which a mean counts as normal."""


@dataclass(frozen=True, eq=False)
class Streams:
    """Properties of the streams that do not depend on the day; each of shape (S,)."""

    groups: Ints
    """Number of the pool, from 0: streams of one pool share the weekend effect and the day-to-day variance."""
    signs: Ints
    """1 if a fall is bad, -1 if a rise is bad, 0 if either is."""
    variances: Floats
    """Variance of a single answer's score, >= 0; NaN for a rate, where it follows from the mean."""
    skews: Floats
    """Skewness of a single answer's score; of no effect for a rate."""

    @property
    def rates(self) -> Bools:
        """True for rates."""
        return np.isnan(self.variances)

    def chosen(self, which: Bools) -> Streams:
        """Return the chosen streams, and number their pools from 0."""
        _, groups = np.unique(self.groups[which], return_inverse=True)
        return Streams(groups.astype(np.int64), self.signs[which], self.variances[which], self.skews[which])

    def of(self, stream: int) -> Streams:
        """Return one stream, shape (1,)."""
        return self.chosen(np.arange(len(self.signs)) == stream)


@dataclass(frozen=True, eq=False)
class DailySums:
    """Sums over the answers of each day, shape (..., S, days); w is one over the chance that an answer was sampled."""

    weights: Floats
    """Sum of w."""
    squares: Floats
    """Sum of w^2."""
    totals: Floats
    """Sum of w y, where y is the score."""

    @property
    def n(self) -> Floats:
        """Effective answers of each day (Kish): (sum w)^2 / sum w^2; 0 for none."""
        return _kish(self.weights, self.squares)

    @property
    def means(self) -> Floats:
        """Mean score of each day; 0 where no answer is."""
        return _ratio(self.totals, self.weights)

    def between(self, first: int, last: int | None) -> DailySums:
        """Return the days from `first` to `last`, which is excluded."""
        weights = self.weights[..., first:last]
        # The same object where all weights are 1, so that `scan` sums it once.
        squares = weights if self.squares is self.weights else self.squares[..., first:last]
        return DailySums(weights, squares, self.totals[..., first:last])

    def of(self, stream: int) -> DailySums:
        """Return one stream, shape (1, days)."""
        own = slice(stream, stream + 1)
        return DailySums(self.weights[own], self.squares[own], self.totals[own])


@dataclass(frozen=True, eq=False)
class Level:
    """What a reference period shows of each stream; shape (..., S)."""

    mean: Floats
    n: Floats
    """Effective answers."""
    variance: Floats
    """Variance of a single answer's score. For a rate p (1 - p), with p = (x + 3/8) / (n + 3/4)."""
    factor: Floats
    """Variance of a mean relative to independent answers, f = 1 + s^2 n_day / variance, >= 1."""
    day_sd: Floats
    """Standard deviation s of the true mean from day to day, in the unit of the score."""
    weekend: Floats
    """Mean at weekends minus mean on weekdays."""
    weekend_share: Floats
    """Share of the weight that is on weekends, from 0 to 1."""

    def of(self, stream: int) -> Level:
        """Return one stream, shape (1,)."""
        return Level(*(getattr(self, each.name)[stream : stream + 1] for each in fields(Level)))


def estimate_level(days: DailySums, weekend: Bools, streams: Streams) -> Level:
    """Estimate mean, weekend effect and day-to-day variance from a reference period of whole weeks.

    The weekend effect is pooled over the streams of a pool with weights n_e n_k / (n_e + n_k), where n_e and n_k are
    the answers at weekends and on weekdays. The variance between days beyond that of the answers is found by moments,
    after removing the weekend effect: s^2 = sum [Q - (D - 1) v] / sum [N - sum n_d^2 / N], at least 0, where
    Q = sum n_d (m_d - m)^2 and one degree of freedom of the pool goes to the weekend effect.

    Args:
        days: The reference period.
        weekend: True for a Saturday or Sunday, shape (days,).
        streams: What the streams are.

    Source: DerSimonian and Laird 1986, doi 10.1016/0197-2456(86)90046-2 (moments).
    """
    weights = days.weights.sum(axis=-1)
    n = _kish(weights, weights if days.squares is days.weights else days.squares.sum(axis=-1))
    mean = _ratio(days.totals.sum(axis=-1), weights)
    effect = _weekend_effect(days, weekend, streams)
    share = _ratio(days.weights[..., weekend].sum(axis=-1), weights)
    smoothed = smoothed_rate(mean, n)
    variance = np.where(streams.rates, smoothed * (1 - smoothed), streams.variances)
    daily = days.n
    cleared = days.means - effect[..., None] * (weekend - share[..., None])
    centre = _ratio((daily * cleared).sum(axis=-1), daily.sum(axis=-1))
    spread = (daily * (cleared - centre[..., None]) ** 2).sum(axis=-1)
    free = np.maximum((daily > 0).sum(axis=-1) - 1.0, 0.0)
    all_free = _pooled(free, streams.groups)
    expected = _pooled(free * variance, streams.groups) * (1 - _ratio(np.ones_like(all_free), all_free))
    room = daily.sum(axis=-1) - _ratio((daily**2).sum(axis=-1), daily.sum(axis=-1))
    beyond = np.maximum(0.0, _ratio(_pooled(spread, streams.groups) - expected, _pooled(room, streams.groups)))
    a_day = _ratio((daily**2).sum(axis=-1), daily.sum(axis=-1))
    factor = 1 + _ratio(beyond * a_day, variance)
    return Level(mean, n, variance, factor, np.sqrt(beyond), effect, share)


@dataclass(frozen=True, eq=False)
class ScanResult:
    """The largest statistic of each day, shape (..., S, days)."""

    statistic: Floats
    """-inf where no window has enough answers."""
    window: Ints
    """Length of the window with that statistic, in days; 0 for none."""


def scan(days: DailySums, weekend: Bools, level: Level, streams: Streams) -> ScanResult:
    """Return for every day the largest statistic of the windows that end with it.

    For a rate, T = (asin sqrt p_ref - asin sqrt p_W) / sqrt(f (1 / (4 n_W) + 1 / (4 n_ref))), with
    p = (x + 3/8) / (n + 3/4). For other scores z = (m_ref - m_W) / sqrt(f v (1 / n_W + 1 / n_ref)), and T is the normal
    deviate of z by Wilson and Hilferty's cube root: means of skewed scores, such as the steps of a call, reach z = 5 by
    chance far more often than normal ones. The weekend effect is removed from the days first. A window has at least 30
    effective answers, and begins with the first day or later.

    Args:
        days: Days in order, without the reference period.
        weekend: True for a Saturday or Sunday, shape (days,).
        level: The reference.
        streams: What the streams are.

    Source: Anscombe 1948, doi 10.1093/biomet/35.3-4.246 (rates); Wilson and Hilferty 1931, doi 10.1073/pnas.17.12.684.
    """
    best = np.full(days.weights.shape, -np.inf)
    window = np.zeros(days.weights.shape, np.int64)
    for length, found in _windows(days, weekend, level, streams):
        last = best[..., length - 1 :]
        better = found > last
        window[..., length - 1 :][better] = length
        np.maximum(last, found, out=last)
    return ScanResult(best, window)


def largest_statistic(days: DailySums, weekend: Bools, level: Level, streams: Streams) -> Floats:
    """Return the largest statistic of all days, streams and windows, shape (...); see `scan`."""
    best = np.full(days.weights.shape[:-2], -np.inf)
    for _, found in _windows(days, weekend, level, streams):
        np.maximum(best, found.max(axis=(-2, -1), initial=-np.inf), out=best)
    return best


def first_recovery(
    days: DailySums, weekend: Bools, levels: tuple[Level, Level], streams: Streams, threshold: float
) -> tuple[int, int] | None:
    """Return the first day on which a stream has recovered from a fall, and the length of the window that shows it.

    The window has 7 days or more. It is better than the fall by a statistic above the threshold, and the windows within
    it that end with its last day are worse than the reference by less than half of the threshold.

    Args:
        days: Days in order after the fall, of one stream: shape (1, days).
        weekend: True for a Saturday or Sunday, shape (days,).
        levels: The reference, and the window of the fall.
        streams: What the stream is.
        threshold: Of the statistic.

    Returns:
        Position of the day, and days; `None` if it has not recovered.
    """
    level, fallen = levels
    better = replace(streams, signs=-streams.signs)
    found = [
        (first + length - 1, length)
        for length, statistic in _windows(days, weekend, fallen, better)
        if length >= SHORTEST_RECOVERY
        for first in np.flatnonzero(statistic[0] > threshold).tolist()
    ]
    for day, length in sorted(found):
        own = slice(day + 1 - length, day + 1)
        if scan(days.between(own.start, own.stop), weekend[own], level, streams).statistic[0, -1] < threshold / 2:
            return day, length
    return None


@dataclass(frozen=True)
class WindowMean:
    """The mean of one stream in one window, with the weekend effect removed."""

    mean: float
    n: float
    """Effective answers."""


def window_mean(days: DailySums, weekend: Bools, level: Level, stream: int, last: int, length: int) -> WindowMean:
    """Return the mean of the `length` days that end with day `last`, as the scan compares it."""
    part = days.between(last + 1 - length, last + 1)
    totals = _cleared(part, weekend[last + 1 - length : last + 1], level)
    weights = part.weights[stream].sum()
    mean = _ratio(totals[stream].sum(), weights)
    return WindowMean(float(mean), float(_kish(weights, part.squares[stream].sum())))


def smallest_change(level: Level, streams: Streams, a_day: Floats, threshold: float, within: int) -> Floats:
    """Return the smallest change for the worse that an alarm finds within `within` days in half of all cases.

    Shape (S,). It is the change at which the statistic of the longest usable window has `threshold` as its expected
    value.

    Args:
        level: The reference, shape (S,).
        streams: What the streams are.
        a_day: Effective answers of a day, shape (S,).
        threshold: Of the statistic.
        within: Days after the change.

    Returns:
        Above 0, in the unit of the score; NaN where the answers are too few for any change to be found.
    """
    longest = max(each for each in WINDOWS if each <= within)
    n = longest * a_day
    usable = np.maximum(n, 1.0)[:, None]
    error = _error(level, streams, usable)[:, 0]
    angle = np.arcsin(np.sqrt(smoothed_rate(level.mean, level.n)))
    rises = streams.signs < 0
    moved = angle + np.where(rises, threshold, -threshold) * error
    inside = (moved > 0) & (moved < np.pi / 2)
    changes = np.abs(np.sin(np.where(inside, moved, 0.0)) ** 2 - smoothed_rate(level.mean, level.n))
    deviates = np.where(rises, threshold, -threshold)[:, None]
    others = np.abs(_of_normal(deviates, _skew(level, streams, usable))[:, 0]) * error
    found = np.where(streams.rates, np.where(inside, changes, np.nan), others)
    return np.where((n >= FEWEST) & (level.variance > 0), found, np.nan)


def _windows(days: DailySums, weekend: Bools, level: Level, streams: Streams) -> Iterator[tuple[int, Floats]]:
    """Yield each length of a window with its statistic for the days from `length` - 1 on."""
    weights = _running(days.weights)
    squares = weights if days.squares is days.weights else _running(days.squares)
    totals = _running(_cleared(days, weekend, level))
    signs, rates = streams.signs[:, None], streams.rates[:, None]
    before = _stable(level.mean[..., None], level.n[..., None], rates)
    watched = (level.variance > 0)[..., None]
    for length in WINDOWS:
        if length > days.weights.shape[-1]:
            return
        weight = weights[..., length:] - weights[..., :-length]
        n = weight if squares is weights else _kish(weight, squares[..., length:] - squares[..., :-length])
        mean = _ratio(totals[..., length:] - totals[..., :-length], weight)
        enough = (n >= FEWEST) & watched
        usable = np.maximum(n, 1.0)
        rise = (_stable(mean, n, rates) - before) / _error(level, streams, usable)
        if not rates.all():
            rise = np.where(rates, rise, _to_normal(rise, _skew(level, streams, usable)))
        statistic = np.where(signs == 0, np.abs(rise), -signs * rise)
        yield length, np.where(enough, statistic, -np.inf)


def _error(level: Level, streams: Streams, n: Floats) -> Floats:
    """Return the standard error for windows of `n` answers, shape (..., S, any)."""
    unit = np.where(streams.rates, 0.25, np.where(level.variance > 0, level.variance, 1.0))
    return np.sqrt((level.factor * unit)[..., None] * (1 / n + 1 / np.maximum(level.n, 1.0)[..., None]))


def _skew(level: Level, streams: Streams, n: Floats) -> Floats:
    """Return the skewness of window minus reference for windows of `n` answers, shape (..., S, any)."""
    size = np.maximum(level.n, 1.0)[..., None]
    own = np.where(streams.rates, 0.0, streams.skews)[:, None] / level.factor[..., None] ** 1.5
    skews: Floats = own * (1 / n**2 - 1 / size**2) / (1 / n + 1 / size) ** 1.5
    return skews


def _to_normal(z: Floats, skew: Floats) -> Floats:
    """Return the normal deviates of standardised values with this skewness, by Wilson and Hilferty."""
    safe = np.where(np.abs(skew) > LEAST_SKEW, skew, 1.0)
    return np.where(safe == skew, 6 / safe * (np.cbrt(1 + safe * z / 2) - 1 + safe**2 / 36), z)


def _of_normal(deviates: Floats, skew: Floats) -> Floats:
    """Return the standardised values that have these normal deviates; the inverse of `_to_normal`."""
    safe = np.where(np.abs(skew) > LEAST_SKEW, skew, 1.0)
    return np.where(safe == skew, 2 / safe * ((safe * deviates / 6 - safe**2 / 36 + 1) ** 3 - 1), deviates)


def _stable(mean: Floats, n: Floats, rates: Bools) -> Floats:
    if not rates.any():
        return mean
    angles: Floats = np.arcsin(np.sqrt(smoothed_rate(mean, n)))
    return angles if rates.all() else np.where(rates, angles, mean)


def smoothed_rate(mean: Floats, n: Floats) -> Floats:
    """Return the rate that `mean` of n answers stands for: (x + 3/8) / (n + 3/4), never quite 0 or 1 (Anscombe 1948).

    Source: https://doi.org/10.1093/biomet/35.3-4.246
    """
    return np.clip((n * mean + 3 / 8) / (n + 3 / 4), 0.0, 1.0)


def _cleared(days: DailySums, weekend: Bools, level: Level) -> Floats:
    """Return the daily totals without the weekend effect, in the shape of the days."""
    return days.totals - days.weights * level.weekend[..., None] * (weekend - level.weekend_share[..., None])


def _weekend_effect(days: DailySums, weekend: Bools, streams: Streams) -> Floats:
    means, sizes = [], []
    for part in (weekend, ~weekend):
        weights = days.weights[..., part].sum(axis=-1)
        means.append(_ratio(days.totals[..., part].sum(axis=-1), weights))
        sizes.append(_kish(weights, days.squares[..., part].sum(axis=-1)))
    known = _ratio(sizes[0] * sizes[1], sizes[0] + sizes[1])
    return _ratio(_pooled(known * (means[0] - means[1]), streams.groups), _pooled(known, streams.groups))


def _pooled(values: Floats, groups: Ints) -> Floats:
    """Return for each stream the sum over its pool, in the same shape."""
    member = groups[:, None] == np.arange(groups.max(initial=0) + 1)
    sums: Floats = (values @ member)[..., groups]
    return sums


def _running(values: Floats) -> Floats:
    sums = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    np.cumsum(values, axis=-1, out=sums[..., 1:])
    return sums


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)


def _kish(weights: Floats, squares: Floats) -> Floats:
    return weights if squares is weights else _ratio(weights**2, squares)


def is_weekend(first_weekday: int, days: int) -> Bools:
    """Return which of `days` days in a row are a Saturday or Sunday; the first is `first_weekday`, 0 for Monday."""
    return (first_weekday + np.arange(days)) % 7 >= 5
