"""Open the system of a run, for single calls or for whole conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.disk.project_code import load_callable
from evalkit.errors import InputError, Problem
from evalkit.formats.turns import without_history
from evalkit.runner.conversation_key import conversation_key
from evalkit.runner.grading import Grader
from evalkit.scorers.registry import score_key
from evalkit.suite.model import Suite
from evalkit.systems import CALLED
from evalkit.systems.base import Answer, Shared, SystemConfig
from evalkit.systems.chat import ChatSystem
from evalkit.systems.command import CommandSystem
from evalkit.systems.http import HttpSystem
from evalkit.systems.python import PythonSystem
from evalkit.systems.threads import own_code
from evalkit.types import Case, Failure, Output

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared
    from evalkit.systems.conversation.environment import MakeEnvironment
    from evalkit.systems.conversation.loop import Simulate


def adds_ended(suite: Suite) -> bool:
    """Return True if the metric `ended` is added, because evalkit runs the conversations or ran the stored ones."""
    conversation = suite.conversation
    return conversation is not None and conversation.settings.ended and bool(conversation_key(suite))


def ended_grader(index: int) -> Grader:
    """Return the scoring of `ended`.

    Args:
        index: position of the grader, after those of the suite.
    """
    from evalkit.scorers.agents.ended import ConversationEnded

    scorer = ConversationEnded()
    return Grader(scorer, key=score_key("ended", scorer, scorer), index=index)


def environment_files(suite: Suite, shared: Shared) -> list[tuple[str, Path]]:
    """Return the files of the conversations' environment as (name, path)."""
    conversation = suite.conversation
    if conversation is None:
        return []
    environment = conversation.settings.environment
    if isinstance(environment, Mapping):
        return PythonSystem(python=environment["python"]).sources(shared)
    file = conversation.mocks_file
    return [] if file is None else [(file.relative_to(suite.root).as_posix(), file)]


def environment_problems(suite: Suite, shared: Shared) -> list[Problem]:
    """Return the problems of an environment's class."""
    environment = suite.conversation.settings.environment if suite.conversation is not None else None
    if environment is not None and isinstance(suite.system, HttpSystem | CommandSystem):
        what = f"a system of kind {suite.system_kind} cannot call an environment of evalkit"
        return [
            Problem("conversation.environment", what, "remove it; the system runs its tools and returns its `state`")
        ]
    if not isinstance(environment, Mapping):
        return []
    try:
        load_callable(environment["python"], shared.project, "conversation.environment")
    except InputError as error:
        return list(error.problems)
    return []


@asynccontextmanager
async def open_system(system: SystemConfig, prepared: Prepared) -> AsyncIterator[Answer]:
    """Open a system for the duration of a run; if the suite has conversations, each answer is a whole conversation."""
    async with AsyncExitStack() as stack:
        answer = await stack.enter_async_context(system.open(prepared.shared))
        conversation = prepared.suite.conversation
        if conversation is None or not isinstance(system, CALLED):
            yield _without_earlier_steps(answer)
            return
        from evalkit.systems.conversation.loop import ConversationSetup, conversing

        make, run = await open_environment(prepared.suite, prepared.shared, stack)
        setup = ConversationSetup(
            settings=conversation.settings,
            make_environment=make,
            runs_tools=make is not None and isinstance(system, ChatSystem),
            run_environment=run,
            simulate=_simulate(prepared),
            tool_error=getattr(system, "tool_error", None),
            before_turn=prepared.budget.check if prepared.budget is not None else lambda: None,
        )
        yield conversing(answer, setup)


def _without_earlier_steps(answer: Answer) -> Answer:
    """Wrap a system so that the steps of the case's history are not counted as its own."""

    async def call(case: Case, repeat: int) -> Output | Failure:
        ended = await answer(case, repeat)
        return without_history(case, ended) if isinstance(ended, Output) else ended

    return call


def _simulate(prepared: Prepared) -> Simulate | None:
    if prepared.user is None:
        return None
    from evalkit.runner.simulated_user import simulating

    return simulating(prepared.user)


async def open_environment(
    suite: Suite, shared: Shared, stack: AsyncExitStack
) -> tuple[MakeEnvironment | None, Callable[[Callable[[], Any]], Awaitable[Any]]]:
    """Return the factory of environments, `None` if the suite has none, and the runner of their code.

    Raises:
        InputError: its class cannot be loaded.
    """
    from evalkit.systems.conversation.loop import directly
    from evalkit.systems.conversation.mocks import MockEnvironment

    conversation = suite.conversation
    environment = conversation.settings.environment if conversation is not None else None
    if conversation is not None and conversation.mocks is not None:
        return partial(MockEnvironment, conversation.mocks), directly
    if conversation is None or environment is None or isinstance(environment, str):
        return None, directly
    make = load_callable(environment["python"], shared.project, "conversation.environment")
    own = await stack.enter_async_context(own_code(shared.concurrency))

    async def run(function: Callable[[], Any]) -> Any:
        return await own.call(function, lambda value: value)

    return make, run
