"""Compare a run with the suite's reference system on the same cases; no gate uses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.results import OVERALL, Estimate, ReferenceDifference

if TYPE_CHECKING:
    from evalkit.aggregate.frozen import FrozenFrame
    from evalkit.gate.pairing import Baseline


@dataclass(frozen=True, eq=False)
class ReferenceRun:
    """The run of the reference system on this version of the set."""

    system: str
    """Version of the reference system."""
    folder: str
    """Its folder, as messages name it."""
    answers: Baseline


def against_reference(frame: FrozenFrame, run: ReferenceRun) -> ReferenceDifference:
    """Return the pass rate minus that of the reference system, on the cases of which both have a result.

    Newcombe's interval for single runs of independent cases, else t on the differences, as for a regression test.
    """
    import numpy as np

    from evalkit.aggregate.frozen import PASS_RATE
    from evalkit.gate.pairing import pair
    from evalkit.gate.regression import Gate
    from evalkit.gate.regression_checks import drop_of

    pairing = pair(frame, run.answers.frame)
    before, after = pairing.means(PASS_RATE.name)
    cases = np.flatnonzero(~np.isnan(before))
    drop = drop_of(
        Gate(
            metric=PASS_RATE,
            cohort=OVERALL,
            cases=cases,
            before=before[cases],
            after=after[cases],
            clusters=frame.clusters[cases],
            critical=False,
            may_block=False,
        )
    )
    n_missing = frame.n_cases - len(cases)
    return ReferenceDifference(system=run.system, folder=run.folder, difference=_turned(drop), n_missing=n_missing)


def _turned(drop: Estimate) -> Estimate:
    """Return a gain: the drop with the other sign."""
    value, low, high = (None if end is None else 0.0 - end for end in (drop.value, drop.high, drop.low))
    return replace(drop, value=value, low=low, high=high)


def reference_notes(found: ReferenceDifference) -> Iterator[str]:
    """Yield sentences about the difference, and about the cases without one."""
    from evalkit.text.numbers import Style, bounds, difference, plural

    rate, estimate = Style("rate"), found.difference
    n = estimate.n if estimate.value is not None else 0
    if estimate.value is not None:
        gain = f"{difference(estimate.value, rate, n)} {bounds(estimate, rate)}".rstrip()
        same = f"on the same {plural(n, 'case')}"
        yield f"pass rate minus that of reference system {found.system} {same}: {gain}"
    if found.n_missing:
        what = f"reference system {found.system} has no result for {found.n_missing} of {n + found.n_missing} cases"
        yield f"{what}; to run it again, remove {found.folder}"
