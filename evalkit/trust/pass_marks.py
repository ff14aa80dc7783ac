"""Read levels as pass or fail by a metric's pass mark."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.types import Metric

Opinion = str | float
"""`pass` or `fail`, or a level."""


@dataclass(frozen=True, slots=True)
class PassMark:
    """A rule for which levels pass."""

    passes_from: float
    """Lowest level that passes, or the highest if lower is better."""
    fails_from: float | None = None
    """First level that fails; `None` if every level that does not pass fails."""
    higher_is_better: bool = True

    def verdict(self, opinion: Opinion) -> str | None:
        """Read a label as `pass` or `fail`; `None` for a level between the known passing and failing ones."""
        if isinstance(opinion, str):
            return opinion
        sign = 1 if self.higher_is_better else -1
        if sign * opinion >= sign * self.passes_from:
            return "pass"
        return "fail" if self.fails_from is None or sign * opinion <= sign * self.fails_from else None


def declared_mark(metric: Metric) -> PassMark | None:
    """Return the pass mark that a scorer declares, `None` if it has none."""
    if metric.pass_at is None:
        return None
    return PassMark(metric.pass_at, higher_is_better=metric.higher_is_better)


def mark_of(frame: FrozenFrame, metric: Metric) -> PassMark | None:
    """Return the declared pass mark of a graded metric; for a run stored without it, the one its verdicts imply.

    Returns:
        `None` if the metric is pass/fail itself, has no pass mark, or stored passes and fails do not show it.
    """
    passed = frame.rows.get(f"{metric.name}.passed")
    if metric.binary or passed is None:
        return None
    if metric.pass_at is not None:
        return declared_mark(metric)
    values, known = frame.rows[metric.name].values, passed.status == SCORED
    high, low = values[known & (passed.values == 1)], values[known & (passed.values == 0)]
    if not len(high) or not len(low):
        return None
    better = metric.higher_is_better
    passes, fails = (high.min(), low.max()) if better else (high.max(), low.min())
    return PassMark(float(passes), float(fails), better) if (passes > fails) == better and passes != fails else None
