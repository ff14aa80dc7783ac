"""Run the tools of a conversation's environment, and record each call."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol, Self

from evalkit.formats.plain import plain
from evalkit.formats.steps import MOST_STEPS
from evalkit.text.values import one_line, shown
from evalkit.types import Step

MOST_BYTES = 10_000_000
"""Bytes, as JSON, of the calls of one conversation with their results, and of its state."""


class ToolError(Exception):
    """Raised by a tool that refuses a call or fails; the agent gets the message, and the step records it."""


class Environment(Protocol):
    """Tools with their own state, created anew for each conversation."""

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The tools as OpenAI describes them: `{type: function, function: {name, description, parameters}}`."""

    @property
    def state(self) -> Mapping[str, Any]:
        """The state of the world as JSON."""

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Run a tool.

        Raises:
            ToolError: the tool refuses the call.
        """


MakeEnvironment = Callable[[Mapping[str, Any]], Environment]
"""Function that builds an environment from its own copy of the state."""


@dataclass
class Recorder:
    """Runs the tools of an environment; each call becomes a step with result, error and times.

    It may be called from any thread; one call runs at a time, and no other code waits for it. Once the conversation is
    over, it rejects calls, so that a late call changes nothing.
    """

    environment: Environment
    began: float = field(default_factory=monotonic)
    """Start of the conversation, in seconds of `time.monotonic`."""
    turn: int = 1
    steps: list[Step] = field(default_factory=list)
    fault: str = ""
    """The exception that the environment raised, other than `ToolError`."""
    over: bool = False
    n_bytes: int = 0
    """Bytes of the calls so far."""
    n_calls: int = 0

    def __post_init__(self) -> None:
        """Create the locks: a call holds the first while it runs, the second only while it is recorded."""
        self._lock, self._recording = threading.RLock(), threading.Lock()

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The tools of the environment."""
        return self.environment.tools

    @property
    def state(self) -> Mapping[str, Any]:
        """The state of the world, as a copy."""
        with self._lock:
            copied: Mapping[str, Any] = plain("state", self.environment.state)
            if (size := len(json.dumps(copied))) > MOST_BYTES:
                raise ValueError(f"the state has {size:,} bytes, more than {MOST_BYTES:,}")
            return copied

    def call(self, name: str, arguments: Mapping[str, Any] | None = None, *, call_id: str = "") -> Any:
        """Run a tool and record it.

        Raises:
            ToolError: the tool refuses, there is no such tool, or the conversation is over.
            ValueError: The arguments cannot be written as JSON.
            Exception: Any other exception of the tool.
        """
        if not isinstance(name, str):
            raise ToolError(f"no tool called {shown(name)}; the name of a tool is a text")
        given = plain(f"arguments of {name}", dict(arguments or {}))
        with self._lock:
            if self.over:
                raise ToolError("the conversation is over")
            self.n_calls += 1
            if self.n_calls > MOST_STEPS:
                raise ToolError(f"more than {MOST_STEPS:,} calls in one conversation")
            started = monotonic()
            try:
                self._count(given)
                kept = plain(f"result of {name}", self.environment.call(name, given))
                self._count(kept)
            except ToolError as error:
                self._record(name, given, call_id, started, error=one_line(error) or "ToolError")
                raise
            except Exception as error:
                self.fault = self.fault or f"{name}: {type(error).__name__}: {one_line(error)}"
                told = {} if self.n_bytes > MOST_BYTES else given
                self._record(name, told, call_id, started, error=f"{type(error).__name__}: {one_line(error)}")
                raise
            self._record(name, given, call_id, started, result=kept)
            return copy.deepcopy(kept)  # neither the environment's own value nor the one that is recorded

    def given(self) -> GivenEnvironment:
        """Return what the system is given."""
        return GivenEnvironment(self)

    def take(self) -> list[Step]:
        """Return the steps recorded since the last call of this method."""
        with self._recording:
            taken, self.steps = self.steps, []
            return taken

    def close(self) -> None:
        """Reject all later calls."""
        self.over = True

    def _count(self, value: Any) -> None:
        self.n_bytes += len(json.dumps(value))
        if self.n_bytes > MOST_BYTES:
            what = f"the calls of the conversation have {self.n_bytes:,} bytes, more than {MOST_BYTES:,}"
            raise ValueError(f"{what}; return less")

    def _record(self, name: str, arguments: Mapping[str, Any], call_id: str, started: float, **ended: Any) -> None:
        step = Step(
            kind="tool",
            name=name,
            call_id=call_id,
            turn=self.turn,
            arguments=arguments,
            started_s=started - self.began,
            ended_s=monotonic() - self.began,
            recorded_by="evalkit",
            **ended,
        )
        with self._recording:
            self.steps.append(step)


class GivenEnvironment:
    """The part of a recorder that a system gets, so that it cannot change what evalkit relies on."""

    __slots__ = ("_recorder",)

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself: arguments of systems are copied, and the environment is shared."""
        return self

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The tools of the environment."""
        return self._recorder.tools

    @property
    def state(self) -> Mapping[str, Any]:
        """The state of the world, as a copy."""
        return self._recorder.state

    def call(self, name: str, arguments: Mapping[str, Any] | None = None, *, call_id: str = "") -> Any:
        """Run a tool; see `Recorder.call`."""
        return self._recorder.call(name, arguments, call_id=call_id)


def tool_names(tools: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of tools.

    Raises:
        ValueError: `what; fix`, for a tool that is not described as OpenAI does.
    """
    fix = "write {type: function, function: {name, description, parameters}}"
    names = []
    for at, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise ValueError(f"tools[{at}] is not a tool; {fix}")
        names.append(function["name"])
    return names
