"""Protect process state that a python system shares with evalkit: hide it, or restore it afterwards."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

RUNNER_FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY", "GITHUB_STATE")
"""Files through which a step talks to its CI runner; writing to them sets outputs and variables of later steps."""
RUNNER_TOKENS = (
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_RUNTIME_URL",
    "ACTIONS_RESULTS_URL",
    "ACTIONS_CACHE_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
)
"""Tokens of a job; hidden inside a GitHub job only, since elsewhere a person has set them on purpose."""


def handed_on(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a system under test, without the files and tokens of the CI runner."""
    hidden = {*RUNNER_FILES, *(RUNNER_TOKENS if env.get("GITHUB_ACTIONS") else ())}
    return {name: value for name, value in env.items() if name not in hidden}


@contextmanager
def no_exit() -> Iterator[None]:
    """Make `os._exit` and `os.exec*` in this process a failure of the call, if no parent process checks its end.

    A process that the system forks may still exit. An exit outside Python is not caught.
    """
    own = os.getpid()
    real = {name: getattr(os, name) for name in ("_exit", "execv", "execve")}

    def instead(name: str) -> Callable[..., object]:
        def refused(*given: Any) -> object:
            if os.getpid() != own:
                return real[name](*given)
            raise SystemExit(f"os.{name} was called, which would have ended the whole process")

        return refused

    for name in real:
        setattr(os, name, instead(name))
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)


class Process:
    """The state of the process before any code of the system ran."""

    def __init__(self) -> None:
        self._set: list[Callable[[], object]] = [
            _setting(os.umask, _umask()),
            _setting(sys.setswitchinterval, sys.getswitchinterval()),
            _setting(socket.setdefaulttimeout, socket.getdefaulttimeout()),
            _setting(logging.disable, logging.root.manager.disable),
            gc.enable if gc.isenabled() else gc.disable,
            _setting(_set_filters, list(warnings.filters)),
            _setting(_find_again, list(sys.path)),
        ]
        with suppress(OSError):  # a folder that was deleted under us
            self._set.append(_setting(os.chdir, os.getcwd()))
        self._env = dict(os.environ)
        self._streams = sys.stdin, sys.stdout, sys.stderr
        self._fds: dict[int, int] = {}

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hide what belongs to the CI runner, and restore it afterwards."""
        _set_environment(handed_on(self._env))
        for fd in (0, 1, 2):
            with suppress(OSError):
                self._fds[fd] = os.dup(fd)
        try:
            with _deep_enough():
                yield
        finally:
            self.back()
            _set_environment(self._env)
            for kept in self._fds.values():
                with suppress(OSError):
                    os.close(kept)

    def back(self) -> None:
        """Restore the state that the system changed: folder, umask, limits, warnings, logging, standard streams."""
        sys.stdin, sys.stdout, sys.stderr = self._streams
        for fd, kept in self._fds.items():
            with suppress(OSError):
                if _file(fd) != _file(kept):
                    os.dup2(kept, fd)
        for put_back in self._set:
            with suppress(OSError, RecursionError):
                put_back()


@contextmanager
def _deep_enough() -> Iterator[None]:
    """Keep the recursion limit at least where it is: it holds for every thread, the run's own among them.

    A limit restored after the call would come too late, since the run goes on while the system is called.
    """
    real, least = sys.setrecursionlimit, sys.getrecursionlimit()
    sys.setrecursionlimit = lambda limit: real(max(limit, least))
    try:
        yield
    finally:
        sys.setrecursionlimit = real
        sys.setrecursionlimit(least)


def _setting(setter: Callable[..., object], value: object) -> Callable[[], object]:
    return lambda: setter(value)


def _file(fd: int) -> tuple[int, int] | None:
    """Return the file of a descriptor; `None` if it is closed."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _umask() -> int:
    now = os.umask(0o77)
    os.umask(now)
    return now


def _set_filters(filters: list[object]) -> None:
    if list(warnings.filters) != filters:
        warnings.resetwarnings()
        warnings.filters[:] = filters  # type: ignore[index]


def _find_again(entries: list[str]) -> None:
    sys.path += [entry for entry in entries if entry not in sys.path]


def _set_environment(env: Mapping[str, str]) -> None:
    if dict(os.environ) != env:
        os.environ.clear()
        os.environ.update(env)
