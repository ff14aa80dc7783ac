"""This system and the baseline's asked by turns, so that the load of the hour falls on both alike."""

from __future__ import annotations

from collections.abc import Callable, Collection

from evalkit.runner.engine import Ask, Grading
from evalkit.types import Case, Row

TURNS = 500
"""Cases that are asked on both sides: a typical slowdown of 20 % is found in nine runs of ten."""


def by_turns(new: Ask, old: Ask, keep_old: Callable[[Row], object], cases: Collection[str]) -> Ask:
    """Ask both systems for the first repeat of some cases, one after the other.

    Args:
        new: asks the system of this run.
        old: asks the baseline's.
        keep_old: takes each row of the old system.
        cases: digests of the cases; half of them, by digest, are asked of the old system first.
    """

    async def ask_old(case: Case, repeat: int) -> None:
        answered = await old(case, repeat)
        keep_old(answered if isinstance(answered, Row) else await answered())

    async def ask(case: Case, repeat: int) -> Grading | Row:
        if repeat > 0 or case.digest not in cases:
            return await new(case, repeat)
        if int(case.digest, 16) % 2:
            await ask_old(case, repeat)
            return await new(case, repeat)
        answered = await new(case, repeat)
        await ask_old(case, repeat)
        return answered

    return ask
