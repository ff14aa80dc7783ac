"""Run a coroutine to its end, even if other code on its event loop stops the loop or leaves tasks behind."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
LEAVE_S = 1.0
"""Seconds that tasks left behind by a library have to end."""
_monotonic = time.monotonic
"""Bound before a system can patch the module, so that timeouts hold."""


def run_to_end(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a new event loop, as `asyncio.run` does, and give its result.

    The run neither ends early nor hangs if a library stops the loop, calls `sys.exit` in a task, or leaves a task that
    swallows its cancellation.

    Raises:
        BaseException: The exception of `main`; `KeyboardInterrupt` after Ctrl-C, if there is no other handler.
    """
    loop = asyncio.new_event_loop()
    loop.time = _monotonic  # type: ignore[method-assign]
    task = loop.create_task(main)
    try:
        asyncio.set_event_loop(loop)
        with _cancelled_by_ctrl_c(loop, task):
            _until(loop, task)
            return task.result()
    finally:
        try:
            _until(loop, loop.create_task(_leave()))
        finally:
            asyncio.set_event_loop(None)
            loop.close()


@contextmanager
def _cancelled_by_ctrl_c(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> Iterator[None]:
    """Cancel the task at the first Ctrl-C, unless there is a handler, instead of raising in arbitrary code."""
    free = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not free or threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        loop.call_soon_threadsafe(task.cancel)

    signal.signal(signal.SIGINT, press)
    try:
        yield
    except asyncio.CancelledError:
        if pressed:
            raise KeyboardInterrupt from None
        raise
    finally:
        if signal.getsignal(signal.SIGINT) is press:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _until(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt, RuntimeError):
            # A library has called `sys.exit` or stopped the loop. What the task itself raises is read by the caller.
            if loop.is_closed():
                raise
        except BaseException:
            if not task.done():
                raise


async def _leave() -> None:
    """Cancel remaining tasks, and wait briefly for them."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=LEAVE_S)
    with suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_S):
            await asyncio.get_running_loop().shutdown_asyncgens()
