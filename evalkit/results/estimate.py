"""Define a figure with its interval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its interval; `value` is `None` if it is undefined, and `reason` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    method: str = ""
    confidence_level: float = 0.95
    reason: str = ""
