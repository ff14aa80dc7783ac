"""Sum the calls of a batch by hour and cohort, metric by metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.monitor.observations import MICRO, Observations
from evalkit.monitor.sampling import SEPARATOR
from evalkit.monitor.series import ALL_CALLS, CALLS, LEAST, MetricFacts, SeriesCell, Stream
from evalkit.stats.log_histogram import BUCKETS, LogHistogram, buckets_of
from evalkit.stats.weighted_sums import WeightedSums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_HOUR_US = 3_600 * MICRO


@dataclass(frozen=True)
class _Grouping:
    """The calls of a batch by hour and value of one cohort.

    Attributes:
        names: (hour, cohort) of each group.
        groups: Group of each call.
        clusters: Cluster of each call: its unit within its group.
        owners: Group of each cluster.
    """

    names: Sequence[tuple[int, str]]
    groups: Ints
    clusters: Ints
    owners: Ints


def cells_of(found: Observations) -> list[SeriesCell]:
    """Return one cell for each hour, cohort and metric with values.

    Figures of the log and of rules are known of every call and have the weight 1; those of judges are known of the
    sample and have the weight 1 / pi. A unit that occurs in several hours or batches counts as a cluster in each.
    """
    if not len(found):
        return []
    hours = found.at // _HOUR_US
    _, units = np.unique(found.units, return_inverse=True)
    groupings = [_grouping(hours, ALL_CALLS, None, units)]
    groupings += [_grouping(hours, name, values, units) for name, values in found.cohorts.items()]
    weights = 1 / found.pi
    cells: list[SeriesCell] = []
    for facts in found.facts:
        values = found.metrics.get(facts.metric)
        if values is not None:
            known = np.flatnonzero(~np.isnan(values))
            own = weights[known] if facts.is_judged else np.ones(len(known))
            for grouping in groupings:
                cells += _summed(facts, grouping, known, values[known], own)
    return cells


def strata_of(found: Observations) -> dict[tuple[int, str], int]:
    """Return (day, stratum) -> calls, where a stratum is a combination of cohorts, `a=x|b=y`; none of feedback."""
    if CALLS.metric not in found.metrics:
        return {}
    if not found.cohorts:
        return {(found.day, ""): len(found)} if len(found) else {}
    columns = [[f"{name}={value}" for value in values] for name, values in found.cohorts.items()]
    return {(found.day, SEPARATOR.join(labels)): n for labels, n in Counter(zip(*columns, strict=True)).items()}


def _grouping(hours: Ints, name: str, values: Sequence[str] | None, units: Ints) -> _Grouping:
    codes = {value: at for at, value in enumerate(dict.fromkeys(values))} if values is not None else {ALL_CALLS: 0}
    own = (
        np.zeros(len(hours), np.int64) if values is None else np.fromiter(map(codes.get, values), np.int64, len(hours))
    )
    first = int(hours.min())
    keys, groups = np.unique((hours - first) * len(codes) + own, return_inverse=True)
    labels = [ALL_CALLS if values is None else f"{name}={value}" for value in codes]
    names = [(first + int(key) // len(codes), labels[int(key) % len(codes)]) for key in keys]
    pairs, clusters = np.unique(groups * (int(units.max()) + 1) + units, return_inverse=True)
    return _Grouping(names, groups, clusters, pairs // (int(units.max()) + 1))


def _summed(facts: MetricFacts, by: _Grouping, known: Ints, y: Floats, w: Floats) -> Iterator[SeriesCell]:
    size = len(by.names)
    groups, clusters = by.groups[known], by.clusters[known]
    whole, sums = np.bincount(clusters, w, len(by.owners)), np.bincount(clusters, w * y, len(by.owners))
    columns = [
        np.bincount(groups, minlength=size),
        np.bincount(by.owners[whole > 0], minlength=size),
        np.bincount(groups, w, size),
        np.bincount(groups, w * w, size),
        np.bincount(groups, w * y, size),
        np.bincount(groups, w * y * y, size),
        np.bincount(by.owners, whole * whole, size),
        np.bincount(by.owners, whole * sums, size),
        np.bincount(by.owners, sums * sums, size),
    ]
    histograms = _histograms(facts.metric, groups, y)
    for at in np.flatnonzero(columns[0]).tolist():
        hour, cohort = by.names[at]
        n, n_clusters, *floats = (column[at].item() for column in columns)
        stream = Stream(facts.metric, cohort, facts.score_key)
        yield SeriesCell(stream, hour, WeightedSums(n, n_clusters, *floats), histograms.get(at))


def _histograms(metric: str, groups: Ints, y: Floats) -> dict[int, LogHistogram]:
    """Return group -> histogram, for amounts."""
    if metric not in LEAST or not len(y):
        return {}
    keys, counts = np.unique(groups * BUCKETS + buckets_of(y, LEAST[metric]), return_counts=True)
    found: dict[int, dict[int, int]] = {}
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        found.setdefault(key // BUCKETS, {})[key % BUCKETS] = count
    return {group: LogHistogram(LEAST[metric], buckets) for group, buckets in found.items()}
