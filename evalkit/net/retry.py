"""Decide whether a failed request is retried, and how long to wait first.

Two policies, and the reason for each status:

| status | judges, embeddings, `chat:` | `http:` | why |
| --- | --- | --- | --- |
| 408, 425, 429, 503, 529 | again | again | the server turned the request away before it did any work |
| 409, 500, 502, 504, 520 to 524 | again | no | the work may have been done, the reply was lost (409: a lock) |
| any other | no | no | the same request would get the same answer |

A connection that cannot be opened is always retried, because nothing was sent. One that breaks later, or a time limit
that is reached, counts as a lost reply. A model's completion or embedding changes nothing at the server, so asking
twice does no harm. An `http:` system may have booked a flight, so a request with a lost reply is retried only if the
suite says `idempotent: true`, or if the method is PUT, which is idempotent (RFC 9110, section 9.2.2).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

TURNED_AWAY = frozenset({408, 425, 429, 503, 529})
Fate = Literal["not_sent", "lost", "lasting"]
LOST_REPLY = frozenset({409, 500, 502, 504, 520, 521, 522, 523, 524})


@dataclass
class TimeLeft:
    """Seconds that one call may still spend on exchanges and waits.

    Attributes:
        seconds: Seconds that are left.
        setting: Name of the setting that limits them.
    """

    seconds: float
    setting: str

    def spend(self, seconds: float) -> None:
        """Subtract `seconds`."""
        self.seconds -= seconds


@dataclass(frozen=True)
class StatusReply:
    """A reply whose status is not 2xx, with the beginning of its body."""

    status: int
    body: bytes
    retry_after: str | None


class ExchangeFailed(Exception):
    """An HTTP exchange without a usable reply.

    Attributes:
        kind: `http_<status>`, `connection`, `timeout`, `too_large` or `encoding`.
        message: What went wrong; for a status, the beginning of the body in one line.
        status: Status of the reply, `None` if there was none.
        body: The beginning of the body.
        fate: For a failure without a status: `not_sent`, `lost` if the server may have received the request, `lasting`
            if another attempt would fail in the same way.
        after: Text added to the message after the last attempt, such as ` (after 3 attempts)`.
    """

    def __init__(self, kind: str, message: str, *, refusal: StatusReply | None = None, fate: Fate = "lasting") -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.status = refusal.status if refusal else None
        self.body = refusal.body if refusal else b""
        self.fate = fate
        self._retry_after = refusal.retry_after if refusal else None
        self.after = ""

    @classmethod
    def within_body(cls, status: int, message: str) -> ExchangeFailed:
        """Return the failure of a reply whose body names a different status, as routers of models write it."""
        return cls(f"http_{status}", message, refusal=StatusReply(status, message.encode(), None))

    def asked_s(self, now: datetime) -> float | None:
        """Return the seconds that the server asks to wait."""
        return parse_retry_after(self._retry_after, now)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Which failures are retried, how often, and after which waits.

    Attributes:
        statuses: Statuses after which the request is sent again.
        lost_replies: Whether a request that may have been carried out is sent again.
        retries: Attempts after the first.
        first_wait_s: Shortest wait before the second attempt, doubled before each later one.
        longest_wait_s: Limit of the doubling.
        jitter_s: Minimum seconds over which retries of many clients are spread.
    """

    statuses: frozenset[int]
    lost_replies: bool
    retries: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    jitter_s: float = 2.0

    def repeats(self, failure: ExchangeFailed) -> bool:
        """Return whether the request may be sent again after this failure."""
        if failure.status is not None:
            # OpenAI also answers 429 if a quota is used up, which waiting does not change.
            return failure.status in self.statuses and b"insufficient_quota" not in failure.body
        return failure.fate == "not_sent" or (failure.fate == "lost" and self.lost_replies)

    def wait_s(self, attempt: int, asked_s: float | None, left_s: float, rng: random.Random) -> float | None:
        """Choose the wait before the next attempt.

        It is never shorter than the server asked for. If doubling leads beyond the deadline, the wait is half of the
        time left, so that the server is tried again until then. Jitter is added, so that clients that were turned away
        at the same moment do not return at the same moment.

        Args:
            attempt: Number of failed attempts before this wait, from 0.
            asked_s: Seconds from Retry-After, `None` if the server named none.
            left_s: Seconds until the deadline.
            rng: Source of the jitter.

        Returns:
            Seconds below `left_s`, or `None` if the deadline comes first.
        """
        shortest = self.shortest_wait_s(attempt, asked_s)
        if shortest >= left_s and (asked_s or 0.0) <= left_s / 2 >= self.first_wait_s:
            shortest = left_s / 2
        if shortest >= left_s:
            return None
        doubled = self._doubled_s(attempt)
        return shortest + rng.uniform(0.0, min(max(self.jitter_s, doubled), (left_s - shortest) * 0.9))

    def shortest_wait_s(self, attempt: int, asked_s: float | None) -> float:
        """Return the shortest wait before the next attempt, in seconds."""
        return max(asked_s or 0.0, self._doubled_s(attempt))

    def _doubled_s(self, attempt: int) -> float:
        return min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(attempt, 20))


REPEATABLE = RetryPolicy(statuses=TURNED_AWAY | LOST_REPLY, lost_replies=True)
"""Policy for requests that change nothing on the server: judges, embeddings, `chat:` systems, idempotent `http:`
systems."""
AT_MOST_ONCE = RetryPolicy(statuses=TURNED_AWAY, lost_replies=False)
"""Policy for requests that may change something: `http:` systems."""


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Read a Retry-After header.

    Args:
        value: Seconds or an HTTP date (RFC 9110, section 10.2.3).
        now: The present moment, with a time zone.

    Returns:
        Seconds from `now`, at least 0; `None` if the header is absent or unreadable.
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
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
