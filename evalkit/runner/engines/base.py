"""Define what an engine is: it runs shards in other processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from evalkit.errors import InputError, Problem
from evalkit.llm.budget import LeasedBudget
from evalkit.runner.engine import MakeRow, Stop
from evalkit.store.shards import ShardFolder, SharedWork
from evalkit.types import Row


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


@dataclass(frozen=True, kw_only=True)
class ShardCalls:
    """How a worker makes the rows of a shard."""

    make_row: MakeRow
    ready: Callable[[Row], list[Row]] = lambda row: [row]
    """Takes a row, and returns the rows that may now be written."""
    release: Callable[[], list[Row]] = list
    """Returns the rows that were held back until the end."""


@dataclass(frozen=True, kw_only=True)
class OpenedShards:
    """What a worker keeps open from shard to shard."""

    workers: int
    """Number of workers, among which calls in flight and limits are divided."""
    concurrency: int
    """Calls in flight of all workers together."""
    secrets: tuple[str, ...]
    """Values that are redacted in rows."""
    budget: LeasedBudget | None
    calls: Callable[[ShardFolder, Stop], AbstractAsyncContextManager[ShardCalls]]
    """Opens an attempt at a shard; `Stop` ends the attempt, and the run."""


OpenShards = Callable[[SharedWork, AsyncExitStack], Awaitable[OpenedShards]]
"""Prepares a worker for the shards of a folder; whatever it opens is closed with the stack.

It is a function of a module, because workers are given its name. It raises `InputError` if the worker's results would
not be those of the process that planned the shards.
"""


@dataclass(frozen=True)
class EngineTask:
    """What the workers of an engine do."""

    opens: OpenShards
    again: str
    """How to go on if the workers are lost."""


def leased_budget(shards: SharedWork, workers: int) -> LeasedBudget:
    """Return a worker's part of the budget that the workers share."""
    return LeasedBudget(0.0, lease=partial(shards.budget.lease, part=1 / (2 * workers)))


def share(total: int, workers: int, slot: int) -> int:
    """Return the calls in flight of one of several workers; a remainder goes to the first ones."""
    return total // workers + (slot < total % workers)


def refuse_differing(parts: Mapping[str, tuple[str | None, str | None]]) -> None:
    """Reject a worker whose results would differ.

    Args:
        parts: name -> value of this worker, and of the process that planned the shards.

    Raises:
        InputError: names everything that differs.
    """
    differing = {name: pair for name, pair in parts.items() if pair[0] != pair[1]}
    if differing:
        pairs = [f"{name} ({own or 'none'}; the run has {its or 'none'})" for name, (own, its) in differing.items()]
        fix = "give every worker the evalkit, the checkout and the environment of the process that started the run"
        raise InputError(Problem("", f"has another {', '.join(pairs)}", fix))
