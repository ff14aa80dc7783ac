"""Write the page of a comparison of several systems: one file, readable without JavaScript but for the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.disk.writing import replacing
from evalkit.report.html import environment, joined_script, policy_of, read_asset
from evalkit.report.html_words import TONES
from evalkit.report.systems.answers import AnswerRoom, room_for, write_answers
from evalkit.report.systems.charts import Ends, dumbbell_svg, effect_svg, ends_of, forest_svg, frontier, scatter_svg
from evalkit.report.systems.figures import cohort_map, factor_cells, factor_tables, interaction_found
from evalkit.report.systems.runs import SystemRun
from evalkit.report.systems.view import SystemLine, SystemsView
from evalkit.text.numbers import Style, difference, figure

_DATA_MARK = "<!--data-->"
_SCRIPTS = ("visible.js", "unpack.js", "parts.js", "systems/table.js", "systems/answers.js")
_FRONTIER = {"on": "on the frontier", "open": "open", "dominated": "dominated", "unknown": "unknown"}


def write_systems_page(path: Path, view: SystemsView, runs: Sequence[SystemRun]) -> None:
    """Write the page; rows are streamed, so memory does not grow with their texts.

    Args:
        path: target file; an older one is replaced once the new one is complete.
        view: the comparison in words.
        runs: the runs of its systems, in the same order.
    """
    room = room_for(view.comparison)
    head, _, tail = _page(view, room).partition(_DATA_MARK)
    with replacing(path) as file:
        file.write(head)
        write_answers(file, view.comparison, runs, view.style, room)
        file.write(tail)


def _page(view: SystemsView, room: AnswerRoom) -> str:
    """Render everything but the data."""
    from markupsafe import Markup

    assets = {
        "style": f"{read_asset('report.css')}\n{read_asset('systems/systems.css')}",
        "theme": read_asset("theme.js"),
        "script": joined_script(_SCRIPTS),
    }
    return (
        environment()
        .get_template("systems/systems.html.j2")
        .render(
            view=view,
            comparison=view.comparison,
            room=room,
            policy=policy_of(assets),
            tones=TONES,
            frontier_words=_FRONTIER,
            not_comparable="" if view.comparison.interleaved else ", not comparable",
            frontier_of="quality, cost and latency" if view.comparison.interleaved else "quality and cost",
            **{name: Markup(text) for name, text in assets.items()},  # noqa: S704 - our own files
            **_drawn(view, Markup),
        )
    )


def _drawn(view: SystemsView, safe: type[str]) -> dict[str, Any]:
    """Return the tables with drawings; `safe` marks these as evalkit's own markup."""
    comparison = view.comparison
    cohorts, cells = cohort_map(view)
    tables = factor_tables(comparison, view.style)
    higher = comparison.higher_is_better
    spans = [end for each in tables for line in each.lines for end in _ends(line.effect.effect)]
    effect_ends = ends_of((*spans, 0.0))
    return {
        "forest": _forest(view, safe),
        "scatter": safe(scatter_svg(view.lines, view.style, view.primary, higher)),
        "on_line": {line.name for line in frontier(view.lines, higher)},
        "share": lambda value: figure(value, Style("rate")),
        "probability": _probability,
        "cohorts": cohorts,
        "cohort_cells": cells,
        "factors": tables,
        "factor_cells": factor_cells(view.lines, tables, view.style),
        "interaction": interaction_found(comparison),
        "effect_svg": lambda line: safe(_effect(line, effect_ends)),
    }


def _ends(seen: Any) -> tuple[float | None, float | None, float | None]:
    return seen.low, seen.value, seen.high


def _effect(line: Any, ends: Ends | None) -> str:
    low, value, high = _ends(line.effect.effect)
    if value is None or ends is None:
        return ""
    tone = {"better": "pass", "worse": "block"}.get(line.moved, "no-decision")
    return effect_svg(f"{line.level} {line.text} {line.interval}", (low, value, high), ends, tone)


def _forest(view: SystemsView, safe: type[str]) -> dict[str, Any] | None:
    """Return the differences to the reference with their drawings, the best first; `None` without a difference."""
    others = [line for line in view.ranked if not line.is_reference]
    known = [line.figures.difference for line in others if line.figures.difference is not None]
    ends = ends_of((0.0, *(end for seen in known for end in _ends(seen))))
    if ends is None:
        return None
    sign = -1 if view.comparison.higher_is_better else 1
    others.sort(key=lambda line: _by_difference(line, sign))
    style = view.style
    return {
        "rows": [(line, safe(forest_svg(line, ends, view.comparison.reference))) for line in others],
        "low": difference(ends[0], style),
        "high": difference(ends[1], style),
        "pair": _pair(view, others, safe),
    }


def _by_difference(line: SystemLine, sign: int) -> tuple[bool, float]:
    seen = line.figures.difference
    return (True, 0.0) if seen is None or seen.value is None else (False, sign * seen.value)


def _pair(view: SystemsView, others: Sequence[SystemLine], safe: type[str]) -> dict[str, Any] | None:
    """Return the figures of two systems on one line, `None` for more."""
    reference = next((line for line in view.lines if line.is_reference), None)
    if len(view.lines) != 2 or reference is None:
        return None
    other = others[0]
    ends = ends_of((reference.figures.primary.value, *_ends(other.figures.primary)))
    if ends is None:
        return None
    return {
        "drawing": safe(dumbbell_svg(reference, other, ends)),
        "low": figure(ends[0], view.style),
        "high": figure(ends[1], view.style),
        "reference": reference,
        "other": other,
    }


def _probability(value: float | None) -> str:
    """Write a p value, never as 0."""
    return "unknown" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
