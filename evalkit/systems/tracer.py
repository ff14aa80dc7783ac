"""Record what a Python agent does while evalkit calls it; elsewhere, do nothing.

    import evalkit

    @evalkit.tool
    def get_order(order_id: str) -> dict: ...

    def answer(input: str) -> str:
        with evalkit.step("planner", kind="node"):
            ...

The steps of a call are kept in a context variable, which tasks and `asyncio.to_thread` inherit. Threads and pools do
not, so once a call is traced, the threads that it starts and what it gives to a `ThreadPoolExecutor` take the variable
over. What runs in workers that outlive the call, or in other processes, is not recorded.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, overload

from evalkit.types import Failure, Output, Step, StepKind

if TYPE_CHECKING:
    from concurrent.futures import Future

P = ParamSpec("P")
R = TypeVar("R")

_VALUE_CHARS = 10_000
"""Maximum length of a value that JSON cannot hold, written as text."""


@dataclass
class Trace:
    """The steps of one call of a system, in the order in which they began."""

    began: float = field(default_factory=monotonic)
    steps: dict[int, Step] = field(default_factory=dict)
    over: bool = False

    def __post_init__(self) -> None:
        """Start counting at 1."""
        _follow_threads()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def begin(self, step: Step) -> int:
        """Record that a step has begun, and return its number."""
        with self._lock:
            number = next(self._numbers)
            if not self.over:
                self.steps[number] = replace(step, id=str(number), started_s=monotonic() - self.began)
        return number

    def end(self, number: int, **ended: Any) -> None:
        """Record how a step ended; a step that ends after the answer has no end."""
        with self._lock:
            if not self.over and number in self.steps:
                self.steps[number] = replace(self.steps[number], ended_s=monotonic() - self.began, **ended)

    def close(self) -> tuple[Step, ...]:
        """Return the steps; later records are ignored."""
        with self._lock:
            self.over = True
            return tuple(self.steps.values())

    def run(self, call: Callable[[], Any]) -> Any:
        """Call a function and collect its steps, including those of an awaitable that it returns."""
        token = _CURRENT.set((self, None))
        try:
            value = call()
        finally:
            _CURRENT.reset(token)
        return self.wait(value) if type(value) is not str and inspect.isawaitable(value) else value

    async def wait(self, value: Awaitable[Any]) -> Any:
        """Wait for an awaitable and collect its steps."""
        token = _CURRENT.set((self, None))
        try:
            return await value
        finally:
            _CURRENT.reset(token)


_CURRENT: ContextVar[tuple[Trace, str | None] | None] = ContextVar("evalkit_trace", default=None)
"""The trace of the running call, and the id of the current step."""


@functools.cache
def _follow_threads() -> None:
    """Let the threads and the work of pools that a traced call starts record into it, as its tasks do."""
    from concurrent.futures import ThreadPoolExecutor

    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def traced_start(thread: threading.Thread) -> None:
        # Workers of a `ThreadPool` outlive the call that starts them, and would record what later calls do into it.
        if _CURRENT.get() is not None and type(thread).__module__ != "multiprocessing.dummy":
            thread.run = functools.partial(_within, _CURRENT.get(), thread.run)  # type: ignore[method-assign]
        start(thread)

    def traced_submit(pool: ThreadPoolExecutor, call: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        # Also if nothing is traced now: the worker may have been started by a traced call.
        return submit(pool, _within, _CURRENT.get(), call, *args, **kwargs)

    threading.Thread.start = traced_start  # type: ignore[method-assign, assignment]
    ThreadPoolExecutor.submit = traced_submit  # type: ignore[method-assign, assignment]


def _within(current: tuple[Trace, str | None] | None, call: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    if current is None and _CURRENT.get() is None:
        return call(*args, **kwargs)
    token = _CURRENT.set(current)
    try:
        return call(*args, **kwargs)
    finally:
        _CURRENT.reset(token)


class step:
    """Record a step: `with evalkit.step("planner") as planner: ...`.

    Set `result` and `usage` within the block. An exception in the block is recorded as the step's error. Nothing is
    recorded outside a call by evalkit.

    Args:
        name: name of the node, agent, model or other unit.
        kind: kind of the step; see `evalkit.Step`.
        arguments: input of the step.

    Example:
        with evalkit.step("planner", kind="llm") as planner:
            planner.usage = {"input_tokens": 120, "output_tokens": 8}
    """

    def __init__(
        self,
        name: str,
        kind: Literal[
            "llm", "tool", "agent", "node", "retrieval", "guardrail", "approval", "embedding", "other"
        ] = "node",
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.kind, self.arguments = name, kind, arguments
        self.result: Any = None
        self.usage: Mapping[str, Any] | None = None
        """`{input_tokens, output_tokens, cost_usd, model}`."""

    def __enter__(self) -> Self:
        current = _CURRENT.get()
        self._trace = None if current is None else current[0]
        if current is not None:
            trace, parent = current
            begun = _begun(self.kind, self.name, self.arguments, parent)
            self._number = trace.begin(begun)
            self._token = _CURRENT.set((trace, str(self._number)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._trace is not None:
            from evalkit.formats.fields import read_usage

            _CURRENT.reset(self._token)
            usage = None
            with suppress(ValueError):  # recording never fails the agent
                usage = None if self.usage is None else read_usage("usage", self.usage)
            self._trace.end(self._number, result=_kept(self.result), error=_said(error), usage=usage)


@overload
def tool(function: Callable[P, R]) -> Callable[P, R]: ...
@overload
def tool(*, name: str) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def tool(function: Callable[..., Any] | None = None, *, name: str = "") -> Any:
    """Record every call of a function as a tool call, with arguments, result or error, and times.

    Args:
        function: sync or async.
        name: name of the tool; that of the function by default.

    Example:
        @evalkit.tool
        def get_order(order_id: str) -> dict[str, str]:
            return {"id": order_id, "status": "returned"}
    """
    if function is None:
        return functools.partial(tool, name=name)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        what = f"evalkit.tool: {function.__name__} is a generator function, so calling it returns no result to record"
        raise TypeError(f"{what}; decorate the function that iterates over it")
    called, signature = name or function.__name__, inspect.signature(function)

    def begin(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> step:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # the call itself raises it
            given = dict(kwargs)
        return step(called, "tool", {key: value for key, value in given.items() if key != "self"})

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def async_call(*args: Any, **kwargs: Any) -> Any:
            if _CURRENT.get() is None:
                return await function(*args, **kwargs)
            with begin(args, kwargs) as running:
                running.result = await function(*args, **kwargs)
                return running.result

        return async_call

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _CURRENT.get() is None:
            return function(*args, **kwargs)
        with begin(args, kwargs) as running:
            running.result = function(*args, **kwargs)
            return running.result

    return call


def _begun(kind: StepKind, name: str, arguments: Mapping[str, Any] | None, parent: str | None) -> Step:
    given: Mapping[str, Any] | None = None
    if isinstance(arguments, Mapping):
        given = {str(key): _kept(value) for key, value in arguments.items()}
    elif arguments is not None:  # recording never fails the agent
        given = {"arguments": _kept(arguments)}
    return Step(kind=kind, name=name, parent=parent, arguments=given)


def _kept(value: Any) -> Any:
    """Copy a value as JSON; one that JSON cannot hold is written as text."""
    from evalkit.formats.plain import plain

    try:
        return plain("value", value)
    except ValueError:
        return repr(value)[:_VALUE_CHARS]


def _said(error: BaseException | None) -> str | None:
    from evalkit.systems.conversation.environment import ToolError
    from evalkit.text.values import one_line

    if error is None:
        return None
    text = one_line(error)
    if isinstance(error, ToolError):
        return text or "ToolError"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def with_steps(output: Output | Failure, steps: tuple[Step, ...]) -> Output | Failure:
    """Return the output with the recorded steps; steps that the output reports must not contradict them."""
    from evalkit.formats.steps import MOST_STEPS, calls_of

    if isinstance(output, Failure) or not steps:
        return output
    if len(steps) > MOST_STEPS:
        return Failure("too_large", f"{len(steps):,} recorded steps, at most {MOST_STEPS:,} are read")
    if output.trajectory is not None:
        what = f"the answer reports its own steps, and {len(steps)} were recorded by evalkit.step and evalkit.tool"
        return Failure("bad_output", f"{what}; leave `trajectory` and `messages` out of the answer")
    recorded = calls_of(steps)
    if output.tool_calls is not None and recorded and len(recorded) != len(output.tool_calls):
        what = f"the answer reports {len(output.tool_calls)} tool calls, and {len(recorded)} were recorded"
        return Failure("bad_output", f"{what}; leave `tool_calls` out of the answer")
    calls = recorded if output.tool_calls is None else output.tool_calls
    return replace(output, trajectory=steps, tool_calls=calls)
