"""evalkit in a process that is killed at the Nth call of a named function; the product knows nothing of it.

python kill_at.py MODULE:NAME before|after|half N [evalkit's words ...]
"""

import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any


def die() -> None:
    """End as a power cut would, as far as a process can."""
    os.kill(os.getpid(), signal.SIGKILL)


def killing(function: Callable[..., Any], when: str, nth: int) -> Callable[..., Any]:
    """The function, deadly at its Nth call."""
    calls = 0

    @functools.wraps(function)
    def wrapped(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            die()
        if calls == nth and when == "half":  # a write of which half reaches the file
            function(given[0], given[1][: len(given[1]) // 2])
            die()
        result = function(*given, **named)
        if calls == nth:
            die()
        return result

    return wrapped


def main() -> None:
    """Patch, then be evalkit."""
    (target, when, nth), sys.argv[1:] = sys.argv[1:4], sys.argv[4:]
    module, _, name = target.partition(":")
    owner: Any = importlib.import_module(module)
    *parts, last = name.split(".")
    for part in parts:
        owner = getattr(owner, part)
    setattr(owner, last, killing(getattr(owner, last), when, int(nth)))
    from evalkit.cli.app import main as evalkit

    evalkit()


if __name__ == "__main__":
    main()
