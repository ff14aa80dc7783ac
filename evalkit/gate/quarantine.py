"""Name the cases in quarantine, which were run and which no check counts."""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.results import OVERALL, Check
from evalkit.text.numbers import plural

_SHOWN = 5


def quarantine_checks(quarantined: Mapping[str, str]) -> list[Check]:
    """List the cases in quarantine; none if there are none.

    Args:
        quarantined: id -> reason.
    """
    if not quarantined:
        return []
    named = [f"{case_id} ({reason})" for case_id, reason in quarantined.items()]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    reason = f"{plural(len(named), 'case')} in quarantine, run and not counted: {', '.join(named[:_SHOWN])}{more}"
    return [
        Check(
            name="quarantine",
            metric="",
            cohort=OVERALL,
            outcome="pass",
            need="at most 5 % of the set",
            reason=reason,
            case_ids=tuple(quarantined),
        )
    ]
