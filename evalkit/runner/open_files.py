"""Raise the limit of open files to the run's needs."""

from __future__ import annotations

from evalkit.errors import InputError, Problem
from evalkit.suite.model import Suite

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

_OWN_FILES = 24
_FILES_A_SYSTEM = 4
"""Journal and lock of each of several systems."""
_FILES_A_CALL = {"http": 1, "chat": 1, "command": 4}


def make_room(suite: Suite) -> None:
    """Raise the soft limit of open files to the run's needs.

    Raises:
        InputError: the hard limit is too low; calls would fail one by one for a reason that is not their own.
    """
    if resource is None:
        return
    judges = 1 + len(suite.judge.panel) if suite.judge is not None and suite.judge.chat is not None else 0
    called = [(each.kind, each.concurrency or suite.options.concurrency) for each in suite.systems]
    called = called or [(suite.system_kind, suite.options.concurrency)]
    called += [("http", suite.options.concurrency)] if suite.baseline_system is not None else []
    of_judges = suite.options.concurrency * judges * max(1, len(suite.systems))
    needed = _OWN_FILES + of_judges + sum(n * _FILES_A_CALL.get(kind, 0) for kind, n in called)
    needed += _FILES_A_SYSTEM * len(suite.systems)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        what = (
            f"{suite.options.concurrency} calls in flight need some {needed} open files, this process may open {hard}"
        )
        least = max(1, suite.options.concurrency * (hard - _OWN_FILES) // (needed - _OWN_FILES))
        raise InputError(
            Problem(suite.place("concurrency"), what, f"run with --concurrency {least}, or `ulimit -n {needed}`")
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
