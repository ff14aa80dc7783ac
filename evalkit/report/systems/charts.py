"""Draw the charts of a comparison of several systems as inline SVG.

Places along the width are percentages, so that a chart grows with the page and its text does not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from evalkit.report.systems.view import SystemLine
from evalkit.text.escaping import visible
from evalkit.text.numbers import Style, figure

Ends = tuple[float, float]
_HIGH = 26
"""Height of a row in pixels."""
_EDGE = 3.0
"""Free space at either end, in percent of the width."""
_PLOT = 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 15.0, 97.0, 16, 300
"""The plot's frame: percent of the width, pixels of the height."""
_LOG_FROM = 20
"""Ratio of the largest to the smallest cost from which the scale is logarithmic."""
_NUMBERED = 24
"""Points that all have their number; of more, only those on the line and the reference have it."""
_APART_X, _APART_Y = 2.4, 10
"""A number is as far from points and other numbers, in percent of the width or in pixels of the height."""


def ends_of(values: Iterable[float | None]) -> Ends | None:
    """Return the smallest and the largest known value, `None` if there are not two different ones."""
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if known and min(known) < max(known) else None


def forest_svg(line: SystemLine, ends: Ends, against: str) -> str:
    """Draw the difference of one system to the reference with its interval; the reference is the line at 0."""
    place = _Scale(ends)
    zero = f'<line class="need" x1="{place(0)}" x2="{place(0)}" y1="0" y2="{_HIGH}"/>'
    seen = line.figures.difference
    if seen is None or seen.value is None:
        return _row(line.name, f"difference to {against} unknown", zero)
    described = f"{line.difference} {line.difference_interval} against {against}".replace("  ", " ")
    return _row(line.name, described, zero + _whisker(place, (seen.low, seen.value, seen.high), _tone(line)))


def dumbbell_svg(reference: SystemLine, other: SystemLine, ends: Ends) -> str:
    """Draw the figures of two systems on one line: the reference hollow, the other filled with its interval."""
    place, middle = _Scale(ends), _HIGH // 2
    before, now = reference.figures.primary.value, other.figures.primary
    if before is None or now.value is None:
        return ""
    body = f'<line class="move" x1="{place(before)}" x2="{place(now.value)}" y1="{middle}" y2="{middle}"/>'
    body += _whisker(place, (now.low, now.value, now.high), _tone(other))
    body += f'<circle class="base" cx="{place(before)}" cy="{middle}" r="5"/>'
    described = f"{reference.name} {reference.primary}, {other.name} {other.primary} {other.interval}"
    return _row("Both systems", described, body)


def effect_svg(title: str, figures: tuple[float | None, float, float | None], ends: Ends, tone: str) -> str:
    """Draw the effect of one level of a factor with its interval, and the line at 0."""
    place = _Scale(ends)
    zero = f'<line class="need" x1="{place(0)}" x2="{place(0)}" y1="0" y2="{_HIGH}"/>'
    return _row(title, "effect with its interval; the line is 0", zero + _whisker(place, figures, tone))


def frontier(lines: Sequence[SystemLine], higher_is_better: bool) -> tuple[SystemLine, ...]:
    """Return the systems to which no other is at least as good and cheaper, or as cheap and better; cheapest first."""
    sign = 1 if higher_is_better else -1
    known = [(cost, sign * value, line) for line, cost, value in _points(lines)]
    found: list[SystemLine] = []
    best = -math.inf
    for _, value, line in sorted(known, key=lambda each: (each[0], -each[1])):
        if value > best:
            found.append(line)
            best = value
    return tuple(found)


