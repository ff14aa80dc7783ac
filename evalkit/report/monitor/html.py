"""Write the status of a monitor as a page: one file that asks for nothing and is readable without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.report.html import environment, joined_script, policy_of, read_asset
from evalkit.report.monitor import words
from evalkit.report.monitor.charts import stream_svg
from evalkit.report.monitor.history import History, StreamTrend
from evalkit.report.monitor.status import MonitorState, Status, StreamLine, StreamState
from evalkit.text.numbers import DECIMAL_FROM_N, MINUS, Style, estimated, figure, style_of

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_STREAMS = 1_000
_UNFOLDED = 3
"""Drawings of a metric that are shown unfolded; more if they have an alarm."""
_OTHERS = "Other metrics"
_SCRIPTS = ("visible.js", "parts.js", "monitor/monitor.js")
_TONES: Mapping[MonitorState | StreamState, str] = {
    "alarm": "block",
    "warning": "warn",
    "quiet": "pass",
    "cannot say": "no-decision",
    "not watched": "scored",
}
_ICONS: Mapping[MonitorState | StreamState, str] = {
    "alarm": "✗",
    "warning": "!",
    "quiet": "✓",
    "cannot say": "?",
    "not watched": "·",
}
_BREAKABLE = re.compile(r"(?<=[=._])")


@dataclass(frozen=True, slots=True, kw_only=True)
class _DayRow:
    """One line of the table of a drawing."""

    date: str
    value: str
    n: str
    notes: tuple[str, ...]
    """Alarms that began on the day, and why its values are not comparable with those before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """A drawing with its table."""

    number: int
    title: str
    note: str
    trend: StreamTrend
    drawing: Markup
    rows: tuple[_DayRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """The drawings of one metric, or those of metrics with a single drawing."""

    title: str
    note: str
    shown: tuple[_Card, ...]
    folded: tuple[_Card, ...]


def status_html(status: Status) -> str:
    """Return the page.

    Args:
        status: What was found, with its history.

    Raises:
        ValueError: The status has no history.
    """
    from markupsafe import Markup

    history = status.history
    if history is None:
        raise ValueError("the status was made without its history")
    assets = {
        "style": read_asset("report.css") + "\n" + read_asset("monitor/monitor.css"),
        "theme": read_asset("theme.js"),
        "script": joined_script(_SCRIPTS),
    }
    groups = list(_groups(status, history))
    cards = [card for group in groups for card in (*group.shown, *group.folded)]
    return (
        environment()
        .get_template("monitor/monitor.html.j2")
        .render(
            status=status,
            history=history,
            groups=groups,
            places={(card.trend.metric, card.trend.cohort): card.number for card in cards},
            lines=status.streams[:MOST_STREAMS],
            moved=[line for line in status.inputs if line.moved],
            policy=policy_of(assets),
            **{name: Markup(text) for name, text in assets.items()},  # noqa: S704 - our own files
            **_words(status),
        )
    )


def _words(status: Status) -> dict[str, Any]:
    """Return what the template writes figures and states with."""
    return {
        "word": words.STATES[status.state],
        "tone": _TONES[status.state],
        "icon": _ICONS[status.state],
        "tones": _TONES,
        "icons": _ICONS,
        "headline": words.headline(status),
        "facts": words.facts_line(status).split(" · "),
        "checked": status.checked[:16].replace("T", " "),
        "alarm_name": words.alarm_name,
        "alarm_what": words.alarm_what,
        "alarm_why": words.alarm_why,
        "input_words": words.input_words,
        "was_of": words.was_of,
        "now_of": words.now_of,
        "finds_of": words.finds_of,
        "name_parts": _BREAKABLE.split,
        "statistic": lambda value: f"{value:.1f}".replace("-0.0", "0.0").replace("-", MINUS),
        "share": lambda value: figure(value, Style("rate"), DECIMAL_FROM_N),
        "estimated_rate": lambda estimate: estimated(estimate, Style("rate")),
        "usd": lambda value: figure(value, Style("usd")),
        "amount": lambda metric, value: figure(value, style_of(metric)),
    }


def _groups(status: Status, history: History) -> Iterator[_Group]:
    """Yield the metrics, each with all calls first, then cohorts with an alarm; of the others, some are folded."""
    found: dict[str, list[_Card]] = {}
    for number, trend in enumerate(history.trends):
        if any(part.points for part in trend.parts):
            found.setdefault(trend.metric, []).append(_card(number, trend, history, status.reference))
    lines = {line.metric: line for line in reversed(status.streams)}
    single: list[_Card] = []
    for metric, cards in found.items():
        note = _note(lines.get(metric), cards[0].trend)
        lasting = sum(card.trend.state in ("alarm", "warning") for card in cards)
        if len(cards) == 1 and not lasting:
            single.append(replace(cards[0], title=metric, note=note))
            continue
        shown = max(_UNFOLDED, 1 + lasting)
        yield _Group(title=metric, note=note, shown=tuple(cards[:shown]), folded=tuple(cards[shown:]))
    if single:
        yield _Group(title=_OTHERS, note=words.ALL_CALLS, shown=tuple(single), folded=())


def _note(line: StreamLine | None, trend: StreamTrend) -> str:
    """Return the direction of a metric, and who gives it."""
    said = "higher is better" if trend.higher_is_better else "lower is better"
    if line is not None and line.judge:
        said += f"; judge {line.judge}" + ("" if line.trusted else ", whose agreement with people is not shown")
    return said


def _card(number: int, trend: StreamTrend, history: History, reference: tuple[str, str] | None) -> _Card:
    from markupsafe import Markup

    return _Card(
        number=number,
        title=trend.cohort or words.ALL_CALLS,
        note="",
        trend=trend,
        drawing=Markup(stream_svg(trend, history, reference)),  # noqa: S704 - our own drawing
        rows=_rows(trend),
    )


def _rows(trend: StreamTrend) -> tuple[_DayRow, ...]:
    """Return the days, the newest first."""
    style, found = words.style_for(trend.metric, is_rate=trend.is_rate), list[_DayRow]()
    for part in trend.parts:
        for place, point in enumerate(part.points):
            notes = [f"{each.level} begins" for each in trend.alarms if each.began == point.date]
            notes += [f"cut before: {part.what}"] if part.what and place == 0 else []
            found.append(
                _DayRow(
                    date=point.date,
                    value=estimated(point.now, style),
                    n=f"{point.now.n:,}",
                    notes=tuple(notes),
                )
            )
    # Of a day with two score keys, the one that was in use last is the first.
    return tuple(sorted(reversed(found), key=lambda row: row.date, reverse=True))
