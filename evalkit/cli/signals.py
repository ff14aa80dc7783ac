"""Stop a run cleanly on Ctrl-C, SIGTERM and SIGHUP."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import os
import shlex
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from evalkit.cli.child_process import SIGNALS, listen, started_as
from evalkit.cli.output import CommandOutput
from evalkit.cli.progress import Reporter
from evalkit.disk.files import read_file
from evalkit.disk.paths import shown_path
from evalkit.errors import ExitCode
from evalkit.operations.run import Request, Result, run_suite
from evalkit.operations.run_each import run_each
from evalkit.runner.engine import Stop
from evalkit.runner.event_loop import run_to_end
from evalkit.runner.session import Interrupted, Watcher
from evalkit.store.folder import RunFolder
from evalkit.systems.secrets import names_in, redact, secrets_of

if TYPE_CHECKING:
    from evalkit.operations.run_systems import SystemsResult

T = TypeVar("T")
DRAIN_S = 8.0
"""Seconds that calls in flight have to end after the first signal; the run ends within 10."""
FORCED_S = 0.8
"""Seconds until a second signal ends the process unconditionally."""


def run_stoppable(request: Request, output: CommandOutput, progress: str, continued_by: str = "") -> Result:
    """Run one system to the end, or leave with the exit code of the signal that stopped it.

    Args:
        request: settings of the run.
        output: streams for messages.
        progress: how to show progress.
        continued_by: command that continues an interrupted run; if empty, the one that started it, with its folder.
    """

    async def run(watcher: Watcher, stop: Stop, own: Request) -> Result:
        return await run_suite(own, watcher, stop, os.environ)

    return _to_end(request, output, progress, run, continued_by)


def run_each_stoppable(request: Request, output: CommandOutput, progress: str) -> Result | SystemsResult:
    """Run one system or several to the end, or leave with the exit code of the signal that stopped it."""
    return _to_end(request, output, progress, lambda watcher, stop, own: run_each(own, watcher, stop, os.environ))


def _to_end(
    request: Request,
    output: CommandOutput,
    progress: str,
    run: Callable[[Watcher, Stop, Request], Coroutine[Any, Any, T]],
    continued_by: str = "",
) -> T:
    gc.freeze()  # what is loaded by now stays; what a system leaves behind is looked for as often as ever
    gc.set_threshold(700, 10, 10)
    stop = Stop()
    request = dataclasses.replace(request, process=started_as())
    reporter = Reporter(output.messages, progress)
    try:
        # Standard output is for the result alone; output of the user's system goes to standard error.
        with redirect_stdout(sys.stderr), reporter:
            return run_to_end(_stoppable(run(reporter.watcher, stop, request), stop))
    except (Interrupted, asyncio.CancelledError) as error:
        if isinstance(error, Interrupted):
            command = _without_secrets(continued_by or again(request, error.folder), request.suite)
            output.say(f"interrupted; every finished case is kept. Continue with: {command}")
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # the process is ending, and its exit code stands
        raise typer.Exit(_exit_code(stop)) from None


def again(request: Request, folder: RunFolder) -> str:
    """Return the command that resumes a run: its original command, with its folder."""
    words = [word for word in shlex.split(request.command) if word != "--resume" and not word.startswith("--out=")]
    if "--out" in words:
        at = words.index("--out")
        del words[at : at + 2]
    return shlex.join([*words, "--out", shown_path(folder.path), "--resume"])


def _without_secrets(text: str, suite: Path) -> str:
    named: list[str] = []
    with suppress(OSError, ValueError):
        named = names_in(read_file(suite).decode())
    return redact(text, secrets_of(os.environ, named))


async def _stoppable(running: Coroutine[Any, Any, T], stop: Stop) -> T:
    """Handle signals: the first lets the calls in flight end, the second cancels them."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    heard: Counter[str] = Counter()

    def drain(number: int, again: bool) -> None:
        if again and task is not None:
            task.cancel()
        if stop.signal is None:
            stop.by_signal(number)
            loop.call_later(DRAIN_S, stop.at_once, "")

    def hear(number: int, way: str) -> None:
        heard[way] += 1
        # A terminal signals this process and its parent, which passes the signal on; count it once.
        again = heard[way] > 1
        if again:
            # Rows are written as soon as they are made, so nothing is lost if the loop never returns.
            forced = threading.Timer(FORCED_S, os._exit, [_exit_code(stop)])
            forced.daemon = True
            forced.start()
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            loop.call_soon_threadsafe(drain, number, again)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        if number == signal.SIGINT or before[number] is not signal.SIG_IGN:  # `nohup` stays
            signal.signal(number, lambda number, frame: hear(number, "itself"))
    listen(lambda number: hear(number, "parent"))
    try:
        return await running
    finally:
        listen(None if stop.signal is None else lambda number: None)
        for number, handler in before.items() if stop.signal is None else ():
            signal.signal(number, handler)


def _exit_code(stop: Stop) -> int:
    codes = {signal.SIGTERM: ExitCode.TERMINATED, getattr(signal, "SIGHUP", 0): ExitCode.HUNG_UP}
    return next((code for number, code in codes.items() if number == stop.signal), ExitCode.INTERRUPTED)
