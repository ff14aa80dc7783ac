"""Track pending retries so that progress output can explain a stalled run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Waits:
    """The pending waits of one run."""

    def __init__(self) -> None:
        self._due: dict[object, tuple[float, str]] = {}

    @contextmanager
    def one(self, kind: str, seconds: float) -> Iterator[None]:
        """Count a wait while it lasts."""
        key = object()
        self._due[key] = (time.monotonic() + seconds, kind)
        try:
            yield
        finally:
            del self._due[key]

    def __str__(self) -> str:
        """Format pending retries, such as `retrying 3 (http_429, next 8 s)`; empty if there are none."""
        if not self._due:
            return ""
        first, kind = min(self._due.values())
        return f"retrying {len(self._due)} ({kind}, next {max(0.0, first - time.monotonic()):.0f} s)"


WAITS: ContextVar[Waits | None] = ContextVar("WAITS", default=None)
"""The waits of the current task's run; tasks inherit it."""


@contextmanager
def waiting(kind: str, seconds: float) -> Iterator[None]:
    """Record that a call waits `seconds` because of `kind`, such as `http_429`."""
    waits = WAITS.get()
    if waits is None:
        yield
        return
    with waits.one(kind, seconds):
        yield
