"""`evalkit run --engine dask --scheduler`: the scheduler and the workers are processes that somebody else started."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_project import Project
from dask_runs import ON_TWO, SUITE, Killed

TLS = "DASK_DISTRIBUTED__COMM__TLS__"


class Cluster:
    """A scheduler and two workers, which nobody starts again."""

    def __init__(self, root: Path, env: dict[str, str], *words: str) -> None:
        self._root, self._env = root, {**os.environ, **env}
        self._place = root / "scheduler.json"
        self.scheduler = self._dask("scheduler", "--port", "0", "--scheduler-file", str(self._place), *words)
        while not self._place.exists():
            assert self.scheduler.poll() is None, (root / "dask.log").read_text(encoding="utf-8")
            time.sleep(0.05)
        self.workers = [self._worker() for _ in range(2)]

    def _worker(self) -> subprocess.Popen[bytes]:
        words = ("--nthreads", "1", "--no-nanny", "--death-timeout", "20", "--local-directory", str(self._root))
        return self._dask("worker", "--scheduler-file", str(self._place), *words)

    def _dask(self, *words: str) -> subprocess.Popen[bytes]:
        with (self._root / "dask.log").open("ab") as log:
            command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
            return subprocess.Popen(command, cwd=self._root, env=self._env, stdout=log, stderr=log)

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of a run on this cluster."""
        address = json.loads(self._place.read_text(encoding="utf-8"))["address"]
        own = () if address.startswith("tls:") else ("--insecure-scheduler",)
        return (*ON_TWO, "--scheduler", address, *own)

    def close(self) -> None:
        """Kill what is left."""
        for process in (self.scheduler, *self.workers):
            process.kill()
            process.wait()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of 48 cases."""
    made = Project(tmp_path)
    made.cases(48)
    made.suite(text=SUITE)
    return made


@pytest.fixture
def cluster(project: Project) -> Iterator[Cluster]:
    """A cluster that takes a worker for dead after 3 seconds."""
    made = Cluster(project.root, {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "3s", "BOT_DELAY_S": "0.2"})
    yield made
    made.close()


def certificates(folder: Path) -> dict[str, str]:
    """An authority, and one certificate for every process, as docs/scale.md makes them."""
    for line in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca-key.pem -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=evalkit -keyout key.pem -out request.pem",
        "x509 -req -days 2 -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out cert.pem",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)
    env = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true", f"{TLS}CA_FILE": str(folder / "ca.pem")}
    for who in ("SCHEDULER", "WORKER", "CLIENT"):
        env |= {f"{TLS}{who}__CERT": str(folder / "cert.pem"), f"{TLS}{who}__KEY": str(folder / "key.pem")}
    return env


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl, which makes the certificates")
def test_a_cluster_with_certificates_makes_the_same_summary(project: Project, tmp_path: Path) -> None:
    """Byte for byte that of one process; a run without the certificate does not get in."""
    env = certificates(tmp_path)
    cluster = Cluster(project.root, env, "--protocol", "tls")
    try:
        assert project.run("run", "suite.yaml", "--out", "none", "--no-report", "--quiet").returncode == 0
        ran = project.run("run", "suite.yaml", "--out", "tls", *cluster.flags, env=env)
        assert ran.returncode == 0, ran.stderr
        assert (tmp_path / "tls" / "summary.json").read_bytes() == (tmp_path / "none" / "summary.json").read_bytes()
        assert len(project.calls()) == 96
        other = project.run("run", "suite.yaml", "--out", "other", *cluster.flags, env={})
        assert other.returncode == 4
        assert "no workers at tls://" in other.stderr
        assert len(project.calls()) == 96
    finally:
        cluster.close()


def test_a_killed_scheduler_ends_the_run_which_is_resumed(project: Project, cluster: Cluster) -> None:
    """Exit 4 with the way to go on; what was finished is kept."""
    killed = Killed(project, cluster.flags)
    running = killed.start()
    killed.wait_for_calls(running, 12)
    cluster.scheduler.kill()
    assert running.wait(300) == 4, killed.said()
    assert "the scheduler of Dask is lost; every finished case is kept, continue with --resume" in killed.said()
    for worker in cluster.workers:
        worker.wait(120)
    n_before = len(project.calls())
    resumed = project.run("run", "suite.yaml", "--out", "out", "--resume", "--no-report", "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    killed.check(n_repeated=8)
    assert n_before < len(project.calls())


def test_a_worker_that_was_taken_for_dead_writes_on_in_vain(project: Project, cluster: Cluster) -> None:
    """It is stopped until its shard is run by another, and goes on then: no row counts twice."""
    killed = Killed(project, cluster.flags)
    running = killed.start()
    killed.wait_for_calls(running, 6)
    stopped = random.choice(cluster.workers)
    stopped.send_signal(signal.SIGSTOP)
    while running.poll() is None and len(project.calls()) < 46:
        time.sleep(0.05)
    stopped.send_signal(signal.SIGCONT)
    assert running.wait(300) == 0, killed.said()
    killed.check(n_repeated=12)
