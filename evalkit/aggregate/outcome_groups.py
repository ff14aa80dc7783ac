"""Group the rows of a run by outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.columns import Column, Ints
from evalkit.aggregate.outcomes import OUTCOMES
from evalkit.aggregate.repeats import by_rule, fold
from evalkit.aggregate.statuses import ABSENT

MOST_VALUES = 20
"""Maximum number of values listed for one outcome; the most frequent are kept."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Outcomes of each row of a run."""

    names: tuple[str, ...]
    """The values by code; code 0 means that there is none."""
    codes: Ints
    """Shape (rows, `OUTCOMES`)."""

    def groups(self) -> Iterator[tuple[str, Ints]]:
        """Yield each label, such as `has_error=yes`, with its rows, unless all rows have the same outcome."""
        for name, codes in zip(OUTCOMES, self.codes.T, strict=True):
            counts = Counter(codes[codes > 0].tolist())
            if len(counts) > 1:
                most = sorted(counts, key=lambda code: (-counts[code], self.names[code]))[:MOST_VALUES]
                for code in sorted(most, key=lambda code: self.names[code]):
                    yield f"{name}={self.names[code]}", np.flatnonzero(codes == code)


def by_case(column: Column, rows: Ints, row_case: Ints, n_cases: int, repeat_rule: str | None) -> Column:
    """Average the rows of a group by case; cases without a row in the group are absent.

    Args:
        column: per row.
        rows: those of the group.
        row_case: per row, the position of its case.
        n_cases: number of cases of the run.
        repeat_rule: `repeat_rule` of the suite, for `pass_rate`; else `None`.
    """
    status = np.full(len(column.status), ABSENT)
    status[rows] = column.status[rows]
    folded = fold(replace(column, status=status), row_case, n_cases)
    return folded if repeat_rule is None else by_rule(folded, repeat_rule)
