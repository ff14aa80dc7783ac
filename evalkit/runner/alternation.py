"""Alternate calls between the system and the baseline's system, so that both see the same load."""

from __future__ import annotations

from collections.abc import Callable, Collection

from evalkit.runner.engine import MakeRow
from evalkit.types import Case, Row

MOST_TIMED_CASES = 500
"""Number of cases to run on both systems; a typical slowdown of 20 % is then found in nine of ten runs."""


def alternating(
    new: MakeRow, old: MakeRow, keep_old: Callable[[Row], object], cases: Collection[str], repeats: int = 1
) -> MakeRow:
    """Run the first repeats of some cases on both systems, alternately.

    Args:
        new: function that makes the rows of this run.
        old: function that makes rows of the baseline's system.
        keep_old: called with each row of the baseline's system.
        cases: digests of the cases; half of them, chosen by digest, go to the old system first.
        repeats: number of repeats to run on both systems.
    """

    async def ask_old(case: Case, repeat: int) -> None:
        keep_old(await old(case, repeat))

    async def make_row(case: Case, repeat: int) -> Row:
        if repeat >= repeats or case.digest not in cases:
            return await new(case, repeat)
        if int(case.digest, 16) % 2:
            await ask_old(case, repeat)
            return await new(case, repeat)
        row = await new(case, repeat)
        await ask_old(case, repeat)
        return row

    return make_row
