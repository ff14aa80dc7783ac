"""Find out whether money is spent faster than a monthly budget allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HOURS_OF_MONTH = 30 * 24
LIMITS = ((1, 14.4), (6, 6.0))
"""Hours, and the multiple of the budget's pace that alarms: 2 or 5 % of a month's budget are gone by then."""
SAME_HOUR = 7 * 24
TIMES_LAST_WEEK = 2.0


@dataclass(frozen=True)
class BurnRate:
    """Spending of the last hours relative to the pace that uses up the budget in 30 days."""

    hours: int
    times: float
    """Multiple of the pace; 1 spends exactly the budget."""
    limit: float

    @property
    def too_fast(self) -> bool:
        """Whether the limit is exceeded."""
        return self.times > self.limit


def burn_rates(spent: Sequence[float], budget: float) -> tuple[BurnRate, ...]:
    """Return the burn rate of the last hour and of the last 6 hours.

    Args:
        spent: Money of each whole hour, oldest first; the last entries are used. A rule is left out while there are
            fewer hours than it needs.
        budget: Money of 30 days, above 0.

    Raises:
        ValueError: `budget` is not above 0.

    Source: Google, The Site Reliability Workbook, chapter 5 (alerting on burn rate).
    """
    if not budget > 0:
        raise ValueError(f"budget is {budget!r}; it must be above 0")
    pace = budget / HOURS_OF_MONTH
    return tuple(
        BurnRate(hours, sum(spent[-hours:]) / hours / pace, limit) for hours, limit in LIMITS if len(spent) >= hours
    )


def times_last_week(spent: Sequence[float]) -> float | None:
    """Return the spending of the last hour relative to the same hour a week before; `None` if that is 0 or unknown.

    Args:
        spent: Money of each whole hour, oldest first.
    """
    if len(spent) <= SAME_HOUR or spent[-1 - SAME_HOUR] <= 0:
        return None
    return spent[-1] / spent[-1 - SAME_HOUR]
