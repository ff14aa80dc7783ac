"""`evalkit check`: find problems before the first call."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.suite_file import SuiteFile, named_or_nearest
from evalkit.text.escaping import visible

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared
    from evalkit.suite.model import Suite


def check(
    suite: SuiteFile = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="List every setting of a run, and where it comes from.")
    ] = False,
) -> None:
    """Check a suite, its golden set, labels, scorers and gate without calling anything.

    Example: evalkit check suites/compliance.yaml

    Exit codes: 0 sound, 2 with every problem named.
    """
    import asyncio

    from evalkit.cli.output import CommandOutput

    output = CommandOutput()
    for line in asyncio.run(_found(named_or_nearest(suite), verbose=verbose)):
        output.results.print(visible(line), soft_wrap=True)


async def _found(suite_file: Path, *, verbose: bool) -> list[str]:
    """Return the lines that describe a suite."""
    import os
    from contextlib import AsyncExitStack

    from evalkit.operations.run import Request, ready
    from evalkit.runner.draw import chosen_cases
    from evalkit.runner.plan import Selection
    from evalkit.suite.parse import load_suite

    suite = load_suite(suite_file)
    async with AsyncExitStack() as stack:
        prepared, terms = await ready(suite, Request(suite=suite_file, replies="none"), os.environ, stack)
    baseline = terms.baseline_folder.path.name if terms.baseline_folder else "none yet"
    chosen, _ = chosen_cases(prepared, Selection())
    return [*_facts(prepared, chosen, len(terms.labels), baseline), *(_settings(suite) if verbose else ())]


def _settings(suite: Suite) -> list[str]:
    import os

    from evalkit.cli.settings import settings

    lines = list(settings(suite, os.environ))
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    return ["", *(f"  {name:<{widths[0]}}  {value:<{widths[1]}}  {source}" for name, value, source in lines)]


def _facts(prepared: Prepared, chosen: Collection[str] | None, n_labels: int, baseline: str) -> list[str]:
    suite, golden = prepared.suite, prepared.golden
    calls = (golden.n_cases if chosen is None else len(chosen)) * suite.options.repeat
    return [
        f"{suite.name}: sound",
        f"  golden     {golden.path} · {golden.n_cases} cases · sha256 {golden.sha256[:12]}",
        f"  system     {suite.system_kind} · fingerprint {(prepared.fingerprint or 'unknown')[:12]}",
        f"  scorers    {', '.join(metric.name for metric in prepared.metrics)}",
        f"  cohorts    {', '.join(_cohort(prepared, name) for name in suite.options.cohorts) or 'none'}",
        f"  labels     {n_labels}",
        f"  baseline   {baseline}",
        f"  a run asks {calls} calls, {suite.options.concurrency} at once",
        *(f"  note       {notice}" for notice in prepared.notices),
        *(f"  warning    {warning}" for warning in prepared.warnings),
    ]


def _cohort(prepared: Prepared, name: str) -> str:
    """Describe a cohort: its number of values, and the smallest one if the golden set lists them."""
    counts = prepared.golden.cohort_counts.get(name)
    if not counts:
        return name
    smallest = min(counts, key=lambda value: (counts[value], value))
    return f"{name} ({len(counts)}, smallest {smallest} with {counts[smallest]})"
