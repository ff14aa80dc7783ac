"""Find the cases of a suite's golden set that its system knows, and their effect on the scores of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Problem
from evalkit.golden.leak_sources import find_leaks
from evalkit.golden.leakage import SOURCES, Leaks
from evalkit.golden.lock import canary_of
from evalkit.golden.read import open_golden
from evalkit.operations.find_run import find_run
from evalkit.results import Estimate
from evalkit.stats.intervals import independent_difference
from evalkit.store.stored_run import load_run
from evalkit.suite.parse import load_suite

if TYPE_CHECKING:
    from evalkit.aggregate.columns import Ints
    from evalkit.aggregate.frozen import FrozenFrame


@dataclass(frozen=True, kw_only=True)
class LeakEffect:
    """Pass rates of a run with and without the cases that were found."""

    run_id: str
    flagged: Estimate
    """Pass rate of the cases that occur in a source."""
    clean: Estimate
    """Pass rate of all others."""
    difference: Estimate
    """The first minus the second, from -1 to 1."""


@dataclass(frozen=True, kw_only=True)
class LeakReport:
    """The cases that a system knows."""

    leaks: Leaks
    effect: LeakEffect | None = None
    """`None` if no run is given."""


def golden_leaks(suite_file: Path, run: str | None = None) -> LeakReport:
    """Search the prompts, corpus and training data of a suite for the cases of its golden set.

    Args:
        suite_file: the suite.
        run: a stored run of the suite, whose pass rates are compared.

    Raises:
        InputError: suite, set, files or run cannot be used, or the suite names nothing to search.
    """
    suite = load_suite(suite_file)
    if not suite.searched:
        fix = f"name what to search: `golden: {{path: {suite.golden_shown}, prompts: [prompts/*.yaml]}}`"
        raise InputError(Problem(suite.place("golden"), f"has none of {', '.join(SOURCES)}", fix))
    stored = None if run is None else load_run(find_run(run))
    golden = open_golden(suite.golden, suite.golden_file, suite.golden_shown, reading=suite.reading)
    leaks = find_leaks(golden, suite.searched, suite.root, canary_of(suite.golden_file))
    if stored is None:
        return LeakReport(leaks=leaks)
    from evalkit.aggregate.frozen import freeze

    frame = freeze(stored.frame)
    flagged = {leak.case_id for leak in leaks.found if leak.case_id}
    return LeakReport(leaks=leaks, effect=_effect(frame, flagged, stored.run_id))


def _effect(frame: FrozenFrame, flagged: set[str], run_id: str) -> LeakEffect:
    import numpy as np

    from evalkit.aggregate.statuses import SCORED

    column = frame.cases.get("pass_rate")
    if column is None:
        what, fix = "has no pass rate: no scorer has a pass mark", "give a run whose scorers pass or fail answers"
        raise InputError(Problem(f"run {run_id}", what, fix))
    scored = column.status == SCORED
    leaked = np.array([case_id in flagged for case_id in frame.case_ids], bool)
    found, others = (_rate(frame, np.flatnonzero(scored & chosen)) for chosen in (leaked, ~leaked))
    return LeakEffect(run_id=run_id, flagged=found, clean=others, difference=independent_difference(found, others))


def _rate(frame: FrozenFrame, cases: Ints) -> Estimate:
    from evalkit.aggregate.cells import mean

    column = frame.cases["pass_rate"]
    if not len(cases):
        return Estimate(value=None, reason="no such case has a grade")
    return mean(column.values[cases], frame.clusters[cases], column.metric)
