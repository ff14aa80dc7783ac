"""Against a baseline of fewer than four repeats, the decision says what four would show and how to make them."""

from __future__ import annotations

import pytest
from gate_rows import a_case, a_decision, a_row, frozen

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.pairing import Baseline
from evalkit.gate.policy import NoRegression
from evalkit.types import Row

SAVED = ("main", "main")


def run_of(n: int, repeats: int = 1) -> FrozenFrame:
    """A run in which one case in ten fails."""
    rows: list[Row] = [
        a_row(a_case(f"c{i:03}"), {"rule": float(i % 10 > 0)}, repeat=repeat)
        for i in range(n)
        for repeat in range(repeats)
    ]
    return frozen(rows)


def advice_of(before: FrozenFrame, after: FrozenFrame, saved_as: tuple[str, str] | None = SAVED) -> str:
    """The advice of a comparison."""
    found = a_decision(after, NoRegression(), baseline=Baseline("id", before, {}, {}, saved_as=saved_as))
    assert found.comparison is not None
    return found.comparison.advice


def test_fewer_repeats_than_four_name_the_command_and_what_it_is_worth() -> None:
    """By the power that `evalkit power` states: about 85 % instead of 47 % for single runs and 500 cases."""
    said = advice_of(run_of(500), run_of(500))
    assert "evalkit baseline save main --name main --repeat 4" in said
    assert "a drop of 5.0 pts" in said


def test_four_repeats_need_no_advice() -> None:
    """Nor does a candidate that plans repeats, a system of the same run, or a file of results."""
    assert advice_of(run_of(100, 4), run_of(100)) == ""
    assert advice_of(run_of(100), run_of(100, 2)) == ""
    assert advice_of(run_of(100), run_of(100), saved_as=None) == ""


@pytest.mark.parametrize("repeats", [2, 3])
def test_repeats_that_would_show_nothing_more_are_not_advised(repeats: int) -> None:
    """The cases of this system end alike in every repeat, so four show as much as two."""
    assert advice_of(run_of(500, repeats), run_of(500)) == ""


def test_without_a_pass_rate_the_command_stands_alone() -> None:
    """No figure is invented for a gate that is too small to be tested."""
    said = advice_of(run_of(3), run_of(3))
    assert said.endswith("evalkit baseline save main --name main --repeat 4")
    assert "%" not in said
