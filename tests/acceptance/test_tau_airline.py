"""Recorded runs of an agent: 25 tasks of tau-bench airline, four runs each, and the figures that follow from them."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from functools import cache
from pathlib import Path

import pytest

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.summary import summarise
from evalkit.gate.decide import decide
from evalkit.gate.pairing import Baseline
from evalkit.gate.policy import NoRegression, Policy
from evalkit.results import Decision
from evalkit.types import Case, Metric, Output, Row, Score, ToolCall

DATA = Path(__file__).parents[3] / "shared" / "data" / "tools_tau_airline_dev.jsonl.gz"
REWARD = Metric(name="reward", binary=True)
STEPS = Metric(name="steps", high=math.inf, higher_is_better=False, unit="steps")
pytestmark = pytest.mark.skipif(not DATA.is_file(), reason="the recorded runs are not on this machine")


@cache
def recorded(*, shift: int = 0, more: int = 0, steps: bool = False) -> FrozenFrame:
    """Freeze the runs with their reward; a task is a case, a trial a repeat.

    Args:
        shift: by which the trials of a task are moved on, so that pairs by repeat would differ.
        more: calls that each run makes besides its own.
        steps: score the number of calls too.
    """
    frame = Frame([REWARD, STEPS] if steps else [REWARD], [])
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        for given in map(json.loads, lines):
            task, _, trial = given["id"].rpartition("-t")
            case = Case(id=task, input=given["input"], digest=hashlib.sha256(task.encode()).hexdigest())
            calls = tuple(ToolCall(each["name"], each["arguments"]) for each in given["tool_calls"])
            calls += (ToolCall("think"),) * more
            scores = {"reward": Score("reward", given["auto"]["reward"], passed=given["auto"]["reward"] == 1)}
            scores |= {"steps": Score("steps", float(len(calls)))} if steps else {}
            output = Output(text="", tool_calls=calls)
            frame.add(Row(case=case, repeat=(int(trial) + shift) % 4, output=output, scores=scores))
    return freeze(frame)


@pytest.mark.parametrize(
    ("name", "values"), [("pass_all", (0.46, 0.32, 0.26, 0.24)), ("pass_any", (0.46, 0.60, 0.68, 0.72))]
)
def test_pass_k_of_recorded_trials(name: str, values: tuple[float, ...]) -> None:
    """pass^1..4 and pass@1..4 of the final-database reward, as tau-bench computes them."""
    asked = tuple(f"{name}_{k}" for k in range(1, 5))
    summary = summarise(recorded(), suite="tau", expected=100, asked=asked)
    found = [summary.cell(metric) for metric in asked]
    assert [each.estimate.value for each in found if each] == pytest.approx(values, abs=0.005)
    assert {each.n_scored for each in found if each} == {25}


def test_what_a_success_takes() -> None:
    """684 calls of tools in all, 46 runs that end in the right state."""
    cell = summarise(recorded(), suite="tau", expected=100).cell("tool_calls_per_success")
    assert cell is not None
    assert cell.estimate.value == pytest.approx(684 / 46)
    assert cell.estimate.low is not None
    assert cell.estimate.high is not None
    assert cell.estimate.low < 684 / 46 < cell.estimate.high


@pytest.mark.parametrize("metric", ["steps", "tool_calls_per_case"])
def test_two_more_calls_a_run_block_and_shuffled_repeats_do_not(metric: str) -> None:
    """Drift of the number of calls, measured by a scorer without an upper end, or as an amount."""
    policy = NoRegression() if metric == "steps" else NoRegression(metrics=("pass_rate", metric))
    for shift, more, outcome in ((1, 0, "approved"), (1, 2, "blocked")):
        before, after = recorded(steps=True), recorded(shift=shift, more=more, steps=True)
        summary = summarise(after, suite="tau", expected=100)
        decision = decide(
            after,
            summary,
            Policy((policy,), repeats=4),
            baseline=Baseline("main", before, {}, {}),
            partial=None,
            seed=1,
        )
        assert isinstance(decision, Decision)
        assert decision.outcome == outcome
    check = next(each for each in decision.checks if each.metric == metric)
    assert check.baseline == pytest.approx(6.84)
    assert check.drop is not None
    assert check.drop.value == pytest.approx(2, abs=0.01)
