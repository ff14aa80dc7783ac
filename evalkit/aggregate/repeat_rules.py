"""Check the `repeat_rule` of a suite."""

from __future__ import annotations

from evalkit.types import least_share


def check_rule(rule: str) -> None:
    """Refuse an unknown rule.

    Raises:
        ValueError: with the rules there are.
    """
    least_share(rule)
