"""Amounts by case and by run that passed: what is unknown stays unknown."""

from __future__ import annotations

import pytest
from aggregate_rows import RULE, a_case, a_row

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.summary import summarise
from evalkit.results import Cell, Summary
from evalkit.types import Failure, Metric, Output, Row, Score, ToolCall, Usage


def an_output(cost: float | None = None, tokens: int | None = None, calls: int | None = None, **more: object) -> Output:
    """Make an output of known or unknown amounts; tokens are half in and half out."""
    half = None if tokens is None else tokens // 2
    usage = Usage(input_tokens=half, output_tokens=half, cost_usd=cost)
    made = None if calls is None else (ToolCall("t"),) * calls
    return Output(text="x", usage=usage, tool_calls=made, **more)  # type: ignore[arg-type]


def run_of(rows: list[Row], metrics: tuple[Metric, ...] = (RULE,), planned: int | None = None) -> FrozenFrame:
    """Freeze rows."""
    frame = Frame(metrics, ["topic"], planned_repeats=planned)
    for row in rows:
        frame.add(row)
    return freeze(frame)


def summary_of(rows: list[Row], *asked: str, planned: int | None = None) -> Summary:
    """Summarise rows."""
    return summarise(run_of(rows, planned=planned), suite="s", expected=len(rows), asked=asked)


def cell_of(summary: Summary, name: str, cohort: str = "overall") -> Cell:
    """Return a cell that must be there."""
    found = summary.cell(name, cohort)
    assert found is not None
    return found


def test_failures_are_paid_by_the_runs_that_pass() -> None:
    """Every amount of all runs, by two passes."""
    known = [(0.1, 100, 2, 1.0, 1), (0.2, 300, 4, 2.0, 0), (0.3, 200, 3, 3.0, 1)]
    rows = [
        a_row(f"c{i}", {"rule": float(passed)}, output=an_output(cost, tokens, calls, latency_s=seconds))
        for i, (cost, tokens, calls, seconds, passed) in enumerate(known)
    ]
    summary = summary_of(rows)
    values = {
        name: cell_of(summary, f"{name}_per_success").estimate.value
        for name in ("cost_usd", "tokens", "tool_calls", "seconds")
    }
    assert values == pytest.approx({"cost_usd": 0.3, "tokens": 300, "tool_calls": 4.5, "seconds": 3.0})
    assert cell_of(summary, "tokens_per_case").estimate.value == 200
    assert cell_of(summary, "tool_calls_per_case").estimate.value == 3


def test_one_unknown_amount_leaves_the_total_unknown() -> None:
    """A failed call may have cost money; an answer may not say."""
    rows = [a_row(f"c{i}", {"rule": 1.0}, output=an_output(0.1)) for i in range(3)]
    rows += [a_row("c3", {"rule": 1.0}, output=an_output(None))]
    rows += [Row(case=a_case("c4"), failure=Failure("timeout", "no answer"))]
    cell = cell_of(summary_of(rows), "cost_usd_per_success")
    assert (cell.estimate.value, cell.estimate.reason) == (None, "unknown for 2 runs")
    assert (cell.n_cases, cell.n_scored, cell.n_unscored, cell.n_errored) == (5, 3, 1, 1)


def test_a_skipped_case_is_not_a_run() -> None:
    """It cost nothing, because nothing was called."""
    rows = [a_row("c0", {"rule": 1.0}, output=an_output(0.1)), Row(case=a_case("c1"), skipped="quarantined")]
    assert cell_of(summary_of(rows), "cost_usd_per_success").estimate.value == pytest.approx(0.1)


def test_no_run_passed() -> None:
    """Not infinity."""
    cell = cell_of(summary_of([a_row("c0", {"rule": 0.0}, output=an_output(0.1))]), "cost_usd_per_success")
    assert (cell.estimate.value, cell.estimate.reason) == (None, "no run passed")


def test_a_run_with_a_missing_grade_did_not_pass() -> None:
    """What it cost counts all the same."""
    rows = [a_row("c0", {"rule": 1.0}, output=an_output(0.1)), a_row("c1", {"rule": None}, output=an_output(0.1))]
    assert cell_of(summary_of(rows), "cost_usd_per_success").estimate.value == pytest.approx(0.2)


def test_runs_that_were_repeated_because_they_failed_do_not_count() -> None:
    """The gate asks suspect cases again; their further runs would raise the figure of an unchanged system."""
    rows = [a_row("c0", {"rule": 1.0}, output=an_output(0.1))]
    rows += [a_row("c1", {"rule": 0.0}, output=an_output(0.1), repeat=repeat) for repeat in range(4)]
    assert cell_of(summary_of(rows, planned=1), "cost_usd_per_success").estimate.value == pytest.approx(0.2)


def test_unknown_amounts_are_shown_only_where_the_gate_asks() -> None:
    """A suite without tools is not told in each report that it has none."""
    rows = [a_row("c0", {"rule": 1.0}, output=an_output(0.1))]
    assert summary_of(rows).cell("tool_calls_per_success") is None
    assert summary_of(rows).cell("tool_calls_per_case") is None
    asked = cell_of(summary_of(rows, "tool_calls_per_success"), "tool_calls_per_success")
    assert asked.estimate.reason == "unknown for 1 run"


def test_a_cohort_has_its_own_figure_where_the_gate_asks() -> None:
    """One topic of two fails more, so a success costs more there."""
    rows = [
        a_row(a_case(f"c{i}", cohorts={"topic": "ab"[i % 2]}), {"rule": float(i % 4 != 1)}, output=an_output(1.0))
        for i in range(40)
    ]
    assert summary_of(rows).cell("cost_usd_per_success", "topic=b") is None
    summary = summary_of(rows, "cost_usd_per_success")
    assert cell_of(summary, "cost_usd_per_success", "topic=a").estimate.value == 1
    assert cell_of(summary, "cost_usd_per_success", "topic=b").estimate.value == 2


def test_without_a_pass_mark_there_is_no_success() -> None:
    """A grade alone says of no run that it passed."""
    row = Row(case=a_case("c"), output=an_output(0.1), scores={"grade": Score("grade", 0.5)})
    summary = summarise(run_of([row], (Metric(name="grade"),)), suite="s", expected=1, asked=("cost_usd_per_success",))
    assert summary.cell("cost_usd_per_success") is None


def test_only_tokens_in_and_out_make_tokens() -> None:
    """One of them alone is not the total."""
    row = a_row("c", {"rule": 1.0}, output=Output(text="", usage=Usage(output_tokens=5)))
    assert run_of([row]).amounts.cases["tokens"].values.tolist() == pytest.approx([float("nan")], nan_ok=True)
