"""Decide whether to retry a failed request, and how long to wait first."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRIED_STATUSES = frozenset({408, 409, 429})
FIRST_SPAN_S = 2.0
LONGEST_SPAN_S = 60.0


@dataclass
class TimeLeft:
    """Seconds that one question may still spend on exchanges and waits."""

    seconds: float

    def spend(self, seconds: float) -> None:
        """Take `seconds` away."""
        self.seconds -= seconds


def is_retried(status: int) -> bool:
    """Tell whether a status may pass by itself: 408, 409, 429 and every 5xx."""
    return status in RETRIED_STATUSES or 500 <= status <= 599


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Read a Retry-After header.

    Args:
        value: Seconds or an HTTP date (RFC 9110, section 10.2.3).
        now: The present moment, with a time zone.

    Returns:
        Seconds from `now`, at least 0; `None` where the header is absent or unreadable.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(value: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def wait_s(attempt: int, asked_s: float | None, rng: random.Random) -> float:
    """Choose the wait before the next attempt: what the server asked for, and full jitter on top.

    The jitter is drawn from a span that doubles (2, 4, 8 ... 60 s), so that many clients that were turned away at one
    moment do not return at one moment. It is never taken off the time that was asked for.

    Args:
        attempt: Number of failed attempts before this wait, from 0.
        asked_s: Seconds from Retry-After, `None` where the server named none.
        rng: Source of the jitter.

    Returns:
        Seconds, not below `asked_s`.
    """
    span = min(LONGEST_SPAN_S, FIRST_SPAN_S * 2.0 ** min(attempt, 10))
    return (asked_s or 0.0) + rng.uniform(0.0, span)
