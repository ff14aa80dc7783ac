"""Count scores, latencies, costs and tokens in equal bins."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from evalkit.types import Metric, Row, Score

BINS = 20
_KEPT_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class Histogram:
    """Count of values in equal bins from `low` to `high`."""

    metric: str
    low: float
    high: float
    counts: tuple[int, ...]
    pass_at: float | None = None
    """The score's pass mark."""
    unit: str = ""
    """`s`, `usd` or `tokens`; empty for a score."""
    open_ended: bool = False
    """True if the last bin also holds everything above `high`."""


class Distributions:
    """Collects four numbers of each row."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._scores = {metric.name: _Bins(metric) for metric in metrics}
        self._measures = {name: array("d") for name in _UNITS}

    def add(self, row: Row) -> None:
        """Count the scores of a row, and the latency, cost and tokens of its answer unless the answer was stored."""
        for grade in row.scores.values():
            if isinstance(grade, Score) and grade.metric in self._scores:
                self._scores[grade.metric].add(grade.value)
        output = row.output
        if output is None or output.replayed:
            return
        usage = output.usage
        self._keep("latency", output.latency_s)
        if usage is not None:
            self._keep("cost per case", usage.cost_usd)
            self._keep("input tokens", usage.input_tokens)
            self._keep("output tokens", usage.output_tokens)

    def histograms(self) -> tuple[Histogram, ...]:
        """Return a histogram for each graded score with values, then one for each measure that varies."""
        measures = (_measured(name, values) for name, values in self._measures.items())
        scores = (bins.histogram() for bins in self._scores.values() if bins.n)
        return (*scores, *(found for found in measures if found is not None))

    def _keep(self, name: str, value: float | None) -> None:
        if value is not None and 0 <= value < math.inf:
            self._measures[name].append(value)


_UNITS = {"latency": "s", "cost per case": "usd", "input tokens": "tokens", "output tokens": "tokens"}


def _measured(name: str, values: array[float]) -> Histogram | None:
    """Return bins from 0 to the 99 % quantile; the last bin takes the rest."""
    if not values:
        return None
    ordered = sorted(values)
    high = ordered[math.ceil(_KEPT_SHARE * len(ordered)) - 1] or ordered[-1]
    if high <= 0:
        return None
    counts = [0] * BINS
    for value in ordered:
        counts[min(int(value / high * BINS), BINS - 1)] += 1
    return Histogram(name, 0.0, high, tuple(counts), unit=_UNITS[name], open_ended=ordered[-1] > high)


class _Bins:
    """Counts the values of one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._width = (metric.high - metric.low) / BINS
        self._counts = [0] * BINS
        bounded = math.isfinite(self._width) and self._width > 0
        self._usable = bounded and not metric.binary and metric.unit not in ("s", "usd")
        self.n = 0

    def add(self, value: float) -> None:
        """Count `value`; values outside the declared range are not drawn."""
        if self._usable and self._metric.low <= value <= self._metric.high:
            self._counts[min(int((value - self._metric.low) / self._width), BINS - 1)] += 1
            self.n += 1

    def histogram(self) -> Histogram:
        """Freeze the counts."""
        metric = self._metric
        return Histogram(metric.name, metric.low, metric.high, tuple(self._counts), pass_at=metric.pass_at)
