"""Write the checks of a decision as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.report.headline import ORDER, titled
from evalkit.results import Check, CheckOutcome, Decision
from evalkit.text.numbers import Style, difference, dropped, estimated, figure, needed


@dataclass(frozen=True, slots=True)
class GateLine:
    """One check as text."""

    subject: str
    now: str
    base: str
    drop: str
    need: str
    smallest_drop: str
    """The smallest drop that the check would probably have detected."""
    outcome: CheckOutcome
    check: Check


def gate_lines(decision: Decision, styles: Mapping[str, Style]) -> tuple[GateLine, ...]:
    """Return the checks, most urgent first; equally urgent ones keep the order of the suite."""
    ordered = sorted(decision.checks, key=lambda check: ORDER.index(check.outcome))
    return tuple(_gate(check, styles[check.metric]) for check in ordered)


def _gate(check: Check, style: Style) -> GateLine:
    n = check.observed.n if check.observed else 0
    return GateLine(
        subject=titled(check),
        now=estimated(check.observed, style),
        base="" if check.baseline is None else figure(check.baseline, style, n),
        drop=dropped(check.drop, style),
        need=needed(check.need, style),
        smallest_drop="" if check.smallest_drop is None else difference(check.smallest_drop, style, n),
        outcome=check.outcome,
        check=check,
    )
