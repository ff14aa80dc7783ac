"""Read from a summary whether a judge is trusted."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.results import OVERALL, Agreement, Trust
from evalkit.types import Metric


def trust_in(found: Sequence[Agreement], metric: Metric, *, passes: bool, cohort: str = OVERALL) -> Trust:
    """Return a judge's trust in a cohort, or else overall; the lowest if there are several entries.

    Args:
        found: the agreement of each judge with each kind of rater.
        metric: metric of the judge.
        passes: true for a figure made of passes and fails (`pass_rate`, `<name>.passed`), false for the mean of the
            judge's levels. Trust in one does not imply trust in the other; a pass/fail metric has only the first.
        cohort: `overall` or `name=value`.
    """
    who = (metric.name, metric.judge, "person", passes or metric.binary)
    own = [each for each in found if (each.metric, each.judge, each.rater_kind, each.of_passes) == who]
    here = [each for each in own if each.cohort == cohort] or [each for each in own if each.cohort == OVERALL]
    order: tuple[Trust, ...] = ("untrusted", "provisional", "trusted")
    return min((each.trust for each in here), key=order.index, default="untrusted")
