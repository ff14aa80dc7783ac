"""Requests and tokens a minute: nothing bursts, and nothing is sent before its place."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.net.rate_limits import Limits, Timetable
from evalkit.testing import FakeModel


@given(
    per_minute=st.floats(1, 10_000),
    steps=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 500)), min_size=1, max_size=40),
)
def test_no_span_of_time_sees_more_than_the_limit(per_minute: float, steps: list[tuple[float, float]]) -> None:
    """Between any two starts lies the time that what was started in between takes."""
    now = 0.0
    timetable = Timetable(lambda: now)
    started: list[tuple[float, float]] = []
    for waited_s, amount in steps:
        now += waited_s
        started.append((now + timetable.book("tokens", amount * 60 / per_minute), amount))
    for first in range(len(started)):
        passed = 0.0
        for later in range(first + 1, len(started)):
            passed += started[later - 1][1]
            assert started[later][0] - started[first][0] >= passed * 60 / per_minute * (1 - 1e-9) - 1e-6


def test_no_limit_is_no_wait() -> None:
    """Without a limit every amount starts at once."""

    async def sleep(seconds: float) -> None:
        raise AssertionError

    async def run() -> None:
        for _ in range(3):
            await Limits(None).turn(lambda: 10**9, sleep)

    asyncio.run(run())


def test_an_endpoint_that_asks_to_wait_gets_nothing_meanwhile() -> None:
    """Also from calls that have not been turned away; what was reserved before is not moved."""
    timetable = Timetable(lambda: 100.0)
    assert timetable.book("requests", 1) == 0
    timetable.hold("requests", 7)
    timetable.hold("requests", 3)
    assert [timetable.book("requests", 1), timetable.book("requests", 1)] == [7, 8]
    assert timetable.book("tokens", 1) == 0


def test_tokens_that_were_not_used_are_given_back() -> None:
    """The longest reply is reserved, and the next question waits for the real one only."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def run() -> None:
        limits = Limits(None, 6000, 1000, Timetable(lambda: 0.0))
        reserved = await limits.turn(lambda: 400, sleep)
        assert (reserved, waits) == (1100, [])
        limits.settle(reserved, 200)
        unknown = await limits.turn(lambda: 400, sleep)
        limits.settle(unknown, None)
        await limits.turn(lambda: 400, sleep)

    asyncio.run(run())
    assert waits == pytest.approx([2.0, 13.0])


def test_a_request_is_measured_only_if_tokens_are_limited() -> None:
    """Its text is not made for its length alone."""

    def measured() -> int:
        raise AssertionError

    assert asyncio.run(Limits(60).turn(measured)) == 0


def slept(server: FakeModel, questions: int, **limits: float) -> list[float]:
    """Seconds that the client waited for its limits."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def run() -> None:
        config = ChatConfig(model="m", base_url=server.base_url, max_tokens=100, **limits)  # type: ignore[arg-type]
        async with ChatClient(config, env={}, sleep=sleep) as client:
            await asyncio.gather(*(client.text("a" * 400) for _ in range(questions)))

    asyncio.run(run())
    return waits


def test_requests_are_spread_over_the_minute() -> None:
    """Six questions at 60 a minute start a second apart."""
    with FakeModel() as server:
        waits = slept(server, 6, requests_per_minute=60)
    assert waits == pytest.approx([1, 2, 3, 4, 5], abs=0.5)


def test_tokens_are_spread_over_the_minute() -> None:
    """Questions of about 200 tokens at 6,000 a minute start about two seconds apart."""
    with FakeModel() as server:
        waits = slept(server, 3, tokens_per_minute=6000)
    assert waits == pytest.approx([2, 4], abs=0.9)


def test_waiting_for_the_own_limit_takes_nothing_from_the_deadline() -> None:
    """A slow endpoint makes a run slow, and no case unscored."""
    with FakeModel() as server:
        waits = slept(server, 4, requests_per_minute=1, deadline_s=30)
    assert waits == pytest.approx([60, 120, 180], abs=0.5)
    assert len(server.requests) == 4


@pytest.mark.parametrize("field", ["requests_per_minute", "tokens_per_minute"])
def test_a_limit_is_above_zero(field: str) -> None:
    """Zero would never send anything."""
    with pytest.raises(ValueError, match=field):
        ChatConfig(model="m", base_url="http://127.0.0.1/v1", **{field: 0})  # type: ignore[arg-type]
