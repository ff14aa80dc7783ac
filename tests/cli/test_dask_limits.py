"""`evalkit run --engine dask` keeps the limits of an endpoint and the budget with all workers together."""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cli_project import Project

from evalkit.testing import FakeModel
from evalkit.testing.faults import Fault

SUITE = """\
name: limited
golden: cases.jsonl
system: {chat: m, base_url: "BASE_URL", prices: {input_usd_per_million: 10, output_usd_per_million: 0}LIMITS}
scorers: [{length: {max: 100}}]
concurrency: 64
"""
FLAGS = ("--engine", "dask", "--workers", "4", "--shard-size", "100", "--no-report", "--progress", "none", "--json")


class TimedModel(FakeModel):
    """A model that notes when it was called."""

    def __init__(self, **settings: Any) -> None:
        self.times: list[float] = []
        super().__init__(self._timed, **settings)

    def _timed(self, request: Mapping[str, Any]) -> str:
        self.times.append(time.monotonic())
        return "an answer"

    def most_within(self, seconds: float) -> int:
        """Return the largest number of calls in any window of so many seconds."""
        found = sorted(self.times)
        return max(bisect_left(found, at + seconds) - first for first, at in enumerate(found))


def run(root: Path, model: FakeModel, n: int, limits: str = "", *flags: str) -> dict[str, Any]:
    """Run so many cases on four workers, and return the decision."""
    project = Project(root)
    project.cases(n)
    project.suite(text=SUITE.replace("BASE_URL", model.base_url).replace("LIMITS", limits))
    ran = project.run("run", "suite.yaml", "--out", "out", *FLAGS, *flags)
    assert ran.returncode in (0, 3), ran.stderr
    decision: dict[str, Any] = json.loads(ran.stdout)
    return decision


@pytest.mark.long
def test_four_workers_keep_one_rate(tmp_path: Path) -> None:
    """200 calls a second in all: no window of 10 s sees 5 % more, and idle workers leave theirs to the others."""
    with TimedModel() as model:
        run(tmp_path, model, 4_000, ", requests_per_minute: 12000")
    assert len(model.times) == 4_000
    assert model.most_within(10) <= 2_100
    assert max(model.times) - min(model.times) >= 4_000 / 200 * 0.95


def test_a_worker_alone_has_the_whole_rate(tmp_path: Path) -> None:
    """One shard is run by one of four workers: it does not keep to a quarter."""
    with TimedModel() as model:
        run(tmp_path, model, 60, ", requests_per_minute: 600", "--shard-size", "1000")
    assert 59 / 10 * 0.9 <= max(model.times) - min(model.times) < 59 / 10 * 2
    assert model.most_within(1) <= 14


def test_a_budget_is_exceeded_by_the_calls_in_flight_alone(tmp_path: Path) -> None:
    """A thousandth of a dollar each, four workers, 64 calls in flight."""
    with TimedModel(latency_s=0.02, usage={"prompt_tokens": 100, "completion_tokens": 1}) as model:
        decision = run(tmp_path, model, 900, "", "--budget", "0.4")
    assert "budget reached" in decision["reasons"][0]
    assert 400 <= len(model.times) <= 400 + 64


def test_all_workers_wait_if_the_endpoint_asks_one_to(tmp_path: Path) -> None:
    """A 429 with Retry-After empties the limit of all: nothing is sent meanwhile but what was on its way."""
    faults = [*[None] * 40, Fault(kind="status", status=429, retry_after="4")]
    with TimedModel(faults=faults) as model:
        run(tmp_path, model, 120, ", requests_per_minute: 1200", "--shard-size", "10", "--concurrency", "8")
    found = sorted(model.times)
    gaps = [later - earlier for earlier, later in pairwise(found)]
    assert len(found) == 120
    assert max(gaps) >= 4 - 8 / 20 - 0.1
