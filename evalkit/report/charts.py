"""Small drawings as inline SVG; each has a title, a description and a table beside it with the same figures."""

from __future__ import annotations

import re
from html import escape

from evalkit.report.numbers import Style
from evalkit.report.survey import Histogram
from evalkit.report.view import GateLine
from evalkit.types import Metric
from evalkit.visible import visible

_WIDTH, _HEIGHT, _EDGE = 140, 20, 6
_BARS_WIDTH, _BARS_HEIGHT = 240, 72
_THRESHOLD = re.compile(r"^[<>]=? (-?[\d.]+)$")


def range_svg(line: GateLine, style: Style) -> str:
    """Draw one check on its scale: interval, value now, value of the baseline, threshold; empty without a value."""
    check = line.check
    seen = check.observed
    if seen is None or seen.value is None:
        return ""
    need = _threshold(check.need)
    ends = [value for value in (seen.value, seen.low, seen.high, check.baseline, need) if value is not None]
    low, high = (0.0, 1.0) if style.unit == "rate" else (min(ends), max(ends))
    if len(ends) < 2 or not low < high:
        return ""
    place = _Scale(low, high)
    middle = _HEIGHT // 2
    parts = [f'<line class="axis" x1="{_EDGE}" x2="{_WIDTH - _EDGE}" y1="{middle}" y2="{middle}"/>']
    if seen.low is not None and seen.high is not None:
        parts.append(
            f'<line class="span {_tone(line)}" x1="{place(seen.low)}" x2="{place(seen.high)}" '
            f'y1="{middle}" y2="{middle}"/>'
        )
    if need is not None:
        parts.append(f'<line class="need" x1="{place(need)}" x2="{place(need)}" y1="2" y2="{_HEIGHT - 2}"/>')
    if check.baseline is not None:
        parts.append(f'<circle class="base" cx="{place(check.baseline)}" cy="{middle}" r="4"/>')
    parts.append(f'<circle class="now {_tone(line)}" cx="{place(seen.value)}" cy="{middle}" r="4.5"/>')
    was = f", baseline {line.base}" if line.base else ""
    return _svg(_WIDTH, _HEIGHT, line.subject, f"now {line.now}{was}, need {line.need}", "".join(parts))


def histogram_svg(histogram: Histogram, metric: Metric) -> str:
    """Draw the counts of one metric as bars."""
    tallest = max(histogram.counts) or 1
    width = _BARS_WIDTH / len(histogram.counts)
    bars = "".join(
        f'<rect class="bar" x="{place * width + 0.5:.1f}" width="{width - 1:.1f}" '
        f'y="{_BARS_HEIGHT - _height(count, tallest):.1f}" height="{_height(count, tallest):.1f}"/>'
        for place, count in enumerate(histogram.counts)
        if count
    )
    floor = f'<line class="axis" x1="0" x2="{_BARS_WIDTH}" y1="{_BARS_HEIGHT}" y2="{_BARS_HEIGHT}"/>'
    better = "higher" if metric.higher_is_better else "lower"
    described = f"{sum(histogram.counts)} scores from {histogram.low:g} to {histogram.high:g}; {better} is better"
    return _svg(_BARS_WIDTH, _BARS_HEIGHT + 1, f"Scores of {histogram.metric}", described, bars + floor)


def histogram_rows(histogram: Histogram) -> list[tuple[str, int]]:
    """The same counts as a table: range and number, empty bins left out."""
    width = (histogram.high - histogram.low) / len(histogram.counts)
    return [
        (f"{histogram.low + place * width:.3g} to {histogram.low + (place + 1) * width:.3g}", count)
        for place, count in enumerate(histogram.counts)
        if count
    ]


class _Scale:
    """Maps a value to a pixel."""

    def __init__(self, low: float, high: float) -> None:
        self._low = low
        self._per_unit = (_WIDTH - 2 * _EDGE) / (high - low)

    def __call__(self, value: float) -> str:
        pixel = _EDGE + (value - self._low) * self._per_unit
        return f"{min(max(pixel, 1), _WIDTH - 1):.1f}"


def _height(count: int, tallest: int) -> float:
    """A bar is never thinner than a pixel and a half: one case stays visible."""
    return max(1.5, (_BARS_HEIGHT - 4) * count / tallest)


def _threshold(need: str) -> float | None:
    match = _THRESHOLD.match(need)
    try:
        return float(match[1]) if match else None
    except ValueError:
        return None


def _tone(line: GateLine) -> str:
    return line.outcome.replace(" ", "-")


def _svg(width: int, height: int, title: str, described: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"<title>{escape(visible(title))}</title><desc>{escape(visible(described))}</desc>{body}</svg>"
    )
