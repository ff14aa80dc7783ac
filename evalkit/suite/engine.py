"""Define the settings of the engine that runs the cases of a suite in several processes."""

from __future__ import annotations

from dataclasses import dataclass

MAX_WORKERS = 1_000
MAX_SHARD_SIZE = 5_000


@dataclass(frozen=True, kw_only=True)
class DaskSettings:
    """How `evalkit run` uses Dask."""

    workers: int | None = None
    """Number of local processes, or of the workers of a scheduler that are used."""
    shard_size: int = 1_000
    """Number of cases that a shard holds on average: what a worker is given at once."""

    def __post_init__(self) -> None:
        """Reject values out of range."""
        if self.workers is not None and not 1 <= self.workers <= MAX_WORKERS:
            raise ValueError(f"workers: expected 1 to {MAX_WORKERS}, got {self.workers}; write the number of processes")
        if not 1 <= self.shard_size <= MAX_SHARD_SIZE:
            what = f"shard_size: expected 1 to {MAX_SHARD_SIZE}, got {self.shard_size}"
            raise ValueError(f"{what}; 1000 is a good start")


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The engine of `evalkit run`."""

    dask: DaskSettings
    """Settings of Dask."""
