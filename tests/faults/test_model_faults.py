"""Faults of models and of the way to them: what waits, what is tried again, what becomes of the case."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.llm.errors import JudgeError
from evalkit.testing import FakeModel, Fault

SUITE = """\
name: faults
golden: cases.jsonl
system: SYSTEM
JUDGE
concurrency: 16
scorers:
  - exact
SCORER
gate:
  - exact: {min: 0.5}
"""
JUDGE = 'judge: {chat: {model: m, base_url: "BASE_URL", max_retries: 0}}'
SCORER = "  - judge: {name: correctness, rubric: correctness, pass: 4, GIVEN}"


class Verdict(BaseModel):
    """A small form."""

    score: Literal[1, 2, 3, 4, 5]


class Wakes:
    """Instead of waiting, notes for each question when it would be back."""

    def __init__(self) -> None:
        self.now: dict[Any, float] = defaultdict(float)
        self.waits: list[float] = []
        self.times: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Put the question's own clock forward."""
        task = asyncio.current_task()
        self.now[task] += seconds
        self.waits.append(seconds)
        self.times.append(self.now[task])
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("retry_after", "asked_s"),
    [("3", 3.0), ("0", 0.0), ("-5", 0.0), ("soon", 0.0), (None, 0.0)],
    ids=str,
)
def test_fifty_clients_that_are_turned_away_do_not_come_back_together(retry_after: str | None, asked_s: float) -> None:
    """Nobody returns before it was asked to, and no tenth of a second sees more than a tenth of all returns."""
    wakes = Wakes()

    async def run() -> FakeModel:
        always = Fault(kind="status", status=429, retry_after=retry_after)
        async with FakeModel(always=always) as server:
            config = ChatConfig(model="m", base_url=server.base_url, max_retries=6, deadline_s=10_000)
            async with ChatClient(config, env={}, concurrency=50, sleep=wakes) as client:
                asked = (client.text(str(number)) for number in range(50))
                ended = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(each, JudgeError) and each.kind == "http_429" for each in ended)
        return server

    server = asyncio.run(run())
    assert len(server.requests) == 50 * 7
    assert min(wakes.waits) >= asked_s
    buckets = Counter(int(time * 10) for time in wakes.times)
    assert max(buckets.values()) <= len(wakes.times) / 10
    assert server.most_in_flight <= 50


def test_a_billion_seconds_are_not_waited_for() -> None:
    """What the deadline does not hold fails at once, with the server's own words."""
    wakes = Wakes()

    async def run() -> None:
        async with FakeModel(always=Fault(kind="status", status=429, retry_after="1000000000")) as server:
            config = ChatConfig(model="m", base_url=server.base_url)
            async with ChatClient(config, env={}, sleep=wakes) as client:
                await client.text("q")

    with pytest.raises(JudgeError, match="1000000"):
        asyncio.run(run())
    assert wakes.waits == []


