"""`evalkit check`: find problems before the first call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.suite_file import SuiteFile, named_or_nearest
from evalkit.text.escaping import visible

if TYPE_CHECKING:
    from evalkit.operations.check import SoundSuite
    from evalkit.operations.conversation_calls import ConversationCalls
    from evalkit.operations.span import Span


def check(
    suite: SuiteFile = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="List every setting of a run, and where it comes from.")
    ] = False,
) -> None:
    """Check a suite and all that it names, without calling anything.

    Every problem of its golden set, labels, scorers and gate is shown at once.

    Example: evalkit check suites/compliance.yaml

    Exit codes: 0 sound, 2 with every problem.
    """
    import asyncio
    import os
    from datetime import UTC, datetime

    from evalkit.cli.output import CommandOutput
    from evalkit.operations.check import check_suite

    output = CommandOutput()
    found = asyncio.run(check_suite(named_or_nearest(suite), os.environ, datetime.now(UTC).date()))
    for line in (*_facts(found), *(_settings(found) if verbose else ())):
        output.results.print(visible(line), soft_wrap=True)


def _settings(found: SoundSuite) -> list[str]:
    import os

    from evalkit.cli.settings import settings

    lines = list(settings(found.prepared.suite, os.environ))
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    return ["", *(f"  {name:<{widths[0]}}  {value:<{widths[1]}}  {source}" for name, value, source in lines)]


def _facts(found: SoundSuite) -> list[str]:
    from evalkit.text.numbers import plural

    prepared, suite, golden = found.prepared, found.prepared.suite, found.prepared.golden
    every = [each.prepared for each in found.systems] or [prepared]
    addresses = dict.fromkeys(address for each in every for address in each.addresses)
    cohorts = [_cohort(golden.cohort_counts.get(name), name) for name in suite.options.cohorts]
    return [
        f"{suite.name}: sound",
        f"  golden     {golden.path} · {plural(golden.n_cases, 'case')} · sha256 {golden.sha256[:12]}",
        *_systems(found),
        *(f"  calls      {address}" for address in addresses),
        f"  scorers    {', '.join(metric.name for metric in prepared.metrics)}",
        f"  cohorts    {', '.join(cohorts) or 'none'}",
        f"  labels     {found.n_labels}",
        f"  baseline   {found.baseline or _own_baseline(found)}",
        f"  a run {_work(found)}",
        *(f"  besides    {each}" for each in found.further),
        *(f"  note       {notice}" for notice in prepared.notices),
        *(f"  warning    {warning}" for warning in (*prepared.warnings, *found.overdue)),
    ]


def _systems(found: SoundSuite) -> list[str]:
    """Return a line for the system, or for each of several."""
    suite = found.prepared.suite
    if not found.systems:
        return [f"  system     {suite.system_kind} · fingerprint {(found.prepared.fingerprint or 'unknown')[:12]}"]
    release = [f"release {', '.join(suite.options.release)}"] if suite.options.release else ["none is gated"]
    lines = [f"  systems    {len(found.systems)} · reference {suite.reference.name} · {'; '.join(release)}"]
    for each in found.systems:
        fingerprint = (each.prepared.fingerprint or "unknown")[:12]
        own = f" · {each.system.concurrency} at once" if each.system.concurrency else ""
        lines.append(f"    {each.system.name} · {each.system.kind} · fingerprint {fingerprint}{own}")
    return lines


def _own_baseline(found: SoundSuite) -> str:
    suite = found.prepared.suite
    return f"{suite.reference.name}, in the same run" if suite.systems and suite.compares_reference else "none yet"


def _work(found: SoundSuite) -> str:
    suite = found.prepared.suite
    if not found.systems and suite.system_kind == "replay":
        answers = "stored answer" if found.calls.system.high == 1 else "stored answers"
        return f"reads {_range(found.calls.system)} {answers} and calls no system"
    n = suite.options.concurrency
    return f"makes {_calls(found.calls)}, {n} at once{' for each system' if found.systems else ''}"


def _calls(found: ConversationCalls) -> str:
    """Format the calls of a run; for conversations as a range."""
    asked = f" and asks the simulated user {_range(found.user)} times" if found.n_simulated else ""
    return f"{_range(found.system)} {'call' if found.system.high == 1 else 'calls'}{asked}"


def _range(span: Span) -> str:
    low, high = span.low or 0, span.high or 0
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def _cohort(counts: Mapping[str, int] | None, name: str) -> str:
    """Format a cohort with the number of its values and the smallest of them, if the golden set names them."""
    if not counts:
        return name
    smallest = min(counts, key=lambda value: (counts[value], value))
    return f"{name} ({len(counts)}, smallest {smallest} with {counts[smallest]})"
