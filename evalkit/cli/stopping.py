"""Wait for Ctrl-C in a command that has no end of its own."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import typer

from evalkit.cli.child_process import SIGNALS, listen

T = TypeVar("T")
LOOK_S = 0.1
"""Seconds between two looks at whether to end."""


class Stopped:
    """The first signal that asked the command to end."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._number: int | None = None

    def hear(self, number: int, frame: FrameType | None = None) -> None:
        """Keep the first signal."""
        self._number = self._number or number
        self._event.set()

    def within(self, seconds: float | None) -> bool:
        """Wait so long, `None` for ever, and return whether the command was asked to end."""
        return self._event.wait(seconds)

    async def cancels(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work, and cancel it once the command is asked to end.

        Raises:
            typer.Exit: it was asked to end, and what the work has opened is closed.
        """
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.wait([task], timeout=LOOK_S)
            if self._number is not None:
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.exception()  # of what was cut off
                raise typer.Exit(128 + self._number)
        return task.result()

    def leave(self) -> None:
        """Exit with 0 after Ctrl-C, else with the code of the signal."""
        raise typer.Exit(0 if self._number in (None, signal.SIGINT) else 128 + (self._number or 0))


@contextmanager
def until_stopped() -> Iterator[Stopped]:
    """Handle the signals that end a command, its own and those that its parent passes on."""
    stopped = Stopped()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if number == signal.SIGINT or handler is not signal.SIG_IGN:  # `nohup` stays
            signal.signal(number, stopped.hear)
    listen(stopped.hear)
    try:
        yield stopped
    finally:
        listen(lambda number: None)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # the process is ending, and its exit code stands
