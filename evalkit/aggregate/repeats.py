"""Fold the repeats of a case into one value or verdict."""

from __future__ import annotations

import numpy as np

from evalkit.aggregate.columns import Column, Ints
from evalkit.aggregate.statuses import ABSENT, ERRORED, SCORED, UNSCORED, chosen_runs
from evalkit.types import Metric, least_share

PASS_ANY = Metric(name="pass_any", binary=True)
"""pass@k, where k is the number of repeats: at least one passed (Chen et al. 2021, arXiv 2107.03374)."""
PASS_ALL = Metric(name="pass_all", binary=True)
"""pass^k, where k is the number of repeats: every one passed (Yao et al. 2024, arXiv 2406.12045)."""
PASS_SPREAD = Metric(name="pass_spread", high=1.0, higher_is_better=False, diagnostic=True)
"""Share of pairs of repeats of one case that disagree: 0 for a steady system."""


def fold(column: Column, row_case: Ints, n_cases: int) -> Column:
    """Average the scored repeats of each case; a case without one keeps the state of its rows.

    Args:
        column: per row.
        row_case: per row, the position of its case.
        n_cases: length of the result.
    """
    if np.array_equal(row_case, np.arange(n_cases)):  # one row a case: both columns share their memory
        return column
    scored = column.status == SCORED
    totals = np.bincount(row_case[scored], column.at(scored), n_cases)
    counts = np.bincount(row_case[scored], minlength=n_cases)
    means = np.full(n_cases, np.nan)
    np.divide(totals, counts, out=means, where=counts > 0)
    status = np.full(n_cases, ABSENT)
    for code in (ERRORED, UNSCORED, SCORED):
        status[row_case[column.status == code]] = code
    return Column(column.metric, means, status)


def by_rule(case: Column, rule: str) -> Column:
    """Return the share of each case's repeats that passed, as a verdict under a rule.

    Raises:
        ValueError: it is not a rule; the files of a run folder are not trusted.
    """
    least = least_share(rule)
    if rule == "mean":
        return case
    values = np.where(case.status == SCORED, (case.values >= least - 1e-9).astype(float), np.nan)
    return Column(case.metric, values, case.status)


def of_repeats(rows: Column, row_case: Ints, n_cases: int) -> dict[str, Column]:
    """Return `pass_any`, `pass_all` and `pass_spread` if all cases have at least two scored repeats; else nothing.

    Args:
        rows: `pass_rate` per row.
        row_case: per row the position of its case.
        n_cases: number of cases of the run.
    """
    scored = rows.status == SCORED
    runs = np.bincount(row_case[scored], minlength=n_cases)
    if not n_cases or np.bincount(row_case, minlength=n_cases).min() < 2:
        return {}
    passes = np.bincount(row_case[scored], rows.at(scored), n_cases)
    known = runs >= 2
    pairs = np.where(known, runs * (runs - 1), 1)
    found = {
        PASS_ANY: (passes > 0).astype(float),
        PASS_ALL: (passes == runs).astype(float),
        PASS_SPREAD: 2 * passes * (runs - passes) / pairs,
    }
    status = np.where(known, SCORED, _unknown(rows, row_case, n_cases))
    return {metric.name: Column(metric, np.where(known, values, np.nan), status) for metric, values in found.items()}


def _unknown(rows: Column, row_case: Ints, n_cases: int) -> Ints:
    """Return the state of cases with fewer than two scored repeats: that of their worst row."""
    status = np.full(n_cases, ABSENT)
    np.maximum.at(status, row_case[rows.status != SCORED], rows.status[rows.status != SCORED])
    return status


def of_chosen_runs(rows: Column, row_case: Ints, n_cases: int, name: str) -> Column:
    """Return pass^k or pass@k per case: the chance that all, or any, of k runs pass.

    Of n scored runs, c of which passed: C(c, k) / C(n, k), and 1 - C(n - c, k) / C(n, k). Both are unbiased. A case
    with fewer than k scored runs has no value.

    Args:
        rows: `pass_rate` per row.
        row_case: per row the position of its case.
        n_cases: number of cases of the run.
        name: name of the metric, such as `pass_all_3` or `pass_any_3`.

    Source: Yao et al. 2024, arXiv 2406.12045, section 3; Chen et al. 2021, arXiv 2107.03374, section 2.1.
    """
    figure, k = chosen_runs(name) or ("", 1)
    scored = rows.status == SCORED
    runs = np.bincount(row_case[scored], minlength=n_cases)
    passes = np.bincount(row_case[scored], rows.at(scored), n_cases)
    chosen = passes if figure == PASS_ALL.name else runs - passes
    share = np.ones(n_cases)
    for taken in range(k):
        share *= np.maximum(chosen - taken, 0) / np.maximum(runs - taken, 1)
    values = share if figure == PASS_ALL.name else 1 - share
    status = np.where(runs > 0, UNSCORED, _unknown(rows, row_case, n_cases))
    status = np.where(runs >= k, SCORED, status)
    metric = Metric(name=name, binary=True)
    return Column(metric, np.where(runs >= k, values, np.nan), status)
