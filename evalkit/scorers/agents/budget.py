"""Score whether an answer stayed within a budget of tokens, money, time and turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from evalkit.formats.turns import n_turns
from evalkit.scorers.rules.rule import PassFail
from evalkit.types import Case, Output, Score, Unscored


@dataclass(frozen=True, kw_only=True)
class AnswerBudget(PassFail):
    """Pass an answer that stays within every limit of its budget.

    The value is 1 or 0; `details` hold the amounts. Each limit is the largest amount that passes. If a limited amount
    is unknown, the answer is unscored, even if another amount is over its limit. A stored answer is graded by its
    stored amounts. The number of turns is the number of user messages in the chat that the system reports, without
    the history in the case's `input`. Without a chat, it is the highest turn of any step or call.

    It cannot see the share of a single step; the limits apply to the whole answer.
    """

    name: str = "budget"
    input_tokens: int | None = None
    """Tokens sent to the model."""
    output_tokens: int | None = None
    """Tokens that the model wrote."""
    cost_usd: float | None = None
    """US dollars."""
    seconds: float | None = None
    """Wall time of the call."""
    turns: int | None = None
    """Turns of the user."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    of_whole_conversation: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self._limits:
            raise ValueError("cost_usd: no limit given; write one or more of " + ", ".join(_AMOUNTS))
        for name, limit in self._limits.items():
            if not 0 <= limit < float("inf"):
                raise ValueError(f"{name}: expected 0 or more, got {limit:g}; leave it out for no limit")

    @property
    def _limits(self) -> Mapping[str, float]:
        limits = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name in _AMOUNTS}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Compare each amount with its limit."""
        amounts = {name: _AMOUNTS[name](case, output) for name in self._limits}
        unknown = [name for name, amount in amounts.items() if amount is None]
        if unknown:
            return Unscored(self.name, "unknown_amount", f"not known: {', '.join(unknown)}")
        told, over = [], False
        for name, limit in self._limits.items():
            amount = amounts[name] or 0.0
            over |= amount > limit
            told.append(f"{name} {amount:g}, {'above' if amount > limit else 'at most'} {limit:g}")
        return self.grade(not over, "; ".join(told), **amounts)


_AMOUNTS: Mapping[str, Callable[[Case, Output], float | None]] = {
    "input_tokens": lambda _, output: output.usage.input_tokens if output.usage else None,
    "output_tokens": lambda _, output: output.usage.output_tokens if output.usage else None,
    "cost_usd": lambda _, output: output.usage.cost_usd if output.usage else None,
    "seconds": lambda _, output: output.latency_s,
    "turns": n_turns,
}
