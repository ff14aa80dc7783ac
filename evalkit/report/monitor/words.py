"""Put what a monitor found into words, for all renderers."""

from __future__ import annotations

from evalkit.report.monitor.status import Alarm, AmountLine, InputLine, MonitorState, SpendLine, Status, StreamLine
from evalkit.text.numbers import DECIMAL_FROM_N, Style, estimated, figure, limit, plural, style_of

ALL_CALLS = "all calls"
STATES: dict[MonitorState, str] = {
    "alarm": "ALARM",
    "warning": "WARNING",
    "quiet": "QUIET",
    "cannot say": "CANNOT SAY",
}


def headline(status: Status) -> str:
    """Return what is the matter, in one line."""
    counts = {level: sum(each.level == level for each in status.lasting) for level in ("alarm", "warning")}
    said = [plural(count, level) for level, count in counts.items() if count]
    moved = [each.name for each in status.inputs if each.moved]
    said += [f"inputs moved: {', '.join(moved)}"] if moved else []
    if not said:
        said = ["nothing has become worse than the reference"] if status.reference else ["no reference to compare with"]
    return ", ".join(said)


def facts_line(status: Status) -> str:
    """Return period, calls and reference."""
    reference = f"reference {status.reference[0]} to {status.reference[1]}" if status.reference else "no reference"
    calls = f"{plural(status.calls, 'call')}, {status.judged:,} judged"
    return f"{status.first} to {status.last} · {calls} · {reference}"


def style_for(metric: str, *, is_rate: bool) -> Style:
    """Return the number format of a stream."""
    return Style("rate") if is_rate else style_of(metric)


def alarm_name(alarm: Alarm) -> str:
    """Return metric and cohort."""
    return f"{alarm.metric}, {alarm.cohort or ALL_CALLS}"


def alarm_what(alarm: Alarm) -> str:
    """Return what changed: before, now, and on how many answers that rests."""
    style = style_for(alarm.metric, is_rate=alarm.is_rate)
    before, now = (figure(value, style, max(DECIMAL_FROM_N, round(alarm.n))) for value in (alarm.was, alarm.now))
    if alarm.per_year is None:
        hours = "hour" if alarm.n == 1 else f"{alarm.n:.0f} hours"
        usd = figure(alarm.now, Style("usd"))
        return f"{usd} an hour in the last {hours}, {alarm.statistic:.1f} times the pace of the budget"
    return f"{before} → {now} in {plural(alarm.window, 'day')}, {plural(round(alarm.n), 'effective answer')}"


def alarm_why(alarm: Alarm) -> str:
    """Return since when it lasts, and how often it would come by chance."""
    until = f" until {alarm.ended} ({alarm.end_reason})" if alarm.ended else ""
    since = f"since {alarm.began}{until}"
    if alarm.per_year is None:
        return f"{since} · allowed: {alarm.threshold:g} times"
    return f"{since} · T {alarm.statistic:.1f}, threshold {alarm.threshold:.1f} · {by_chance(alarm.per_year)}"


def by_chance(per_year: float) -> str:
    """Write a rate of false alarms."""
    if per_year >= 1:
        return f"by chance {per_year:g} times a year" if per_year > 1 else "by chance once a year"
    return f"by chance once in {1 / per_year:.0f} years"


def cohort_of(line: StreamLine) -> str:
    """Return the cohort of a stream in words."""
    return line.cohort or ALL_CALLS


def was_of(line: StreamLine) -> str:
    """Return the mean of the reference."""
    return "" if line.was is None else figure(line.was, style_for(line.metric, is_rate=line.is_rate), DECIMAL_FROM_N)


def now_of(line: StreamLine) -> str:
    """Return the estimate of the period with its interval."""
    return estimated(line.now, style_for(line.metric, is_rate=line.is_rate))


def finds_of(line: StreamLine) -> str:
    """Return the changes that would be found within 7 and 30 days, such as `4.1 / 2.5 pts`."""
    if line.state == "not watched":
        return line.note
    if line.finds_7 is None and line.finds_30 is None:
        return "none: too few answers"
    if line.is_rate:
        week, month = ("-" if each is None else f"{100 * each:.1f}" for each in (line.finds_7, line.finds_30))
        return f"{week} / {month} pts"
    style = style_for(line.metric, is_rate=False)
    return " / ".join("-" if each is None else figure(each, style) for each in (line.finds_7, line.finds_30))


def amount_line(line: AmountLine) -> str:
    """Return the quantiles of an amount."""
    style = style_of(line.metric)
    parts = []
    for name, now, was in (("p50", line.p50, line.was_p50), ("p95", line.p95, line.was_p95)):
        before = f" (was {figure(was, style)})" if was is not None else ""
        parts.append(f"{name} {figure(now, style)}{before}")
    return f"{line.metric}: {', '.join(parts)}"


def spend_words(line: SpendLine) -> str:
    """Return what was spent, relative to the budget."""
    said = f"spent: {figure(line.period_usd, Style('usd'))} in the period"
    if line.budget_usd is not None:
        rates = ", ".join(f"{each.hours} h {each.times:.1f} ×" for each in line.rates)
        said += f"; pace of the budget ({figure(line.budget_usd, Style('usd'))} a month): {rates or 'no hour yet'}"
    return said


def input_words(line: InputLine) -> str:
    """Return how one kind of input moved."""
    verdict = "moved" if line.moved else "as in the reference"
    index = "" if line.psi is None else f", PSI {line.psi:.2f}"
    most = f": {line.what}" if line.moved and line.what else ""
    return f"inputs by {line.name}: {verdict} (p {line.p:.2g}{index}){most}"


def margin_words(margin: float, *, is_rate: bool) -> str:
    """Return a margin in the unit of a metric."""
    return limit(margin, Style("rate") if is_rate else Style("number"))
