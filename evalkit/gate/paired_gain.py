"""Estimate by how much the pass rate of a run is above that of another one, on the same cases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.results import OVERALL, Estimate

if TYPE_CHECKING:
    from evalkit.aggregate.frozen import FrozenFrame


def paired_gain(frame: FrozenFrame, before: FrozenFrame) -> Estimate:
    """Return the pass rate of a run minus that of an earlier one, on the cases of which both have a result.

    Newcombe's interval for single runs of independent cases, else t on the differences, as for a regression test. `n`
    is the number of these cases.
    """
    import numpy as np

    from evalkit.aggregate.frozen import PASS_RATE
    from evalkit.gate.pairing import pair
    from evalkit.gate.regression import Gate
    from evalkit.gate.regression_checks import drop_of

    was, now = pair(frame, before).means(PASS_RATE.name)
    cases = np.flatnonzero(~np.isnan(was))
    drop = drop_of(
        Gate(
            metric=PASS_RATE,
            cohort=OVERALL,
            cases=cases,
            before=was[cases],
            after=now[cases],
            clusters=frame.clusters[cases],
            critical=False,
            may_block=False,
        )
    )
    value, low, high = (None if end is None else 0.0 - end for end in (drop.value, drop.high, drop.low))
    return replace(drop, value=value, low=low, high=high, n=len(cases))