def run_suite(root: Path, *, system: str, judge: str = "", scorer: str = "", cases: int = 60) -> tuple[Any, list[Any]]:
    """A run in a process of its own: how it ended, and its rows."""
    text = SUITE.replace("SYSTEM", system).replace("JUDGE", judge).replace("SCORER", scorer)
    (root / "suite.yaml").write_text(text, encoding="utf-8")
    (root / "pyproject.toml").touch()
    with (root / "cases.jsonl").open("w", encoding="utf-8") as file:
        for number in range(cases):
            case = {"id": str(number), "input": f"say {number}", "reference": str(number), "answer": str(number)}
            file.write(json.dumps(case) + "\n")
    command = [sys.executable, "-m", "evalkit", "run", "suite.yaml", "--out", "run", "--progress", "none"]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=600)
    lines = (root / "run" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    return ended, [json.loads(line)["row"] for line in lines]


def said(request: dict[str, Any]) -> str:
    """The number that the case asks for."""
    return str(request["messages"][-1]["content"]).removeprefix("say ")


def test_a_burst_of_server_errors_is_ridden_out(tmp_path: Path) -> None:
    """Three in ten calls fail in four ways; every case is answered, and its row says how many calls that took."""
    draw = random.Random(5)
    kinds = [Fault(kind="status"), Fault(kind="reset"), Fault(kind="reset_in_body"), Fault(kind="status", status=502)]
    faults = [draw.choice(kinds) if draw.random() < 0.3 else None for _ in range(60)]
    with FakeModel(said, faults=faults) as server:
        system = f'{{chat: m, base_url: "{server.base_url}", retries: 6}}'
        ended, rows = run_suite(tmp_path, system=system)
    assert ended.returncode == 0, ended.stdout
    assert len(rows) == 60
    assert sum(row["output"].get("attempts", 1) for row in rows) == len(server.requests) > 70


def test_a_name_that_does_not_resolve_ends_the_run(tmp_path: Path) -> None:
    """No decision after the first calls, with what to do; no case is asked in vain."""
    ended, rows = run_suite(tmp_path, system='{chat: m, base_url: "http://nowhere.invalid/v1", retries: 0}')
    assert ended.returncode == 3
    assert "cannot be reached; start it or fix its address" in " ".join(ended.stdout.split())
    assert rows == []


@pytest.mark.parametrize("kind", ["silent", "drip", "endless"])
def test_a_stream_that_does_not_end_is_left(kind: Any) -> None:
    """The time-out holds within a second, and no task is left behind."""

    async def run() -> tuple[float, set[Any]]:
        loop = asyncio.get_running_loop()
        async with FakeModel(always=Fault(kind=kind)) as server:
            config = ChatConfig(model="m", base_url=server.base_url, timeout_s=1.0, max_retries=0)
            began = loop.time()
            async with ChatClient(config, env={}) as client:
                with pytest.raises(JudgeError, match="too_large" if kind == "endless" else "timeout"):
                    await client.text("q")
            took_s = loop.time() - began
        await asyncio.sleep(0.05)
        return took_s, asyncio.all_tasks() - {asyncio.current_task()}

    took_s, left = asyncio.run(run())
    assert took_s < 2.0
    assert left == set()


@pytest.mark.parametrize(
    ("share", "fault"),
    [
        (0.1, Fault(kind="status", status=500)),
        (0.1, Fault(kind="refusal")),
        (0.1, Fault(kind="truncated")),
        (0.1, Fault(kind="not_json")),
        (1.0, Fault(kind="status", status=503)),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else str(value),
)
def test_a_failing_judge_is_never_a_score(share: float, fault: Fault, tmp_path: Path) -> None:
    """Cases that the judge failed are unscored, the mean is that of the others, and the run decides nothing."""
    failing = int(60 * share)
    with FakeModel([{"reason": "r", "score": 4}], faults=[fault] * failing) as server:
        judge = JUDGE.replace("BASE_URL", server.base_url)
        ended, rows = run_suite(
            tmp_path, system="{replay: golden}", judge=judge, scorer=SCORER.replace("GIVEN", "advisory: false")
        )
    grades = [row["scores"]["correctness"] for row in rows]
    assert sum("unscored" in grade for grade in grades) == failing
    assert {grade["value"] for grade in grades if "value" in grade} <= {4}
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    cell = next(each for each in summary["cells"] if (each["metric"], each["cohort"]) == ("correctness", "overall"))
    assert cell["estimate"]["value"] == (4.0 if share < 1 else None)
    assert cell["estimate"]["n"] == 60 - failing
    assert ended.returncode == 3
    decision = json.loads((tmp_path / "run" / "decision.json").read_text(encoding="utf-8"))
    (coverage,) = [check for check in decision["checks"] if check["name"] == "coverage"]
    assert coverage["outcome"] == "no decision"
    assert f"{60 - failing} of 60" in coverage["reason"]
