"""Describe the figures of held-out cases beside those of the open ones; no gate uses them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from evalkit.gate.paired_gain import paired_gain
from evalkit.golden.lock import id_hash
from evalkit.results import OVERALL, Comparison, Estimate, HeldGain, HeldOut, Summary
from evalkit.text.numbers import plural

if TYPE_CHECKING:
    from evalkit.aggregate.frozen import FrozenFrame
    from evalkit.gate.pairing import Baseline

MANY_LOOKS = 20
"""Number of decisions after which figures on one held-out split are no longer independent of the changes."""
_RATE = "pass_rate"


def held_notes(
    summary: Summary, held: HeldOut | None, frame: FrozenFrame, before: Baseline | None = None
) -> Iterator[str]:
    """Yield sentences about the held-out cases: their pass rate, the gap to the open ones, how often they were used.

    Args:
        summary: of the open cases.
        held: figures of the held-out ones; `None` if the set has none.
        frame: rows of the open cases.
        before: the run since which the gain on held-out cases was measured; `None` if there is none.
    """
    if held is None:
        return
    if held.missing:
        yield f"{plural(held.n_cases, 'held-out case')} without figures: {held.missing}"
        return
    from evalkit.stats.intervals import independent_difference
    from evalkit.text.numbers import Style, bounds, difference, estimated

    rate = Style("rate")
    theirs = next((cell for cell in held.cells if (cell.metric, cell.cohort) == (_RATE, OVERALL)), None)
    ours = summary.cell(_RATE)
    said = f"{plural(held.n_cases, 'held-out case')}, run and not shown"
    if theirs is None or ours is None:
        yield f"{said}: no pass rate"
    else:
        gap = independent_difference(ours.estimate, theirs.estimate)
        yield f"{said}: pass rate {estimated(theirs.estimate, rate)}"
        if gap.value is not None:
            yield f"pass rate open minus held-out: {difference(gap.value, rate, gap.n)} {bounds(gap, rate)}".rstrip()
        if gap.low is not None and gap.low > 0:
            yield "the open cases pass more often than the held-out ones: the system may be fitted to the open ones"
    if before is not None and held.since is not None:
        yield from _growth(held.since, paired_gain(frame, before.frame))
    if held.n_looks is None:
        yield "how often the held-out cases were used cannot be counted: .evalkit/looks.json cannot be read or written"
    elif held.n_looks >= MANY_LOOKS:
        yield f"{held.n_looks} decisions have used these held-out cases, so they are fitted to by now: rotate the split"


def _growth(since: HeldGain, gain: Estimate) -> Iterator[str]:
    """Yield by how much the gap between open and held-out cases grew: the gain on the open ones minus the other."""
    from evalkit.stats.intervals import independent_difference
    from evalkit.text.numbers import Style, bounds, difference

    grown, rate = independent_difference(gain, since.gain), Style("rate")
    if grown.value is None:
        return
    size = f"{difference(grown.value, rate, grown.n)} {bounds(grown, rate)}".rstrip()
    yield f"the gap between open and held-out cases grew by {size} since run {since.run_id}"
    if grown.low is not None and grown.low > 0:
        yield "the open cases gained more than the held-out ones: the system was fitted to the open ones"


def unnamed(found: Comparison, held: Collection[str]) -> Comparison:
    """Name cases that were held out since the baseline by the hashes of their ids.

    Args:
        found: the comparison, which lists them as removed.
        held: the hashes of the ids of held-out cases.
    """

    def shown(ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(hashed if (hashed := id_hash(name)) in held else name for name in ids)

    if not held:
        return found
    return dataclasses.replace(found, removed=shown(found.removed), removed_failing=shown(found.removed_failing))
