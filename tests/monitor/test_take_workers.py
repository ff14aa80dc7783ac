"""`take` whose judges are asked by workers finds what it finds without; the workers of most tests are threads."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from monitor_lab import DAY, MONITOR, START, MonitorLab, row

from evalkit.errors import EvalkitError, InputError, RunError
from evalkit.monitor.sampled_texts import kept_days, sampled_rows
from evalkit.monitor.workers import open_judges
from evalkit.operations.monitor_take import TakenCalls, TakeRequest, take
from evalkit.operations.run import EngineFlags
from evalkit.runner.engines.base import Attempted, EngineTask, ShardEnd
from evalkit.runner.engines.worker import close_run, run_shard
from evalkit.store.running import Running
from evalkit.store.shards import SHARDS, ShardFolder
from evalkit.testing import FakeModel, Fault

JUDGED = MONITOR.replace("scorers: [", "scorers: [{judge: {rubric: tone}}, ")
ON_TWO = EngineFlags(engine="dask", workers=2)


def monitor(address: str, more: str = "most: 1", keys: str = "") -> str:
    """A monitor whose judge, at an address, has a price."""
    prices = "prices: {input_usd_per_million: 10, output_usd_per_million: 10}"
    return f'{JUDGED}judge: {{chat: {{model: toy, base_url: "{address}", {prices}}}}}\nsample: {{{more}}}\n{keys}'


def verdict(request: dict[str, Any]) -> dict[str, Any]:
    """A reply that depends on the question alone."""
    text = json.dumps(request["messages"])
    return {"reason": "because", "score": 1 + hashlib.sha256(text.encode()).digest()[0] % 5}


class Threads:
    """An engine that runs one shard after the other in a thread of this process."""

    def __init__(self) -> None:
        self.workers = 2
        self.n_opened = self.n_closed = 0
        self.n_shards: list[int] = []
        self.attempt: Callable[[Path, int], ShardEnd] = lambda shards, number: run_shard(
            shards, number, 1, number % 2, open_judges
        )

    def made(self, workers: int, scheduler: str | None, task: EngineTask) -> Threads:
        """Stand in for the engine of Dask."""
        assert task.opens is open_judges
        return self

    def open(self) -> None:
        """Count."""
        self.n_opened += 1

    def run(self, shards: Path, numbers: Sequence[int], attempted: Attempted, stopped: Callable[[], bool]) -> None:
        """Run every shard."""
        self.n_shards.append(len(numbers))
        for number in numbers:
            if stopped():
                return
            attempted(number, self.attempt(shards, number))

    def close(self) -> None:
        """Close what the worker holds open."""
        self.n_closed += 1
        close_run()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Threads:
    """The engine of every take of the test."""
    made = Threads()
    monkeypatch.setattr("evalkit.runner.engines.dask.DaskEngine", made.made)
    return made


def taken(lab: MonitorLab, engine: EngineFlags | None = ON_TWO) -> TakenCalls:
    """Take the folder of logs."""
    request = TakeRequest(
        file=lab.file, logs=[str(lab.logs)], env={}, now=lambda: lab.now, stdin=io.BytesIO(), engine=engine
    )
    return asyncio.run(take(request))


def lab_in(folder: Path, text: str, n: int = 300) -> MonitorLab:
    """A project with calls of two days."""
    folder.mkdir()
    lab = MonitorLab(folder, text)
    lab.log([row(i, i * 400.0) for i in range(n)])
    return lab


def kept(lab: MonitorLab) -> dict[str, bytes]:
    """Every file of the monitor but the database, whose pages depend on the moment."""
    files = [file for file in lab.folder.rglob("*") if file.is_file() and not file.name.startswith("series.sqlite")]
    return {str(file.relative_to(lab.folder)): file.read_bytes() for file in files}


def forget(lab: MonitorLab) -> None:
    """Delete what was taken, and the judge's replies."""
    shutil.rmtree(lab.folder)
    shutil.rmtree(lab.root / ".evalkit", ignore_errors=True)


def test_workers_find_what_one_process_finds(engine: Threads, tmp_path: Path) -> None:
    """Byte for byte: observations, texts, journal and series; each call is asked about once, and no shard is left."""
    with FakeModel(verdict) as model:
        lab = lab_in(tmp_path / "lab", monitor(model.base_url))
        plain, files, series = taken(lab, None), kept(lab), lab.dumped()
        n_asked = len(model.requests)
        forget(lab)
        assert taken(lab) == plain
        assert len(model.requests) == 2 * n_asked
    assert plain.n_judged == 300
    assert plain.spent_usd > 0
    assert (kept(lab), lab.dumped()) == (files, series)
    assert (engine.n_opened, engine.n_closed) == (1, 1)
    assert engine.n_shards == [4]
    assert not (lab.folder / SHARDS).exists()


