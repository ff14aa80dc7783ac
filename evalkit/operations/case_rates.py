"""Compare the pass rate of some cases of a run with that of its other cases."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Problem
from evalkit.operations.find_run import find_run
from evalkit.results import Estimate
from evalkit.stats.intervals import independent_difference
from evalkit.store.stored_run import load_run

if TYPE_CHECKING:
    from evalkit.aggregate.columns import Ints
    from evalkit.aggregate.frozen import FrozenFrame


@dataclass(frozen=True, kw_only=True)
class CaseRates:
    """Pass rates of two groups of cases of one run."""

    run_id: str
    chosen: Estimate
    others: Estimate
    difference: Estimate
    """The first minus the second, from -1 to 1."""


def case_rates(run: str, chosen: Collection[str]) -> CaseRates:
    """Return the pass rate of the chosen cases of a stored run, and of all others.

    Args:
        run: name of the run, as other commands take it.
        chosen: ids of cases; those that the run does not have are ignored.

    Raises:
        InputError: it is not a run, or has no pass rate.
    """
    import numpy as np

    from evalkit.aggregate.frozen import freeze
    from evalkit.aggregate.statuses import SCORED

    stored = load_run(find_run(run))
    frame = freeze(stored.frame)
    column = frame.cases.get("pass_rate")
    if column is None:
        what, fix = "has no pass rate: no scorer has a pass mark", "give a run whose scorers pass or fail answers"
        raise InputError(Problem(f"run {stored.run_id}", what, fix))
    scored = column.status == SCORED
    is_chosen = np.array([case_id in chosen for case_id in frame.case_ids], bool)
    ours, others = (_rate(frame, np.flatnonzero(scored & each)) for each in (is_chosen, ~is_chosen))
    difference = independent_difference(ours, others)
    return CaseRates(run_id=stored.run_id, chosen=ours, others=others, difference=difference)


def _rate(frame: FrozenFrame, cases: Ints) -> Estimate:
    from evalkit.aggregate.cells import mean

    column = frame.cases["pass_rate"]
    if not len(cases):
        return Estimate(value=None, reason="no such case has a grade")
    return mean(column.at(cases), frame.clusters[cases], column.metric)
