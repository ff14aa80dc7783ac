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


def against_reference(frame: FrozenFrame, run: ReferenceRun) -> ReferenceDifference:
    """Return the pass rate minus that of the reference system, on the cases of which both have a result."""
    gain = paired_gain(frame, run.answers.frame)
    return ReferenceDifference(
        system=run.system, folder=run.folder, difference=gain, n_missing=frame.n_cases - (gain.n or 0)
    )


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
