"""Limit the cost of a run, in US dollars."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.types import Usage


class BudgetReached(BaseException):
    """No further call may be made. It is not an `Exception`, since libraries catch those and ask again."""


@dataclass
class Budget:
    """Counts the cost so far, and refuses the next call once the limit is reached.

    Calls in flight at that moment finish and are counted, so the limit is exceeded by at most these calls.
    """

    limit_usd: float
    spent_usd: float = 0.0

    @property
    def reached(self) -> bool:
        """Whether the limit is reached."""
        return self.spent_usd >= self.limit_usd

    @property
    def reason(self) -> str:
        """Why the run stopped, and how to continue."""
        reached = f"budget of ${self.limit_usd:g} reached after ${self.spent_usd:.4g}"
        return f"{reached}; raise --budget and continue with --resume"

    def add(self, usage: Usage | None) -> None:
        """Count a call; one whose cost is unknown, or was paid in an earlier run, adds nothing."""
        if usage is not None and usage.cost_usd is not None and not usage.cached:
            self.spent_usd += usage.cost_usd

    def check(self) -> None:
        """Refuse a call once the limit is reached.

        Raises:
            BudgetReached: The limit is reached.
        """
        if self.reached:
            raise BudgetReached(self.reason)
