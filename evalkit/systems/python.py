"""Test a Python callable."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.disk.bytecode import remove_bytecode
from evalkit.disk.project_code import SPELLING, load_callable, module_file
from evalkit.disk.sources import source_files, texts_in
from evalkit.errors import InputError, Problem
from evalkit.formats.messages import input_of
from evalkit.formats.options import LATER
from evalkit.systems.base import Answer, CallFailed, Shared, check_seconds, timed
from evalkit.systems.fingerprint import config_hash
from evalkit.systems.output import n_bytes, to_output
from evalkit.systems.secrets import secrets_of
from evalkit.systems.threads import OwnCode, own_code
from evalkit.systems.tool_errors import check_tool_error
from evalkit.systems.tracer import Trace, with_steps
from evalkit.types import Case, Failure, Output

_PLACE = "system.python"
_FROM_CASE: Mapping[str, Callable[[Case], Any]] = {
    "id": lambda case: case.id,
    "contexts": lambda case: list(case.contexts),
    "cohorts": lambda case: dict(case.cohorts),
    "kind": lambda case: case.kind,
}


@dataclass(frozen=True, kw_only=True)
class PythonSystem:
    """Call `module:callable`, sync or async, from the project's root.

    The callable gets `input` (a string, or a list of chat messages), `arguments`, and those of `id`, `contexts`,
    `cohorts`, `kind` and the row's own fields that its signature names. It never gets the reference. It returns a
    string or {text, contexts, usage, tool_calls, trajectory, messages, state, stop, interrupt, fault, done,
    ttft_s}. A sync callable runs on its own thread, an async one on its own event loop. In a conversation it is called
    once a turn, and may name `message`, `session`, `turn`, `environment` and `resume` too.
    """

    python: str
    """`package.module:callable`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of every call, such as a model name."""
    max_bytes: int = 10_000_000
    """Longest answer, in bytes of UTF-8."""
    timeout_s: float = 60.0
    version: str | None = None
    """Your name for this state of the system; it replaces the hash of the sources."""
    files: tuple[str, ...] = ()
    """Additional files that answers depend on, such as `tone/*.md`, if the code does not name them in full."""
    tool_error: str | None = field(default=None, metadata=LATER)
    """Pattern (RE2) of the tool results that are errors, such as `^Error`, for tools that report them as plain text."""

    def __post_init__(self) -> None:
        if not SPELLING.fullmatch(self.python):
            raise ValueError(f"python: expected `module:callable`, got {self.python!r}; write `suites.faq.bot:answer`")
        for name in ("input", "reference"):
            if name in self.arguments:
                raise ValueError(f"arguments: `{name}` cannot be set; remove it, the golden set gives it")
        check_seconds("timeout_s", self.timeout_s)
        check_tool_error(self.tool_error)
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes: expected at least 1, got {self.max_bytes}; write a number such as 10000000")

    def problems(self, shared: Shared) -> list[Problem]:
        """Import the module and compare the callable's signature with the arguments that it will get."""
        try:
            function = self._load(shared)
        except InputError as error:
            return list(error.problems)
        return _signature_problems(function, self.arguments, shared)

    def sources(self, shared: Shared) -> list[tuple[str, Path]]:
        """Return files that answers depend on, as (name, path); empty if the module's own file cannot be found."""
        module = self.python.partition(":")[0]
        path = module_file(module, shared.project)
        if path is None:
            return []
        return source_files(path, module, shared.project, (*self.files, *texts_in(self.arguments)), shared.inputs)

    def fingerprint(self, shared: Shared) -> str | None:
        """Return a hash of the callable's name, its arguments and the sources; `None` for a compiled module."""
        if self.version is not None:
            return self.version
        sources = self.sources(shared)
        return config_hash(self, ("timeout_s", "version", "max_bytes", "files"), sources) if sources else None

    def open(self, shared: Shared) -> AbstractAsyncContextManager[Answer]:
        """Import the callable and hold its threads."""
        return self._open(shared)

    @asynccontextmanager
    async def _open(self, shared: Shared) -> AsyncIterator[Answer]:
        remove_bytecode(path for _, path in self.sources(shared))  # for processes that the system starts
        function = self._load(shared)
        if problems := _signature_problems(function, self.arguments, shared):
            raise InputError(problems)
        async with own_code(shared.concurrency) as own:
            answer = _capped(_answer(function, _keywords(function, self.arguments), own), self.max_bytes)
            yield timed(answer, self.timeout_s, secrets_of(shared.env), self.tool_error)

    def _load(self, shared: Shared) -> Callable[..., Any]:
        return load_callable(self.python, shared.project, _PLACE)  # type: ignore[no-any-return]


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None


