"""Prepare words, drawings and groups for the templates of the HTML report."""

from __future__ import annotations

from collections import Counter
from typing import Any

from evalkit.report.charts import dots_svg, histogram_rows, histogram_svg, range_svg, shared_ends, trend_svg
from evalkit.report.cohort_table import FEW_CASES, CohortCell, CohortRow
from evalkit.report.distributions import Histogram
from evalkit.report.gate_lines import GateLine
from evalkit.report.judges import KINDS
from evalkit.report.nodes import NODE_COLUMNS
from evalkit.report.survey import changes_of
from evalkit.report.view import View
from evalkit.text.numbers import Style, figure
from evalkit.types import Score

ICONS = {"pass": "✓", "warn": "!", "block": "✗", "insufficient evidence": "?", "no decision": "?"}
SHORT = {
    "pass": "pass",
    "warn": "warn",
    "block": "block",
    "insufficient evidence": "unproven",
    "no decision": "undecided",
}
TONES = {"approved": "pass", "approved with conditions": "warn", "blocked": "block", "no decision": "no-decision"}
_WORST = 10
_UNFOLDED = 6
_PLOTS = 2
_UNITS = {"s": Style("seconds"), "usd": Style("usd"), "tokens": Style("count", 0)}


def words_of(view: View, safe: type[str]) -> dict[str, Any]:
    """Return the template variables other than the view; `safe` marks drawings as evalkit's own markup."""
    return {
        "icons": ICONS,
        "kinds": KINDS,
        "short": SHORT,
        "few_cases": FEW_CASES,
        "tone": TONES[view.outcome],
        "gate_groups": _gate_groups(view),
        "overlap": figure(view.comparison.overlap, Style("rate"), view.comparison.n_paired) if view.comparison else "",
        "looser": [each for each in view.amendments if each.loosens],
        "worst": view.failing[:_WORST],
        "was": _was,
        "changes": _change_counts(view),
        "columns": _columns(view),
        "range_svg": lambda line: safe(range_svg(line, view.styles[line.check.metric])),
        "plots": _plots(view, safe),
        "histograms": [_drawn(entry, view, safe) for entry in view.histograms],
        "trends": [(trend, safe(trend_svg(trend))) for trend in view.trends],
        "thresholds": _thresholds(view),
        "node_columns": NODE_COLUMNS,
        "run_id": dict(view.provenance).get("run_id", ""),
    }


def _gate_groups(view: View) -> list[tuple[str, list[GateLine], bool]]:
    """Return the checks by outcome, most urgent first, and whether each group is shown unfolded."""
    urgent = {line.outcome for line in view.urgent}
    groups: dict[str, list[GateLine]] = {}
    for line in sorted(view.gates, key=lambda line: line.outcome not in urgent):
        groups.setdefault(line.outcome, []).append(line)
    first = next(iter(groups), "")
    return [
        (name, lines, name in urgent and (name == first or len(lines) <= _UNFOLDED)) for name, lines in groups.items()
    ]


def _was(failed: Any, metric: str) -> float | None:
    """Return the baseline's value of the same score."""
    grade = failed.before.scores.get(metric) if failed.before else None
    return grade.value if isinstance(grade, Score) else None


def _change_counts(view: View) -> list[tuple[str, int]]:
    """Count the cases that the comparison lists for each kind of change."""
    counts: dict[str, int] = dict.fromkeys(("new failure", "fixed", "still failing", "changed", "added", "removed"), 0)
    for change in changes_of(view.comparison).values():
        counts[change] += 1
    return list(counts.items()) if view.comparison else []


def _columns(view: View) -> list[tuple[str, list[int]]]:
    """Return the positions of the metrics that the gate uses, and of the others; one group if no check names any."""
    gated = [place for place, metric in enumerate(view.metrics) if metric.name in view.gated]
    others = [place for place in range(len(view.metrics)) if place not in gated]
    groups = [("gated", gated or others), ("shown only", others if gated else [])]
    return [(name, places) for name, places in groups if places]


Plot = tuple[str, tuple[str, str], list[tuple[CohortRow, CohortCell, str]]]
"""Metric, the ends of its scale, and a line for each cohort."""


def _plots(view: View, safe: type[str]) -> list[Plot]:
    """Plot the first metric, and that of the most urgent check, by cohort from the baseline to now."""
    urgent = next((line.check.metric for line in view.pressing if line.check.metric in view.gated), "")
    names = [name for name in dict.fromkeys([*view.gated[:1], urgent]) if name][:_PLOTS]
    return [plot for name in names if (plot := _plot(view, name, safe))]


def _plot(view: View, name: str, safe: type[str]) -> Plot | None:
    place = [metric.name for metric in view.metrics].index(name)
    cells = [(row, cell) for row in view.cohorts if (cell := row.cells[place]) and cell.cell.estimate.value is not None]
    style = view.styles[name]
    ends = shared_ends([cell for _, cell in cells])
    if ends is None or len(cells) < 2:
        return None
    return (
        name,
        (figure(ends[0], style), figure(ends[1], style)),
        [(row, cell, safe(dots_svg(name, row.cohort, cell, ends))) for row, cell in cells],
    )


def _drawn(entry: Histogram, view: View, safe: type[str]) -> dict[str, Any]:
    """Return a histogram with its drawing, its table and the labels at the ends of its scale."""
    style = _UNITS.get(entry.unit, Style("number"))
    metric = view.declared.get(entry.metric)
    ends = (entry.low, entry.high)
    low, high = (figure(end, style) if entry.unit and end else f"{end:g}" for end in ends)
    sign = "≤" if metric and not metric.higher_is_better else "≥"
    return {
        "title": entry.metric,
        "svg": safe(histogram_svg(entry, metric)),
        "rows": histogram_rows(entry, style),
        "low": low,
        "high": f"{high} and more" if entry.open_ended else high,
        "mark": "" if entry.pass_at is None else f"needs {sign} {entry.pass_at:g}",
        "kind": "measure" if entry.unit else "score",
        "head": entry.metric.capitalize() if entry.unit else "Score",
    }


def _thresholds(view: View) -> list[tuple[str, str, str, int]]:
    """Return each threshold once: check, metric, need, and the number of cohorts that it applies to."""
    held = Counter((line.check.name, line.check.metric, line.need) for line in view.gates)
    return [(name, metric, need, count) for (name, metric, need), count in sorted(held.items())]
