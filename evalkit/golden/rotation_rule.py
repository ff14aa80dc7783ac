"""State how often a golden set is rotated, and how much of it."""

from __future__ import annotations

import calendar
import datetime
from dataclasses import dataclass

MONTHS = {"month": 1, "quarter": 3, "year": 12}
"""Period -> its number of months."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationRule:
    """How a set is rotated; `evalkit golden rotate` follows it."""

    every: str = "month"
    """`month`, `quarter` or `year`."""
    share: float = 0.1
    """Share of the cases that are replaced, above 0 and at most 1."""
    anchor: float = 0.0
    """Share of the cases that stay in every rotation, from 0 to below 1."""

    def __post_init__(self) -> None:
        """Reject values out of range, and of other types, since a file may hold any."""
        if self.every not in MONTHS:
            raise ValueError(f"every: {self.every!r}; choose from {', '.join(MONTHS)}, or never")
        for name, value, fits in (("share", self.share, _above_0), ("anchor", self.anchor, _below_1)):
            if type(value) not in (int, float) or not fits(value):
                ends = "above 0, up to 1" if name == "share" else "from 0, below 1"
                raise ValueError(f"{name}: {value} is not a share; write a number {ends}")
        if self.share + self.anchor > 1:
            raise ValueError(f"anchor: {self.anchor:g} leaves no room for a share of {self.share:g}; lower one of them")


def _above_0(value: float) -> bool:
    return 0 < value <= 1


def _below_1(value: float) -> bool:
    return 0 <= value < 1


def later(day: datetime.date, months: int) -> datetime.date:
    """Return the day some months later; the last of the month if it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return datetime.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