def _takes_any(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def _signature_problems(function: Callable[..., Any], arguments: Mapping[str, Any], shared: Shared) -> list[Problem]:
    parameters = _parameters(function)
    if parameters is None:
        return [Problem(_PLACE, "the callable has no signature to read", "wrap it in a function that takes `input`")]
    by_position = [name for name, parameter in parameters.items() if parameter.kind is parameter.POSITIONAL_ONLY]
    problems = [
        Problem(_PLACE, f"`{name}` can be given by position only", "remove the `/` from the signature")
        for name in by_position
    ]
    asked = "input" in parameters or (shared.converses and "message" in parameters)
    if not asked and not _takes_any(parameters):
        names = ", ".join(parameters) or "nothing"
        problems.append(Problem(_PLACE, f"the callable takes no `input`, but {names}", "name a parameter `input`"))
    if "reference" in parameters:
        problems.append(Problem(_PLACE, "a system is never shown the `reference`", "remove that parameter"))
    problems += [
        Problem(f"system.arguments.{name}", "the callable takes no such argument", f"it takes {', '.join(parameters)}")
        for name in arguments
        if name not in parameters and not _takes_any(parameters)
    ]
    return problems


def _keywords(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Callable[[Case], dict[str, Any]]:
    """Return a function that builds the arguments of each call."""
    parameters = _parameters(function) or {}
    # `**fields` gets the fields of every case, but a row's own field only by name: it may hold the expected answer.
    wanted = (name for name in _FROM_CASE if name in parameters or _takes_any(parameters))
    known = [(name, _FROM_CASE[name]) for name in wanted if name not in arguments]
    own = [
        (name, parameter.default is parameter.empty)
        for name, parameter in parameters.items()
        if name not in ("input", *_FROM_CASE, *arguments)
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]

    asked = "input" in parameters or _takes_any(parameters)

    def keywords(case: Case) -> dict[str, Any]:
        given: dict[str, Any] = {"input": input_of(case), **arguments} if asked else dict(arguments)
        for name, get in known:
            given[name] = get(case)
        for name, required in own:
            if name in case.fields:
                given[name] = copy.deepcopy(case.fields[name])
            elif required:
                raise CallFailed("missing_field", f"the callable needs `{name}`, which this row does not have")
        return given

    return keywords


def _capped(answer: Answer, max_bytes: int) -> Answer:
    """Return the answer, or a failure if it is too long to store and grade."""

    async def capped(case: Case, repeat: int) -> Output | Failure:
        ended = await answer(case, repeat)
        if isinstance(ended, Output) and (size := n_bytes(ended)) > max_bytes:
            what = f"the answer has {size} bytes, more than max_bytes ({max_bytes}); raise it if this is meant"
            return Failure("too_large", what)
        return ended

    return capped


def _answer(function: Callable[..., Any], keywords: Callable[[Case], dict[str, Any]], own: OwnCode) -> Answer:
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 -- asks whether an object's call is async, not if it has one
    )

    async def asked(call: Callable[[], Any], trace: Trace) -> Output | Failure:
        return to_output(await trace.wait(call()))

    async def answer(case: Case, repeat: int) -> Output | Failure:
        call, trace = functools.partial(function, **keywords(case)), Trace()
        try:
            if is_async:
                ended = await own.loop.run(functools.partial(asked, call, trace))
            else:
                ended = await own.call(functools.partial(trace.run, call), to_output)
        finally:
            steps = trace.close()
        return with_steps(ended, steps)

    return answer
