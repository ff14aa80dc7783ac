"""Open a system of a run: call by call, or conversation by conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from evalkit.disk.project_code import load_callable
from evalkit.systems.base import Answer, SystemConfig
from evalkit.systems.chat import ChatSystem
from evalkit.systems.command import CommandSystem
from evalkit.systems.conversation.environment import MakeEnvironment
from evalkit.systems.conversation.loop import Talks, conversing, directly
from evalkit.systems.conversation.mocks import MockEnvironment
from evalkit.systems.http import HttpSystem
from evalkit.systems.python import PythonSystem
from evalkit.systems.threads import own_code

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared

_ASKED = (PythonSystem, HttpSystem, CommandSystem, ChatSystem)
"""Systems that are called turn by turn; stored answers are whole conversations."""


@asynccontextmanager
async def open_system(system: SystemConfig, prepared: Prepared) -> AsyncIterator[Answer]:
    """Hold a system for the length of a run; if the suite has conversations, an answer is a whole one."""
    async with AsyncExitStack() as stack:
        answer = await stack.enter_async_context(system.open(prepared.shared))
        conversation = prepared.suite.conversation
        if conversation is None or not isinstance(system, _ASKED):
            yield answer
            return
        make, run = await _environment(prepared, stack)
        talks = Talks(
            settings=conversation.settings,
            make_environment=make,
            runs_tools=make is not None and isinstance(system, ChatSystem),
            run_environment=run,
            before_turn=prepared.budget.check if prepared.budget is not None else lambda: None,
        )
        yield conversing(answer, talks)


async def _environment(prepared: Prepared, stack: AsyncExitStack) -> tuple[MakeEnvironment | None, Any]:
    """Return how environments are made, and what runs their code."""
    conversation = prepared.suite.conversation
    environment = conversation.settings.environment if conversation is not None else None
    if conversation is not None and conversation.mocks is not None:
        return partial(MockEnvironment, conversation.mocks), directly
    if conversation is None or environment is None or isinstance(environment, str):
        return None, directly
    make = load_callable(environment["python"], prepared.shared.project, "conversation.environment")
    own = await stack.enter_async_context(own_code(prepared.shared.concurrency))

    async def run(function: Callable[[], Any]) -> Any:
        return await own.call(function, lambda value: value)

    return make, run
