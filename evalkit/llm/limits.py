"""Respect the limits of an endpoint: requests and tokens a minute."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from evalkit.llm.config import ChatConfig

CHARS_PER_TOKEN = 4


class Pacer:
    """Spreads amounts evenly over time, in order of request.

    Args:
        per_minute: Amount that may pass in a minute; `None` for no limit.
        clock: Seconds that only grow.
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
    """The two limits of one endpoint."""

    def __init__(self, config: ChatConfig, clock: Callable[[], float] = monotonic) -> None:
        self._requests = Pacer(config.requests_per_minute, clock)
        self._tokens = Pacer(config.tokens_per_minute, clock)
        self._max_tokens = config.max_tokens
        self.counts_tokens = config.tokens_per_minute is not None

    def estimate(self, chars: int) -> int:
        """Return the maximum tokens of a request, as providers count them: its text and the longest reply."""
        return chars // CHARS_PER_TOKEN + self._max_tokens

    def delay_s(self, tokens: int) -> float:
        """Reserve a slot for one request of so many tokens, and return the seconds until it."""
        return max(self._requests.delay_s(1), self._tokens.delay_s(tokens))

    def correct(self, estimated: int, used: int) -> None:
        """Return tokens that were reserved and not used."""
        self._tokens.correct(used - estimated)
