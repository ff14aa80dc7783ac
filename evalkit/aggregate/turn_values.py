"""Gather what scorers give single turns of conversations while rows arrive."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field

from evalkit.types import Score


@dataclass
class TurnValues:
    """The values of turns while rows arrive."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    """Place of the row."""
    metrics: array[int] = field(default_factory=lambda: array("i"))
    """Place of the metric among those of the run."""
    turns: array[int] = field(default_factory=lambda: array("i"))
    values: array[float] = field(default_factory=lambda: array("d"))
    """NaN where a turn has no grade."""

    def add(self, row: int, metric: int, score: Score) -> None:
        """Add the turns of one score."""
        for turn, value in score.turns:
            self.rows.append(row)
            self.metrics.append(metric)
            self.turns.append(turn)
            self.values.append(math.nan if value is None else value)
