"""Draw the days of a stream as inline SVG: values with their band, the reference, alarms, and cuts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import date
from html import escape

from evalkit.report.monitor.history import DayPoint, History, StreamTrend, TrendPart
from evalkit.report.monitor.status import Alarm
from evalkit.report.monitor.words import ALL_CALLS, style_for
from evalkit.text.escaping import visible
from evalkit.text.numbers import DECIMAL_FROM_N, Style, figure, plural

_WIDTH, _HEIGHT = 360, 132
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 352, 14, 114
_PAD = 0.06
"""Free space above and below the figures, relative to their range."""
_NARROW = 0.1
"""Range of a scale of rates below which its ends have a decimal."""
_DOT, _LAST_DOT, _MARK = 1.8, 3.5, 5.0
_TONES = {"alarm": "block", "warning": "warn", "quiet": "pass", "cannot say": "ungated", "not watched": "ungated"}


class _Frame:
    """Functions from a date and a value to a place in the drawing."""

    def __init__(self, first: str, last: str, low: float, high: float) -> None:
        self.first, self.last = date.fromisoformat(first), date.fromisoformat(last)
        pad = (high - low) * _PAD or abs(high) * 0.05 or 0.5
        self.low, self.high = low - pad, high + pad

    def x(self, day: str) -> float:
        """Middle of a day, in pixels; days before the first are at its left edge."""
        return self._along((date.fromisoformat(day) - self.first).days + 0.5)

    def edges(self, first: str, last: str) -> tuple[float, float]:
        """Beginning of one day and end of another."""
        from_day, to_day = (date.fromisoformat(day) - self.first for day in (first, last))
        return self._along(from_day.days), self._along(to_day.days + 1)

    def y(self, value: float) -> float:
        """Height of a value, in pixels from the top."""
        return _BOTTOM - (_BOTTOM - _TOP) * (value - self.low) / (self.high - self.low)

    def _along(self, days: float) -> float:
        width = (self.last - self.first).days + 1
        return _LEFT + (_RIGHT - _LEFT) * min(max(days / width, 0.0), 1.0)


def stream_svg(trend: StreamTrend, history: History, reference: tuple[str, str] | None) -> str:
    """Draw one stream; empty without a day that has a value.

    Args:
        trend: Its days.
        history: The period, which all drawings share.
        reference: First and last date of the reference; `None` without one.
    """
    ends = _ends(trend)
    if ends is None:
        return ""
    frame, style = _Frame(history.first, history.last, *ends), style_for(trend.metric, is_rate=trend.is_rate)
    body = "".join(
        (
            *_ground(frame, reference, ends, style),
            *(_alarm_window(frame, each) for each in trend.alarms),
            *itertools.chain.from_iterable(_part(frame, part) for part in trend.parts),
            *(_cut(frame, part) for part in trend.parts[1:] if part.points),
            *_last_dot(frame, trend),
            *(_alarm_mark(frame, each) for each in trend.alarms),
            *_dates(history),
        )
    )
    name = f"{trend.metric}, {trend.cohort or ALL_CALLS}"
    described = described_trend(trend)
    return (
        f'<svg class="days" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img">'
        f"<title>{escape(visible(name))}</title><desc>{escape(visible(described))}</desc>{body}</svg>"
    )


def described_trend(trend: StreamTrend) -> str:
    """Say what the drawing shows."""
    style = style_for(trend.metric, is_rate=trend.is_rate)
    points = [point for part in trend.parts for point in part.points]
    said = [f"{plural(len(points), 'day')}, {_said(points[0], style)}, {_said(points[-1], style)}"] if points else []
    for part in trend.parts:
        said += [part.what] if part.what else []
        if part.was is not None:
            said.append(f"mean of the reference {figure(part.was, style, DECIMAL_FROM_N)}")
    for alarm in trend.alarms:
        until = f" until {alarm.ended}" if alarm.ended else ", which lasts"
        said.append(f"{alarm.level} since {alarm.began}{until}")
    return "; ".join(said)


def _said(point: DayPoint, style: Style) -> str:
    return f"{point.date} {figure(point.now.value, style, point.now.n)}"


def _ends(trend: StreamTrend) -> tuple[float, float] | None:
    """Return the ends of the scale: those of values, intervals and means; `None` without a day."""
    points = [point.now for part in trend.parts for point in part.points]
    known = [value for each in points for value in (each.value, each.low, each.high) if value is not None]
    known += [part.was for part in trend.parts if part.was is not None and part.points]
    return (min(known), max(known)) if points else None


def _ground(frame: _Frame, reference: tuple[str, str] | None, ends: tuple[float, float], style: Style) -> Iterator[str]:
    """Draw the days of the reference, and the scale."""
    if reference is not None and reference[1] >= frame.first.isoformat():
        left, right = frame.edges(*reference)
        place = f'x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{_BOTTOM - _TOP}"'
        yield f'<rect class="reference" {place}/>'
    n = DECIMAL_FROM_N if ends[1] - ends[0] < _NARROW else 0
    for value in dict.fromkeys(ends):
        y = frame.y(value)
        yield f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 4}" y="{y + 3.5:.1f}" text-anchor="end">{escape(figure(value, style, n))}</text>'


def _part(frame: _Frame, part: TrendPart) -> Iterator[str]:
    """Draw the days of one score key: the mean of the reference, the band, and a line that breaks at missing days."""
    if part.was is not None and part.points:
        y = frame.y(part.was)
        left, right = frame.edges(part.points[0].date, part.points[-1].date)
        yield f'<line class="need" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    for run in _runs(part.points):
        yield _band(frame, run)
        places = [(frame.x(each.date), frame.y(_value(each))) for each in run]
        if len(places) == 1:
            yield f'<circle class="day" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="{_DOT}"/>'
        else:
            yield f'<path class="line" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>'


def _runs(points: Sequence[DayPoint]) -> Iterator[list[DayPoint]]:
    """Yield the points of days in a row."""
    run: list[DayPoint] = []
    for each in points:
        if run and (date.fromisoformat(each.date) - date.fromisoformat(run[-1].date)).days > 1:
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _band(frame: _Frame, run: Sequence[DayPoint]) -> str:
    """Fill the area between the ends of the intervals."""
    ends = [
        (frame.x(each.date), frame.y(each.now.low), frame.y(each.now.high))
        for each in run
        if each.now.low is not None and each.now.high is not None
    ]
    if len(ends) == 1:
        x, low, high = ends[0]
        return f'<path class="band" d="M{x:.1f} {high:.1f} L{x:.1f} {low:.1f}"/>'
    corners = [f"{x:.1f} {high:.1f}" for x, _, high in ends] + [f"{x:.1f} {low:.1f}" for x, low, _ in reversed(ends)]
    return f'<path class="band" d="M{" L".join(corners)} Z"/>' if ends else ""


def _cut(frame: _Frame, part: TrendPart) -> str:
    """Mark the day from which values are not comparable with those before."""
    x = frame.edges(part.points[0].date, part.points[0].date)[0]
    return f'<line class="cut" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{_BOTTOM}"/>'


def _alarm_window(frame: _Frame, alarm: Alarm) -> str:
    """Shade the days from the beginning of an alarm to its end."""
    left, right = frame.edges(alarm.began, alarm.ended or frame.last.isoformat())
    tone = _TONES[alarm.level]
    return f'<rect class="lasts {tone}" x="{left:.1f}" y="{_BOTTOM}" width="{right - left:.1f}" height="4"/>'


def _alarm_mark(frame: _Frame, alarm: Alarm) -> str:
    """Mark the day on which an alarm began: a full triangle, or a hollow one for a warning."""
    x, y, tone = frame.x(alarm.began), _TOP - 2.0, _TONES[alarm.level]
    line = f'<line class="began {tone}" x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{_BOTTOM}"/>'
    corners = f"M{x - _MARK:.1f} {y - 2 * _MARK:.1f} L{x + _MARK:.1f} {y - 2 * _MARK:.1f} L{x:.1f} {y:.1f} Z"
    return f'{line}<path class="mark {tone}" d="{corners}"/>'


def _last_dot(frame: _Frame, trend: StreamTrend) -> Iterator[str]:
    points = [point for part in trend.parts for point in part.points]
    last = max(points, key=lambda each: each.date)
    x, y = frame.x(last.date), frame.y(_value(last))
    yield f'<circle class="now {_TONES[trend.state]}" cx="{x:.1f}" cy="{y:.1f}" r="{_LAST_DOT}"/>'


def _dates(history: History) -> Iterator[str]:
    yield f'<text x="{_LEFT}" y="{_HEIGHT - 3}">{escape(history.first)}</text>'
    yield f'<text x="{_RIGHT}" y="{_HEIGHT - 3}" text-anchor="end">{escape(history.last)}</text>'


def _value(point: DayPoint) -> float:
    value = point.now.value
    assert value is not None  # noqa: S101 - days without a value are left out
    return value
