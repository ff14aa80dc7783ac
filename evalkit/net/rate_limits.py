"""Respect the limits of an endpoint: requests and tokens per minute."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

CHARS_PER_TOKEN = 4


class Pacer:
    """Spreads amounts evenly over time, in order of request.

    Args:
        per_minute: Amount that may pass in a minute; `None` for no limit.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, per_minute: float | None, clock: Callable[[], float] = monotonic) -> None:
        self._seconds_each = 60 / per_minute if per_minute else 0.0
        self._clock = clock
        self._free_at = clock()

    def delay_s(self, amount: float) -> float:
        """Reserve the next slot for an amount, and return the seconds until it."""
        now = self._clock()
        start = max(now, self._free_at)
        self._free_at = start + amount * self._seconds_each
        return start - now

    def correct(self, amount: float) -> None:
        """Subtract or add the error of an estimate."""
        self._free_at += amount * self._seconds_each


class Limits:
    """The two limits of one endpoint.

    Args:
        requests_per_minute: Requests that it accepts; `None` for no limit.
        tokens_per_minute: Tokens that it accepts; `None` for no limit.
        max_tokens: Longest reply, in tokens.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        requests_per_minute: float | None,
        tokens_per_minute: float | None = None,
        max_tokens: int = 0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._requests = Pacer(requests_per_minute, clock)
        self._tokens = Pacer(tokens_per_minute, clock)
        self._max_tokens = max_tokens
        self._counts_tokens = tokens_per_minute is not None
        self.are_open = requests_per_minute is None and tokens_per_minute is None

    async def turn(self, chars: Callable[[], int], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> int:
        """Wait for the turn of one request.

        Args:
            chars: Number of characters of the request; called only if tokens are limited.
            sleep: Waits a number of seconds.

        Returns:
            The reserved tokens, as vendors count them: those of the text and of the longest reply; 0 if tokens are not
            limited.
        """
        reserved = chars() // CHARS_PER_TOKEN + self._max_tokens if self._counts_tokens else 0
        seconds = max(self._requests.delay_s(1), self._tokens.delay_s(reserved))
        if seconds > 0:
            await sleep(seconds)
        return reserved

    def settle(self, reserved: int, used: int | None) -> None:
        """Return tokens that were reserved and not used; `None` if the reply does not report how many were used."""
        if used is not None:
            self._tokens.correct(used - reserved)


def check_rate(name: str, per_minute: float | None) -> None:
    """Reject a limit that would never let anything pass.

    Raises:
        ValueError: In the form `<name>: what; fix`.
    """
    if per_minute is not None and not 0 < per_minute < float("inf"):
        raise ValueError(f"{name}: not above 0; write the vendor's limit, or remove it")
