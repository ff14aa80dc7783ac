"""Find out whether the judge of a monitor answers: calls that it cannot grade now must wait for the next take."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from evalkit.errors import RunError
from evalkit.net.waits import Waits
from evalkit.scorers.base import Grade
from evalkit.types import Score, Unscored

T = TypeVar("T")
ENOUGH = 3
"""Refused connections of a judge that has not answered yet, or calls in a row without an answer, that end a take."""
_UNREACHED = "judge_transport"
_DENIED = frozenset({"judge_http_401", "judge_http_403"})


class JudgeReach(Waits):
    """Counts connections that were refused, and calls whose judge does not answer, until the judge grades one."""

    def __init__(self, addresses: Sequence[str]) -> None:
        """Begin with a judge that has not answered.

        Args:
            addresses: Of the judge and its panel.
        """
        super().__init__()
        self._where = " or ".join(dict.fromkeys(addresses))
        self._answered = False
        self._refused, self._lost = 0, 0
        self._why = ""
        self._gone = asyncio.Event()

    def begin(self) -> None:
        """Begin with the answers of a batch or shard."""
        self._refused, self._lost = 0, 0

    async def while_it_answers(self, asked: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
        """Ask about the answers of a batch, all at once, and return what each coroutine returns.

        Raises:
            RunError: The judge does not answer; the message says why.
        """
        self.begin()
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self.watch())
                async with asyncio.TaskGroup() as own:
                    tasks = [own.create_task(each) for each in asked]
                watch.cancel()
        except ExceptionGroup as failed:
            if (gone := failed.subgroup(RunError)) is not None:
                raise gone.exceptions[0] from None
            raise
        return [task.result() for task in tasks]

    @contextmanager
    def one(self, kind: str, seconds: float) -> Iterator[None]:
        """Count a wait; a judge that has answered before gets the time of all attempts."""
        self._refused += kind == "connection"
        if self._refused >= ENOUGH and not self._answered:
            self._end(f"{self._where} cannot be reached; start it, then run the command again")
        with super().one(kind, seconds):
            yield

    def graded(self, grades: Mapping[str, Grade]) -> None:
        """Count the grades of one call."""
        if any(
            isinstance(each, Score) and each.usage is not None and not each.usage.cached for each in grades.values()
        ):
            self._answered, self._refused, self._lost = True, 0, 0
            return
        for each in grades.values():
            if isinstance(each, Unscored) and (each.kind == _UNREACHED or each.kind in _DENIED):
                self._lost += 1
                if self._lost >= ENOUGH:
                    denied = f"{self._where} refused the key ({each.kind.removeprefix('judge_')}); fix the key"
                    lost = f"{self._where} cannot be reached; start it"
                    self._end(f"{denied if each.kind in _DENIED else lost}, then run the command again")
                return

    async def watch(self) -> None:
        """Wait until the judge does not answer.

        Raises:
            RunError: It does not; the message says why.
        """
        await self._gone.wait()
        raise RunError(f"judge: {self._why}")

    def _end(self, why: str) -> None:
        self._why = self._why or why
        self._gone.set()
