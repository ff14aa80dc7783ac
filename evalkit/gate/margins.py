"""Test margins that a release must demonstrate: no worse than the baseline, or better by an amount."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.gate.policy import NoRegression
from evalkit.gate.regression import MIN_PAIRED, Gate
from evalkit.gate.regression_checks import drop_of
from evalkit.gate.words import about
from evalkit.results import OVERALL, Check, CheckOutcome
from evalkit.stats.quantiles import ONE_SIDED_95
from evalkit.text.numbers import difference, limit, style_of


def margin_checks(gates: Sequence[Gate], policy: NoRegression) -> Iterator[Check]:
    """Test non-inferiority overall and in critical cohorts, and superiority overall, if the policy asks for them.

    Args:
        gates: every metric in every cohort, on paired cases.
        policy: `margin`, the acceptable drop, and `beats_by`, the required gain, in the units of each metric.
    """
    for gate in gates:
        if not gate.may_block or gate.n_independent < MIN_PAIRED:
            continue
        if policy.margin is not None and (gate.cohort == OVERALL or gate.critical):
            yield _not_inferior(gate, policy.margin)
        if policy.beats_by is not None and gate.cohort == OVERALL:
            yield _superior(gate, policy.beats_by)


def _not_inferior(gate: Gate, margin: float) -> Check:
    """Warn unless the upper bound of the drop is below the margin."""
    drop = drop_of(gate, ONE_SIDED_95)
    worst = drop.high
    shown = worst is not None and worst < margin
    style, subject = style_of(gate.metric.name, gate.metric), about(gate.metric.name, gate.cohort)
    bound = "not known" if worst is None else difference(worst, style, drop.n)
    most = limit(margin, style)
    return Check(
        name="non-inferiority",
        metric=gate.metric.name,
        cohort=gate.cohort,
        outcome="pass" if shown else "warn",
        need=f"drop < {most}",
        drop=drop,
        reason=f"{subject}: the drop is at most {bound} (one-sided 95 %), need < {most}",
    )


def _superior(gate: Gate, gain: float) -> Check:
    """Pass if the gain is demonstrated, block if even the favourable bound is below it."""
    drop = drop_of(gate, ONE_SIDED_95)
    outcome: CheckOutcome = "insufficient evidence"
    if drop.high is not None and -drop.high >= gain:
        outcome = "pass"
    elif drop.low is not None and -drop.low < gain:
        outcome = "block"
    style, bounds = style_of(gate.metric.name, gate.metric), "unknown"
    if drop.low is not None and drop.high is not None:
        bounds = " to ".join(difference(-end, style, drop.n) for end in (drop.high, drop.low))
    return Check(
        name="superiority",
        metric=gate.metric.name,
        cohort=gate.cohort,
        outcome=outcome,
        need=f"gain >= {limit(gain, style)}",
        drop=drop,
        reason=f"{gate.metric.name}: the gain is {bounds} (one-sided 95 % bounds), need ≥ {limit(gain, style)}",
    )
