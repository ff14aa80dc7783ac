"""Read a judge's verdicts from the golden rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evalkit.text.escaping import cut
from evalkit.types import Case, Metric, Output, Score, Unscored


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Take the verdict of a judge that graded these answers before.

    Use it with replayed answers: stored verdicts can be calibrated against people, and compared with another judge's,
    without a call. The value is 1 or 0, a level or a number on `scale`. If the verdict is missing or unknown, the case
    is unscored.
    """

    name: str = "recorded"
    at: str
    """Field of the golden row that holds the verdict; a dot enters a mapping: `judges.gpt-4`."""
    judge: str
    """Name of the judge that gave the verdict."""
    levels: Mapping[str, float] = field(default_factory=dict)
    """Verdict -> number, for verdicts that are words: `{poor: 1, fair: 2, good: 3}`."""
    scale: tuple[float, ...] = ()
    """`[lowest, highest]`, for verdicts that are numbers. Without `levels` and `scale` a verdict is true or false."""
    pass_at: float | None = field(default=None, metadata={"key": "pass"})
    """Smallest number that passes; without it, the value has no pass mark."""

    version: ClassVar[str] = "1"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if self.levels and self.scale:
            raise ValueError("scale: verdicts are either words or numbers; remove `levels` or `scale`")
        if self.scale and (len(self.scale) != 2 or not self.scale[0] < self.scale[1]):
            raise ValueError("scale: not a range; write [lowest, highest] such as [0, 1]")
        if len(set(self.levels.values())) == 1:
            raise ValueError("levels: all verdicts have the same number; give each its own")
        if self.pass_at is not None and not self._graded:
            raise ValueError("pass_at: true passes and false fails; remove it")

    @property
    def _graded(self) -> bool:
        return bool(self.levels or self.scale)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The verdict, as that judge's opinion."""
        values = self.scale or tuple(self.levels.values()) or (0.0, 1.0)
        judge = f"recorded:{self.judge}"
        binary = not self._graded
        return (Metric(self.name, min(values), max(values), binary=binary, judge=judge, pass_at=self.pass_at),)

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Read the verdict of one answer."""
        found = _at(case.fields, self.at)
        value = self._value(found)
        if value is None:
            what = f"no verdict at {self.at}" if found is None else f"unknown verdict {found!r}"
            return Unscored(self.name, "no_verdict", cut(what, 300))
        passed = value >= self.pass_at if self.pass_at is not None else None if self._graded else value == 1.0
        return Score(self.name, value, passed, f"{self.judge}: {found}")

    def _value(self, found: Any) -> float | None:
        if self.levels:
            return self.levels.get(found) if isinstance(found, str) else None
        if isinstance(found, bool):
            return None if self.scale else float(found)
        number = isinstance(found, int | float) and math.isfinite(found)
        return float(found) if self.scale and number and self.scale[0] <= found <= self.scale[1] else None


def _at(fields: Mapping[str, Any], path: str) -> Any:
    """Return the value under a dotted path, whose last parts may contain dots; `None` if there is none."""
    if path in fields:
        return fields[path]
    head, dot, rest = path.partition(".")
    inner = fields.get(head)
    return _at(inner, rest) if dot and isinstance(inner, Mapping) else None