def scatter_svg(lines: Sequence[SystemLine], style: Style, metric: str, higher_is_better: bool) -> str:
    """Draw cost by quality: a point with its interval for each system, and the line of the frontier.

    Args:
        lines: the systems; those without a cost or a figure are left out.
        style: format of the primary metric.
        metric: its name in words.
        higher_is_better: direction of the primary metric.

    Returns:
        The drawing; empty with fewer than two points or without a range of costs.
    """
    points = list(_points(lines))
    costs = ends_of(cost for _, cost, _ in points)
    values = ends_of(
        end for line, _, value in points for end in (line.figures.primary.low, value, line.figures.primary.high)
    )
    if costs is None or values is None:
        return ""
    plot = _Plot(costs, values)
    on_line = frontier(lines, higher_is_better)
    body = "".join(
        (*_axes(plot, style, metric), *_stairs(plot, on_line), *_dots(plot, points), *_numbers(plot, points, on_line))
    )
    described = "; ".join(
        f"{line.number} {line.name}: {line.cost} per case, {line.primary} {line.interval}" for line, _, _ in points
    )
    return (
        f'<svg class="plot" width="100%" height="{_PLOT}" role="img"><title>Cost and {escape(visible(metric))}</title>'
        f"<desc>{escape(visible(described))}</desc>{body}</svg>"
    )


def _points(lines: Sequence[SystemLine]) -> Iterator[tuple[SystemLine, float, float]]:
    for line in lines:
        cost, value = line.figures.cost_usd_per_case, line.figures.primary.value
        if cost is not None and value is not None:
            yield line, cost, value


class _Scale:
    """Function from a value to a percentage of the width."""

    def __init__(self, ends: Ends) -> None:
        self._low = ends[0]
        self._per_unit = (100 - 2 * _EDGE) / (ends[1] - ends[0])

    def __call__(self, value: float) -> str:
        return f"{min(max(_EDGE + (value - self._low) * self._per_unit, 0), 100):.2f}%"


class _Plot:
    """Functions from cost and quality to a place in the plot."""

    def __init__(self, costs: Ends, values: Ends) -> None:
        self.is_log = costs[0] > 0 and costs[1] / costs[0] >= _LOG_FROM
        self.costs, self.values = costs, values
        low, high = (math.log(end) if self.is_log else end for end in costs)
        pad = 0.06 * (high - low)
        self._from, self._width = low - pad, high - low + 2 * pad
        rim = 0.05 * (values[1] - values[0])
        self._least, self._height = values[0] - rim, values[1] - values[0] + 2 * rim

    def x(self, cost: float) -> float:
        along = (math.log(cost) if self.is_log else cost) - self._from
        return _LEFT + (_RIGHT - _LEFT) * along / self._width

    def y(self, value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - self._least) / self._height

    def middle(self) -> float:
        """The cost in the middle of the scale."""
        low, high = self.costs
        return math.sqrt(low * high) if self.is_log else (low + high) / 2


def _tone(line: SystemLine) -> str:
    return {"better": "pass", "worse": "block"}.get(line.moved, "no-decision")


def _whisker(place: _Scale, figures: tuple[float | None, float, float | None], tone: str) -> str:
    low, value, high = figures
    middle, span = _HIGH // 2, ""
    if low is not None and high is not None:
        span = f'<line class="span {tone}" x1="{place(low)}" x2="{place(high)}" y1="{middle}" y2="{middle}"/>'
    return f'{span}<circle class="now {tone}" cx="{place(value)}" cy="{middle}" r="5"/>'


def _row(title: str, described: str, body: str) -> str:
    return (
        f'<svg width="100%" height="{_HIGH}" role="img"><title>{escape(visible(title))}</title>'
        f"<desc>{escape(visible(described))}</desc>{body}</svg>"
    )


