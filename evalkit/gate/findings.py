"""Result of one item of the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalkit.results import Check, CheckOutcome, Comparison


@dataclass(frozen=True)
class Finding:
    """Checks, and the outcomes and sentences among them that bear on the decision."""

    checks: tuple[Check, ...]
    reasons: tuple[tuple[CheckOutcome, str], ...]
    comparison: Comparison | None = None


def finding(checks: Sequence[Check]) -> Finding:
    """Let every check that does not pass bear on the decision."""
    return Finding(tuple(checks), tuple((check.outcome, check.reason) for check in checks if check.outcome != "pass"))


def only_warns(check: Check) -> Check:
    """Lower a check whose `on_fail` is `warn`: it neither blocks nor withholds the decision."""
    return replace(check, outcome="warn") if check.outcome in ("block", "no decision") else check