def test_a_small_sample_starts_no_worker(engine: Threads, tmp_path: Path) -> None:
    """Fewer than 100 sampled calls are graded sooner than workers start."""
    with FakeModel(verdict) as model:
        lab = lab_in(tmp_path / "few", monitor(model.base_url), 99)
        assert taken(lab).n_judged == 99
        assert engine.n_opened == 0
        lab.log([row(i, i * 400.0) for i in range(99, 199)], "b.jsonl")
        assert taken(lab).n_judged == 100
    assert engine.n_opened == 1


def test_a_judge_that_workers_cannot_reach_ends_take_and_loses_no_call(engine: Threads, tmp_path: Path) -> None:
    """With the message of one process; the next take, by workers again, judges these calls."""
    with FakeModel(verdict) as model:
        lab = lab_in(tmp_path / "lab", monitor(model.base_url), 120)
        text = lab.file.read_text(encoding="utf-8")
        lab.file.write_text(text.replace(model.base_url, "http://127.0.0.1:9/v1"), encoding="utf-8")
        with pytest.raises(
            RunError, match=r"^judge: http://127\.0\.0\.1:9/v1 cannot be reached; start it, then run the command again$"
        ):
            taken(lab)
        assert lab.ids() == []
        assert not (lab.folder / SHARDS).exists()
        lab.file.write_text(text, encoding="utf-8")
        assert (taken(lab).n_judged, len(lab.ids())) == (120, 120)


def test_a_refused_key_ends_take(engine: Threads, tmp_path: Path) -> None:
    """It is no property of the calls, which stay to be judged."""
    with FakeModel(always=Fault(kind="status", status=401)) as model:
        lab = lab_in(tmp_path / "lab", monitor(model.base_url), 120)
        with pytest.raises(RunError, match=r"refused the key \(http_401\); fix the key, then run the command again"):
            taken(lab)
    assert lab.ids() == []


def test_the_budget_of_a_day_is_one_for_all_workers(engine: Threads, tmp_path: Path) -> None:
    """Each call costs 0.0011 dollars: the calls beyond 0.1 dollars, but for those in flight, are not judged."""
    with FakeModel(verdict) as model:
        lab = lab_in(tmp_path / "lab", monitor(model.base_url, "most: 1, budget_usd_per_day: 0.1", "concurrency: 4\n"))
        found = taken(lab)
        assert 0.1 <= found.spent_usd < 0.1 + 4 * 0.0011
        assert found.unjudged.kind == "budget"
        assert found.n_judged + found.unjudged.n == 300
        lab.log([row(i, i * 400.0) for i in range(300, 420)], "b.jsonl")
        assert taken(lab).n_judged == 0


def test_calls_that_ended_two_workers_are_not_judged(engine: Threads, tmp_path: Path) -> None:
    """Every other call of their shard is; nobody's grade is made up."""
    run = engine.attempt

    def dies_twice(shards: Path, number: int) -> ShardEnd:
        folder = next(shards.glob(f"{number:04d}"))
        first = next(ShardFolder(folder).work())
        for attempt in ("a1.host-1-x", "a2.host-2-x"):
            (folder / attempt).mkdir()
            died = Running(folder / attempt)
            died.__enter__()
            died.begins(first.case.digest, first.repeat)
        return run(shards, number)

    engine.attempt = dies_twice
    with FakeModel(verdict) as model:
        found = taken(lab_in(tmp_path / "lab", monitor(model.base_url)))
    assert (found.n_judged, found.unjudged.n, found.unjudged.kind) == (296, 4, "worker_died")


def test_texts_that_a_killed_take_left_for_workers_are_deleted(engine: Threads, tmp_path: Path) -> None:
    """By the next take, with workers or without."""
    with FakeModel(verdict) as model:
        lab = lab_in(tmp_path / "lab", monitor(model.base_url), 3)
        (lab.folder / SHARDS / "x" / "0001").mkdir(parents=True)
        taken(lab, None)
    assert not (lab.folder / SHARDS).exists()


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("monitor", lambda lab: lab.file.write_text(lab.file.read_text("utf-8") + "# edited\n", "utf-8")),
        ("version of evalkit", lambda lab: None),
    ],
)
def test_a_worker_that_would_judge_differently_refuses(
    engine: Threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, change: Callable[[MonitorLab], object]
) -> None:
    """What differs is named, nothing is asked, and no call counts."""
    run = engine.attempt

    def elsewhere(shards: Path, number: int) -> ShardEnd:
        change(lab)
        if part != "monitor":
            monkeypatch.setattr("evalkit.monitor.workers.__version__", "0.0.1")
        return run(shards, number)

    engine.attempt = elsewhere
    with FakeModel(verdict) as model:
        lab = lab_in(tmp_path / "lab", monitor(model.base_url))
        with pytest.raises(InputError, match=rf"worker .*: has another {part}"):
            taken(lab)
        assert model.requests == []
    assert lab.ids() == []