def _axes(plot: _Plot, style: Style, metric: str) -> Iterator[str]:
    """Draw the frame with three marks on each axis, and the names of both."""
    yield f'<line class="axis" x1="{_LEFT}%" x2="{_LEFT}%" y1="{_TOP}" y2="{_BOTTOM}"/>'
    yield f'<line class="axis" x1="{_LEFT}%" x2="{_RIGHT}%" y1="{_BOTTOM}" y2="{_BOTTOM}"/>'
    low, high = plot.values
    for value in (low, (low + high) / 2, high):
        y = plot.y(value)
        yield f'<line class="axis" x1="{_LEFT}%" x2="{_RIGHT}%" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 1}%" y="{y + 4:.1f}" text-anchor="end">{escape(figure(value, style))}</text>'
    anchors = ("start", "middle", "end")
    for cost, anchor in zip((plot.costs[0], plot.middle(), plot.costs[1]), anchors, strict=True):
        x = f"{plot.x(cost):.2f}%"
        yield f'<line class="axis" x1="{x}" x2="{x}" y1="{_BOTTOM}" y2="{_BOTTOM + 5}"/>'
        yield f'<text x="{x}" y="{_BOTTOM + 18}" text-anchor="{anchor}">{escape(figure(cost, Style("usd")))}</text>'
    note = ", logarithmic scale" if plot.is_log else ""
    yield f'<text class="name" x="{_RIGHT}%" y="{_BOTTOM + 36}" text-anchor="end">cost per case{note}</text>'
    yield f'<text class="name" x="0" y="{_TOP - 5}">{escape(visible(metric))}</text>'


def _stairs(plot: _Plot, on_line: Sequence[SystemLine]) -> Iterator[str]:
    """Draw the frontier as steps: from each system on it across to the next cost, then to its quality."""
    places = [(plot.x(cost), plot.y(value)) for _, cost, value in _points(on_line)]
    for (x, y), (next_x, next_y) in itertools.pairwise(places):
        yield f'<line class="path" x1="{x:.2f}%" x2="{next_x:.2f}%" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<line class="path" x1="{next_x:.2f}%" x2="{next_x:.2f}%" y1="{y:.1f}" y2="{next_y:.1f}"/>'
    if places:
        x, y = places[-1]
        yield f'<line class="path" x1="{x:.2f}%" x2="{_RIGHT}%" y1="{y:.1f}" y2="{y:.1f}"/>'


def _dots(plot: _Plot, points: Sequence[tuple[SystemLine, float, float]]) -> Iterator[str]:
    """Draw each point with its interval; the more often it is on the frontier, the fuller it is."""
    for line, cost, value in points:
        x, seen = f"{plot.x(cost):.2f}%", line.figures.primary
        if seen.low is not None and seen.high is not None:
            yield f'<line class="whisker" x1="{x}" x2="{x}" y1="{plot.y(seen.low):.1f}" y2="{plot.y(seen.high):.1f}"/>'
        share = line.figures.on_frontier
        shade = "unknown" if share is None else f"f{round(10 * min(max(share, 0.0), 1.0))}"
        yield f'<circle class="point back" cx="{x}" cy="{plot.y(value):.1f}" r="6.5"/>'
        yield f'<circle class="point {shade}" cx="{x}" cy="{plot.y(value):.1f}" r="6.5"/>'


def _numbers(
    plot: _Plot, points: Sequence[tuple[SystemLine, float, float]], on_line: Sequence[SystemLine]
) -> Iterator[str]:
    """Write the number of each system beside its point, on the first of four sides where there is room."""
    taken = [(plot.x(cost), plot.y(value)) for _, cost, value in points]
    for line, cost, value in points:
        if len(points) > _NUMBERED and line not in on_line and not line.is_reference:
            continue
        x, y = plot.x(cost), plot.y(value)
        sides = ((1.4, -7.0, "start"), (1.4, 17.0, "start"), (-1.4, -7.0, "end"), (-1.4, 17.0, "end"))
        spots = [(x + dx, y + dy, anchor) for dx, dy, anchor in sides if _LEFT < x + dx < 99]
        free = (
            spot
            for spot in spots
            if all(abs(spot[0] - a) > _APART_X or abs(spot[1] - 4 - b) > _APART_Y for a, b in taken)
        )
        at_x, at_y, anchor = next(free, spots[0])
        taken.append((at_x, at_y - 4))
        yield f'<text class="number" x="{at_x:.2f}%" y="{at_y:.1f}" text-anchor="{anchor}">{line.number}</text>'
