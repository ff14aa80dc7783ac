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
def recorded(trials: tuple[int, ...] = (0, 1, 2, 3), *, more: int = 0) -> FrozenFrame:
    """Freeze the runs with their reward and number of calls; a task is a case, a trial a repeat.

    Args:
        trials: of each task, in the order of their repeats.
        more: calls that each run makes besides its own.
    """
    frame = Frame([REWARD, STEPS], [])
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        for given in map(json.loads, lines):
            task, _, trial = given["id"].rpartition("-t")
            if int(trial) not in trials:
                continue
            case = Case(id=task, input=given["input"], digest=hashlib.sha256(task.encode()).hexdigest())
            calls = tuple(ToolCall(each["name"], each["arguments"]) for each in given["tool_calls"])
            calls += (ToolCall("think"),) * more
            scores = {"reward": Score("reward", given["auto"]["reward"], passed=given["auto"]["reward"] == 1)}
            scores["steps"] = Score("steps", float(len(calls)))
            output = Output(text="", tool_calls=calls)
            frame.add(Row(case=case, repeat=trials.index(int(trial)), output=output, scores=scores))
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


def decided(before: FrozenFrame, after: FrozenFrame, metric: str) -> Decision:
    """Compare two runs by `no_regression`, with the number of calls as a score or as an amount."""
    check = NoRegression() if metric == "steps" else NoRegression(metrics=("pass_rate", metric))
    summary = summarise(after, suite="tau", expected=len(after.row_case))
    policy, baseline = Policy((check,), repeats=after.n_repeats), Baseline("main", before, {}, {})
    decision = decide(after, summary, policy, baseline=baseline, partial=None, seed=1, final=True)
    assert isinstance(decision, Decision)
    return decision


METRICS = pytest.mark.parametrize("metric", ["steps", "tool_calls_per_case"])


@METRICS
@pytest.mark.parametrize("trials", [(3, 2, 1, 0), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
def test_the_same_agent_does_not_drift(metric: str, trials: tuple[int, ...]) -> None:
    """Its trials in another order, and each half of them against the other."""
    others = tuple(trial for trial in range(4) if trial not in trials) or (0, 1, 2, 3)
    assert decided(recorded(others), recorded(trials), metric).outcome == "approved"


@METRICS
def test_two_more_calls_a_run_block(metric: str) -> None:
    """Though the answers, and so the reward, are the same."""
    decision = decided(recorded(), recorded(more=2), metric)
    assert decision.outcome == "blocked"
    check = next(each for each in decision.checks if each.metric == metric)
    assert check.baseline == pytest.approx(6.84)
    assert check.drop is not None
    assert check.drop.value == pytest.approx(2)
