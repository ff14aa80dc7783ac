"""Recorded runs of an agent: 25 tasks of tau-bench airline, four runs each, and the figures that follow from them."""

from __future__ import annotations

import gzip
import hashlib
import json
from functools import cache
from pathlib import Path

import pytest

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.summary import summarise
from evalkit.types import Case, Metric, Output, Row, Score, ToolCall

DATA = Path(__file__).parents[3] / "shared" / "data" / "tools_tau_airline_dev.jsonl.gz"
REWARD = Metric(name="reward", binary=True)
pytestmark = pytest.mark.skipif(not DATA.is_file(), reason="the recorded runs are not on this machine")


@cache
def recorded() -> FrozenFrame:
    """Freeze the runs with their reward; a task is a case, a trial a repeat."""
    frame = Frame([REWARD], [])
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        for given in map(json.loads, lines):
            task, _, trial = given["id"].rpartition("-t")
            case = Case(id=task, input=given["input"], digest=hashlib.sha256(task.encode()).hexdigest())
            calls = tuple(ToolCall(each["name"], each["arguments"]) for each in given["tool_calls"])
            score = Score("reward", given["auto"]["reward"], passed=given["auto"]["reward"] == 1)
            output = Output(text="", tool_calls=calls)
            frame.add(Row(case=case, repeat=int(trial), output=output, scores={"reward": score}))
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
