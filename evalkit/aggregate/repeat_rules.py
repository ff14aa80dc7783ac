"""Check the `repeat_rule` of a suite."""

from __future__ import annotations

from evalkit.types import least_share


def check_rule(rule: str) -> None:
    """Reject an unknown rule.

    Raises:
        ValueError: the rule is unknown; the message lists the known ones.
    """
    least_share(rule)