@pytest.mark.parametrize(
    ("flags", "keys", "said"),
    [
        (EngineFlags(engine="dask"), "", "--workers: missing: the number of processes; add --workers 4"),
        (EngineFlags(workers=2), "", "--workers: has no effect without an engine; leave it out, or add --engine dask"),
        (EngineFlags(engine="dask", workers=17), "", "17 workers share 16 calls in flight"),
        (EngineFlags(engine="dask", scheduler="tcp://host:1"), "", "--scheduler: anyone who can reach a scheduler"),
        (ON_TWO, "keep: {text: none}\n", "--engine: workers read the calls from files, and the monitor keeps no text"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(
    engine: Threads, tmp_path: Path, flags: EngineFlags, keys: str, said: str
) -> None:
    """Before a row is read."""
    lab = lab_in(tmp_path / "lab", monitor("http://127.0.0.1:9", keys=keys))
    with pytest.raises(InputError) as caught:
        taken(lab, flags)
    assert said in str(caught.value)
    assert not lab.folder.exists()


def test_an_engine_needs_judges(engine: Threads, tmp_path: Path) -> None:
    """Rules grade in the process that reads the log."""
    lab = lab_in(tmp_path / "lab", MONITOR)
    with pytest.raises(InputError, match="--engine: workers ask judges, and no scorer of the monitor asks one"):
        taken(lab)


def test_lost_workers_end_take(engine: Threads, tmp_path: Path) -> None:
    """No call counts, and the calls are read again."""

    def lost(shards: Path, number: int) -> ShardEnd:
        raise EvalkitError("the scheduler of Dask is lost")

    run, engine.attempt = engine.attempt, lost
    with FakeModel(verdict) as model:
        lab = lab_in(tmp_path / "lab", monitor(model.base_url))
        with pytest.raises(EvalkitError, match="the scheduler of Dask is lost"):
            taken(lab)
        assert lab.ids() == []
        assert engine.n_closed == 1
        engine.attempt = run
        assert taken(lab).n_judged == 300


def judged(lab: MonitorLab) -> dict[str, Any]:
    """Every figure and text but costs: a reply that a killed worker had cached costs nothing the second time."""
    cells = [each for each in lab.dumped()["cells"] if "judge_cost_usd" not in each]
    rows = sampled_rows(lab.folder, kept_days(lab.folder))
    texts = {
        each.case.id: {name: getattr(grade, "value", None) for name, grade in each.scores.items()} for each in rows
    }
    return {"cells": cells, "texts": texts, "ids": lab.ids()}


@pytest.mark.slow
def test_a_killed_worker_of_take_loses_no_call(tmp_path: Path) -> None:
    """Real processes: its calls in flight alone are repeated, and every figure is that of one process."""
    words = [sys.executable, "-m", "evalkit", "monitor", "take", "monitor.yaml", "logs"]
    with FakeModel(verdict, latency_s=0.2) as model:
        lab = lab_in(tmp_path / "lab", monitor(model.base_url), 0)
        today = time.time() // DAY * DAY - START
        lab.log([row(i, today - DAY + i * 200.0) for i in range(300)])
        assert subprocess.run(words, cwd=lab.root, check=False).returncode == 0
        figures, n_asked = judged(lab), len(model.requests)
        forget(lab)
        running = subprocess.Popen(
            [*words, "--engine", "dask", "--workers", "2"],
            cwd=lab.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while running.poll() is None and len(model.requests) < n_asked + 40:
            time.sleep(0.02)
        worker = next(lab.folder.glob(f"{SHARDS}/*/*/a*")).name.split("-")[-2]
        os.kill(int(worker), signal.SIGKILL)
        said, _ = running.communicate(timeout=300)
        assert running.returncode == 0, said
        assert "sampled 300 calls, 300 judged" in said
        assert n_asked <= len(model.requests) - n_asked <= n_asked + 8
    assert judged(lab) == figures
