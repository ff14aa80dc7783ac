"""Group runs by what happened in them: why they stopped, their turns, an error on the way.

These groups are read from the answers, so a change of the system moves cases between them. They are shown and never
gated: a cohort that the change itself makes up is not the same cases before and after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.columns import Column, Ints
from evalkit.aggregate.repeats import by_rule, fold
from evalkit.aggregate.statuses import ABSENT
from evalkit.types import Output

OUTCOMES = ("stop", "turns", "has_error")
MOST_VALUES = 20
"""Values of one outcome that are listed, those of the most runs."""
_TURNS = ((1, "1"), (3, "2-3"), (7, "4-7"))


def outcomes_of(output: Output) -> tuple[str | None, ...]:
    """Return what an answer says of `OUTCOMES`; `None` for what it does not say."""
    return output.stop or None, _turns(output), _has_error(output)


def _turns(output: Output) -> str | None:
    """Return how often a user spoke, in a group: `1`, `2-3`, `4-7` or `8+`."""
    if output.messages is not None:
        count = sum(message.role == "user" for message in output.messages)
    else:
        count = max((step.turn or 0 for step in output.trajectory or ()), default=0)
    if not count:
        return None
    return next((name for most, name in _TURNS if count <= most), "8+")


def _has_error(output: Output) -> str | None:
    if output.trajectory is None:
        return None
    return "yes" if any(step.error is not None for step in output.trajectory) else "no"


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What happened in each row of a run."""

    names: tuple[str, ...]
    """The values by code; 0 is none."""
    codes: Ints
    """Shape (rows, `OUTCOMES`)."""

    def groups(self) -> Iterator[tuple[str, Ints]]:
        """Yield each label, such as `has_error=yes`, with its rows; an outcome that is everywhere the same has none."""
        for name, codes in zip(OUTCOMES, self.codes.T, strict=True):
            counts = Counter(codes[codes > 0].tolist())
            if len(counts) > 1:
                most = sorted(counts, key=lambda code: (-counts[code], self.names[code]))[:MOST_VALUES]
                for code in sorted(most, key=lambda code: self.names[code]):
                    yield f"{name}={self.names[code]}", np.flatnonzero(codes == code)


def by_case(column: Column, rows: Ints, row_case: Ints, n_cases: int, repeat_rule: str | None) -> Column:
    """Average the rows of a group by case; a case without one is absent.

    Args:
        column: per row.
        rows: those of the group.
        row_case: per row, the position of its case.
        n_cases: of the run.
        repeat_rule: of the suite, for `pass_rate`; else `None`.
    """
    status = np.full(len(column.status), ABSENT)
    status[rows] = column.status[rows]
    folded = fold(replace(column, status=status), row_case, n_cases)
    return folded if repeat_rule is None else by_rule(folded, repeat_rule)
