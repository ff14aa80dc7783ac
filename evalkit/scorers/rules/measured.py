"""Score the time and cost of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evalkit.scorers.rules.rule import PassFail
from evalkit.types import Case, Output, Score, Unscored


def _check_bound(field: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"{field}: expected a number above 0, got {value}; give the largest that passes")


@dataclass(frozen=True, kw_only=True)
class Latency(PassFail):
    """Pass a call that took at most `max_s` seconds.

    The value is 1 or 0; `details` hold the seconds. A stored answer, or one without a time, is unscored, because its
    time was not measured in this run. An empty answer counts like any other.

    It cannot see how the time is distributed; the gate's `latency_p95_s` can.
    """

    name: str = "latency"
    max_s: float
    """Longest wall time of a call that passes, in seconds."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    shorthand: ClassVar[str] = "max_s"

    def __post_init__(self) -> None:
        _check_bound("max_s", self.max_s)

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Compare the measured time with the bound."""
        if output.replayed:
            return Unscored(self.name, "replayed", "a stored answer has no latency of this run")
        if output.latency_s is None:
            return Unscored(self.name, "unknown_latency", "the system gave no latency")
        reason = f"{output.latency_s:.3g} s, at most {self.max_s:g} s"
        return self.grade(output.latency_s <= self.max_s, reason, latency_s=output.latency_s)


@dataclass(frozen=True, kw_only=True)
class Cost(PassFail):
    """Pass a call that cost at most `max_usd` US dollars.

    The value is 1 or 0; `details` hold the dollars. A call with unknown cost is unscored, never free. A stored answer
    counts with its stored cost. An empty answer counts like any other.

    It cannot see the cost of judges, or a cost that neither the system reports nor the price list gives.
    """

    name: str = "cost"
    max_usd: float
    """Highest cost of a call that passes, in US dollars."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    shorthand: ClassVar[str] = "max_usd"

    def __post_init__(self) -> None:
        _check_bound("max_usd", self.max_usd)

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Compare the reported cost with the bound."""
        cost = output.usage.cost_usd if output.usage else None
        if cost is None:
            return Unscored(self.name, "unknown_cost", "neither the system nor the price list gave a cost")
        return self.grade(cost <= self.max_usd, f"${cost:.4g}, at most ${self.max_usd:g}", cost_usd=cost)
