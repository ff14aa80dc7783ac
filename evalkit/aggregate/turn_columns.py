"""Group the grades of single turns by metric and by turn number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.aggregate.columns import Column, Floats, Ints
from evalkit.aggregate.repeats import fold
from evalkit.aggregate.statuses import SCORED, UNSCORED
from evalkit.aggregate.turn_values import TurnValues
from evalkit.types import Metric

GROUPS = ((1, "turn=1"), (2, "turn=2"), (3, "turn=3"), (7, "turn=4-7"))
LAST_GROUP = "turn=8+"


@dataclass(frozen=True, eq=False)
class TurnColumns:
    """The grades of all turns of a run."""

    rows: Ints
    metrics: Ints
    turns: Ints
    values: Floats

    @classmethod
    def of(cls, found: TurnValues, place_of: Ints) -> TurnColumns:
        """Freeze the collected values.

        Args:
            found: the values.
            place_of: index of a row in order of arrival -> its index in the frozen frame, -1 for a replaced row.
        """
        rows = place_of[np.array(found.rows, np.int64)]
        kept = rows >= 0
        metrics, turns = np.array(found.metrics, np.int64), np.array(found.turns, np.int64)
        return cls(rows[kept], metrics[kept], turns[kept], np.array(found.values, np.float64)[kept])

    def groups(self, metrics: Sequence[Metric], row_case: Ints, n_cases: int) -> Iterator[tuple[str, Column]]:
        """Yield (`turn=2`, metric per case) for each metric and group of turns; the turns of a case are averaged.

        Args:
            metrics: metrics of the run, in the order of its frame.
            row_case: per row, the position of its case.
            n_cases: number of cases of the run.
        """
        least = 0
        for most, label in (*GROUPS, (int(self.turns.max(initial=0)), LAST_GROUP)):
            within = (self.turns > least) & (self.turns <= most)
            least = most
            for at in np.unique(self.metrics[within]).tolist():
                chosen = within & (self.metrics == at)
                values = self.values[chosen]
                status = np.where(np.isnan(values), UNSCORED, SCORED)
                yield label, fold(Column(metrics[at], values, status), row_case[self.rows[chosen]], n_cases)
