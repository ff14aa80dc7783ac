"""Hold the result of one item of the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalkit.results import Check, CheckOutcome, Comparison


@dataclass(frozen=True)
class Finding:
    """The checks of one policy item, and the outcomes and reasons that affect the decision."""

    checks: tuple[Check, ...]
    reasons: tuple[tuple[CheckOutcome, str], ...]
    comparison: Comparison | None = None


def finding(checks: Sequence[Check]) -> Finding:
    """Collect the checks, with a reason for each one that does not pass."""
    return Finding(tuple(checks), tuple((check.outcome, check.reason) for check in checks if check.outcome != "pass"))


def only_warns(check: Check) -> Check:
    """Reduce a check with `on_fail: warn` to a warning; it neither blocks nor prevents a decision."""
    return replace(check, outcome="warn") if check.outcome in ("block", "no decision") else check
