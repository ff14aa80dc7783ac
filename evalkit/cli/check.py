"""`evalkit check`: everything that can be known before the first call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared
    from evalkit.suite.model import Suite


def check(suite: Annotated[Path, typer.Argument(help="Suite file.")]) -> None:
    """Check a suite, its golden set, labels, scorers and gate without calling anything.

    Example: evalkit check suites/compliance.yaml

    Exit codes: 0 sound, 2 with every problem named.
    """
    import asyncio

    from evalkit.assess import find_baseline_of, read_labels_of
    from evalkit.suite.parse import load_suite

    loaded = load_suite(suite)
    prepared = asyncio.run(_prepared(loaded))
    labels = read_labels_of(loaded)
    baseline = find_baseline_of(loaded, None)
    typer.echo(_facts(prepared, len(labels), str(baseline.path.name) if baseline else "none yet"))


async def _prepared(suite: Suite) -> Prepared:
    import os
    from contextlib import AsyncExitStack

    from evalkit.runner.prepare import prepare

    async with AsyncExitStack() as stack:
        return await prepare(suite, os.environ, stack)


def _facts(prepared: Prepared, n_labels: int, baseline: str) -> str:
    suite, golden = prepared.suite, prepared.golden
    calls = golden.n_cases * suite.options.repeat
    lines = [
        f"{suite.name}: sound",
        f"  golden     {golden.path} · {golden.n_cases} cases · sha256 {golden.sha256[:12]}",
        f"  system     {suite.system_kind} · fingerprint {(prepared.fingerprint or 'unknown')[:12]}",
        f"  scorers    {', '.join(metric.name for metric in prepared.metrics)}",
        f"  cohorts    {', '.join(_cohort(prepared, name) for name in suite.options.cohorts) or 'none'}",
        f"  labels     {n_labels}",
        f"  baseline   {baseline}",
        f"  a run asks {calls} calls, {suite.options.concurrency} at once",
        *(f"  note       {notice}" for notice in prepared.notices),
    ]
    return "\n".join(lines)


def _cohort(prepared: Prepared, name: str) -> str:
    """A cohort with the number of its values and the smallest of them, where the golden set names them."""
    counts = prepared.golden.cohort_counts.get(name)
    if not counts:
        return name
    smallest = min(counts, key=lambda value: (counts[value], value))
    return f"{name} ({len(counts)}, smallest {smallest} with {counts[smallest]})"
