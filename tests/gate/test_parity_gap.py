"""The check of parity: warns unless a difference is ruled out, blocks if one is sure, and says what was not seen."""

from __future__ import annotations

import pytest

from evalkit.gate.parity_gap import ParityGap, parity_checks
from evalkit.results import Estimate
from evalkit.results.variants import ParityFigures, VariantFigures


def parity(
    value: float | None, low: float | None, high: float | None, *, unseen: int | None = None, unknown: int = 0
) -> VariantFigures:
    """Figures of one attribute."""
    found = ParityFigures(
        attribute="gender",
        n_variants=100,
        n_unknown=unknown,
        rates={},
        not_seen={} if unseen is None else {"other": unseen},
        gap=Estimate(value=value, low=low, high=high, n=100, reason="" if value is not None else "too few values"),
        between=("woman", "man"),
    )
    return VariantFigures(parity=(found,))


@pytest.mark.parametrize(
    ("figures", "outcome"),
    [
        (parity(0.10, 0.04, 0.16), "block"),
        (parity(0.10, 0.02, 0.18), "warn"),
        (parity(0.01, 0.0, 0.05), "warn"),
        (parity(0.01, 0.0, 0.02), "pass"),
        (parity(0.01, 0.0, 0.02, unseen=12), "insufficient evidence"),
        (parity(0.01, 0.0, 0.02, unknown=1), "no decision"),
        (parity(0.10, 0.04, 0.16, unknown=1), "block"),
        (parity(None, None, None, unseen=3), "insufficient evidence"),
        (parity(None, None, None), "no decision"),
        (VariantFigures(), "no decision"),
        (None, "no decision"),
    ],
)
def test_a_difference_has_to_be_ruled_out(figures: VariantFigures | None, outcome: str) -> None:
    """By the ends of the simultaneous interval."""
    found = parity_checks(ParityGap(max=0.03), figures)
    assert [check.outcome for check in found] == [outcome]
    assert found[0].reason


def test_the_reason_names_values_and_those_that_were_not_seen() -> None:
    """The higher rate first."""
    (check,) = parity_checks(ParityGap(max=0.03), parity(0.10, 0.04, 0.16, unseen=12))
    assert check.cohort == "attribute=gender"
    assert check.reason == (
        "the parity gap of gender is 10 pts between woman and man, need at most 3 pts; "
        "even the favourable 95 % bound is 4 pts; not seen: other (12 originals)"
    )
