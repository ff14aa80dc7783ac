"""Turn a metric library's number into a grade that is finite, on its scale and rounded, or unscored with a reason."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from evalkit.errors import RunError
from evalkit.llm.errors import JudgeError
from evalkit.scorers.libraries.asked import Asked, NotApplicable
from evalkit.text.escaping import cut
from evalkit.types import Metric, Score, Unscored

Attempt = Mapping[str, Any]
Run = Callable[[Attempt], Awaitable[tuple[float, str]]]
"""Computes one attempt: value and reason."""

PLACES = 6
"""Decimal places of a grade; libraries add small terms to denominators, so a perfect score can be 0.99999999995."""


@dataclass(frozen=True)
class LibraryGrader:
    """Turns the results of a library into grades of one metric.

    Attributes:
        library: Its name.
        metric: The metric of the grades.
        marks: `min` and `max` of a pass, if the suite has any.
    """

    library: str
    metric: Metric
    marks: Mapping[str, float]

    async def best(self, attempts: list[dict[str, Any]], run: Run, asked: Asked | None) -> Score | Unscored:
        """Run every attempt and keep the best; if one failed, the best is unknown."""
        found: list[tuple[float, str]] = []
        for attempt in attempts:
            try:
                value, reason = await run(attempt)
                if asked and asked.error is not None:
                    raise asked.error
            except NotApplicable as nothing:
                return self.unscored("not_applicable", str(nothing), asked)
            except JudgeError as error:
                return self.unscored(f"judge_{error.kind}", error.message, asked)
            except RunError as error:
                return self.unscored("embedding_error", str(error), asked)
            except Exception as error:  # whatever a library raises is its failure, not the answer's
                return self.unscored(f"{self.library}_error", cut(f"{type(error).__name__}: {error}", 500), asked)
            problem = self._out_of_range(value)
            if problem:
                return self.unscored(problem, f"{self.library} gave {value}", asked)
            found.append((round(value, PLACES) + 0.0, reason))
        value, reason = (max if self.metric.higher_is_better else min)(found, key=lambda pair: pair[0])
        return Score(self.metric.name, value, self._passed(value), reason, usage=asked.usage if asked else None)

    def unscored(self, kind: str, message: str, asked: Asked | None = None) -> Unscored:
        """Return an ungraded score with its usage."""
        return Unscored(self.metric.name, kind, message, asked.usage if asked else None)

    def unavailable(self, error: BaseException, requirement: str) -> Unscored:
        """Report that the library cannot be imported."""
        why = f"{type(error).__name__}: {error}; reinstall it: pip install '{requirement}'"
        return self.unscored(f"{self.library}_unavailable", why)

    def _out_of_range(self, value: float) -> str | None:
        if not math.isfinite(value):
            return "not_finite"
        slack = 10.0**-PLACES
        return None if self.metric.low - slack <= value <= self.metric.high + slack else "out_of_range"

    def _passed(self, value: float) -> bool | None:
        if not self.marks:
            return value == 1.0 if self.metric.binary else None
        return bool(self.marks.get("min", -math.inf) <= value <= self.marks.get("max", math.inf))


def installed(distribution: str) -> str:
    """Return the version of an installed distribution, or `none` if it is missing; nothing is imported."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"
