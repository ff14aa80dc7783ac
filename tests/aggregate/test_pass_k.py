"""pass^k and pass@k of cases with n runs, by the unbiased estimators."""

from __future__ import annotations

from itertools import combinations
from statistics import mean

import numpy as np
import pytest
from aggregate_rows import RULE, a_row
from hypothesis import given
from hypothesis import strategies as st

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.summary import summarise
from evalkit.results import Cell
from evalkit.types import Failure, Metric, Row


def run_of(verdicts: list[list[int | None]], cohorts: tuple[str, ...] = ()) -> FrozenFrame:
    """Freeze one case for each list, one run for each verdict; `None` could not be graded."""
    frame = Frame([RULE], cohorts)
    for number, runs in enumerate(verdicts):
        for repeat, passed in enumerate(runs):
            frame.add(a_row(f"c{number}", {"rule": None if passed is None else float(passed)}, repeat=repeat))
    return freeze(frame)


def cell_of(frame: FrozenFrame, name: str) -> Cell:
    """Return the overall cell of a metric that a gate asks for."""
    summary = summarise(frame, suite="s", expected=len(frame.row_case), asked=(name,))
    found = summary.cell(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "value"),
    [("pass_all_2", 1 / 6), ("pass_any_2", 5 / 6), ("pass_all_1", 0.5), ("pass_any_1", 0.5), ("pass_all_4", 0.0)],
)
def test_two_passes_of_four_runs(name: str, value: float) -> None:
    """One of the six pairs passes twice, and five of them at least once."""
    assert cell_of(run_of([[1, 0, 1, 0]]), name).estimate.value == pytest.approx(value)


@given(st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=6), min_size=1, max_size=5), st.integers(1, 4))
def test_the_estimate_is_the_share_of_all_choices_of_k_runs(verdicts: list[list[int | None]], k: int) -> None:
    """Unbiased: the mean over every set of k of the n runs, of whether all, or any, of them passed."""
    frame = run_of(verdicts)
    for name, holds in (("pass_all", all), ("pass_any", any)):
        chosen = [mean(float(holds(runs)) for runs in combinations(case, k)) for case in verdicts]
        assert cell_of(frame, f"{name}_{k}").estimate.value == pytest.approx(mean(chosen))


def test_a_case_with_fewer_scored_runs_has_no_value_and_is_counted() -> None:
    """Whether its runs could not be graded, failed, or were never planned."""
    frame = Frame([RULE], [])
    for number, runs in enumerate([[1, 1, 1], [1, 1, None], [1, 1]]):
        for repeat, passed in enumerate(runs):
            frame.add(a_row(f"c{number}", {"rule": passed}, repeat=repeat))
    failed = a_row("c3", {"rule": 1.0}).case
    for repeat in range(3):
        frame.add(Row(case=failed, repeat=repeat, failure=Failure("timeout", "no answer in 30 s")))
    summary = summarise(freeze(frame), suite="s", expected=12, asked=("pass_all_3",))
    cell = summary.cell("pass_all_3")
    assert cell is not None
    assert (cell.estimate.value, cell.n_cases, cell.n_scored, cell.n_unscored, cell.n_errored) == (1.0, 4, 1, 2, 1)
    assert "pass_all_3: 3 of 4 cases have fewer than 3 scored runs, and no value" in summary.notes


def test_no_case_with_enough_runs_says_so() -> None:
    """A figure that nothing supports is not a number."""
    cell = cell_of(run_of([[1, 1], [0, 1]]), "pass_any_3")
    assert cell.estimate.value is None
    assert cell.estimate.reason == "no case has 3 scored runs"


def test_what_no_scorer_judges_has_no_pass_all() -> None:
    """Without a pass mark there is nothing to count."""
    frame = Frame([Metric(name="grade")], [])
    frame.add(a_row("c0", {"grade": 0.5}))
    assert summarise(freeze(frame), suite="s", expected=1, asked=("pass_all_1",)).cell("pass_all_1") is None


def test_its_name_cannot_be_a_scorer() -> None:
    """As with every metric that a run has by itself."""
    with pytest.raises(ValueError, match="the name belongs to a metric that every run has"):
        Frame([Metric(name="pass_all_3")], [])


def test_dependent_cases_widen_the_interval() -> None:
    """Cases of one cluster are not independent, in this figure as in others."""
    alone, together = Frame([RULE], []), Frame([RULE], [])
    for number in range(12):
        for repeat in range(4):
            row = a_row(f"c{number}", {"rule": float(number % 4 > repeat)}, repeat=repeat)
            alone.add(row)
            together.add(
                Row(
                    case=type(row.case)(id=row.case.id, input="q", digest=row.case.digest, cluster=f"g{number % 4}"),
                    repeat=repeat,
                    output=row.output,
                    scores=row.scores,
                )
            )
    widths = []
    for frame in (alone, together):
        estimate = cell_of(freeze(frame), "pass_all_2").estimate
        widths.append(np.subtract(estimate.high, estimate.low))
    assert widths[1] > widths[0]
