"""Compare what calls cost with a monthly budget, and with the same hour of last week."""

from __future__ import annotations

from evalkit.monitor.alarms import SPEND
from evalkit.monitor.series import HOURS_PER_DAY, Series, Stream, date_of
from evalkit.report.monitor.status import Alarm, SpendLine
from evalkit.stats.burn_rate import HOURS_OF_MONTH, SAME_HOUR, burn_rates, times_last_week

COST = Stream("cost_usd")


def spend_line(series: Series, budget: float | None, newest: int, first: int) -> SpendLine | None:
    """Return what was spent since the day `first`; `None` if the logs hold no costs.

    Args:
        series: Of the monitor.
        budget: US dollars of 30 days; `None` without one.
        newest: The latest hour with a call, which is not over yet.
        first: Day, since 1970.
    """
    cells = series.hours(COST, min(newest - SAME_HOUR - 1, first * HOURS_PER_DAY), newest + 1)
    if not cells:
        return None
    spent = {each.hour: each.sums.wy for each in cells}
    hours = [spent.get(hour, 0.0) for hour in range(newest - SAME_HOUR - 1, newest)]
    return SpendLine(
        period_usd=sum(usd for hour, usd in spent.items() if hour >= first * HOURS_PER_DAY),
        budget_usd=budget,
        rates=burn_rates(hours, budget) if budget is not None else (),
        times_last_week=times_last_week(hours),
    )


def spend_alarm(spend: SpendLine | None, newest: int) -> list[Alarm]:
    """Return the alarm of the burn rate that exceeds its limit most; none if none does.

    Args:
        spend: What was spent.
        newest: The latest hour with a call.
    """
    if spend is None or spend.budget_usd is None:
        return []
    fast = [each for each in spend.rates if each.too_fast]
    if not fast:
        return []
    worst = max(fast, key=lambda each: each.times / each.limit)
    pace, today = spend.budget_usd / HOURS_OF_MONTH, date_of(newest // HOURS_PER_DAY)
    return [
        Alarm(
            id=f"alarm {SPEND} {today}",
            level="alarm",
            metric=SPEND,
            cohort="",
            score_key="",
            is_rate=False,
            began=today,
            ended=None,
            end_reason="",
            window=1,
            at=today,
            was=pace,
            now=worst.times * pace,
            n=float(worst.hours),
            statistic=worst.times,
            threshold=worst.limit,
            per_year=None,
        )
    ]
