"""Represent an estimated figure by its low, likely and high value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Low, likely and high figure; `None` is unknown, and `why` explains it if all three are."""

    low: float | None = None
    likely: float | None = None
    high: float | None = None
    why: str = ""

    @classmethod
    def exactly(cls, value: float) -> Span:
        """Return a span of one known figure."""
        return cls(value, value, value)

    def __add__(self, other: Span) -> Span:
        """Add two spans; a value that is unknown in one is unknown in the sum."""
        low, likely, high = add(self.low, other.low), add(self.likely, other.likely), add(self.high, other.high)
        return Span(low, likely, high, self.why or other.why)

    def times(self, factor: float) -> Span:
        """Multiply every figure."""
        low, likely, high = (None if end is None else end * factor for end in (self.low, self.likely, self.high))
        return Span(low, likely, high, self.why)


def add(first: float | None, second: float | None) -> float | None:
    """Add two figures; the sum with an unknown one is unknown."""
    return None if first is None or second is None else first + second
