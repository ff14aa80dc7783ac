"""Collect the grades of single turns while rows arrive."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field

from evalkit.types import Score


@dataclass
class TurnValues:
    """Grades of turns, collected while rows arrive."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    """Index of the row."""
    metrics: array[int] = field(default_factory=lambda: array("i"))
    """Index of the metric among those of the run."""
    turns: array[int] = field(default_factory=lambda: array("i"))
    values: array[float] = field(default_factory=lambda: array("d"))
    """NaN for a turn without a grade."""

    def add(self, row: int, metric: int, score: Score) -> None:
        """Add the turns of one score to the columns."""
        for turn, value in score.turns:
            self.rows.append(row)
            self.metrics.append(metric)
            self.turns.append(turn)
            self.values.append(math.nan if value is None else value)
