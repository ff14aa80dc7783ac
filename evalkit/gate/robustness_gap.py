"""Check how much worse a system is on variants of its cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from evalkit.gate.findings import only_warns
from evalkit.results import OVERALL, Check, CheckOutcome
from evalkit.results.variants import TransformFigures, VariantFigures
from evalkit.text.numbers import Style, difference, limit, plural

LEVEL = 0.05
_RATE = Style("rate")
NO_VARIANTS = "the run has no variants to compare: list transforms under `variants:` and run the suite again"


@dataclass(frozen=True, kw_only=True)
class RobustnessGap:
    """Allow variants to pass at most `max` less often than their originals, over all transforms or for each.

    It blocks if the one-sided 95 % lower bound of the gap is above the limit, and the gap is above 0 by a test that
    counts all transforms. It warns if only the figure is above the limit. Attacks have `attack_success`.
    """

    shorthand: ClassVar[str] = "max"
    max: float
    """Share, such as 0.05."""
    by: Literal["variant"] | None = None
    """`variant` checks each transform too; default: all of them together."""
    on_fail: Literal["block", "warn"] = "block"
    why: str = ""
    """Reason for the limit, shown in the release decision; it does not affect the decision."""

    def __post_init__(self) -> None:
        """Reject a limit that is not one, and unknown words."""
        if not 0 <= self.max < 1:
            raise ValueError(f"max: {self.max:g} is not a share; write a number from 0 to 1, such as 0.05")
        if self.by not in (None, "variant"):
            raise ValueError(f"by: {self.by!r}; write `by: variant`, or remove it")
        if self.on_fail not in ("block", "warn"):
            raise ValueError(f"on_fail: {self.on_fail!r}; choose from block, warn")


def robustness_checks(policy: RobustnessGap, figures: VariantFigures | None) -> list[Check]:
    """Check the gap of all variants, and of each transform if the policy asks for it.

    Args:
        policy: the limit.
        figures: the variants of the run; `None` if it has none.
    """
    found = () if figures is None else figures.transforms
    checks = [_check(policy, each) for each in found if not each.name or policy.by is not None]
    if not checks:
        blank = Check(name="robustness_gap", metric="robustness_gap", cohort=OVERALL, outcome="no decision", need="")
        checks = [replace(blank, need=_need(policy), reason=NO_VARIANTS)]
    return [only_warns(check) for check in checks] if policy.on_fail == "warn" else checks


def _need(policy: RobustnessGap) -> str:
    return f"<= {policy.max:g}"


def _check(policy: RobustnessGap, found: TransformFigures) -> Check:
    outcome = _outcome(policy, found)
    where = f"variant={found.name}" if found.name else OVERALL
    return Check(
        name="robustness_gap",
        metric="robustness_gap",
        cohort=where,
        outcome=outcome,
        need=_need(policy),
        observed=found.gap_bounds,
        p_value=found.p_value,
        reason="; ".join(_words(policy, found, outcome)),
    )


def _outcome(policy: RobustnessGap, found: TransformFigures) -> CheckOutcome:
    value, low = found.gap_bounds.value, found.gap_bounds.low
    if value is None:
        return "no decision"
    if low is not None and low > policy.max and found.p_value is not None and found.p_value <= LEVEL:
        return "block"
    if value > policy.max:
        return "warn"
    unsure = found.n_unknown and (found.worst_gap is None or found.worst_gap > policy.max)
    return "no decision" if unsure else "pass"


def _words(policy: RobustnessGap, found: TransformFigures, outcome: CheckOutcome) -> Iterator[str]:
    who = f"the robustness gap of {found.name}" if found.name else "the robustness gap"
    gap = found.gap_bounds
    if gap.value is None:
        yield f"{who} is unknown: {gap.reason}"
        return
    need = f"need at most {limit(policy.max, _RATE)}"
    yield f"{who} is {difference(gap.value, _RATE, gap.n)}, {need} ({plural(gap.n, 'original')})"
    if outcome == "block" and gap.low is not None:
        yield f"even the favourable 95 % bound is {difference(gap.low, _RATE, gap.n)}"
    elif outcome == "warn":
        yield "within noise of the limit"
    if found.n_unknown:
        yield f"{found.n_unknown:,} of {plural(found.n_variants, 'variant')} without a result, which is not a pass"
