"""Pair a candidate with the stored run it is compared with, by case content."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.aggregate.columns import Column, Floats, Ints
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.repeats import fold
from evalkit.formats.manifest import ScoreKeys
from evalkit.gate.words import worst_first
from evalkit.results import Comparison

Repeats = tuple[int | None, int | None]
"""Number of repeats of each case that count, for baseline and candidate; `None` for all."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """A stored run, with the score keys of both runs."""

    run_id: str
    frame: FrozenFrame
    score_keys: ScoreKeys
    candidate_score_keys: ScoreKeys
    alternated: FrozenFrame | None = None
    """Answers of the baseline's system, called alternately with the candidate's; only their times are comparable."""
    other_conversation: str = ""
    """Parts of the conversation key that differ, so that conversations are not compared; empty if none does."""
    of_file: bool = False
    """Whether it was read from a file of results, whose cases are known by their id alone."""
    saved_as: tuple[str, str] | None = None
    """How commands name the stored run, and the name under which it is saved again with more repeats; `None` if its
    system cannot be called for more."""

    def differing_parts(self, metric: str) -> str:
        """Return the parts of a metric's score key that differ between the runs; empty if none do."""
        ours, theirs = self.candidate_score_keys.get(metric, {}), self.score_keys.get(metric, {})
        return ", ".join(part for part in sorted({*ours, *theirs}) if ours.get(part) != theirs.get(part))


@dataclass(frozen=True, eq=False)
class Pairing:
    """The cases that two runs share, and the rows of each that count.

    A case is compared by the mean over each side's own rows, so the two may hold different numbers of repeats.
    """

    candidate: FrozenFrame
    baseline: FrozenFrame
    partners: Ints
    """Position in the baseline of each of the candidate's cases, -1 if it is missing."""
    candidate_rows: Ints
    baseline_rows: Ints
    of_candidate: bool = False
    """Whether the candidate holds only a part of the cases on purpose: a sample, or a run that stopped early."""

    @property
    def paired(self) -> NDArray[np.bool_]:
        """Per case of the candidate, whether both runs hold rows that count."""
        ours = _rows_per_case(self.candidate, self.candidate_rows) > 0
        theirs = _rows_per_case(self.baseline, self.baseline_rows) > 0
        paired: NDArray[np.bool_] = ours & self._of_partners(theirs, False).astype(bool)
        return paired

    @property
    def n_cases(self) -> int:
        """Number of cases for which both runs hold rows that count."""
        return int(self.paired.sum())

    @property
    def overlap(self) -> float:
        """Share of the baseline's cases that are paired, or of the candidate's if it is a part; 0 if it is empty."""
        return self.n_cases / self.n_comparable if self.n_comparable else 0.0

    @property
    def n_comparable(self) -> int:
        """Number of cases that could be paired: the baseline's, or those of a candidate that is a part.

        New cases do not count: they do not affect the comparison, and other gates judge them.
        """
        return self.candidate.n_cases if self.of_candidate else self.baseline.n_cases

    def means(self, metric: str) -> tuple[Floats, Floats]:
        """Return the mean of a metric per candidate case in both runs, each over its own scored rows.

        Returns:
            Two arrays of shape (candidate cases,), both NaN if either side has no scored row.
        """
        after = _mean(self.candidate, metric, self.candidate_rows)
        before = self._of_partners(_mean(self.baseline, metric, self.baseline_rows), np.nan)
        unknown = np.isnan(before) | np.isnan(after)
        return np.where(unknown, np.nan, before), np.where(unknown, np.nan, after)

    def answered(self) -> tuple[Ints, Ints]:
        """Count, per candidate case, the rows of both runs that hold an answer and every grade that counts."""
        ours = _rows_per_case(self.candidate, self.candidate_rows[self.candidate.covered[self.candidate_rows]])
        theirs = _rows_per_case(self.baseline, self.baseline_rows[self.baseline.covered[self.baseline_rows]])
        return self._of_partners(theirs, 0), ours

    def _of_partners(self, values: NDArray[Any], absent: float) -> NDArray[Any]:
        """Reorder the baseline's values per case to the candidate's order."""
        if not self.baseline.n_cases:
            return np.full(self.candidate.n_cases, absent)
        return np.where(self.partners >= 0, values[self.partners], absent)


def pair(candidate: FrozenFrame, baseline: FrozenFrame, *, repeats: Repeats = (None, None)) -> Pairing:
    """Match cases by their content.

    Args:
        candidate: the run to decide.
        baseline: the stored run.
        repeats: for baseline and candidate, the repeat number below which rows count; `None` for all rows.
    """
    partners = baseline.keys.places_of(candidate.keys)
    rows = _first(candidate, repeats[1]), _first(baseline, repeats[0])
    return Pairing(candidate, baseline, partners, *rows, of_candidate=candidate.sample is not None)


