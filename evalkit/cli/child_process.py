"""Run the command in a child process, and accept its exit code only with a decision that confirms it.

The system under test shares the command's process: `os._exit(0)` in it, an `atexit` handler, or a program that takes
the process over would end the run with any exit code. So the process that a person started forks before anything heavy
is imported, passes signals on, waits, and checks the decision on disk as its last act. If there is no `fork`, the
command runs alone.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from evalkit.errors import ExitCode

LEAVE_S = 3.0
"""Seconds that the system's `atexit` handlers and threads have once everything is written."""
GONE_S = LEAVE_S + 2.0
"""Seconds from the child's last message until it is killed; the interpreter may fail to end."""
LOOK_S = 0.1
"""Seconds between two checks of a child whose pipe is silent."""
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_DECIDING = range(6)
"""Exit codes with a meaning for the suite, which must not occur by accident."""


class _Child:
    """State of the child process: messages to its parent, and its signal handler."""

    def __init__(self) -> None:
        self.parent: int | None = None
        self.decides = False
        self.decision: tuple[str, str] | None = None
        self.listener: Callable[[int], object] | None = None


_CHILD = _Child()


def promise(decision: Path | None, sha256: str = "") -> None:
    """Accept the exit code only if `decision` still has these bytes at the end; if it is `None`, always."""
    _CHILD.decision = None if decision is None else (str(decision.absolute()), sha256)


def must_decide() -> None:
    """From now on, require a decision on disk for an exit code with a meaning for the suite."""
    _CHILD.decides = True


def started_as() -> int:
    """Return the process number that the user started."""
    return _CHILD.parent or os.getpid()


def promised() -> bool:
    """Return whether the exit code is backed by a decision on disk."""
    return _CHILD.decision is not None


def listen(listener: Callable[[int], object] | None) -> None:
    """Handle signals passed on by the parent; handlers run in a thread. With `None`, each signal ends the process."""
    _CHILD.listener = listener


def supervised(command: Callable[[], object]) -> NoReturn:
    """Run `command`, which raises `SystemExit`, and exit with its code."""
    if not hasattr(os, "fork"):
        command()
        sys.exit(0)
    word, say = os.pipe()
    orders, order = os.pipe()

    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(OSError):
            os.write(order, bytes([number]))

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # `nohup`
            signal.signal(number, pass_on)
    child = os.fork()
    if child == 0:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(word)
        os.close(order)
        _run(command, say, orders)
    os.close(say)
    os.close(orders)
    _leave(_exit_code(child, *_awaited(child, word)))


def _run(command: Callable[[], object], say: int, orders: int) -> NoReturn:
    """Run the child: run the command, report its ending, and exit."""
    from json import dumps  # bound now: the system may replace it in its module

    _CHILD.parent = os.getppid()
    threading.Thread(target=_obey, args=[orders], name="orders", daemon=True).start()
    code = _ended(command)
    said = {"pid": os.getpid(), "code": code, "decision": _CHILD.decision, "decides": _CHILD.decides}
    with suppress(OSError):  # the system has closed its descriptors; without this word no code counts
        os.write(say, dumps(said).encode() + b"\n")
    leaving = threading.Timer(LEAVE_S, os._exit, [code])
    leaving.daemon = True
    leaving.start()
    raise SystemExit(code)  # the system may have replaced `sys.exit`


def _ended(command: Callable[[], object]) -> int:
    try:
        command()
        code: object = 0
    except SystemExit as leaving:
        code = leaving.code
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    return int(code or 0)


def _obey(orders: int) -> None:
    """Handle signals passed on by the parent, and end when it dies."""
    with suppress(OSError):  # the system has closed its descriptors
        while number := os.read(orders, 1):
            if _CHILD.listener is None:
                os._exit(128 + number[0])
            _CHILD.listener(number[0])
        os.kill(os.getpid(), signal.SIGKILL)


