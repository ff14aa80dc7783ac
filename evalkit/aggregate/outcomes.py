"""Group runs by what happened in them: why they stopped, why the simulated user ended them, turns, tool errors.

These groups are read from the answers, so a change of the system moves cases between them. They are shown and never
gated, because such a group does not hold the same cases before and after a change.
"""

from __future__ import annotations

from evalkit.formats.turns import n_turns
from evalkit.types import Case, Output

OUTCOMES = ("stop", "user_why", "turns", "has_error")
_TURNS = ((1, "1"), (3, "2-3"), (7, "4-7"))


def outcomes_of(case: Case, output: Output) -> tuple[str | None, ...]:
    """Return the value of each of `OUTCOMES` for an answer; `None` if the answer does not report it."""
    return output.stop or None, output.user_why or None, _turns(case, output), _has_error(output)


def _turns(case: Case, output: Output) -> str | None:
    """Return the number of turns as a group: `1`, `2-3`, `4-7` or `8+`."""
    count = n_turns(case, output)
    return next((name for most, name in _TURNS if count <= most), "8+") if count else None


def _has_error(output: Output) -> str | None:
    if output.trajectory is None:
        return None
    return "yes" if any(step.error is not None for step in output.trajectory) else "no"
