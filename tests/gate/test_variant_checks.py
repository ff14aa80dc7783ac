"""Checks of variants: when they block, warn, pass or cannot tell, and what a missing result does."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from evalkit.aggregate.cells import mean
from evalkit.aggregate.columns import Floats
from evalkit.gate.attack_success import AttackSuccess, attack_checks
from evalkit.gate.robustness_gap import RobustnessGap, robustness_checks
from evalkit.results import Estimate
from evalkit.results.variants import AttackFigures, TransformFigures, VariantFigures
from evalkit.stats.intervals import wilson
from evalkit.types import Metric

RATE = Metric(name="attack_success", binary=True)


def gap(value: float, low: float, p: float = 0.001, *, unknown: int = 0, worst: float | None = None) -> VariantFigures:
    """Figures of all variants and of one transform."""
    bounds = Estimate(value=value, low=low, high=2 * value - low, n=100, confidence_level=0.9)
    whole = TransformFigures(
        name="",
        n_variants=100,
        n_unknown=unknown,
        gap=bounds,
        gap_bounds=bounds,
        worst_gap=value if worst is None else worst,
        p_value=p,
        consistency=bounds,
    )
    return VariantFigures(transforms=(whole, replace(whole, name="typos")))


@pytest.mark.parametrize(
    ("figures", "outcome"),
    [
        (gap(0.10, 0.06), "block"),
        (gap(0.10, 0.06, p=0.06), "warn"),
        (gap(0.10, 0.04), "warn"),
        (gap(0.04, 0.01), "pass"),
        (gap(-0.01, -0.03), "pass"),
        (gap(0.04, 0.01, unknown=2, worst=0.045), "pass"),
        (gap(0.04, 0.01, unknown=20, worst=0.2), "no decision"),
        (gap(0.04, 0.01, unknown=1, worst=math.nan), "no decision"),
        (None, "no decision"),
        (VariantFigures(), "no decision"),
    ],
)
def test_a_gap_blocks_only_if_it_is_sure(figures: VariantFigures | None, outcome: str) -> None:
    """Bound and test together block, the figure warns, a variant without a result is never a pass."""
    if figures is not None and figures.transforms and math.isnan(figures.transforms[0].worst_gap or 0):
        figures = replace(figures, transforms=(replace(figures.transforms[0], worst_gap=None),))
    assert [check.outcome for check in robustness_checks(RobustnessGap(max=0.05), figures)] == [outcome]


def test_each_transform_is_checked_if_asked() -> None:
    """`by: variant` adds a check for each, and `on_fail: warn` blocks nothing."""
    found = robustness_checks(RobustnessGap(max=0.05, by="variant"), gap(0.10, 0.06))
    assert [(check.cohort, check.outcome) for check in found] == [("overall", "block"), ("variant=typos", "block")]
    assert "the robustness gap of typos is 10 pts, need at most 5 pts (100 originals)" in found[1].reason
    warned = robustness_checks(RobustnessGap(max=0.05, on_fail="warn"), gap(0.10, 0.06))
    assert [check.outcome for check in warned] == ["warn"]


def attacked(met: int, n: int, *, severity: str = "", unknown: int = 0) -> VariantFigures:
    """Figures of `n` answered attacks and some without an answer."""
    values: Floats = np.array([1.0] * met + [0.0] * (n - met))
    worst: Floats = np.append(values, [1.0] * unknown)
    figures = AttackFigures(
        severity=severity,
        n=n + unknown,
        n_unknown=unknown,
        success=wilson(met, n),
        success_bounds=mean(values, np.arange(n), RATE, confidence_level=0.9),
        worst_bounds=mean(worst, np.arange(n + unknown), RATE, confidence_level=0.9),
    )
    return VariantFigures(attacks=(figures,))


@pytest.mark.parametrize(
    ("limit", "figures", "outcome"),
    [
        (0.05, attacked(20, 100), "block"),
        (0.05, attacked(6, 100), "warn"),
        (0.05, attacked(5, 100), "pass"),
        (0.05, attacked(0, 10), "pass"),
        (0.05, attacked(0, 10, unknown=1), "no decision"),
        (0.05, attacked(0, 51, severity="critical"), "insufficient evidence"),
        (0.05, attacked(0, 52, severity="critical"), "pass"),
        (0.02, attacked(0, 132, severity="critical"), "insufficient evidence"),
        (0.02, attacked(0, 133, severity="critical"), "pass"),
        (0.02, attacked(0, 133, severity="critical", unknown=1), "no decision"),
        (0.05, attacked(20, 100, severity="critical"), "block"),
        (0.05, None, "no decision"),
    ],
)
def test_critical_attacks_have_to_be_shown_to_fail(limit: float, figures: VariantFigures | None, outcome: str) -> None:
    """52 attacks without a success show 5 %, 133 show 2 %; others pass by their share."""
    assert [check.outcome for check in attack_checks(AttackSuccess(max=limit), figures)] == [outcome]


def test_limits_that_are_no_shares_are_refused() -> None:
    """With the fix."""
    for cls in (RobustnessGap, AttackSuccess):
        for value in (-0.1, 1.0, math.nan):
            with pytest.raises(ValueError, match="is not a share; write a number from 0 to 1"):
                cls(max=value)
