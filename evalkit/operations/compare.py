"""Compare two stored runs case by case."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.baselines.load import load_baseline
from evalkit.gate.assess import Terms, assess
from evalkit.gate.policy import NoRegression, Policy
from evalkit.results import Decision, Summary
from evalkit.store.folder import RunFolder
from evalkit.store.index import sorted_rows
from evalkit.store.stored_run import StoredRun, load_run
from evalkit.types import Row


@dataclass(frozen=True)
class Compared:
    """The later of two runs, and what a gate of `no_regression` alone would decide about it."""

    stored: StoredRun
    n_missing: int
    """Rows that the later run planned and does not have."""
    summary: Summary
    decision: Decision


def compared(before: RunFolder, after: RunFolder) -> Compared:
    """Pair the cases of two runs and test what fell.

    Raises:
        InputError: one of them is not a run, or its rows are damaged.
    """
    stored = load_run(after)
    policy = Policy(checks=(NoRegression(baseline=str(before.path)),), repeats=stored.manifest.repeats)
    baseline = load_baseline(before, stored.score_keys)
    terms = Terms(suite=stored.manifest.suite, policy=policy, baseline=baseline)
    summary, decision = assess(stored.frame, terms, expected=stored.manifest.expected, final=True)
    if not isinstance(decision, Decision):
        raise TypeError("a policy without canaries asks for no repeats")
    missing = max(0, stored.manifest.expected - len(stored.frame))
    return Compared(stored, missing, summary, decision)


def first_row(folder: RunFolder, case_id: str) -> Row | None:
    """The first repeat of a case; `None` if the run does not have it.

    Raises:
        InputError: this is not a run.
    """
    folder.manifest()
    return next((row for row in sorted_rows(folder.rows_file)() if row.case.id == case_id), None)
