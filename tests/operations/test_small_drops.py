"""`evalkit power` says how often a 5-point drop is found, against a baseline of one run and of four."""

from __future__ import annotations

import pytest

from evalkit.operations.noise import detectable
from evalkit.operations.power import small_drop_of

SIZES = {"overall": 500, "k=a": 250, "k=b": 100, "k=c": 70, "k=d": 50, "k=e": 30}


def test_the_figures_are_those_of_the_benchmark() -> None:
    """24 gates and 500 cases: 46 of 100 runs against one stored run, and 86 against four (docs/error-rates.md)."""
    gates = detectable({"pass_rate": SIZES}, {}, critical=frozenset({"k=e"}), alpha=0.01, metrics=4)
    assert gates[0].small_drop == pytest.approx(0.46, abs=0.03)
    assert gates[0].small_drop_with_repeats == pytest.approx(0.86, abs=0.03)
    assert small_drop_of(gates).startswith("a drop of 5 points overall is found in 4")
    assert small_drop_of(gates).endswith("against a baseline of 4 runs of each case")


def test_a_gate_that_is_not_tested_finds_nothing() -> None:
    """Nothing is said about it."""
    gates = detectable({"pass_rate": {"overall": 3}}, {}, critical=frozenset(), alpha=0.01)
    assert gates[0].small_drop == 0
    assert small_drop_of(gates) == ""
