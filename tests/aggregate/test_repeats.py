"""Several runs of a case: the rule that reads them, pass@k, pass^k, and how far they disagree."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from aggregate_rows import RULE, a_row
from hypothesis import given
from hypothesis import strategies as st

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.repeat_rules import check_rule
from evalkit.aggregate.summary import summarise


def run_of(verdicts: list[list[int | None]], rule: str = "mean") -> FrozenFrame:
    """One case for each list, one run for each verdict; `None` could not be graded."""
    frame = Frame([RULE], [], (), rule)
    for number, runs in enumerate(verdicts):
        for repeat, passed in enumerate(runs):
            frame.add(a_row(f"c{number}", {"rule": None if passed is None else float(passed)}, repeat=repeat))
    return freeze(frame)


@pytest.mark.parametrize(
    ("rule", "rate"),
    [("mean", (1 + 2 / 3 + 1 / 3 + 0) / 4), ("all", 0.25), ("any", 0.75), ("majority", 0.5), ("rate:0.6", 0.5)],
)
def test_a_rule_reads_the_runs_of_a_case(rule: str, rate: float) -> None:
    """Three, two, one and no pass of three."""
    frame = run_of([[1, 1, 1], [1, 1, 0], [0, 1, 0], [0, 0, 0]], rule)
    assert frame.cases["pass_rate"].values.mean() == pytest.approx(rate)


@given(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=8))
def test_pass_any_and_all_are_what_counting_says(verdicts: list[list[int | None]]) -> None:
    """pass@3, pass^3, and the share of pairs that differ, case by case."""
    frame = run_of(verdicts)
    assert frame.cases["pass_any"].values.tolist() == [float(any(runs)) for runs in verdicts]
    assert frame.cases["pass_all"].values.tolist() == [float(all(runs)) for runs in verdicts]
    differ = [np.mean([a != b for a, b in combinations(runs, 2)]) for runs in verdicts]
    assert frame.cases["pass_spread"].values.tolist() == pytest.approx(differ)


def test_single_runs_have_none_of_it() -> None:
    """One run shows neither; nor do a few cases that were run again."""
    assert "pass_any" not in run_of([[1], [0]]).cases
    assert "pass_all" not in run_of([[1, 1, 1], [0]]).cases


def test_a_case_without_two_verdicts_is_unknown() -> None:
    """Not a pass, not a failure, and counted."""
    summary = summarise(run_of([[1, 1], [1, None]]), suite="s", expected=4)
    cell = summary.cell("pass_all", "overall")
    assert cell is not None
    assert (cell.n_cases, cell.n_scored) == (2, 1)


@pytest.mark.parametrize("rule", ["most", "rate", "rate:2", "rate:x", ""])
def test_what_is_no_rule_is_refused(rule: str) -> None:
    """With those that there are."""
    with pytest.raises(ValueError, match="write mean, all, any, majority, or rate"):
        check_rule(rule)
    with pytest.raises(ValueError, match="is not a rule"):
        run_of([[0, 0], [0, 0]], rule)
