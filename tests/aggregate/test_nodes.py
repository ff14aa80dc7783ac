"""Which node of an agent took what."""

from __future__ import annotations

import math
from typing import Any

import pytest
from aggregate_rows import RULE, a_case, a_row
from hypothesis import given
from hypothesis import strategies as st

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import freeze
from evalkit.aggregate.nodes import NodeCall, node_calls
from evalkit.aggregate.summary import summarise
from evalkit.results import Summary
from evalkit.types import Failure, Output, Row, Step, Usage

UNKNOWN = pytest.approx(math.nan, nan_ok=True)


def a_step(kind: str, name: str, parent: str | None = None, **more: Any) -> Step:
    """Make a step whose id is its name; `spent` is its tokens, `at` its start and end."""
    spent, at = more.pop("spent", None), more.pop("at", (None, None))
    usage = None if spent is None else Usage(input_tokens=spent, output_tokens=0, cost_usd=spent / 1000)
    return Step(
        **{"kind": kind, "name": name, "id": name, "parent": parent, "usage": usage, **more},
        started_s=at[0],
        ended_s=at[1],
    )


def calls_of(*steps: Step) -> dict[str, NodeCall]:
    """Return the calls by node, each called once."""
    found = {call.node: call for call in node_calls(steps)}
    assert len(found) == len(node_calls(steps))
    return found


def test_a_step_belongs_to_the_nearest_node_above_it() -> None:
    """An agent with two nodes: their model and tool steps are theirs, whatever lies between."""
    found = calls_of(
        a_step("agent", "desk", at=(0, 10)),
        a_step("node", "planner", "desk", at=(1, 4)),
        a_step("llm", "model", "planner", at=(1, 3), spent=100),
        a_step("node", "tools", "desk", at=(4, 9)),
        a_step("other", "wrapper", "tools", at=(4, 9)),
        a_step("tool", "refund", "wrapper", at=(5, 6), error="no such order"),
    )
    assert set(found) == {"desk", "planner", "tools"}
    assert (found["planner"].tokens, found["planner"].cost_usd, found["planner"].errored) == (100, 0.1, False)
    assert found["tools"].errored
    assert not found["desk"].errored
    assert {name: call.own_s for name, call in found.items()} == {"desk": 2, "planner": 3, "tools": 5}


def test_a_plain_loop_has_a_node_for_each_tool() -> None:
    """Steps without a node above them stand under their own names."""
    calls = node_calls([Step(kind="tool", name=name) for name in ("get", "get", "refund")])
    assert [call.node for call in calls] == ["get", "get", "refund"]
    assert [call.node for call in node_calls([Step(kind="llm")])] == ["llm"]


def test_an_agent_called_by_a_tool_is_not_the_time_of_the_outer_one() -> None:
    """What lies between two calls does not matter."""
    found = calls_of(
        a_step("agent", "outer", at=(0, 10)),
        a_step("tool", "delegate", "outer", at=(1, 9)),
        a_step("agent", "inner", "delegate", at=(2, 8)),
    )
    assert (found["outer"].own_s, found["inner"].own_s) == (4, 6)


def test_calls_at_the_same_time_are_taken_off_once() -> None:
    """Two of 4 s that overlap by 3 s take 5 s off, and one that ends late no more than there is."""
    found = calls_of(
        a_step("agent", "outer", at=(0, 10)),
        a_step("node", "a", "outer", at=(1, 5)),
        a_step("node", "b", "outer", at=(2, 6)),
        a_step("node", "c", "outer", at=(9, 12)),
    )
    assert found["outer"].own_s == 4


@pytest.mark.parametrize(
    "spans",
    [((None, None), (1, 2)), ((0, None), (1, 2)), ((0, 9), (None, None)), ((0, 9), (3, None)), ((9, 0), (1, 2))],
)
def test_unknown_times_are_not_zero(spans: Any) -> None:
    """One's own, or those of a call inside."""
    found = calls_of(a_step("agent", "outer", at=spans[0]), a_step("node", "inner", "outer", at=spans[1]))
    assert found["outer"].own_s == UNKNOWN


@pytest.mark.parametrize(
    ("steps", "tokens"),
    [
        ([a_step("llm", "m", "n", spent=5), a_step("llm", "m2", "n", spent=7)], 12),
        ([a_step("llm", "m", "n", spent=5), a_step("llm", "m2", "n")], None),
        ([a_step("llm", "m", "n", spent=5), a_step("tool", "t", "n")], 5),
        ([a_step("tool", "t", "n")], None),
        ([a_step("llm", "m", "n", usage=Usage(input_tokens=5))], None),
        ([a_step("llm", "m", "n", spent=5), a_step("tool", "t", "n", usage=Usage(output_tokens=5))], None),
        ([a_step("llm", "m", "n", spent=9), a_step("llm", "inner", "m", spent=9)], 9),
        ([a_step("llm", "m", "n"), a_step("llm", "inner", "m", spent=9)], 9),
        ([a_step("llm", "m", "n", spent=9), a_step("llm", "inner", "m")], None),
        ([], None),
    ],
)
def test_tokens_are_counted_once_and_unknown_ones_stay_unknown(steps: list[Step], tokens: int | None) -> None:
    """Of a node that reports none itself; tools need not report any."""
    found = calls_of(a_step("node", "n"), *steps)
    assert found["n"].tokens == (UNKNOWN if tokens is None else tokens)


