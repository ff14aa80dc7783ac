"""Respect the limits of an endpoint: requests and tokens per minute."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import monotonic

from evalkit.net.retry import ExchangeFailed

CHARS_PER_TOKEN = 4
_TOO_MANY = 429
_REQUESTS, _TOKENS = "requests", "tokens"


class Timetable:
    """When the limits of one endpoint let the next call pass: amounts are spread evenly, in order of request.

    Args:
        clock: A clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._free_at: dict[str, float] = {}

    def book(self, limit: str, seconds: float) -> float:
        """Reserve the next free time of a limit.

        Args:
            limit: Which of the limits.
            seconds: How long it is used up by what passes.

        Returns:
            The seconds until it may pass.
        """
        wait_s = 0.0

        def next_free(now: float, free_at: float) -> float:
            nonlocal wait_s
            wait_s = max(0.0, free_at - now)
            return now + wait_s + seconds

        self._change(limit, next_free)
        return wait_s

    def correct(self, limit: str, seconds: float) -> None:
        """Subtract or add the error of an estimate."""
        self._change(limit, lambda now, free_at: free_at + seconds)

    def hold(self, limit: str, seconds: float) -> None:
        """Let nothing more pass for some seconds."""
        self._change(limit, lambda now, free_at: max(free_at, now + seconds))

    def _change(self, limit: str, change: Callable[[float, float], float]) -> None:
        """Change when a limit is free again; the arguments of `change` are the present moment, and when it was."""
        now = self._clock()
        self._free_at[limit] = change(now, self._free_at.get(limit, now))


class Limits:
    """The two limits of one endpoint.

    Args:
        requests_per_minute: Requests that it accepts; `None` for no limit.
        tokens_per_minute: Tokens that it accepts; `None` for no limit.
        max_tokens: Longest reply, in tokens.
        timetable: When they let the next call pass, if others keep the same limits.
    """

    def __init__(
        self,
        requests_per_minute: float | None,
        tokens_per_minute: float | None = None,
        max_tokens: int = 0,
        timetable: Timetable | None = None,
    ) -> None:
        limits = {_REQUESTS: requests_per_minute, _TOKENS: tokens_per_minute}
        self._seconds_each = {limit: 60 / per_minute for limit, per_minute in limits.items() if per_minute is not None}
        self._max_tokens = max_tokens
        self._timetable = timetable or Timetable()
        self.are_open = not self._seconds_each

    async def turn(self, chars: Callable[[], int], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> int:
        """Wait for the turn of one request.

        Args:
            chars: Number of characters of the request; called only if tokens are limited.
            sleep: Waits a number of seconds.

        Returns:
            The reserved tokens, as vendors count them: those of the text and of the longest reply; 0 if tokens are not
            limited.
        """
        reserved = chars() // CHARS_PER_TOKEN + self._max_tokens if _TOKENS in self._seconds_each else 0
        amounts = {_REQUESTS: 1, _TOKENS: reserved}
        waits_s = [self._timetable.book(limit, amounts[limit] * each) for limit, each in self._seconds_each.items()]
        if (wait_s := max(waits_s, default=0.0)) > 0:
            await sleep(wait_s)
        return reserved

    def settle(self, reserved: int, used: int | None) -> None:
        """Return tokens that were reserved and not used; `None` if the reply does not report how many were used."""
        if used is not None and _TOKENS in self._seconds_each:
            self._timetable.correct(_TOKENS, (used - reserved) * self._seconds_each[_TOKENS])

    def heed(self, failure: ExchangeFailed, left_s: float) -> None:
        """Send nothing more while an endpoint that turned a call away (429) asks to wait.

        Args:
            failure: How the call failed.
            left_s: Seconds that the call still has; one that cannot wait so long makes nobody wait.
        """
        asked_s = failure.asked_s(datetime.now(UTC)) if failure.status == _TOO_MANY else None
        if asked_s is not None and asked_s < left_s:
            for limit in self._seconds_each:
                self._timetable.hold(limit, asked_s)


def check_rate(name: str, per_minute: float | None) -> None:
    """Reject a limit that would never let anything pass.

    Raises:
        ValueError: In the form `<name>: what; fix`.
    """
    if per_minute is not None and not 0 < per_minute < float("inf"):
        raise ValueError(f"{name}: not above 0; write the vendor's limit, or remove it")
