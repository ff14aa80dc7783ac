"""`evalkit run --engine dask` with real processes."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_project import Project
from dask_runs import ON_TWO, SUITE, Killed

from evalkit.store.folder import ROWS
from evalkit.store.shards import SHARDS


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of 48 cases."""
    made = Project(tmp_path)
    made.cases(48)
    made.suite(text=SUITE)
    return made


def summary(project: Project, out: str) -> bytes:
    """The summary of a run."""
    return (project.root / out / "summary.json").read_bytes()


def test_one_worker_two_or_none_make_one_summary(project: Project) -> None:
    """Byte for byte; each case is called once; standard output holds the decision alone; no process is left."""
    assert project.run("run", "suite.yaml", "--out", "none", "--no-report", "--progress", "none").returncode == 0
    for workers in ("1", "2"):
        (project.root / "calls.log").unlink()
        ran = project.run("run", "suite.yaml", "--out", workers, *ON_TWO, "--workers", workers, "--json", env={})
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == (project.root / workers / "decision.json").read_text(encoding="utf-8")
        assert summary(project, workers) == summary(project, "none")
        assert sorted(project.calls()) == sorted({*project.calls()})
        assert len(project.calls()) == 48
        assert not (project.root / workers / SHARDS).exists()


def test_a_run_is_scored_by_workers(project: Project) -> None:
    """As in one process, byte for byte, and the suite can name the engine; the system is called by `run` alone."""
    assert project.run("run", "suite.yaml", "--out", "first", "--no-report", "--progress", "none").returncode == 0
    (project.root / "calls.log").unlink()
    project.suite(text=SUITE.replace("[exact]", "[{exact: {tolerance: 0.5}}]"))
    score = ("score", "first", "--suite", "suite.yaml", "--out")
    assert project.run(*score, "whole").returncode == 0
    ran = project.run(*score, "flags", "--engine", "dask", "--workers", "2", "--shard-size", "10")
    assert ran.returncode == 0, ran.stderr
    project.suite(text=f"{SUITE.replace('[exact]', '[{exact: {tolerance: 0.5}}]')}engine: {{dask: {{workers: 2}}}}\n")
    assert project.run(*score, "key").returncode == 0
    assert summary(project, "flags") == summary(project, "key") == summary(project, "whole")
    assert project.calls() == []
    refused = project.run(*score, "none", "--engine", "none", "--workers", "2")
    assert refused.returncode == 2
    assert "--workers: has no effect without an engine" in refused.stderr


@pytest.fixture
def killed(project: Project) -> Killed:
    """A run whose processes are killed."""
    return Killed(project)


def test_a_killed_worker_loses_no_case(killed: Killed) -> None:
    """Its shard is run by another; only the calls in flight are repeated."""
    running = killed.start()
    killed.wait_for_calls(running, 6)
    os.kill(random.choice(killed.workers()), signal.SIGKILL)
    assert running.wait(300) == 0, killed.said()
    killed.check(n_repeated=2)


def test_a_killed_driver_is_resumed(killed: Killed) -> None:
    """Its workers end with it; what they had finished is not run again."""
    running = killed.start()
    killed.wait_for_calls(running, 20)
    running.kill()
    running.wait()
    while killed.workers():
        time.sleep(0.05)
    time.sleep(1)  # what a helper process of Python would say then
    assert killed.said() == ""
    n_before = len(killed.project.calls())
    assert killed.start("--resume").wait(300) == 0, killed.said()
    killed.check(n_repeated=4)
    assert len(killed.project.calls()) > n_before


def test_ctrl_c_stops_the_workers_too(killed: Killed) -> None:
    """A terminal interrupts every process of the run: calls in flight end, and the command to go on with works."""
    running = killed.start()
    killed.wait_for_calls(running, 6)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(300) == 130, killed.said()
    assert "--resume" in killed.said()
    assert "Traceback" not in killed.said()
    assert not killed.workers()
    assert killed.start("--resume").wait(300) == 0, killed.said()
    killed.check(n_repeated=0)


def test_a_case_that_kills_its_worker_ends_as_one_row(killed: Killed) -> None:
    """After two deaths it is left out, and tried by itself; the others are run."""
    bot = (killed.project.root / "bot.py").read_text(encoding="utf-8")
    deadly = '    if id == "left-007":\n        os.kill(os.getpid(), 9)\n'
    (killed.project.root / "bot.py").write_text(bot.replace("    log =", f"{deadly}    log ="), encoding="utf-8")
    killed.start(BOT_DELAY_S="0").wait(300)
    rows = (killed.project.root / "out" / ROWS).read_text(encoding="utf-8").splitlines()
    skipped = {json.loads(line)["row"]["case"]["id"]: json.loads(line)["row"].get("skipped") for line in rows}
    assert len(rows) == len(skipped) == 48, killed.said()
    assert "the last one by itself (signal 9)" in skipped.pop("left-007")
    assert set(skipped.values()) == {None}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(int(os.environ.get("EVALKIT_KILLS", "50"))))
def test_workers_killed_at_random_moments(
    killed: Killed, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """Whatever is killed when: each case once, none lost, at most the calls in flight repeated."""
    chance, n_kills = random.Random(seed), 0
    running = killed.start(BOT_DELAY_S="0.05")
    killed.wait_for_calls(running, 1)
    for _ in range(3):
        time.sleep(chance.uniform(0, 0.5))
        while not (workers := killed.workers()) and running.poll() is None:
            time.sleep(0.02)
        if workers and running.poll() is None:
            os.kill(chance.choice(workers), signal.SIGKILL)
            n_kills += 1
    assert running.wait(600) == 0, killed.said()
    killed.check(n_repeated=2 * n_kills)
    record_property("kills", n_kills)
    record_property("calls_repeated", len(killed.project.calls()) - 48)
