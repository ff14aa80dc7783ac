"""Compare two stored runs case by case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.baselines.load import load_baseline
from evalkit.gate.assess import Terms, assess
from evalkit.gate.policy import NoRegression, Policy
from evalkit.results import Decision, Summary
from evalkit.store.folder import RunFolder
from evalkit.store.index import sorted_rows
from evalkit.store.stored_run import StoredRun, load_run
from evalkit.trust.labels import Label
from evalkit.types import WRONG, Metric, Row, verdict_of


@dataclass(frozen=True)
class Compared:
    """The later of two runs, and the decision of a gate with `no_regression` alone."""

    stored: StoredRun
    n_missing: int
    """Number of rows that the later run planned but does not have."""
    summary: Summary
    decision: Decision


def compared(
    before: RunFolder,
    after: RunFolder,
    *,
    policy: Policy | None = None,
    seed: int = 0,
    notes: tuple[str, ...] = (),
    labels: tuple[Label, ...] = (),
) -> Compared:
    """Pair the cases of two runs and test which metrics fell.

    Args:
        before: run of the old system.
        after: run of the new one.
        policy: what decides; by default a drop of any metric alone.
        seed: of the sign flips.
        notes: shown with the figures.
        labels: people's labels of the later run's answers, for its judges.

    Raises:
        InputError: one of them is not a run, or its rows are damaged.
    """
    stored = load_run(after)
    if policy is None:
        metrics = tested_once(stored.manifest.metrics) if stored.manifest.imported else None
        check = NoRegression(baseline=str(before.path), metrics=metrics)
        policy = Policy(checks=(check,), repeats=stored.manifest.repeats)
    baseline = load_baseline(before, stored.score_keys)
    terms = Terms(suite=stored.manifest.suite, policy=policy, baseline=baseline, seed=seed, notes=notes, labels=labels)
    summary, decision = assess(stored.frame, terms, expected=stored.manifest.expected, final=True)
    if not isinstance(decision, Decision):
        raise TypeError("a policy without canaries asks for no repeats")
    missing = max(0, stored.manifest.expected - len(stored.frame))
    return Compared(stored, missing, summary, decision)


def tested_once(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """Return the metrics to test: a single one of pass or fail is the pass rate, so it is tested once, by its name."""
    names = [metric.name for metric in metrics]
    voters = [metric for metric in metrics if metric.votes]
    return tuple(names if not voters or (len(voters) == 1 and voters[0].binary) else ["pass_rate", *names])


def case_in_both(before: RunFolder, after: RunFolder, case_id: str) -> tuple[Row | None, Row | None]:
    """Return the same repeat of a case in two runs, see `repeat_to_show`; `None` for a run without the case.

    Raises:
        InputError: one of them is not a run.
    """
    advisory = frozenset((*before.manifest().advisory, *after.manifest().advisory))
    return repeat_to_show(_repeats(before, case_id), _repeats(after, case_id), advisory)


def repeat_to_show(
    before: Sequence[Row], after: Sequence[Row], advisory: frozenset[str]
) -> tuple[Row | None, Row | None]:
    """Choose the first repeat that fails in the later run, or else the first one.

    Args:
        before: repeats of one case in order.
        after: those of the later run; if it has none, the earlier run's are chosen from.
        advisory: metrics that decide nothing.
    """
    wrong = [row for row in after or before if verdict_of(row, advisory) in WRONG]
    chosen = next(iter((*wrong, *after, *before)), None)
    same = [next((row for row in rows if chosen and row.repeat == chosen.repeat), None) for rows in (before, after)]
    return same[0] or next(iter(before), None), same[1] or next(iter(after), None)


def _repeats(folder: RunFolder, case_id: str) -> list[Row]:
    found: list[Row] = []
    for row in sorted_rows(folder.rows_file)():
        if row.case.id == case_id:
            found.append(row)
        elif found:
            break
    return found
