"""Respect the limits of an endpoint: requests and tokens a minute."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

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
    """The two limits of one endpoint.

    Args:
        requests_per_minute: Requests that it accepts; `None` for no limit.
        tokens_per_minute: Tokens that it accepts; `None` for no limit.
        max_tokens: Longest reply, in tokens.
        clock: Seconds that only grow.
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
        self.counts_tokens = tokens_per_minute is not None
        self.are_open = requests_per_minute is None and tokens_per_minute is None

    def estimate(self, chars: int) -> int:
        """Return the maximum tokens of a request, as vendors count them: its text and the longest reply."""
        return chars // CHARS_PER_TOKEN + self._max_tokens

    def delay_s(self, tokens: int) -> float:
        """Reserve a slot for one request of so many tokens, and return the seconds until it."""
        return max(self._requests.delay_s(1), self._tokens.delay_s(tokens))

    def correct(self, estimated: int, used: int) -> None:
        """Return tokens that were reserved and not used."""
        self._tokens.correct(used - estimated)


def check_rate(name: str, per_minute: float | None) -> None:
    """Reject a limit that would never let anything pass.

    Raises:
        ValueError: In the form `<name>: what; fix`.
    """
    if per_minute is not None and not 0 < per_minute < float("inf"):
        raise ValueError(f"{name}: not above 0; write the vendor's limit, or remove it")
