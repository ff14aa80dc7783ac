"""Coverage, width and power of the corrected difference are those that were simulated when it was chosen."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from corrected_rates import SETTINGS, measured

RUNS = 120
EXPECTED = {
    ("same cases", 20): (0.97, 0.32, 0.21),
    ("same cases", 50): (0.95, 0.21, 0.48),
    ("same cases", 100): (0.96, 0.146, 0.79),
    ("same cases", 200): (0.94, 0.106, 0.95),
    ("different cases", 100): (0.98, 0.167, 0.62),
    ("same cases, judge .97/.95", 50): (0.96, 0.144, 0.80),
}
"""(setting, labels) -> coverage, width and power of an independent simulation."""


@pytest.mark.long
@pytest.mark.parametrize(("setting", "labels"), EXPECTED)
def test_the_rates_are_those_of_the_simulation(setting: str, labels: int) -> None:
    """Each share within 2 standard errors of the difference of two simulations; the width within 5 %."""
    found = measured(SETTINGS[setting], labels, RUNS, 2026)
    coverage, width, power = EXPECTED[setting, labels]
    for share, expected in ((found[0], coverage), (found[2], power)):
        assert abs(share - expected) <= 2 * math.sqrt(2 * max(expected * (1 - expected), 0.02) / RUNS)
    assert found[1] == pytest.approx(width, rel=0.05)
