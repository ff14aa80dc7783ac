"""Limit the cost of a run, in US dollars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evalkit.text.numbers import plural
from evalkit.types import Usage

RUN_FIX = "raise --budget and continue with --resume"


class BudgetReached(BaseException):
    """The budget allows no more calls. This is not an `Exception`, because libraries catch those and ask again."""


@dataclass
class Budget:
    """Counts the cost so far, and refuses the next call once the limit is reached.

    Calls in flight at that moment finish and are counted, so the limit is exceeded by at most these calls.
    """

    limit_usd: float
    spent_usd: float = 0.0
    n_unknown: int = 0
    """Number of answers whose cost is unknown, and so not in `spent_usd`."""
    whole: Budget | None = None
    """The budget of all systems of a run, which counts the same calls; `None` if this is the only one."""
    fix: str = RUN_FIX
    """How to go on once the limit is reached."""

    @property
    def reached(self) -> bool:
        """Whether the limit is reached, or that of the whole."""
        return self.spent_usd >= self.limit_usd or (self.whole is not None and self.whole.reached)

    @property
    def left_usd(self) -> float:
        """US dollars until the limit, or that of the whole; at least 0."""
        left = max(0.0, self.limit_usd - self.spent_usd)
        return left if self.whole is None else min(left, self.whole.left_usd)

    @property
    def reason(self) -> str:
        """Why the run stopped, and how to continue."""
        if self.whole is not None and self.whole.reached:
            return self.whole.reason
        reached = f"budget of ${self.limit_usd:g} reached after ${self.spent_usd:.4g}"
        return f"{reached}; {self.fix}"

    @property
    def uncounted(self) -> str:
        """A notice about answers that the budget does not cover; empty if every cost is known."""
        if not self.n_unknown:
            return ""
        what = f"the cost of {plural(self.n_unknown, 'answer')} of the system is unknown"
        fix = "have the system return `usage`, or set --deadline"
        return f"{what}, and not part of the budget of ${self.limit_usd:g}; {fix}"

    def add(self, usage: Usage | None) -> None:
        """Count a call; one whose cost is unknown, or was paid in an earlier run, adds nothing."""
        if usage is not None and usage.cost_usd is not None and not usage.cached:
            self.spent_usd += usage.cost_usd
            if self.whole is not None:
                self.whole.add(usage)

    def add_answer(self, usage: Usage | None) -> None:
        """Count an answer of the system, and whether its cost is known."""
        self.add(usage)
        unknown = usage is None or usage.cost_usd is None
        self.n_unknown += unknown
        if self.whole is not None:
            self.whole.n_unknown += unknown

    def check(self) -> None:
        """Reject a call once the limit is reached.

        Raises:
            BudgetReached: The limit is reached.
        """
        if self.reached:
            raise BudgetReached(self.reason)


@dataclass
class LeasedBudget(Budget):
    """A worker's part of a budget, which it asks for piece by piece while others do the same."""

    lease: Callable[[float], float] = lambda overdrawn: 0.0
    """Returns how many more US dollars may be spent; the argument is what was spent beyond the earlier leases."""

    @property
    def reached(self) -> bool:
        """Whether this part is spent, and no more is left of the whole."""
        if self.spent_usd >= self.limit_usd:
            self.limit_usd += self.lease(self.spent_usd - self.limit_usd)
        return self.spent_usd >= self.limit_usd

    @property
    def reason(self) -> str:
        """Why the run stopped, and how to continue."""
        return f"budget reached; {self.fix}"

    def unused(self) -> float:
        """Give up what is left of the leases, and return it."""
        left = max(0.0, self.limit_usd - self.spent_usd)
        self.limit_usd -= left
        return left
