"""Say why a run was decided as it was: the reasons, and what left rows without a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalkit.report.headline import lead_of
from evalkit.report.survey import Example
from evalkit.results import PARTIAL_RUN, Decision
from evalkit.text.numbers import plural, with_signs

MISSING = "without a result"
"""Begins the reason that says which errors left no decision."""
_SHOWN_ERRORS = 3


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """One kind of error, counted, with an example."""

    state: str
    kind: str
    count: int
    example: Example | None

    @property
    def counted(self) -> str:
        """`2 system errors`, or `2 unscored`."""
        return plural(self.count, self.state) if self.state == "system error" else f"{self.count:,} {self.state}"


def error_lines(state: str, kinds: Mapping[str, int], examples: Mapping[str, Example]) -> tuple[ErrorLine, ...]:
    """Return a line for each kind of error, the most frequent first."""
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ErrorLine(state, kind, count, examples.get(kind)) for kind, count in ordered)


def missing(decision: Decision, partial: str | None, errors: Sequence[ErrorLine]) -> Iterator[str]:
    """Yield what left rows without a result, if that is why there is no decision."""
    lead = lead_of(decision)
    if decision.outcome != "no decision" or partial is not None or lead is None or lead.name != "coverage":
        return
    ordered = sorted(errors, key=lambda line: -line.count)[:_SHOWN_ERRORS]
    kinds = ", ".join(f"{line.counted} ({line.kind})" for line in ordered)
    more = f" and {plural(len(errors) - len(ordered), 'more kind')}" if len(errors) > len(ordered) else ""
    if kinds:
        yield f"{MISSING}: {kinds}{more}"


def why_of(decision: Decision, partial: str | None, n_unpaired: int) -> tuple[str, ...]:
    """Return the reasons without that of the headline and those listed as changed rules.

    An approval has no reasons; the text says that no case newly fails.
    """
    found = decision.comparison
    if decision.outcome == "approved" and found is not None and not found.new_failures:
        return (unpaired_sentence(n_unpaired) if n_unpaired else "no case newly fails",)
    lead = lead_of(decision)
    elsewhere = {with_signs(each.told(decision.amended_since)) for each in decision.amendments}
    if partial is not None:
        said = {PARTIAL_RUN.format(partial)}
    else:
        said = {lead.reason} if lead else set(decision.reasons[:1])
    return tuple(reason for reason in decision.reasons if reason not in said | elsewhere)


def unpaired_sentence(count: int) -> str:
    """Describe how many failing cases the baseline does not have in this form."""
    return "1 added or edited case fails" if count == 1 else f"{count:,} added or edited cases fail"
