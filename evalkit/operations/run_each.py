"""Run the system of a suite, or each of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evalkit.golden.held_out import held_file
from evalkit.operations.run import Request, Result, run_suite
from evalkit.runner.engine import Stop
from evalkit.runner.session import Watcher
from evalkit.runner.shard_calls import sharded_calls
from evalkit.suite.parse import load_suite

if TYPE_CHECKING:
    from evalkit.operations.run_systems import SystemsResult


async def run_each(request: Request, watcher: Watcher, stop: Stop, env: Mapping[str, str]) -> Result | SystemsResult:
    """Run the system of a suite, or each of several; see `run_suite` and `run_systems`.

    Raises:
        InputError: the suite cannot be read; and as they do.
    """
    suite = load_suite(request.suite)
    if suite.systems and request.answers is None:
        from evalkit.operations.run_systems import run_systems

        if suite.golden_file is not None and held_file(suite.golden_file).exists():
            watcher.note("held-out cases are not run with several systems")
        if request.engine is not None:  # raises if an engine was asked for: several systems are called by one process
            sharded_calls(request.engine, suite, request.overrides, request.replies, request.fail_fast)
        return await run_systems(suite, request, watcher, stop, env)
    return await run_suite(request, watcher, stop, env, suite)
