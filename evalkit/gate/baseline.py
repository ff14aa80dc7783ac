"""The stored run that a candidate is compared with, and the pairing of the two by case content and repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evalkit.aggregate.columns import Column, Floats, Ints
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.gate.words import worst_first
from evalkit.results import Comparison

ScoreKeys = Mapping[str, Mapping[str, str]]
"""Metric -> part (`version`, `rubric`, `judge` ...) -> its value."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """A stored run, with what its scores and the candidate's were made by."""

    run_id: str
    frame: FrozenFrame
    score_keys: ScoreKeys
    candidate_score_keys: ScoreKeys
    by_turns: FrozenFrame | None = None
    """What the baseline's system answered in turns with the candidate, where it was called: the only fair times."""

    def differing_parts(self, metric: str) -> str:
        """The parts of a scorer's metric that were not made the same way in both runs; empty where nothing differs."""
        ours, theirs = self.candidate_score_keys.get(metric, {}), self.score_keys.get(metric, {})
        return ", ".join(part for part in sorted({*ours, *theirs}) if ours.get(part) != theirs.get(part))


@dataclass(frozen=True, eq=False)
class Pairing:
    """Rows of both runs with the same case content and repeat, in the candidate's order."""

    candidate: FrozenFrame
    baseline: FrozenFrame
    candidate_rows: Ints
    baseline_rows: Ints

    @property
    def cases(self) -> Ints:
        """Per pair of rows: the candidate's position of the case."""
        return self.candidate.row_case[self.candidate_rows]

    @property
    def n_cases(self) -> int:
        """Cases with at least one pair of rows."""
        return len(np.unique(self.cases))

    @property
    def overlap(self) -> float:
        """Share of the larger run's cases that are paired, of a sample's own cases; 0 where a run is empty."""
        return self.n_cases / self.n_comparable if self.n_comparable else 0.0

    @property
    def n_comparable(self) -> int:
        """Cases that could be paired: a sample says nothing of those that were not drawn."""
        if self.candidate.sample is not None:
            return self.candidate.n_cases
        return max(self.candidate.n_cases, self.baseline.n_cases)

    def means(self, metric: str) -> tuple[Floats, Floats]:
        """Baseline and candidate mean of a metric per candidate case, over the repeats that both have scored.

        Returns:
            Two arrays of shape (candidate cases,), NaN where no repeat is scored in both.
        """
        before = _taken(self.baseline.rows[metric], self.baseline_rows)
        after = _taken(self.candidate.rows[metric], self.candidate_rows)
        both = (before.status == SCORED) & (after.status == SCORED)
        cases, size = self.cases[both], self.candidate.n_cases
        counts = np.bincount(cases, minlength=size)
        sums = [np.bincount(cases, column.values[both], size) for column in (before, after)]
        first, second = (np.divide(total, counts, out=np.full(size, np.nan), where=counts > 0) for total in sums)
        return first, second


def pair(candidate: FrozenFrame, baseline: FrozenFrame, *, repeats: int | None = None) -> Pairing:
    """Match rows by case content and repeat; of each case the first `repeats`, all of them where that is `None`."""
    theirs = {key: row for row, key in enumerate(_row_keys(baseline)) if repeats is None or key[1] < repeats}
    matches = [(row, theirs[key]) for row, key in enumerate(_row_keys(candidate)) if key in theirs]
    rows = np.array(matches, np.int64).reshape(-1, 2)
    return Pairing(candidate, baseline, rows[:, 0], rows[:, 1])


def compare(pairing: Pairing, baseline: Baseline, incomparable: Mapping[str, str]) -> Comparison:
    """List what came, went, changed, broke and was mended.

    Args:
        pairing: of the two runs.
        baseline: names the stored run.
        incomparable: metric -> why it is not compared.
    """
    ours, theirs = pairing.candidate, baseline.frame
    our_keys = dict(zip(ours.case_ids, ours.keys, strict=True))
    their_keys = dict(zip(theirs.case_ids, theirs.keys, strict=True))
    shared = our_keys.keys() & their_keys.keys()
    removed = () if ours.sample is not None else tuple(sorted(their_keys.keys() - our_keys.keys()))
    changed = tuple(sorted(name for name in shared if our_keys[name] != their_keys[name]))
    failing_before = _failing(theirs)
    failed, fixed, still = _moves(pairing) if "pass_rate" not in incomparable else ((), (), ())
    return Comparison(
        baseline_id=baseline.run_id,
        n_paired=pairing.n_cases,
        overlap=pairing.overlap,
        added=tuple(sorted(our_keys.keys() - their_keys.keys())),
        removed=removed,
        changed=changed,
        removed_failing=tuple(name for name in removed if name in failing_before),
        changed_failing=tuple(name for name in changed if name in failing_before),
        new_failures=failed,
        fixed=fixed,
        still_failing=still,
        incomparable=dict(incomparable),
    )


def incomparable_metrics(candidate: FrozenFrame, baseline: Baseline, metrics: tuple[str, ...]) -> dict[str, str]:
    """Find the metrics whose scores were not made the same way in both runs.

    Args:
        candidate: the run to decide.
        baseline: the stored run, with both runs' score keys.
        metrics: those that the policy compares.

    Returns:
        Metric -> the part that differs. `pass_rate` rests on every scorer that votes in it.
    """
    found: dict[str, str] = {}
    for name in metrics:
        if name == "pass_rate":
            reason = _pass_rate_difference(candidate, baseline)
        else:
            reason = baseline.differing_parts(name.removesuffix(".passed"))
            if not reason and name not in baseline.frame.rows:
                reason = "the baseline does not have the metric"
        if reason:
            found[name] = reason
    return found


def _pass_rate_difference(candidate: FrozenFrame, baseline: Baseline) -> str:
    ours, theirs = set(candidate.voters), set(baseline.frame.voters)
    if ours != theirs:
        return f"scorers that make it up differ: {', '.join(sorted(ours ^ theirs))}"
    parts = {name: baseline.differing_parts(name) for name in sorted(ours)}
    return "; ".join(f"{name}: {part}" for name, part in parts.items() if part)


def _moves(pairing: Pairing) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """New failures, mended cases, and cases that fail in both; a case fails where half of its repeats do."""
    if "pass_rate" not in pairing.candidate.rows or "pass_rate" not in pairing.baseline.rows:
        return (), (), ()
    before, after = pairing.means("pass_rate")
    known = ~np.isnan(before)
    failed, fails = known & (before <= 0.5), known & (after <= 0.5)
    drop = np.where(known, before - after, 0.0)
    groups = (fails & ~failed, failed & ~fails, failed & fails)
    ids = [worst_first(pairing.candidate, np.flatnonzero(group).tolist(), drop) for group in groups]
    return ids[0], ids[1], ids[2]


def _failing(frame: FrozenFrame) -> frozenset[str]:
    """Ids of the cases that fail in half of their repeats or more."""
    if "pass_rate" not in frame.cases:
        return frozenset()
    values = frame.cases["pass_rate"].values
    return frozenset(frame.case_ids[case] for case in np.flatnonzero(values <= 0.5).tolist())


def _taken(column: Column, rows: Ints) -> Column:
    return Column(column.metric, column.values[rows], column.status[rows])


def _row_keys(frame: FrozenFrame) -> list[tuple[bytes, int]]:
    return [
        (frame.keys[case], repeat) for case, repeat in zip(frame.row_case.tolist(), frame.repeats.tolist(), strict=True)
    ]
