"""Choose the answers to label next, with known drawing probabilities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.types import Metric

Stratum = tuple[bool, str]
"""Whether the judge passes the answer, and the value of the cohort."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One answer to be labelled."""

    case_id: str
    repeat: int
    inclusion_probability: float
    """Probability with which the answer was drawn, 0 to 1: drawn / available, in its stratum."""


def next_labels(
    frame: FrozenFrame,
    metric: Metric,
    n: int,
    *,
    labelled: Collection[int] = (),
    by: str | None = None,
    rng: np.random.Generator,
) -> tuple[Draw, ...]:
    """Draw up to `n` unlabelled answers, half of them from those that the judge fails.

    Kappa is hardest to estimate if one verdict is rare, so both verdicts are drawn equally and weighted back by their
    probabilities. Within a verdict the draw is in proportion to the values of a cohort, each of which has at least one
    answer if there is room.

    Args:
        frame: the run.
        metric: metric of the judge.
        n: answers to draw; fewer are returned if there are no more.
        labelled: rows that have a label already.
        by: name of a cohort to spread over.
        rng: source of the draw.

    Returns:
        In the order of case id and repeat, which does not reveal the verdicts.
    """
    strata = _strata(frame, metric, frozenset(labelled), by)
    taken = _allocation({stratum: len(rows) for stratum, rows in strata.items()}, n)
    drawn: list[tuple[int, float]] = []
    for stratum in sorted(strata):
        rows, count = strata[stratum], taken[stratum]
        drawn += [(int(row), count / len(rows)) for row in rng.choice(rows, size=count, replace=False)]
    return tuple(
        Draw(frame.case_ids[frame.row_case[row]], int(frame.repeats[row]), chance) for row, chance in sorted(drawn)
    )


def pooled_chances(frame: FrozenFrame, metric: Metric, chances: Mapping[int, float]) -> dict[int, float]:
    """Scale the probabilities of labels from several draws, so that each verdict of the judge has its proper weight.

    A later draw leaves out labelled answers, so its probabilities refer to the rest. Within a verdict that does no
    harm, but the verdicts together would be out of proportion. Labels of one complete draw keep their probabilities.

    Args:
        frame: the run.
        metric: metric of the judge.
        chances: row -> probability with which it was drawn.
    """
    passes = _passes(frame, metric)
    there, claimed = {False: 0.0, True: 0.0}, {False: 0.0, True: 0.0}
    for (verdict, _), rows in _strata(frame, metric, frozenset(), None).items():
        there[verdict] += len(rows)
    for row, chance in chances.items():
        claimed[bool(passes[row])] += 1 / chance
    found = {row: chance * claimed[bool(passes[row])] / there[bool(passes[row])] for row, chance in chances.items()}
    most = max(found.values(), default=1.0)
    return {row: chance / max(1.0, most) for row, chance in found.items()}


def _strata(
    frame: FrozenFrame, metric: Metric, labelled: frozenset[int], by: str | None
) -> Mapping[Stratum, list[int]]:
    column = frame.rows[metric.name]
    passes = _passes(frame, metric)
    value_of: dict[int, str] = {}
    for cohort, cases in frame.cohorts.items():
        name, _, value = cohort.partition("=")
        if name == by:
            value_of.update(dict.fromkeys(cases.tolist(), value))
    strata: dict[Stratum, list[int]] = defaultdict(list)
    seen = {_answer(frame, row) for row in labelled}
    for row in np.flatnonzero(column.status == SCORED).tolist():
        if _answer(frame, row) not in seen:  # repeats that say the same are read once
            seen.add(_answer(frame, row))
            strata[bool(passes[row]), value_of.get(int(frame.row_case[row]), "")].append(row)
    return strata


def _answer(frame: FrozenFrame, row: int) -> tuple[int, bytes]:
    return int(frame.row_case[row]), frame.answers[row]


def _passes(frame: FrozenFrame, metric: Metric) -> NDArray[np.bool_]:
    """Return the judge's verdict of each row; for grades without a pass mark, whether they are above the median."""
    column = frame.rows[metric.name]
    marked = frame.rows.get(f"{metric.name}.passed")
    if marked is not None:
        return np.asarray(marked.values == 1)
    if metric.binary:
        return np.asarray((column.values == 1) == metric.higher_is_better)
    middle = np.median(column.at(column.status == SCORED)) if (column.status == SCORED).any() else 0.0
    return np.asarray(column.values > middle)


def _allocation(sizes: Mapping[Stratum, int], n: int) -> dict[Stratum, int]:
    """Return how many answers to take from each stratum."""
    there = {
        verdict: sum(size for (passes, _), size in sizes.items() if passes is verdict) for verdict in (False, True)
    }
    fails = min(there[False], max(n // 2, n - there[True]))
    wanted = {False: fails, True: min(there[True], n - fails)}
    taken: dict[Stratum, int] = {}
    for verdict, count in wanted.items():
        own = {stratum: size for stratum, size in sizes.items() if stratum[0] is verdict}
        taken |= spread(own, count)
    return taken


def spread(sizes: Mapping[Stratum, int], count: int) -> dict[Stratum, int]:
    """Allocate a count to strata in proportion to their sizes by largest remainder.

    Each has at least one if there is room.

    Args:
        sizes: stratum -> how many there are.
        count: how many to take, at most all of them.
    """
    base = 1 if count >= len(sizes) else 0
    taken = dict.fromkeys(sizes, base)
    rest = count - sum(taken.values())
    room = {stratum: size - taken[stratum] for stratum, size in sizes.items()}
    total = sum(room.values())
    if rest <= 0 or total <= 0:
        return taken if base else _largest(sizes, count)
    exact = {stratum: rest * size / total for stratum, size in room.items()}
    for stratum, share in exact.items():
        taken[stratum] += int(share)
    left = count - sum(taken.values())
    for stratum in sorted(exact, key=lambda each: (int(exact[each]) - exact[each], each))[:left]:
        taken[stratum] += 1
    return taken


def _largest(sizes: Mapping[Stratum, int], count: int) -> dict[Stratum, int]:
    """Allocate one to each of the largest."""
    first = sorted(sizes, key=lambda each: (-sizes[each], each))[:count]
    return {stratum: int(stratum in first) for stratum in sizes}
