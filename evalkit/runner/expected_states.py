"""Replay the calls that cases expect, in the environment of the suite."""

from __future__ import annotations

from asyncio import timeout  # by name: an environment may patch the module
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from evalkit.errors import MAX_PROBLEMS, InputError, Problem
from evalkit.formats.expected_state import EXPECTED_CALLS, Replayed, ReplayFailed
from evalkit.golden.read import GoldenSet
from evalkit.runner.conversation_key import conversation_key, environment_hash
from evalkit.runner.conversations import open_environment
from evalkit.runner.grading import Grader
from evalkit.suite.model import Suite
from evalkit.systems.base import CallFailed, Shared
from evalkit.systems.conversation.environment import Environment, MakeEnvironment
from evalkit.systems.conversation.loop import directly
from evalkit.systems.conversation.replaying import FIX_ENVIRONMENT, replayed
from evalkit.types import Case


@dataclass(frozen=True)
class EnvironmentReplays:
    """Replays the expected calls of a case; see `scorers.base.Replays`."""

    make: MakeEnvironment
    run: Callable[[Callable[[], Any]], Awaitable[Any]]
    timeout_s: float

    async def __call__(self, case: Case) -> Replayed:
        """Return the state before and after the calls.

        Raises:
            ReplayFailed: one of them fails, or the environment does.
        """
        replaying = f"replaying `{EXPECTED_CALLS}`"
        try:
            async with timeout(self.timeout_s) as limit:
                found: Replayed = await self.run(lambda: replayed(self.make, case))
                return found
        except TimeoutError:
            if not limit.expired():
                raise
            fix = f"{FIX_ENVIRONMENT}, or raise `conversation.timeout_s`"
            raise ReplayFailed(f"{replaying} took more than {self.timeout_s:g} s", fix, hangs=True) from None
        except CallFailed as failed:
            raise ReplayFailed(f"{replaying} failed: {failed}", FIX_ENVIRONMENT) from None


async def open_replays(suite: Suite, shared: Shared, stack: AsyncExitStack) -> EnvironmentReplays | None:
    """Return what replays calls in the environment of a suite; `None` if it has none.

    Args:
        suite: names the environment.
        shared: what systems are given.
        stack: holds the threads of its code.
    """
    if suite.conversation is None or suite.conversation.settings.environment is None:
        return None
    try:
        make, run = await open_environment(suite, shared, stack)
    except InputError:  # a problem of the environment, noted where that is checked
        make, run = None, directly
    return EnvironmentReplays(make or _not_loaded, run, suite.conversation.settings.timeout_s)


def _not_loaded(state: Mapping[str, Any]) -> Environment:
    raise ValueError("it cannot be loaded")


async def with_expected_states(
    suite: Suite, graders: Sequence[Grader], golden: GoldenSet, note: Callable[[Problem], None]
) -> list[Grader]:
    """Replay the expected calls of all cases, and return the graders with what their scores then depend on.

    Args:
        suite: names the environment.
        graders: bound.
        golden: its cases are read once more if a scorer may replay calls.
        note: called for each case whose calls cannot be replayed, up to the first that takes too long.
    """
    from evalkit.scorers.agents.state import ReplayingState  # few suites need it

    replaying = [(each, each.scorer) for each in graders if isinstance(each.scorer, ReplayingState)]
    dependent, failed = set[int](), dict[Problem, ReplayFailed]()
    for case in golden.open() if replaying else ():
        for grader, scorer in replaying:
            if not (scorer.is_replayed(case) and grader.applies(case)):
                continue
            dependent.add(grader.index)
            try:
                await scorer.try_calls(case)
            except ValueError:
                pass  # a field of another form, noted where fields are checked
            except ReplayFailed as error:
                place = f"{case.place} id {case.id}"
                failed[Problem(place, f"`{scorer.field}`: {error}", error.fix)] = error
        if len(failed) >= MAX_PROBLEMS or any(error.hangs for error in failed.values()):
            break
    for problem in failed:
        note(problem)
    own = environment_hash(suite)
    if conversation_key(suite).get("environment") == own:  # compared for the conversations themselves
        return [*graders]
    return [
        replace(each, key={**each.key, "environment": own}) if each.index in dependent else each for each in graders
    ]
