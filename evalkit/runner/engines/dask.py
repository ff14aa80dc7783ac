"""Run shards on Dask: in local processes, or on workers that somebody started with `dask worker`.

Nothing but the folder of the shards, the number of one, the number of the attempt, and the name of the function that
prepares a worker goes through the scheduler: cases
and rows stay on the disk, and each worker reads its secrets from its own environment.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import astuple
from functools import partial
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from time import monotonic, sleep  # by name: a system may patch the module
from typing import TYPE_CHECKING, Any

from evalkit.errors import EvalkitError, InputError, Problem
from evalkit.runner.engines import worker
from evalkit.runner.engines.base import Attempted, EngineTask, OpenShards, ShardEnd
from evalkit.runner.engines.suite_shards import CASES
from evalkit.runner.engines.worker import DRAIN_S, close_run, run_shard
from evalkit.text.values import one_line

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

TLS = "tls://"
CONNECT_S = 30.0
"""Seconds in which a scheduler and its workers must be reached."""
LOOK_S, WORKERLESS_S = 5.0, 240.0
"""Seconds between two looks at whether there are workers, and until a run without any ends."""
POLL_S = 0.02
"""Seconds between two looks at the shards that run."""
LEAVE_S = 2.0
"""Seconds beyond those of the calls in flight that workers have to report that they stopped."""
MOST_FAILURES = 3
"""Attempts at a shard that may end with an error."""
MOST_DEATHS = 20
"""Workers that may die at one shard; cases that were in flight at two deaths are left out."""
TTL = "distributed.scheduler.worker-ttl"
_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # evalkit counts attempts itself
    "distributed.scheduler.work-stealing": False,
    "distributed.deploy.lost-worker-timeout": "60s",  # on a busy machine, a worker takes 20 s to start again
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.daemon": False,  # a system may start processes of its own
    "distributed.nanny.pre-spawn-environ": {},  # the numbers of threads are those of a run without an engine
}
_LEAKED = "ignore:resource_tracker:UserWarning"
_TTL, _DASKS_TTL = "60s", "5 minutes"


class _Tries:
    """Counts the attempts at each shard."""

    def __init__(self) -> None:
        self._begun, self._failures, self._deaths = Counter[int](), Counter[int](), Counter[int]()

    def begins(self, number: int) -> int:
        """Count an attempt at a shard, and return its number."""
        self._begun[number] += 1
        return self._begun[number]

    def again(self, number: int, ended: ShardEnd | None) -> bool:
        """Return whether the shard is tried again after an attempt; `None` is one whose worker died."""
        if ended is None:
            self._deaths[number] += 1
        elif ended.state != "failed":
            return False
        else:
            self._failures[number] += 1
        return self._failures[number] < MOST_FAILURES and self._deaths[number] < MOST_DEATHS


class _Drive:
    """The shards of one run on their way through the workers."""

    def __init__(self, client: Client, shards: Path, waiting: deque[int], free: list[int], task: EngineTask) -> None:
        self.waiting, self.running = waiting, dict[Any, tuple[int, int]]()
        self._client, self._shards, self._free, self._task = client, shards, free, task
        self._tries = _Tries()

    def begin(self) -> None:
        """Give each free worker a shard."""
        while self.waiting and self._free:
            number, slot = self.waiting.popleft(), self._free.pop()
            attempt = self._tries.begins(number)
            key = f"{self._shards.name}-{number}-{attempt}"
            asked = (str(self._shards), number, attempt, slot, self._task.opens)
            self.running[self._client.submit(_run_shard, *asked, pure=False, key=key, retries=0)] = number, slot

    def end(self, attempted: Attempted) -> None:
        """Report the attempts that have ended, or let their shards wait for another.

        Raises:
            EvalkitError: the scheduler is lost.
        """
        for future in [each for each in self.running if each.done()]:
            number, slot = self.running.pop(future)
            self._free.append(slot)
            ended = _ended(future, self._task.again)
            if self._tries.again(number, ended):
                self.waiting.append(number)
            else:
                attempted(number, ended or ShardEnd("failed", f"{MOST_DEATHS} workers died while they ran it"))


def _ended(future: Future, again: str) -> ShardEnd | None:
    """Return how an attempt ended, `None` if its worker died.

    Raises:
        EvalkitError: the scheduler is lost.
    """
    from distributed import KilledWorker

    if future.status in ("cancelled", "lost"):
        raise EvalkitError(f"the scheduler of Dask is lost; {again}")
    try:
        state, why, problems = future.result()
    except KilledWorker:
        return None
    except Exception as error:
        return ShardEnd("failed", f"{type(error).__name__}: {one_line(error)}")
    return ShardEnd(state, why, tuple(Problem(*each) for each in problems))


class DaskEngine:
    """Runs shards in local processes, or on the workers of a scheduler."""

    def __init__(self, workers: int, scheduler: str | None = None, task: EngineTask = CASES) -> None:
        """Say where the workers are; nothing is started before the engine is opened.

        Args:
            workers: number of workers; 0 for all of the scheduler's.
            scheduler: its address, `tls://HOST:PORT` or `tcp://HOST:PORT`; `None` for local processes.
            task: what the workers do.

        Raises:
            InputError: Dask is not installed.
        """
        if find_spec("distributed") is None:
            fix = "install it with `pip install 'evalkit-gate[dask]'`"
            raise InputError(Problem("--engine dask", "the package `distributed` is not installed", fix))
        self.workers = workers
        self._scheduler, self._task = scheduler, task
        self._cluster: LocalCluster | None = None
        self._client: Client | None = None
        self._looked_at = self._worked_at = monotonic()

    def open(self) -> None:
        """Start a scheduler, which listens on this machine alone, and its workers, or connect to one.

        Raises:
            EvalkitError: they do not start, or cannot be reached.
        """
        try:
            self._client = self._start() if self._scheduler is None else self._connect(self._scheduler)
        except Exception as error:
            what = (
                "the workers of Dask did not start" if self._scheduler is None else f"no workers at {self._scheduler}"
            )
            raise EvalkitError(f"{what} ({type(error).__name__}: {one_line(error)}); {self._task.again}") from error

    def _start(self) -> Client:
        import dask
        from distributed import Client, LocalCluster

        _start_quiet_tracker()
        settings = {**_SETTINGS, **({TTL: _TTL} if dask.config.get(TTL) == _DASKS_TTL else {})}
        with dask.config.set(settings):
            self._cluster = LocalCluster(
                n_workers=self.workers,
                threads_per_worker=1,
                host="127.0.0.1",
                scheduler_port=0,
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                memory_limit=0,
                preload=[worker.__name__],
                silence_logs=logging.CRITICAL,
            )
            return Client(self._cluster, set_as_default=False)

    def _connect(self, scheduler: str) -> Client:
        from distributed import Client
        from distributed.security import Security

        # The certificates are those of Dask's configuration, as for `dask worker`.
        security = Security(require_encryption=True) if scheduler.startswith(TLS) else None
        client = Client(scheduler, security=security, timeout=CONNECT_S, set_as_default=False)
        try:
            client.wait_for_workers(max(1, self.workers), timeout=CONNECT_S)
            self.workers = self.workers or len(client.nthreads())
        except BaseException:
            client.close()
            raise
        return client

    def run(self, shards: Path, numbers: Sequence[int], attempted: Attempted, stopped: Callable[[], bool]) -> None:
        """Run shards until each is sealed, or until `stopped`; see `Engine`.

        Raises:
            EvalkitError: the scheduler is lost, or too many workers died at a shard.
        """
        if self._client is None:
            raise TypeError("the engine is not open")
        free = list(reversed(range(self.workers)))
        drive = _Drive(self._client, shards, deque(numbers), free, self._task)
        stopped_at: float | None = None
        while drive.running or (drive.waiting and stopped_at is None):
            if stopped() and stopped_at is None:
                stopped_at = monotonic()
            if stopped_at is not None and monotonic() > stopped_at + DRAIN_S + LEAVE_S:
                return
            if stopped_at is None:
                drive.begin()
            sleep(POLL_S)
            self._refuse_workerless()
            drive.end(attempted)

    def _refuse_workerless(self) -> None:
        """End the run if the cluster has had no worker for a while.

        Raises:
            EvalkitError: it has none.
        """
        now = monotonic()
        if now < self._looked_at + LOOK_S:
            return
        self._looked_at = now
        self._start_again()
        try:
            n_workers = len(self._client.nthreads()) if self._client is not None else 0
        except Exception:
            n_workers = 1  # a scheduler that is lost shows in the shards
        self._worked_at = now if n_workers else self._worked_at
        if now > self._worked_at + WORKERLESS_S:
            raise EvalkitError(f"no worker of Dask is left; {self._task.again}")

    def _start_again(self) -> None:
        """Start a local worker for each that Dask has given up."""
        if self._cluster is not None and len(self._cluster.workers) < self.workers:
            self._cluster.scale(self.workers)

    def close(self) -> None:
        """Close the systems that the workers hold open, then the workers."""
        client, cluster = self._client, self._cluster
        self._client = self._cluster = None
        for leave in (
            partial(client.run, close_run, on_error="ignore") if client is not None else None,
            partial(client.close, timeout=LEAVE_S) if client is not None else None,
            partial(cluster.close, timeout=DRAIN_S) if cluster is not None else None,
        ):
            if leave is not None:
                _quietly(leave)


def _start_quiet_tracker() -> None:
    """Start the process that frees the semaphores of a killed driver, and that would warn of them on the terminal."""
    sys.warnoptions.append(_LEAKED)
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(_LEAKED)


def _quietly(leave: Callable[[], Any]) -> None:
    try:
        leave()
    except Exception:  # the rows are taken by now; what does not close ends with this process
        logging.getLogger(__name__).debug("did not close", exc_info=True)


def _run_shard(shards: str, number: int, attempt: int, slot: int, opens: OpenShards) -> tuple[Any, ...]:
    """Run a shard in a worker; called by Dask. What it returns holds no class of evalkit."""
    os.dup2(2, 1)  # standard output of `evalkit run` is for its result
    return astuple(run_shard(Path(shards), number, attempt, slot, opens))
