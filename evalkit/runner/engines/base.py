"""Define what an engine is: it runs shards in other processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from evalkit.errors import Problem


@dataclass(frozen=True)
class ShardEnd:
    """How a worker's attempt at a shard ended."""

    state: Literal["sealed", "stopped", "refused", "failed"]
    """`sealed`: every case has a row. `stopped`: it was told to, or the budget or an endpoint ended it. `refused`: the
    worker cannot take part in this run. `failed`: anything else; the shard can be tried again."""
    why: str = ""
    problems: tuple[Problem, ...] = ()
    """Of a worker that refuses."""


Attempted = Callable[[int, ShardEnd], None]
"""Called with the number of a shard and how an attempt at it ended."""


class Engine(Protocol):
    """Runs shards in other processes."""

    @property
    def workers(self) -> int:
        """Number of shards that run at once."""

    def open(self) -> None:
        """Start the workers, or connect to them.

        Raises:
            EvalkitError: the workers do not start, or cannot be reached.
        """

    def run(self, shards: Path, numbers: Sequence[int], attempted: Attempted, stopped: Callable[[], bool]) -> None:
        """Run shards until each is sealed, or until `stopped`; called in a thread.

        Args:
            shards: their folder, which every worker can read and write.
            numbers: their numbers.
            attempted: called from this thread, once for each shard.
            stopped: whether no new shard may begin.

        Raises:
            EvalkitError: the workers are lost; the run can be resumed.
        """

    def close(self) -> None:
        """Close the workers that were started here, and leave others."""
