"""Track pending retries so that progress output can explain a stalled run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Waits:
    """The pending waits of one run: each endpoint of the run notes its own here."""

    def __init__(self) -> None:
        self._due: dict[object, tuple[float, str]] = {}

    @contextmanager
    def one(self, kind: str, seconds: float) -> Iterator[None]:
        """Count a wait of `seconds` because of `kind`, such as `http_429`, while it lasts."""
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
