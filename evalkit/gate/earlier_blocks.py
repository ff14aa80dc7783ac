"""Add earlier blocks to a decision, so that a blocked change is not approved silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evalkit.results import Decided, Decision

_APPROVALS = ("approved", "approved with conditions")


def carried(
    decision: Decision,
    before: Sequence[Decided],
    *,
    system: str,
    asked_again: Sequence[str] = (),
    withheld: Sequence[str] = (),
    conditions: Sequence[str] = (),
) -> Decision:
    """Add earlier blocks, and changes made to the rows since.

    An approval becomes one with conditions if a decision of the same system was blocked before, or if rows were taken
    away and asked again; and no decision if both are so: rows that somebody chose say nothing of the system.

    Args:
        decision: by the rows as they are.
        before: decisions of the same run, and of runs of the same suite and commit.
        system: version or fingerprint of this run's system; earlier blocks of another one are only listed.
        asked_again: a sentence for each kind of change to rows that has been undone by asking their cases again.
        withheld: a sentence for each change that has not been undone, which leaves nothing to decide from.
        conditions: further conditions of an approval, a sentence each.
    """
    if decision.outcome == "blocked":
        return replace(decision, reasons=(*decision.reasons, *withheld))
    blocked = tuple(each for each in before if each.outcome == "blocked")
    said = [str(each) for each in blocked if each.system == system]
    approved = decision.outcome in _APPROVALS
    again, others = (asked_again, conditions) if approved else ((), ())
    outcome = decision.outcome
    if approved and (withheld or (said and again)):
        outcome = "no decision"
    elif approved and (said or again or others):
        outcome = "approved with conditions"
    reasons = (*withheld, *said, *again, *others, *decision.reasons)
    return replace(decision, outcome=outcome, reasons=reasons, decided_before=blocked)
