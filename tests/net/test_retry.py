"""Reading Retry-After, and choosing a wait."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime

import pytest

from evalkit.net.retry import REPEATABLE, ExchangeFailed, StatusReply, parse_retry_after

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("12", 12.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("1e9", 1e9),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 12:00:30 -0000", 30.0),
        ("Sat, 21 Nov 2026 13:00:30 +0100", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("Sat, 99 Nov 2026 11:00:00 GMT", None),
        ("Fri, 99 Foo 9999 99:99:99 GMT", None),
    ],
)
def test_retry_after_forms(value: str | None, seconds: float | None) -> None:
    """Seconds and dates are read; what cannot be meant asks for no wait."""
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize("asked_s", [None, 0.0, 2.0, 10.0])
def test_a_crowd_is_scattered(asked_s: float | None) -> None:
    """Clients turned away at one moment return spread out: at most a tenth in 0.1 seconds, and none too early."""
    rng = random.Random(3)
    waits = [REPEATABLE.wait_s(0, asked_s, 300.0, rng) for _ in range(1000)]
    assert min(wait or 0.0 for wait in waits) >= max(asked_s or 0.0, 0.5)
    assert max(Counter(int((wait or 0.0) * 10) for wait in waits).values()) <= 100


@pytest.mark.parametrize(
    ("asked_s", "left_s", "waits"), [(1.0, 1.0, False), (1.0, 1.01, True), (None, 0.5, False), (None, 0.6, True)]
)
def test_a_wait_fits_before_the_deadline(asked_s: float | None, left_s: float, waits: bool) -> None:
    """The jitter is cut to the time that is left; a wait that would outlast it is not made."""
    wait_s = REPEATABLE.wait_s(0, asked_s, left_s, random.Random(1))
    assert waits == (wait_s is not None)
    assert wait_s is None or (asked_s or 0.5) <= wait_s < left_s


@pytest.mark.parametrize(("asked_s", "least"), [(None, 6.0), (5.0, 6.0), (7.0, None), (12.0, None)])
def test_the_time_that_is_left_is_used(asked_s: float | None, least: float | None) -> None:
    """With 12 seconds left and 30 due, one more attempt is made after 6; not before the server wants it."""
    wait_s = REPEATABLE.wait_s(7, asked_s, 12.0, random.Random(1))
    assert (wait_s is None) == (least is None)
    assert wait_s is None or (least or 0.0) <= wait_s < 12.0


def test_waits_grow_to_a_limit() -> None:
    """They double up to 30 seconds, before jitter."""
    shortest = [REPEATABLE.shortest_wait_s(attempt, None) for attempt in range(8)]
    assert shortest == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_quota_that_is_used_up_is_not_waited_for() -> None:
    """The same status as a rate limit, and no wait helps."""
    body = b'{"error": {"code": "insufficient_quota", "message": "You exceeded your current quota."}}'
    used_up = ExchangeFailed("http_429", "quota", refusal=StatusReply(429, body, None))
    limited = ExchangeFailed("http_429", "rate", refusal=StatusReply(429, b"{}", None))
    assert [REPEATABLE.repeats(failure) for failure in (used_up, limited)] == [False, True]
