"""Measure the skewness of scores that are not rates, from the observations of a reference period."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from evalkit.monitor.observations import read_observations, stored_files

MOST_VALUES = 1_000_000
"""Values of one metric after which no more are read."""


def skewness_of(
    folder: Path, first: int, last: int, metrics: Collection[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    """Return the skewness of a single answer's score by metric and score key, over all cohorts.

    It is sum w (y - m)^3 / (sum w) / s^3, with the weights 1 / pi of judged metrics. 0 for scores without a spread.

    Args:
        folder: Of the monitor.
        first: First day, since 1970.
        last: Last day.
        metrics: Pairs of metric and score key.

    Raises:
        StoreError: A file of observations cannot be read.
    """
    moments = {each: np.zeros(5) for each in metrics}  # values, sums of w y^0 to w y^3
    for day, _, file in stored_files(folder):
        wanted = [each for each, sums in moments.items() if sums[0] < MOST_VALUES]
        if not wanted:
            break
        if not first <= day <= last:
            continue
        found = read_observations(file)
        for facts in found.facts:
            key = (facts.metric, facts.score_key)
            if key not in wanted or facts.metric not in found.metrics:
                continue
            y = found.metrics[facts.metric]
            known = ~np.isnan(y)
            y, w = y[known], (1 / found.pi[known] if facts.is_judged else np.ones(int(known.sum())))
            moments[key] += [len(y), *(float((w * y**power).sum()) for power in range(4))]
    return {each: _skewness(*sums[1:].tolist()) for each, sums in moments.items()}


def _skewness(w: float, wy: float, wy2: float, wy3: float) -> float:
    if w <= 0:
        return 0.0
    mean, square, cube = wy / w, wy2 / w, wy3 / w
    variance = square - mean**2
    if variance <= 1e-9 * square:
        return 0.0
    return float((cube - 3 * mean * square + 2 * mean**3) / variance**1.5)
