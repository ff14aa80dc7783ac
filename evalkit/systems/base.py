"""Define a system under test, and how one call of it ends.

A system is a frozen dataclass: its fields are its keys in the suite, its docstring is its documentation. `open` gives
an `Answer`: a coroutine for each case and repeat that returns an `Output` or a `Failure` and raises only cancellation.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter  # by name: a system may patch the module
from typing import Protocol, runtime_checkable

from evalkit.errors import Problem
from evalkit.net.rate_limits import Timetable
from evalkit.net.waits import Waits
from evalkit.systems.output import to_output
from evalkit.systems.secrets import redact
from evalkit.systems.tool_errors import with_tool_errors
from evalkit.text.values import one_line
from evalkit.types import Case, Failure, Output

__all__ = [
    "Answer",
    "CallFailed",
    "Instructed",
    "Shared",
    "SystemConfig",
    "check_seconds",
    "inside",
    "timed",
    "to_output",
]

Answer = Callable[[Case, int], Awaitable[Output | Failure]]
"""(case, repeat) -> output or failure."""
NewTimetable = Callable[[str], Timetable]
"""Who is called, such as `SYSTEM` -> when the limits of its endpoint let the next call pass."""
SYSTEM = "system"


@dataclass(frozen=True)
class Shared:
    """The context that each system of a run gets."""

    root: Path
    """The suite's folder: paths in the suite are relative to it."""
    project: Path
    """The project's root: paths stay inside it, and python systems import from it."""
    concurrency: int = 8
    """Calls that may be in flight at once."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables, the only source of secrets."""
    inputs: tuple[Path, ...] = ()
    """Files that a run reads for itself (suite, golden set, labels): they are not part of the system."""
    converses: bool = False
    """Whether each call is one turn of a conversation."""
    waits: Waits = field(default_factory=Waits, compare=False)
    """Records the calls that wait for a retry."""
    timetable: NewTimetable = field(default=lambda who: Timetable(), compare=False)
    """Gives the timetable of an endpoint's limits, by who is called."""
    seed: int = 0
    """The suite's seed, on which the canary in a system prompt depends."""


@runtime_checkable
class SystemConfig(Protocol):
    """One system under test, as the suite declares it."""

    @property
    def timeout_s(self) -> float:
        """Wall seconds that one call may take, retries included."""

    @property
    def version(self) -> str | None:
        """The user's name for this state of the system; it replaces the fingerprint."""

    def problems(self, shared: Shared) -> list[Problem]:
        """Return every problem that would make all calls fail, before the first call."""

    def fingerprint(self, shared: Shared) -> str | None:
        """Return `version` if given, else a hash of all that the answers depend on; `None` if that is unknown."""

    def open(self, shared: Shared) -> AbstractAsyncContextManager[Answer]:
        """Hold shared resources (a session, threads) for the duration of a run; the answers are already timed."""


@runtime_checkable
class Instructed(Protocol):
    """A system to which evalkit sends the system prompt."""

    @property
    def canary(self) -> bool:
        """Whether a canary string ends the prompt."""

    def system_text(self, shared: Shared) -> str:
        """Return the system prompt without the canary; empty if there is none, or if it cannot be read."""


class CallFailed(Exception):
    """A call that ended with a known failure; it never leaves `timed`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(kind, message)


def timed(answer: Answer, timeout_s: float, secrets: tuple[str, ...] = (), tool_error: str | None = None) -> Answer:
    """Limit the time of a call, measure it, and turn any exception into a `Failure`.

    Args:
        answer: The call.
        timeout_s: Wall seconds; past them the call is cancelled and ends as `Failure("timeout")`.
        secrets: Values that are redacted in failure messages.
        tool_error: Pattern of the results of tools that are errors.

    Returns:
        An answer that raises only cancellation. `Output.latency_s` holds wall seconds, unless the system gave its own
        or the answer is replayed.
    """

    async def call(case: Case, repeat: int) -> Output | Failure:
        limit = asyncio.timeout(timeout_s)
        started = perf_counter()
        try:
            async with limit:
                ended = await answer(case, repeat)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            ended = _failure(error, limit.expired(), timeout_s)
        if type(ended) is Output:
            ended = with_tool_errors(ended, tool_error)
            if ended.latency_s is None and not ended.replayed:
                return replace(ended, latency_s=perf_counter() - started)
            return ended
        return _without_secrets(ended, secrets)

    return call


def _failure(error: BaseException, expired: bool, timeout_s: float) -> Failure:
    kind = type(error)  # `isinstance` would ask the object, which may lie or raise
    if issubclass(kind, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise error
        # This task was not cancelled: the system awaited something that was. Without this, the error would be
        # taken for a cancelled run and the case would vanish.
        return Failure("exception", "CancelledError: the system cancelled its own call")
    if kind is CallFailed and isinstance(error, CallFailed):
        return error.failure
    text = one_line(error)
    if issubclass(kind, TimeoutError):
        if not expired:
            return Failure("timeout", f"the system timed out{f': {text}' if text else ''}")
        notes = getattr(error.__cause__, "__notes__", ())  # of the cancelled call
        return Failure("timeout", "; ".join([f"no answer within {timeout_s:g} s", *notes]))
    return Failure("exception", f"{kind.__name__}: {text}" if text else kind.__name__)


def _without_secrets(ended: Output | Failure, secrets: tuple[str, ...]) -> Output | Failure:
    if not secrets or not isinstance(ended, Failure):
        return ended
    return Failure(ended.kind, redact(ended.message, secrets))


def check_seconds(name: str, value: float) -> None:
    """Reject a duration that is not a positive, finite number of seconds.

    Raises:
        ValueError: In the form `<name>: what; fix`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 < value < math.inf):
        raise ValueError(f"{name}: expected seconds above 0, got {value!r}; write a number such as 30")


def inside(shared: Shared, path: str) -> Path | None:
    """Resolve a path of the suite; `None` if it leaves the project's root, or leads back to itself."""
    if "\0" in path:
        return None
    try:
        resolved = (shared.root / path).resolve()
    except RuntimeError:  # a link that leads back to itself
        return None
    return resolved if resolved.is_relative_to(shared.project.resolve()) else None
