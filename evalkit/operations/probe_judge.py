"""Probe a suite's judges with altered answers from its golden set."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.scorers.judges.probes import Health, Pair, Prober, Progress, pairs_of, probe

__all__ = ["Health", "comparer_of", "judge_health"]

if TYPE_CHECKING:
    from evalkit.runner.grading import Grader
    from evalkit.runner.prepare import Prepared
    from evalkit.scorers.judges.pairwise import BoundPairwise
    from evalkit.suite.model import Suite


async def judge_health(
    suite: Suite, env: Mapping[str, str], *, n: int, seed: int, limit_s: float, progress: Progress
) -> tuple[Health, ...]:
    """Probe every judge of a suite that has an endpoint; the system under test is not called.

    Args:
        suite: suite with the judges, their endpoint and the golden set for the probes.
        env: environment with the keys.
        n: cases to draw for each judge.
        seed: seed of the draw.
        limit_s: seconds for each judge; see `probe`.
        progress: called after each answer.

    Raises:
        InputError: The suite is invalid, has no judge, or no two cases with different references.
    """
    from evalkit.runner.prepare import prepare

    async with AsyncExitStack() as stack:
        prepared = await prepare(suite, env, stack)
        judges = [(grader, grader.scorer) for grader in prepared.graders if isinstance(grader.scorer, Prober)]
        if not judges or prepared.services.llm is None:
            fix = "add `judge: {chat: {...}}` and a scorer `judge`, `geval` or `claims`"
            raise InputError(Problem(suite.path.name, "the suite has no judge that asks a model", fix))
        missing = [client for client in (prepared.services.llm, *prepared.services.panel) if client.no_key]
        if missing:
            raise InputError(
                Problem(suite.place("judge"), *what_and_fix(client.no_key.removeprefix("no key: ")))
                for client in missing
            )
        comparer = comparer_of(prepared)
        found = []
        for grader, judge in judges:
            pairs = _pairs(prepared, grader, n, seed)
            found.append(await probe(judge, comparer, pairs, limit_s=limit_s, progress=progress))
        return tuple(found)


def comparer_of(prepared: Prepared) -> BoundPairwise:
    """Return the suite's own pairwise judge, else one with the shipped rubric."""
    from evalkit.scorers.judges.pairwise import BoundPairwise, Pairwise

    own = (grader.scorer for grader in prepared.graders if isinstance(grader.scorer, BoundPairwise))
    return next(own, None) or Pairwise().bind(prepared.services)


def _pairs(prepared: Prepared, grader: Grader, n: int, seed: int) -> list[Pair]:
    pairs = pairs_of((case for case in prepared.golden.open() if grader.applies(case)), n, seed)
    if not pairs:
        what = f"{grader.scorer.name} has no two cases with different references"
        raise InputError(Problem(prepared.golden.path, what, "give the cases a `reference`"))
    return pairs
