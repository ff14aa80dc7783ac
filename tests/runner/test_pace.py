"""The pace of several systems: none gets far ahead of the slowest that still runs."""

from __future__ import annotations

import asyncio

import pytest

from evalkit.llm.budget import Budget
from evalkit.runner.engine import LeftOpen, Stop
from evalkit.runner.pace import LEAD, MOST_ERRORS, Pace
from evalkit.types import Case, Failure, Output, Row, Usage

CASE = Case(id="a", input="x")


def calls_of(pace: Pace, stop: Stop, names: dict[str, float], n: int) -> dict[str, list[int]]:
    """Ask systems with these delays; per system, the lead over the slowest at each of its calls."""
    leads: dict[str, list[int]] = {name: [] for name in names}
    begun = dict.fromkeys(names, 0)

    def maker(name: str):
        async def make(case: Case, repeat: int) -> Row:
            begun[name] += 1
            leads[name].append(begun[name] - min(begun.values()))
            await asyncio.sleep(names[name])
            return Row(case=case, repeat=repeat, output=Output(text="x"))

        return pace.paced(name, make, stop)

    async def system(name: str) -> None:
        make = maker(name)
        for at in range(n):
            await make(CASE, at)
        pace.leave(name)

    async def run() -> None:
        for name in names:
            pace.enter(name, 0)
        await asyncio.gather(*map(system, names))

    asyncio.run(run())
    return leads


def test_a_fast_system_waits_for_a_slow_one() -> None:
    """It is never more than the lead ahead, and both end."""
    leads = calls_of(Pace(), Stop(), {"fast": 0, "slow": 0.001}, 300)
    assert [300, 300] == [len(each) for each in leads.values()]
    assert LEAD == max(leads["fast"])
    assert 0 == max(leads["slow"][:200])


def test_nobody_waits_for_a_system_that_is_gone() -> None:
    """A system that has ended, or is stopped, does not hold the others."""

    async def run() -> int:
        pace, n = Pace(), 0
        pace.enter("a", 0)
        pace.enter("b", 0)

        async def make(case: Case, repeat: int) -> Row:
            nonlocal n
            n += 1
            return Row(case=case, repeat=repeat, output=Output(text="x"))

        make_row = pace.paced("a", make, Stop())
        asyncio.get_running_loop().call_later(0.05, pace.leave, "b")
        async with asyncio.timeout(5):
            for at in range(LEAD + 10):
                await make_row(CASE, at)
        return n

    assert LEAD + 10 == asyncio.run(run())


def test_a_stop_ends_the_wait_and_leaves_the_case_open() -> None:
    """A worker that waits for its turn makes no call after the stop."""

    async def run() -> None:
        pace, whole = Pace(), Stop()
        part = whole.part(pace.wake)
        pace.enter("a", LEAD)
        pace.enter("b", 0)

        async def never(case: Case, repeat: int) -> Row:
            raise AssertionError("called")

        asyncio.get_running_loop().call_later(0.02, whole.by_signal, 2)
        async with asyncio.timeout(5):
            with pytest.raises(LeftOpen):
                await pace.paced("a", never, part)(CASE, 0)
        assert (2, "signal 2") == (part.signal, part.reason)

    asyncio.run(run())


def test_a_system_that_only_fails_stops_alone() -> None:
    """After ten failures in a row; one answer starts the count again."""

    async def run() -> None:
        pace, whole = Pace(), Stop()
        part = whole.part(pace.wake)
        pace.enter("a", 0)
        pace.enter("b", 60)
        rows = iter([*[True] * (MOST_ERRORS - 1), False, *[True] * MOST_ERRORS])

        async def make(case: Case, repeat: int) -> Row:
            if next(rows):
                return Row(case=case, repeat=repeat, failure=Failure("http_429", "busy"))
            return Row(case=case, repeat=repeat, output=Output(text="x"))

        make_row = pace.paced("a", make, part)
        for at in range(2 * MOST_ERRORS):
            assert part.reason is None
            await make_row(CASE, at)
        assert part.reason is not None
        assert whole.reason is None

    asyncio.run(run())


def test_a_budget_inside_a_budget() -> None:
    """A system's calls count in both; either limit ends its calls, and the reason names the one that is reached."""
    whole = Budget(3.0)
    first, second = Budget(2.0, whole=whole), Budget(5.0, whole=whole)
    first.add_answer(Usage(cost_usd=2.0))
    assert (True, False, False) == (first.reached, second.reached, whole.reached)
    assert first.reason.startswith("budget of $2 reached")
    second.add_answer(Usage(cost_usd=1.0))
    second.add_answer(None)
    assert (True, 1) == (second.reached, whole.n_unknown)
    assert second.reason.startswith("budget of $3 reached")


def starts_of(pace: Pace, names: list[str], n: int, delay: float = 0.002) -> list[str]:
    """Ask systems one call at a time, all equally fast; return who began each call, in order."""
    begun: list[str] = []

    async def system(name: str) -> None:
        async def make(case: Case, repeat: int) -> Row:
            begun.append(name)
            await asyncio.sleep(delay)
            return Row(case=case, repeat=repeat, output=Output(text="x"))

        make_row = pace.paced(name, make, Stop())
        for at in range(n):
            await make_row(CASE, at)
        pace.leave(name)

    async def run() -> None:
        for name in names:
            pace.enter(name, 0)
        await asyncio.gather(*map(system, names))

    asyncio.run(run())
    return begun


def test_another_system_is_the_first_at_each_case() -> None:
    """At case n, system n mod k begins, and the others follow in their order."""
    begun = starts_of(Pace(), ["a", "b", "c"], 6, delay=0)
    rounds = ["".join(begun[at : at + 3]) for at in range(0, 18, 3)]
    assert ["abc", "bca", "cab", "abc", "bca", "cab"] == rounds


def test_systems_in_any_number_and_speed_all_end() -> None:
    """None waits for ever for its turn: 12 systems, three calls at once, some far slower."""
    delays = {f"s{at}": 0.0005 * (at % 4) for at in range(12)}
    pace = Pace()
    n = dict.fromkeys(delays, 0)

    async def system(name: str) -> None:
        async def make(case: Case, repeat: int) -> Row:
            n[name] += 1
            await asyncio.sleep(delays[name])
            return Row(case=case, repeat=repeat, output=Output(text="x"))

        make_row = pace.paced(name, make, Stop())

        async def worker() -> None:
            for at in range(50):
                await make_row(CASE, at)

        await asyncio.gather(worker(), worker(), worker())
        pace.leave(name)

    async def run() -> None:
        for name in delays:
            pace.enter(name, 0)
        async with asyncio.timeout(60):
            await asyncio.gather(*map(system, delays))

    asyncio.run(run())
    assert dict.fromkeys(delays, 150) == n


def test_without_a_lead_nobody_waits_for_another() -> None:
    """As for systems that run one after the other; one that only fails is still stopped alone."""

    async def run() -> None:
        pace, whole = Pace(float("inf")), Stop()
        part = whole.part(pace.wake)
        pace.enter("a", 0)
        pace.enter("b", 0)

        async def make(case: Case, repeat: int) -> Row:
            if repeat < 3 * LEAD:
                return Row(case=case, repeat=repeat, output=Output(text="x"))
            return Row(case=case, repeat=repeat, failure=Failure("http_500", "down"))

        make_row = pace.paced("a", make, part)
        async with asyncio.timeout(20):
            for at in range(3 * LEAD + MOST_ERRORS):
                await make_row(CASE, at)
        assert part.reason is not None
        assert whole.reason is None

    asyncio.run(run())
