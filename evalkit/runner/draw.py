"""Draw a stratified sample of the golden set: the same cases for the same seed."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.aggregate.cohorts import CANARIES, stratum_of
from evalkit.errors import InputError, NothingSelected, Problem, what_and_fix
from evalkit.formats.manifest import SampleFacts
from evalkit.golden.index import labelled
from evalkit.runner.plan import Selection, draw_key, select, unknown_choices
from evalkit.suite.model import Sample, Suite
from evalkit.types import Case

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared

LEAST = 2
"""Minimum number of cases of each stratum that has them, because a single case has no spread."""


@dataclass(frozen=True)
class Drawn:
    """The cases of a sample, with the number drawn from each stratum."""

    digests: frozenset[str]
    strata: Mapping[str, tuple[int, int]]
    """Label -> (cases of the golden set, cases drawn)."""

    def facts(self, sample: Sample) -> SampleFacts:
        """Describe for the manifest how the sample was drawn."""
        return SampleFacts(n=sample.n, by=sample.by, floor=sample.floor, strata=self.strata)


def draw(cases: Iterable[Case], sample: Sample, seed: int) -> Drawn:
    """Take every canary, and the first cases by hash of each cohort value: at least `floor`, the rest in proportion.

    Raises:
        ValueError: too few to take every canary, and two cases of each value.
    """
    members: dict[str, list[str]] = {}
    for label, digest in labelled(cases, lambda case: stratum_of(case, sample.by)):
        members.setdefault(label, []).append(digest)
    canaries = members.pop(CANARIES, [])
    labels, rest = sorted(members), sample.n - len(canaries)
    sizes = [len(members[label]) for label in labels]
    least = sum(min(LEAST, size) for size in sizes)
    if rest < least:
        what = f"{sample.n} cases cannot hold all {len(canaries)} canaries and {LEAST} of each {sample.by}"
        raise ValueError(f"{what}; take at least {len(canaries) + least}")
    counts = _allocated(rest, sizes, max(LEAST, sample.floor))
    digests, strata = set(canaries), {CANARIES: (len(canaries), len(canaries))} if canaries else {}
    for label, count in zip(labels, counts, strict=True):
        digests.update(heapq.nsmallest(count, members[label], key=lambda digest: draw_key(digest, seed)))
        strata[label] = (len(members[label]), count)
    return Drawn(frozenset(digests), strata)


def chosen_cases(prepared: Prepared, selection: Selection) -> tuple[frozenset[str] | None, SampleFacts | None]:
    """Return the digests of the cases to run (`None` for all), and how a stratified sample was drawn.

    Raises:
        InputError: the sample is too small for its strata, or is combined with another choice.
        NothingSelected: no case is left.
    """
    _refuse_shard(selection, prepared.suite)
    sample = prepared.suite.options.sample_of(selection.sample)
    if selection.sample is not None and not selection.whole:
        raise InputError(Problem("--sample", f"two choices of cases: {selection.partial}", "give one of them"))
    if sample is not None and selection.whole:
        try:
            drawn = draw(prepared.golden.outlines(), sample, prepared.suite.options.seed)
        except ValueError as error:
            place = "--sample" if selection.sample is not None else prepared.suite.lines["sample"] + " sample"
            raise InputError(Problem(place, *what_and_fix(error))) from None
        digests = drawn.digests
        if selection.shard is not None:
            digests &= {case.digest for case in prepared.golden.open() if selection.shard.holds(case)}
        return digests, drawn.facts(sample)
    cases = prepared.golden.outlines() if selection.shard is None else prepared.golden.open()  # which have clusters
    chosen = select(cases, selection)
    if chosen is not None and not chosen and selection.shard is None:  # a shard of a small set may be empty
        fix = "see the ids and cohorts in the golden set"
        raise NothingSelected(Problem("", f"{selection.partial} selects no case of {prepared.golden.path}", fix))
    if unknown := unknown_choices(prepared.golden.outlines(), selection):
        fix = "fix it, or leave it out"
        what = "no case of the golden set answers to"
        raise NothingSelected(Problem(flag, f"{what} {word!r}", fix) for flag, word in unknown)
    return chosen, None


def _refuse_shard(selection: Selection, suite: Suite) -> None:
    """Reject a shard together with another choice of cases, or of a suite whose systems are called side by side.

    Raises:
        InputError: reports both.
    """
    if selection.shard is None:
        return
    problems = []
    if selection.partial != selection.shard.flag:
        problems.append(Problem("--shard", f"two choices of cases: {selection.partial}", "give one of them"))
    if suite.systems:
        what = "the suite names several systems, whose answers are compared in one run"
        problems.append(Problem("--shard", what, "leave the flag out, or shard a suite with one `system:`"))
    elif suite.baseline_system is not None:
        what = "the suite calls the baseline's system beside its own, which needs one run on one machine"
        problems.append(Problem("--shard", what, "leave the flag out, or `baseline_system` of the suite"))
    if problems:
        raise InputError(problems)


def _allocated(n: int, sizes: list[int], floor: int) -> list[int]:
    """Return the number of cases to draw from each stratum; larger strata make up for small ones."""
    import numpy as np

    from evalkit.stats.sampling import allocate_floor

    if n >= sum(sizes):
        return sizes
    counts, whole = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), bool)
    limits = np.array(sizes)
    while True:
        counts[whole] = limits[whole]
        open_ = ~whole
        counts[open_] = allocate_floor(n - int(limits[whole].sum()), limits[open_], floor=floor)
        over = open_ & (counts > limits)
        if not over.any():
            return [int(count) for count in counts]
        whole |= over
