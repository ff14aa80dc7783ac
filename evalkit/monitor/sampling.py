"""Decide which calls a judge grades: by a hash, so that any process decides alike, with a known probability.

The probability pi is stored with the call. Later plans never change it, and every estimate weights by 1 / pi.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.monitor.settings import SampleOptions

WEEK, WEEKS = 7, 4
UNITS = 1 << 64
BISECTIONS = 60
SEPARATOR = "|"


def is_drawn(unit: int, pi: float) -> bool:
    """Return whether a unit is in the sample: u < pi, where u = `unit` / 2^64 is uniform in [0, 1)."""
    return unit < pi * UNITS


@dataclass(frozen=True)
class InclusionPlan:
    """The probability with which the calls of one day are drawn.

    Attributes:
        overall: Of a call as such.
        by_value: `name=value` -> probability that gives the cohort its floor and its share; a call has the largest of
            its cohorts'.
    """

    overall: float
    by_value: Mapping[str, float]

    def pi(self, labels: Sequence[str]) -> float:
        """Return the probability of a call with these cohorts, each `name=value`."""
        return max([self.overall, *(self.by_value.get(label, 0.0) for label in labels)])


def inclusion_plan(calls: Mapping[str, float], options: SampleOptions) -> InclusionPlan:
    """Plan a day.

    A cohort of N calls gets max(floor, per_day times its share) of them, at most all. The plan as a whole is scaled so
    that `per_day` calls are expected, and no more than `most` of all calls: first the floors, then the rest by share.
    The floor of each value of the cohort `arms` is an equal part of all of them.

    Args:
        calls: Stratum -> calls expected that day, where a stratum is a combination of cohorts, `a=x|b=y`.
        options: Of the sample.
    """
    total = sum(calls.values())
    if total <= 0:
        return InclusionPlan(1.0, {})
    by_value: dict[str, float] = {}
    for stratum, n in calls.items():
        for label in labels_of(stratum):
            by_value[label] = by_value.get(label, 0.0) + n
    goal = min(float(options.per_day), options.most * total)
    names = {label: at for at, label in enumerate(by_value)}
    arms = [label for label in by_value if options.arms is not None and label.startswith(f"{options.arms}=")]
    wanted = dict.fromkeys(by_value, float(options.floor)) | dict.fromkeys(arms, goal / max(1, len(arms)))
    floors = np.array([min(1.0, wanted[label] / max(n, 1e-9)) for label, n in by_value.items()])
    strata = [[names[label] for label in labels_of(stratum)] for stratum in calls]
    sizes = np.fromiter(calls.values(), float, len(calls))

    def rates(level: float) -> tuple[float, NDArray[np.float64]]:
        """Return the probabilities: floors only up to level 1, and the whole of `per_day` by share at 2."""
        share = min(1.0, max(0.0, level - 1) * goal / total)
        found: NDArray[np.float64] = np.minimum(1.0, np.maximum(floors * min(1.0, level), share))
        return share, found

    def expected(level: float) -> float:
        share, found = rates(level)
        return float(sum(n * max([share, *found[at]]) for n, at in zip(sizes, strata, strict=True)))

    low, high = 0.0, 2.0
    for _ in range(BISECTIONS if expected(high) > goal else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if expected(middle) <= goal else (low, middle)
    share, found = rates(high)
    return InclusionPlan(max(share, goal / total * 1e-9), {label: float(found[at]) for label, at in names.items()})


def labels_of(stratum: str) -> list[str]:
    """Return the cohorts of a stratum."""
    return stratum.split(SEPARATOR) if stratum else []


def expected_calls(day: int, history: Mapping[tuple[int, str], int]) -> dict[str, float] | None:
    """Return stratum -> calls expected on a day, from the days before.

    It is the mean of the same weekday of the last 4 weeks, of those that had calls. If none had, it is the mean of the
    days of the last 4 weeks that had.

    Args:
        day: Days since 1970.
        history: (day, stratum) -> calls.

    Returns:
        `None` if no day of the last 4 weeks had calls.
    """
    days = {each for each, _ in history if day - WEEK * WEEKS <= each < day}
    same = {each for each in days if (day - each) % WEEK == 0}
    used = same or days
    if not used:
        return None
    found: dict[str, float] = {}
    for (each, stratum), n in history.items():
        if each in used:
            found[stratum] = found.get(stratum, 0.0) + n / len(used)
    return found


def first_day_calls(seen: Mapping[str, int], elapsed: float) -> dict[str, float]:
    """Return stratum -> calls expected on a day without history, from those seen so far.

    Args:
        seen: Stratum -> calls.
        elapsed: Share of the day that has passed, in (0, 1].
    """
    return {stratum: n / elapsed for stratum, n in seen.items()}


def shared_as_seen(calls: Mapping[str, float], seen: Mapping[str, int]) -> dict[str, float]:
    """Return stratum -> calls: as many as expected in all, by the shares of the calls that are here.

    A new release has calls from one hour to the next, which earlier weeks do not show. With the shares of each batch,
    the arms are drawn alike in every batch.
    """
    total, n = sum(calls.values()), sum(seen.values())
    return {stratum: own * total / n for stratum, own in seen.items()}


def with_suspicion(
    pis: Iterable[float], suspicion: Sequence[float], share: float, mean: float | None = None
) -> list[float]:
    """Return the probabilities with part of the sample drawn by suspicion.

    pi_i = (1 - a) pi + a pi s_i / mean(s), at most 1, for the share a. No weight exceeds 1 / (1 - a) times that of the
    plan. Without suspicion the plan stands.

    Args:
        pis: Of the plan.
        suspicion: s of each call, at least 0.
        share: a, in [0, 1).
        mean: Of the suspicion; default: of these calls.
    """
    mean = (sum(suspicion) / len(suspicion) if suspicion else 0.0) if mean is None else mean
    if share == 0 or mean <= 0:
        return list(pis)
    return [min(1.0, (1 - share) * pi + share * pi * s / mean) for pi, s in zip(pis, suspicion, strict=True)]
