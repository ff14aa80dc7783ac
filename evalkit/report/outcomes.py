"""Write the metrics of runs grouped by outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.results import Summary
from evalkit.text.numbers import Style, estimated

_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """Metrics by outcome; empty if no outcome is known."""

    metrics: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """Label, such as `has_error=yes`, and its figures in the order of `metrics`."""


def outcome_table(summary: Summary, styles: Mapping[str, Style]) -> OutcomeTable:
    """Return the first metrics of the summary, `pass_rate` before the others."""
    cells = {(cell.cohort, cell.metric): cell for cell in summary.outcomes}
    metrics = tuple(dict.fromkeys(metric for _, metric in cells))[:_COLUMNS]
    rows = {
        label: tuple(
            f"{estimated(cell.estimate, styles[name])} n={cell.n_scored:,}"
            if (cell := cells.get((label, name)))
            else "–"
            for name in metrics
        )
        for label in dict.fromkeys(label for label, _ in cells)
    }
    return OutcomeTable(metrics, tuple(rows.items()))
