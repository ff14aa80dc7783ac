"""The baselines that the repository keeps are of its suites as they are."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from evalkit.operations.run import Request, ready
from evalkit.suite.parse import load_suite

SUITES = Path(__file__).parents[2] / "suites"


@pytest.mark.parametrize("name", ["agent", "compliance"])
def test_a_saved_baseline_can_be_compared_with(name: str) -> None:
    """An edit of the agent's shop, even of a docstring, makes old runs incomparable: save the baseline again."""

    async def warnings() -> tuple[str, ...]:
        async with AsyncExitStack() as stack:
            suite = SUITES / f"{name}.yaml"
            prepared, _ = await ready(load_suite(suite), Request(suite=suite, replies="none"), {}, stack)
            return tuple(map(str, prepared.warnings))

    assert [each for each in asyncio.run(warnings()) if "baselines/" in each] == []
