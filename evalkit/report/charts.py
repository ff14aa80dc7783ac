"""Draw small inline SVG charts, each with a title, a description and a table of the same figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from evalkit.report.cohort_table import CohortCell
from evalkit.report.distributions import Histogram
from evalkit.report.gate_lines import GateLine
from evalkit.report.trend import Trend
from evalkit.text.escaping import visible
from evalkit.text.numbers import Style, figure
from evalkit.types import Metric

_RANGE_WIDTH, _DOTS_WIDTH, _ROW_HEIGHT, _EDGE = 140, 260, 20, 6
_BARS_WIDTH, _BARS_HEIGHT = 240, 72
_TREND_WIDTH, _TREND_HEIGHT, _TREND_EDGE = 320, 84, 8
_THRESHOLD = re.compile(r"^[<>]=? (-?[\d.]+)$")

Ends = tuple[float, float]


def range_svg(line: GateLine, style: Style) -> str:
    """Draw one check on its scale: interval, current value, baseline value, threshold; empty without a value."""
    check = line.check
    seen = check.observed
    if seen is None or seen.value is None:
        return ""
    need = _threshold(check.need)
    known = [value for value in (seen.value, seen.low, seen.high, check.baseline, need) if value is not None]
    ends = (0.0, 1.0) if style.unit == "rate" else (min(known), max(known))
    if len(known) < 2 or not ends[0] < ends[1]:
        return ""
    place = _Scale(ends, _RANGE_WIDTH)
    marks = _marks(place, (seen.low, seen.value, seen.high), check.baseline, line.outcome.replace(" ", "-"))
    if need is not None:
        marks += f'<line class="need" x1="{place(need)}" x2="{place(need)}" y1="2" y2="{_ROW_HEIGHT - 2}"/>'
    was = f", baseline {line.base}" if line.base else ""
    described = f"now {line.now}{was}, need {line.need}"
    return _svg(_RANGE_WIDTH, _ROW_HEIGHT, line.subject, described, _axis(_RANGE_WIDTH) + marks)


def dots_svg(metric: str, cohort: str, cell: CohortCell, ends: Ends) -> str:
    """Draw one cohort of a metric from the baseline to now on a scale that all cohorts share."""
    seen = cell.cell.estimate
    if seen.value is None:
        return ""
    place = _Scale(ends, _DOTS_WIDTH)
    tone = (cell.outcome or "ungated").replace(" ", "-")
    was = f", baseline {cell.base}" if cell.base else ""
    body = _axis(_DOTS_WIDTH) + _marks(place, (seen.low, seen.value, seen.high), cell.base_value, tone)
    return _svg(_DOTS_WIDTH, _ROW_HEIGHT, f"{metric} in {cohort}", f"now {cell.value} {cell.interval}{was}", body)


def shared_ends(cells: Sequence[CohortCell]) -> Ends | None:
    """Return the scale that the figures of a metric span over its cohorts, `None` if all are the same."""
    figures = [(cell.cell.estimate, cell.base_value) for cell in cells if cell.cell.estimate.value is not None]
    known = [each for seen, base in figures for each in (seen.low, seen.value, seen.high, base) if each is not None]
    return (min(known), max(known)) if known and min(known) < max(known) else None


def histogram_svg(histogram: Histogram, metric: Metric | None) -> str:
    """Draw the counts of one metric or measure as bars, with the pass mark if there is one."""
    tallest = max(histogram.counts) or 1
    width = _BARS_WIDTH / len(histogram.counts)
    body = "".join(
        f'<rect class="bar" x="{place * width + 0.5:.1f}" width="{width - 1:.1f}" '
        f'y="{_BARS_HEIGHT - _height(count, tallest):.1f}" height="{_height(count, tallest):.1f}"/>'
        for place, count in enumerate(histogram.counts)
        if count
    )
    body += f'<line class="axis" x1="0" x2="{_BARS_WIDTH}" y1="{_BARS_HEIGHT}" y2="{_BARS_HEIGHT}"/>'
    described = (
        f"{sum(histogram.counts):,} values from {histogram.low:g} to {histogram.high:.3g} {histogram.unit}".rstrip()
    )
    if metric is not None:
        described += f"; {'higher' if metric.higher_is_better else 'lower'} is better"
    if histogram.pass_at is not None:
        x = (histogram.pass_at - histogram.low) / (histogram.high - histogram.low) * _BARS_WIDTH
        body += f'<line class="need" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_BARS_HEIGHT}"/>'
        described += f"; the pass mark is {histogram.pass_at:g}"
    return _svg(_BARS_WIDTH, _BARS_HEIGHT + 1, f"Distribution of {histogram.metric}", described, body)


def histogram_rows(histogram: Histogram, style: Style) -> list[tuple[str, int]]:
    """Return the same counts as a table: range and number, empty bins left out."""
    width = (histogram.high - histogram.low) / len(histogram.counts)
    last = len(histogram.counts) - 1 if histogram.open_ended else -1

    def edge(value: float) -> str:
        return figure(value, style) if histogram.unit else f"{value:.3g}"

    return [
        (
            f"{edge(histogram.low + place * width)} "
            + ("and more" if place == last else f"to {edge(histogram.low + (place + 1) * width)}"),
            count,
        )
        for place, count in enumerate(histogram.counts)
        if count
    ]


def trend_svg(trend: Trend) -> str:
    """Draw one metric over the runs: a line with gaps where figures are not comparable, a dot for each run, and a band.

    The band joins the intervals of the runs; where a run has none, it is cut.
    """
    known = [point.value for point in trend.points if point.value is not None]
    known += [end for point in trend.points for end in point.interval or ()]
    low, high = min(known), max(known)
    pad = (high - low) * 0.1 or abs(high) * 0.05 or 0.5
    inner = _TREND_HEIGHT - 2 * _TREND_EDGE
    step = (_TREND_WIDTH - 2 * _TREND_EDGE) / max(1, len(trend.points) - 1)

    def at(place: int, value: float) -> tuple[str, str]:
        y = _TREND_EDGE + inner * (1 - (value - low + pad) / (high - low + 2 * pad))
        return f"{_TREND_EDGE + place * step:.1f}", f"{y:.1f}"

    lines, dots = "", ""
    bands: list[list[tuple[str, str, str]]] = [[]]
    before: tuple[str, str] | None = None
    for place, point in enumerate(trend.points):
        if point.break_before:
            x = f"{_TREND_EDGE + (place - 0.5) * step:.1f}"
            lines += f'<line class="need" x1="{x}" x2="{x}" y1="2" y2="{_TREND_HEIGHT - 2}"/>'
            before = None
        if point.break_before or point.interval is None:
            bands.append([])
        if point.value is None:
            before = None
            continue
        here = at(place, point.value)
        if point.interval is not None:
            bands[-1].append((here[0], at(place, point.interval[0])[1], at(place, point.interval[1])[1]))
        if before:
            lines += f'<line class="path" x1="{before[0]}" y1="{before[1]}" x2="{here[0]}" y2="{here[1]}"/>'
        tones = {"blocked": "block", "approved": "pass", "approved with conditions": "warn"}
        tone = tones.get(point.outcome, "no-decision")
        shape = (
            f'<circle class="now {tone}" cx="{here[0]}" cy="{here[1]}" r="{5 if point is trend.points[-1] else 3.5}"/>'
        )
        dots += _cross(here) if tone == "block" else shape
        before = here
    first, last = trend.points[0], trend.points[-1]
    breaks = sum(bool(point.break_before) for point in trend.points)
    described = f"{len(trend.points)} runs, {first.date} to {last.date}: {first.shown} to {last.shown}; {breaks} breaks"
    drawn = "".join(map(_band, bands)) + lines + dots
    return _svg(_TREND_WIDTH, _TREND_HEIGHT, f"Trend of {trend.metric}", described, drawn)


def _band(ends: Sequence[tuple[str, str, str]]) -> str:
    """Fill the area between the low and the high ends of runs that follow each other, each as (x, low, high)."""
    if not ends:
        return ""
    corners = [f"{x} {high}" for x, _, high in ends] + [f"{x} {low}" for x, low, _ in reversed(ends)]
    return f'<path class="band" d="M{" L".join(corners)} Z"/>'


def _cross(here: tuple[str, str]) -> str:
    """Return the mark of a run: a cross for a blocked one, so that colour is not the only sign."""
    x, y = float(here[0]), float(here[1])
    arms = f"M{x - 4:.1f} {y - 4:.1f} L{x + 4:.1f} {y + 4:.1f} M{x - 4:.1f} {y + 4:.1f} L{x + 4:.1f} {y - 4:.1f}"
    return f'<path class="cross" d="{arms}"/>'


class _Scale:
    """Function from a value to a pixel."""

    def __init__(self, ends: Ends, width: int) -> None:
        self._low, self._width = ends[0], width
        self._per_unit = (width - 2 * _EDGE) / (ends[1] - ends[0])

    def __call__(self, value: float) -> str:
        pixel = _EDGE + (value - self._low) * self._per_unit
        return f"{min(max(pixel, 1), self._width - 1):.1f}"


def _axis(width: int) -> str:
    middle = _ROW_HEIGHT // 2
    return f'<line class="axis" x1="{_EDGE}" x2="{width - _EDGE}" y1="{middle}" y2="{middle}"/>'


def _marks(place: _Scale, seen: tuple[float | None, float, float | None], base: float | None, tone: str) -> str:
    """Draw the interval, an arrow from the baseline, and marks for baseline (hollow) and current value (filled)."""
    low, value, high = seen
    middle, marks = _ROW_HEIGHT // 2, ""
    if low is not None and high is not None:
        marks += f'<line class="span {tone}" x1="{place(low)}" x2="{place(high)}" y1="{middle}" y2="{middle}"/>'
    if base is not None:
        marks += f'<line class="move" x1="{place(base)}" x2="{place(value)}" y1="{middle}" y2="{middle}"/>'
        marks += f'<circle class="base" cx="{place(base)}" cy="{middle}" r="4"/>'
    return marks + f'<circle class="now {tone}" cx="{place(value)}" cy="{middle}" r="4.5"/>'


def _height(count: int, tallest: int) -> float:
    """Return the width of a bar, at least 1.5 pixels, so that one case stays visible."""
    return max(1.5, (_BARS_HEIGHT - 4) * count / tallest)


def _threshold(need: str) -> float | None:
    match = _THRESHOLD.match(need)
    try:
        return float(match[1]) if match else None
    except ValueError:
        return None


def _svg(width: int, height: int, title: str, described: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"<title>{escape(visible(title))}</title><desc>{escape(visible(described))}</desc>{body}</svg>"
    )
