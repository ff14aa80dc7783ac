"""Check that the golden set has a complete data card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from evalkit.gate.findings import only_warns
from evalkit.results import OVERALL, Check


@dataclass(frozen=True, kw_only=True)
class Card:
    """Require a data card of the golden set without an empty field, as `evalkit golden card` checks it."""

    shorthand: ClassVar[str] = "must"
    must: Literal["required"] = "required"
    on_fail: Literal["block", "warn"] = "block"
    why: str = ""
    """Reason for the rule, shown in the release decision; it does not affect the decision."""

    def __post_init__(self) -> None:
        """Reject unknown words."""
        if self.must != "required":
            raise ValueError(f"must: {self.must!r}; write `card: required`")
        if self.on_fail not in ("block", "warn"):
            raise ValueError(f"on_fail: {self.on_fail!r}; choose from block, warn")


def card_checks(policy: Card, gaps: Sequence[str] | None) -> list[Check]:
    """Check the data card as it was when the run began.

    Args:
        policy: the rule.
        gaps: names of the fields that were empty or wrong; `None` if the card was not checked.
    """
    blank = Check(name="card", metric="", cohort=OVERALL, outcome="pass", need="a complete data card")
    if gaps is None:
        reason = "the data card was not checked when the run began: run the suite again"
        check = replace(blank, outcome="no decision", reason=reason)
    elif gaps:
        reason = f"the data card of the golden set lacks {', '.join(gaps)}: see `evalkit golden card`"
        check = replace(blank, outcome="block", reason=reason)
    else:
        check = replace(blank, reason="the data card is complete")
    return [only_warns(check)] if policy.on_fail == "warn" else [check]
