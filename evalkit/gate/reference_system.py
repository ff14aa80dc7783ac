"""Compare a run with the suite's reference system on the same cases; no gate uses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.gate.paired_gain import paired_gain
from evalkit.results import ReferenceDifference

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
    has_ended: bool = True
    """Whether it was run on every case, and not stopped by budget or deadline."""


def against_reference(frame: FrozenFrame, run: ReferenceRun) -> ReferenceDifference:
    """Return the pass rate minus that of the reference system, on the cases of which both have a result."""
    import numpy as np

    from evalkit.aggregate.frozen import PASS_RATE
    from evalkit.gate.pairing import pair

    pairs = pair(frame, run.answers.frame)
    answered, _ = pairs.answered()
    rates, _ = pairs.means(PASS_RATE.name)
    return ReferenceDifference(
        system=run.system,
        folder=run.folder,
        difference=paired_gain(frame, run.answers.frame),
        n_missing=int(((answered == 0) & np.isnan(rates)).sum()),
    )


def reference_notes(found: ReferenceDifference, n_cases: int, *, has_ended: bool) -> Iterator[str]:
    """Yield sentences about the difference, and about the cases of which the reference system has no result."""
    from evalkit.text.numbers import Style, bounds, difference, plural

    rate, estimate = Style("rate"), found.difference
    if estimate.value is not None:
        n = estimate.n
        gain = f"{difference(estimate.value, rate, n)} {bounds(estimate, rate)}".rstrip()
        same = f"on the same {plural(n, 'case')}"
        yield f"pass rate minus that of reference system {found.system} {same}: {gain}"
    if found.n_missing:
        what = f"reference system {found.system} has no result for {found.n_missing} of {plural(n_cases, 'case')}"
        yield f"{what}; " + (
            f"to run it again, remove {found.folder}" if has_ended else "the next run continues with them"
        )
