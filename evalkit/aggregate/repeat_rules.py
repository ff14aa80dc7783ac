"""How a suite says what several runs of a case are worth."""

from __future__ import annotations

RULES = ("mean", "all", "any", "majority")
"""How `pass_rate` reads a case with repeats; `rate:0.8` is another: passed where so large a share of its runs did."""


def check_rule(rule: str) -> None:
    """Refuse what is no rule.

    Raises:
        ValueError: with the rules there are.
    """
    if rule not in RULES and rate_of(rule) is None:
        raise ValueError(f"repeat_rule: {rule!r} is no rule; write {', '.join(RULES)}, or rate:0.8")


def rate_of(rule: str) -> float | None:
    """The share of `rate:0.8`, above 0 up to 1; `None` for any other rule."""
    name, _, share = rule.partition(":")
    try:
        rate = float(share)
    except ValueError:
        return None
    return rate if name == "rate" and 0 < rate <= 1 else None
