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

    An approval gets conditions if the same system was blocked before, or if rows were removed and run again. If both
    are true there is no decision, because rows that somebody chose say nothing about the system.

    Args:
        decision: the decision from the current rows.
        before: decisions of the same run, and of runs of the same suite and commit.
        system: version or fingerprint of this run's system; earlier blocks of other systems are only listed.
        asked_again: a sentence for each kind of change to rows that was undone by running their cases again.
        withheld: a sentence for each change that was not undone; any of them prevents a decision.
        conditions: other conditions of an approval, one sentence each.
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
