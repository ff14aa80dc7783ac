"""Define one line under `scorers:`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

from evalkit.types import KINDS, SEVERITIES, Case, Concern


@dataclass(frozen=True, kw_only=True)
class When:
    """The cases that a scorer applies to: every key must match, any of its values is enough."""

    kind: tuple[str, ...] = ()
    severity: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    """Fields that the case, or a turn if turns are graded, must have; an empty list counts, null and "" do not."""
    cohorts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject values that no case can have."""
        for key, given, known in (("kind", self.kind, KINDS), ("severity", self.severity, SEVERITIES)):
            for word in given:
                if word not in known:
                    near = get_close_matches(word, known, n=1)
                    fix = f"did you mean `{near[0]}`?" if near else f"choose from {', '.join(known)}"
                    raise ValueError(f"{key}: {word!r} is not known; {fix}")

    def matches(self, case: Case, turns: Sequence[Case] = ()) -> bool:
        """Return True if the scorer applies to `case`.

        Args:
            case: the row.
            turns: a case for each turn, if the scorer grades turns.
        """
        if (self.kind and case.kind not in self.kind) or (self.severity and case.severity not in self.severity):
            return False
        for name in self.has:
            if not has_field(case, name) and not any(has_field(turn, name) for turn in turns):
                return False
        return not self.cohorts or all(case.cohorts.get(name) in values for name, values in self.cohorts.items())


def has_field(case: Case, name: str) -> bool:
    """Return True if the case has a value under `name`.

    For `reference` and `contexts` this means at least one text. In other fields `false`, 0 and an empty list are
    values: a case with `expected_tool_calls: []` expects that no tool is called.
    """
    if name in ("reference", "contexts", "cluster"):
        return bool(getattr(case, name))
    return case.fields.get(name) not in (None, "")


Over = Literal["last", "all", "turn", "conversation"]
"""The part of a conversation that a scorer grades: its last answer, all its answers joined, or each turn."""
Fold = Literal["all", "mean", "worst", "last"]
"""How the grades of turns become one."""


@dataclass(frozen=True, kw_only=True)
class ScorerEntry:
    """One line under `scorers:`."""

    kind: str
    """The name in the registry."""
    options: Any
    """The scorer's own dataclass."""
    negated: bool = False
    when: When | None = None
    advisory: bool = False
    """Whether the score is only shown, without effect on the pass rate and the regression gate."""
    concern: Concern | None = None
    """Concern of the scorer's metrics, if it differs from the scorer's own declaration."""
    over: Over | None = None
    """The part of a conversation that the scorer grades; `None` if the suite does not say."""
    fold: Fold | None = None
    """How grades of turns become one; `None` if the suite does not say."""
    index: int = 0
    package: str = ""
    """Name and version of the distribution that provides the scorer; empty for a shipped one."""

    @property
    def written(self) -> str:
        """The name as written in the suite."""
        return f"not_{self.kind}" if self.negated else self.kind