def _awaited(child: int, word: int) -> tuple[int, bytes]:
    """Wait for the child, and kill it if it does not end after its last message; return its status and messages."""
    os.set_blocking(word, False)  # a process that the system has left behind may hold the other end
    said, kill_at = b"", float("inf")
    while not (ended := os.waitpid(child, os.WNOHANG | os.WUNTRACED))[0] or os.WIFSTOPPED(ended[1]):
        if ended[0] and os.WSTOPSIG(ended[1]) == signal.SIGSTOP:  # not Ctrl-Z, which stops this process too
            os.kill(child, signal.SIGCONT)
        if select.select([word], [], [], LOOK_S)[0]:
            piece = _read(word)
            said += piece
            if not piece:  # closed, so always readable: the child is about to end, or the system has closed it
                time.sleep(0.01)
        if kill_at == float("inf") and _last_word(child, said):
            kill_at = time.monotonic() + GONE_S
        if time.monotonic() > kill_at:
            os.kill(child, signal.SIGKILL)
    return ended[1], said + _read(word)


def _last_word(child: int, said: bytes) -> dict[str, Any] | None:
    return next((word for word in map(_parsed, said.splitlines()) if word.get("pid") == child), None)


def _read(word: int) -> bytes:
    said = b""
    with suppress(BlockingIOError):
        while piece := os.read(word, 1 << 16):
            said += piece
    return said


def _exit_code(child: int, status: int, said: bytes) -> int:
    """Convert the child's status to an exit code; negative for a signal."""
    code = os.waitstatus_to_exitcode(status)
    last = _last_word(child, said)
    if last is None:
        if code < 0:
            _tell(f"the process was ended by {_signal_name(-code)}")
        if code not in _DECIDING:
            return code
        what = f"the process ended with exit code {code}, and evalkit did not report that it had finished"
        _tell(f"{what}: the system called os._exit, or closed or replaced what evalkit uses")
        return ExitCode.INTERNAL_ERROR
    code = int(last["code"])
    if last["decision"] is None and last["decides"] and code in (ExitCode.APPROVED, ExitCode.BLOCKED):
        _tell(f"the process ended with exit code {code} without a decision: code in it has raised SystemExit")
        return ExitCode.INTERNAL_ERROR
    if last["decision"] is not None:
        file, sha256 = last["decision"]
        if fault := _fault_of(file, sha256, code if last["decides"] else None):
            _tell(f"{file}: {fault}")
            return ExitCode.INTERNAL_ERROR
    return code


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _parsed(line: bytes) -> dict[str, Any]:
    import json  # the list of commands does without

    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _fault_of(decision: str, sha256: str, code: int | None) -> str:
    """Explain why a file is not the decision behind an exit code; empty if it is, or if the code needs none."""
    import hashlib

    try:
        data = Path(decision).read_bytes()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() != sha256:
        return "is no longer the decision of this run: something else has written there"
    decides = code in (ExitCode.APPROVED, ExitCode.BLOCKED, ExitCode.NO_DECISION)
    if decides and _parsed(data).get("exit_code") != code:
        return f"has no decision for exit code {code}: code in the process has interfered"
    return ""


def _tell(what: str) -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"evalkit: {what}; {_then(sys.argv[1:])}\n")
        sys.stderr.flush()


def _then(words: Sequence[str]) -> str:
    """Say what a command that was ended has kept, and how to go on."""
    match words[:2]:
        case ["run" | "score", *_]:
            return "finished cases are kept, continue with --resume"
        case ["monitor", "take"]:
            return "finished batches are kept; run the command again"
        case ["monitor", "thresholds"]:
            return "nothing was written; run the command again"
    return "run the command again"


def _leave(code: int) -> NoReturn:
    if code < 0:  # end as the child did
        with suppress(ImportError, OSError, ValueError):
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one core file is enough
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        code = 128 - code
    os._exit(code)