def test_a_total_of_the_node_counts_where_its_steps_report_none() -> None:
    """And not beside theirs: parent and child are not two bills."""
    total = a_step("node", "n", spent=100)
    assert calls_of(total, a_step("llm", "m", "n"))["n"].tokens == 100
    assert calls_of(total, a_step("llm", "m", "n", spent=60))["n"].tokens == 60


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8), st.sampled_from(["node", "llm", "tool"])), max_size=9))
def test_any_parents_are_read(given_steps: list[tuple[int, int, str]]) -> None:
    """Cycles, repeated ids and parents that are not there."""
    steps = [Step(kind=kind, name="s", id=str(own), parent=str(above)) for own, above, kind in given_steps]  # type: ignore[arg-type]
    calls = node_calls(steps)
    assert len(calls) <= len(steps)
    assert bool(calls) == bool(steps)


def test_ten_thousand_steps_in_one_chain_are_read() -> None:
    """Each above the next: no recursion, and no walk of the whole chain for each."""
    steps = [a_step("node" if at % 2 else "llm", f"s{at}", f"s{at - 1}", at=(0, 1)) for at in range(10_000)]
    calls = node_calls(steps)
    assert len(calls) == 5_001
    assert sum(call.own_s for call in calls) == 1


def traced(name: str, *steps: Step, repeat: int = 0, **more: Any) -> Row:
    """Make a row whose output has a trajectory."""
    return a_row(a_case(name, **more), {"rule": 1.0}, repeat=repeat, output=Output(text="", trajectory=steps))


def summary_of(*rows: Row, asked: tuple[str, ...] = (), planned: int | None = None) -> Summary:
    """Summarise rows."""
    frame = Frame([RULE], ["topic"], planned_repeats=planned)
    for row in rows:
        frame.add(row)
    return summarise(freeze(frame), suite="s", expected=len(rows), asked=asked)


def planned_and_called(name: str, spent: int | None, seconds: float = 1.0, **more: Any) -> Row:
    """Make a row of a planner that asks a model, and of tools that fail."""
    return traced(
        name,
        a_step("node", "planner", at=(0, seconds)),
        a_step("llm", "model", "planner", spent=spent),
        a_step("node", "tools", at=(seconds, seconds + 1)),
        a_step("tool", "refund", "tools", error="no"),
        **more,
    )


def test_the_table_totals_the_calls_of_each_node() -> None:
    """With quantiles of single calls, and the share of all own time."""
    planner, tools = summary_of(*(planned_and_called(f"c{i}", 100, seconds=1.0 + i) for i in range(4))).nodes
    assert (planner.node, planner.calls, planner.errors, planner.tokens) == ("planner", 4, 0, 400)
    assert planner.cost_usd == pytest.approx(0.4)
    assert (planner.own_p50_s, planner.own_p95_s, planner.share_of_time) == (2, 4, pytest.approx(10 / 14))
    assert (tools.node, tools.calls, tools.errors) == ("tools", 4, 4)
    assert (tools.tokens, tools.unknown_tokens) == (None, 4)


def test_one_unknown_call_leaves_a_total_unknown() -> None:
    """And says of how many calls."""
    rows = [planned_and_called(f"c{i}", None if i == 1 else 100) for i in range(3)]
    rows.append(traced("c3", a_step("node", "planner", spent=1)))
    planner, tools = summary_of(*rows).nodes
    assert (planner.tokens, planner.cost_usd, planner.unknown_tokens, planner.unknown_cost) == (None, None, 1, 1)
    assert (planner.own_p50_s, planner.share_of_time, planner.unknown_times) == (None, None, 1)
    assert (tools.own_p50_s, tools.share_of_time) == (1, None)


def test_rows_count_once_and_as_planned() -> None:
    """A row that was written again replaces itself, and further repeats of suspect cases are left out."""
    rows = [planned_and_called("c0", 100), planned_and_called("c0", 300)]
    rows += [traced("c1", a_step("node", "planner", spent=1), repeat=repeat) for repeat in range(3)]
    (planner, _) = summary_of(*rows, planned=1).nodes
    assert (planner.calls, planner.tokens) == (2, 301)


def test_the_order_of_the_rows_changes_nothing() -> None:
    """The table is a function of the rows."""
    rows = [planned_and_called(f"c{i}", 100 * i) for i in range(5)]
    assert summary_of(*rows).nodes == summary_of(*rows[::-1]).nodes


def test_without_a_trajectory_there_is_no_table() -> None:
    """Nor with an empty one."""
    assert summary_of(a_row("c0", {"rule": 1.0}), traced("c1")).nodes == ()


def test_a_thousand_names_are_cut_and_told() -> None:
    """Such as tools with an id in their name."""
    summary = summary_of(traced("c0", *(a_step("tool", f"t{i:03}") for i in range(300)), a_step("tool", "t000")))
    assert len(summary.nodes) == 100
    assert (summary.nodes[0].node, summary.nodes[0].calls) == ("t000", 2)
    assert "300 nodes: the 100 with the most calls are listed" in summary.notes


def test_what_a_node_takes_is_a_metric_of_the_run() -> None:
    """A case that does not reach the node spent nothing there; one that says nothing is unknown."""
    rows = [planned_and_called("c0", 100), planned_and_called("c1", 300), traced("c2", a_step("node", "other"))]
    rows += [planned_and_called("c3", None), a_row("c4", {"rule": 1.0})]
    rows += [Row(case=a_case("c5"), failure=Failure("timeout", "no answer"))]
    cell = summary_of(*rows, asked=("tokens:planner",)).cell("tokens:planner")
    assert cell is not None
    assert cell.estimate.value == pytest.approx(400 / 3)
    assert (cell.n_cases, cell.n_scored, cell.n_unscored, cell.n_errored) == (6, 3, 2, 1)


def test_a_node_that_was_never_called_has_no_metric() -> None:
    """A node that was renamed does not look as if it took nothing."""
    assert summary_of(planned_and_called("c0", 100), asked=("tokens:plan",)).cell("tokens:plan") is None
