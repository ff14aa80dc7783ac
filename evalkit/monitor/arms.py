"""Read the scores of two arms of the traffic from the observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalkit.monitor.grading import ERROR, SCORED, THUMB
from evalkit.monitor.observations import Observations, read_observations, stored_files
from evalkit.monitor.series import MetricFacts

Floats = NDArray[np.float64]
LOG_RATES = (ERROR, THUMB)


@dataclass(frozen=True, eq=False)
class ArmScores:
    """Scores of one metric in one arm; all arrays have the shape (n,)."""

    values: Floats
    weights: Floats
    """1 / pi of judged metrics, else 1."""
    units: NDArray[np.uint64]
    days: NDArray[np.int64]
    """Days since 1970."""


@dataclass(frozen=True, eq=False)
class TwoArms:
    """The scores of one metric with one score key in both arms."""

    facts: MetricFacts
    new: ArmScores
    old: ArmScores
    mixed: int
    """Units that were in both arms, whose answers are left out."""


def read_arms(folder: Path, cohort: str, values: tuple[str, str], first: int, last: int) -> list[TwoArms]:
    """Return the scores of every metric that both arms have, by name and score key.

    Args:
        folder: Of the monitor.
        cohort: The cohort that tells the arms apart, such as `version`.
        values: Its value in the arm and in the other one.
        first: First day, since 1970.
        last: Last day.

    Raises:
        StoreError: A file of observations cannot be read.
    """
    parts: dict[tuple[str, str], tuple[MetricFacts, list[ArmScores], list[ArmScores]]] = {}
    for day, _, file in stored_files(folder):
        if not first <= day <= last:
            continue
        found = read_observations(file)
        if cohort not in found.cohorts:
            continue
        arm = np.array(found.cohorts[cohort], dtype=object)
        masks = [arm == value for value in values]
        for facts in found.facts:
            if facts.metric in found.metrics and _is_compared(facts):
                entry = parts.setdefault((facts.metric, facts.score_key), (facts, [], []))
                for mask, own in zip(masks, entry[1:], strict=True):
                    own.append(_scores(found, facts, mask))
    arms = []
    for key in sorted(parts):
        facts, new, old = parts[key]
        first_arm, second_arm = _joined(new), _joined(old)
        both = np.intersect1d(first_arm.units, second_arm.units)
        if len(first_arm.values) and len(second_arm.values):
            arms.append(TwoArms(facts, _without(first_arm, both), _without(second_arm, both), len(both)))
    return arms


def _is_compared(facts: MetricFacts) -> bool:
    """Return whether a metric says something about quality: scores, errors and thumbs, not amounts."""
    if facts.metric.endswith(SCORED):
        return False
    return bool(facts.score_key) or facts.metric in LOG_RATES


def _scores(found: Observations, facts: MetricFacts, mask: NDArray[np.bool_]) -> ArmScores:
    values = found.metrics[facts.metric]
    known = mask & ~np.isnan(values)
    n = int(known.sum())
    weights = 1 / found.pi[known] if facts.is_judged else np.ones(n)
    return ArmScores(values[known], weights, found.units[known], np.full(n, found.day))


def _joined(parts: Sequence[ArmScores]) -> ArmScores:
    return ArmScores(
        np.concatenate([each.values for each in parts]),
        np.concatenate([each.weights for each in parts]),
        np.concatenate([each.units for each in parts]),
        np.concatenate([each.days for each in parts]),
    )


def _without(scores: ArmScores, units: NDArray[np.uint64]) -> ArmScores:
    kept = ~np.isin(scores.units, units)
    return ArmScores(scores.values[kept], scores.weights[kept], scores.units[kept], scores.days[kept])