def compare(pairing: Pairing, baseline: Baseline, incomparable: Mapping[str, str]) -> Comparison:
    """List the cases that were added, removed, changed, quarantined, broken and fixed.

    Args:
        pairing: pairing of the two runs.
        baseline: name of the stored run.
        incomparable: metric -> why it is not compared.
    """
    ours, theirs = pairing.candidate, baseline.frame
    quarantined, removed, changed, added = list[str](), list[str](), list[str](), list[str]()
    for name, now, before in _by_id(ours, theirs):
        if before is not None and name in ours.quarantined:
            quarantined.append(name)
        if before is None:
            added.append(name)
        elif now is None:
            removed += [] if name in ours.quarantined or pairing.of_candidate else [name]
        elif now != before:
            changed.append(name)
    failing_before = _failing(theirs, ours.repeat_rule)
    failed, fixed, still = _moves(pairing) if "pass_rate" not in incomparable else ((), (), ())
    return Comparison(
        baseline_id=baseline.run_id,
        n_paired=pairing.n_cases,
        overlap=pairing.overlap,
        added=tuple(added),
        removed=tuple(removed),
        changed=tuple(changed),
        removed_failing=tuple(name for name in removed if name in failing_before),
        changed_failing=tuple(name for name in changed if name in failing_before),
        quarantined=tuple(quarantined),
        quarantined_failing=tuple(name for name in quarantined if name in failing_before),
        new_failures=failed,
        fixed=fixed,
        still_failing=still,
        incomparable=dict(incomparable),
    )


def _by_id(ours: FrozenFrame, theirs: FrozenFrame) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    """Yield each id with its content in both runs, `None` where it is not; sorted by id, as both runs are."""
    sides = (_marked(ours, 0), _marked(theirs, 1))
    for name, cases in groupby(heapq.merge(*sides, key=itemgetter(0)), key=itemgetter(0)):
        found = {side: key for _, side, key in cases}
        yield name, found.get(0), found.get(1)


def _marked(frame: FrozenFrame, side: int) -> Iterator[tuple[str, int, bytes]]:
    return ((name, side, key) for name, key in zip(frame.case_ids, frame.keys, strict=True))


def _moves(pairing: Pairing) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the new failures, fixed cases, and cases that fail in both, by the candidate's `repeat_rule`."""
    if "pass_rate" not in pairing.candidate.rows or "pass_rate" not in pairing.baseline.rows:
        return (), (), ()
    before, after = pairing.means("pass_rate")
    failed, fails = _both_fail(pairing)
    drop = np.where(np.isnan(before), 0.0, before - after)
    groups = (fails & ~failed, failed & ~fails, failed & fails)
    ids = [worst_first(pairing.candidate, np.flatnonzero(group).tolist(), drop) for group in groups]
    return ids[0], ids[1], ids[2]


def _both_fail(pairing: Pairing) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether each case fails in baseline and candidate; False for both if either has no verdict."""
    ours, theirs = pairing.candidate, pairing.baseline
    there = theirs.keys.places_of(ours.keys)
    judged_there = np.append(theirs.n_passed + theirs.n_failed > 0, False)
    known = judged_there[there] & (ours.n_passed + ours.n_failed > 0)
    rule = ours.repeat_rule
    return known & np.append(theirs.fails_by(rule), False)[there], known & ours.fails


def _failing(frame: FrozenFrame, repeat_rule: str) -> frozenset[str]:
    """Return the ids of the cases that fail."""
    return frozenset(frame.case_ids[case] for case in np.flatnonzero(frame.fails_by(repeat_rule)).tolist())


def _first(frame: FrozenFrame, repeats: int | None) -> Ints:
    return np.flatnonzero(frame.repeats < repeats) if repeats is not None else np.arange(len(frame.row_case))


def _rows_per_case(frame: FrozenFrame, rows: Ints) -> Ints:
    return np.bincount(frame.row_case[rows], minlength=frame.n_cases)


def _mean(frame: FrozenFrame, metric: str, rows: Ints) -> Floats:
    """Return the mean per case over the given rows that are scored, NaN if there are none."""
    column = frame.compared(metric)
    if column is None:
        return np.full(frame.n_cases, np.nan)
    return fold(Column(column.metric, column.at(rows), column.status[rows]), frame.row_case[rows], frame.n_cases).values
