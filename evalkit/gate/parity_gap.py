"""Check how much the pass rate depends on an attribute that is irrelevant to the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from evalkit.gate.findings import only_warns
from evalkit.results import OVERALL, Check, CheckOutcome
from evalkit.results.variants import ParityFigures, VariantFigures
from evalkit.text.numbers import Style, difference, limit, plural

_RATE = Style("rate")
NO_SWAPS = "the run has no variants by `swap`: list one under `variants:` and run the suite again"


@dataclass(frozen=True, kw_only=True)
class ParityGap:
    """Allow the pass rates of two values of an attribute to differ by at most `max`.

    The intervals of all differences hold together with 95 %. It blocks if one lies beyond the limit, and passes if all
    lie within it; else it warns. A value with fewer than 30 originals is not seen, and that is insufficient evidence.
    """

    shorthand: ClassVar[str] = "max"
    max: float
    """Share, such as 0.03."""
    by: Literal["attribute"] = "attribute"
    """Each attribute has a check of its own."""
    on_fail: Literal["block", "warn"] = "block"
    why: str = ""
    """Reason for the limit, shown in the release decision; it does not affect the decision."""

    def __post_init__(self) -> None:
        """Reject a limit that is not one, and unknown words."""
        if not 0 <= self.max < 1:
            raise ValueError(f"max: {self.max:g} is not a share; write a number from 0 to 1, such as 0.03")
        if self.by != "attribute":
            raise ValueError(f"by: {self.by!r}; write `by: attribute`, or remove it")
        if self.on_fail not in ("block", "warn"):
            raise ValueError(f"on_fail: {self.on_fail!r}; choose from block, warn")


def parity_checks(policy: ParityGap, figures: VariantFigures | None) -> list[Check]:
    """Check the largest difference of each attribute.

    Args:
        policy: the limit.
        figures: the variants of the run; `None` if it has none.
    """
    name, need = "parity_gap", f"<= {policy.max:g}"
    checks = [
        Check(
            name=name,
            metric=name,
            cohort=f"attribute={each.attribute}",
            outcome=(outcome := _outcome(policy, each)),
            need=need,
            observed=each.gap,
            reason="; ".join(_words(policy, each, outcome)),
        )
        for each in (figures.parity if figures is not None else ())
    ]
    if not checks:
        checks = [
            Check(name=name, metric=name, cohort=OVERALL, outcome="no decision", need=need, reason=NO_SWAPS),
        ]
    return [only_warns(check) for check in checks] if policy.on_fail == "warn" else checks


def _outcome(policy: ParityGap, found: ParityFigures) -> CheckOutcome:
    gap = found.gap
    if gap.low is not None and gap.low > policy.max:
        return "block"
    if gap.value is None:
        return "insufficient evidence" if found.not_seen else "no decision"
    if gap.high is None or gap.high >= policy.max:
        return "warn"
    if found.n_unknown:
        return "no decision"
    return "insufficient evidence" if found.not_seen else "pass"


def _words(policy: ParityGap, found: ParityFigures, outcome: CheckOutcome) -> Iterator[str]:
    gap = found.gap
    if gap.value is None:
        yield f"the parity gap of {found.attribute} is unknown: {gap.reason}"
    else:
        between = f" between {' and '.join(found.between)}" if gap.value else ""
        shown = difference(gap.value, _RATE, gap.n)
        yield f"the parity gap of {found.attribute} is {shown}{between}, need at most {limit(policy.max, _RATE)}"
    if outcome == "block" and gap.low is not None:
        yield f"even the favourable 95 % bound is {difference(gap.low, _RATE, gap.n)}"
    elif outcome == "warn" and gap.high is not None:
        yield f"not ruled out: the 95 % interval ends at {difference(gap.high, _RATE, gap.n)}"
    if found.not_seen:
        few = ", ".join(f"{value} ({plural(n, 'original')})" for value, n in found.not_seen.items())
        yield f"not seen: {few}"
    if found.n_unknown:
        yield f"{found.n_unknown:,} of {plural(found.n_variants, 'variant')} without a result, which is not a pass"
