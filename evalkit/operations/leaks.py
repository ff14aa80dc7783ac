"""Find the cases of a suite's golden set that its system knows, and their effect on the scores of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.errors import InputError, Problem
from evalkit.golden.leak_sources import find_leaks, n_left_out
from evalkit.golden.leakage import Leaks
from evalkit.golden.lock import canary_of
from evalkit.golden.read import open_golden
from evalkit.golden.source import SOURCES, SourceKind
from evalkit.operations.case_rates import CaseRates, case_rates
from evalkit.suite.parse import load_suite
from evalkit.suite.rubric_examples import examples_by_file


@dataclass(frozen=True, kw_only=True)
class LeakReport:
    """The cases that a system knows."""

    leaks: Leaks
    left_out: Mapping[SourceKind, int] = field(default_factory=dict)
    """Kind of source -> number of files in its folders that are of kinds evalkit does not read."""
    effect: CaseRates | None = None
    """Pass rates of the cases that were found and of all others; `None` if no run is given."""


def golden_leaks(suite_file: Path, run: str | None = None) -> LeakReport:
    """Search the prompts, corpus and training data of a suite for the cases of its golden set.

    Args:
        suite_file: the suite.
        run: a stored run of the suite, whose pass rates are compared.

    Raises:
        InputError: suite, set, files or run cannot be used, or the suite names nothing to search.
    """
    suite = load_suite(suite_file)
    if not suite.searched:
        fix = f"name what to search: `golden: {{path: {suite.golden_shown}, prompts: [prompts/*.yaml]}}`"
        raise InputError(Problem(suite.place("golden"), f"has none of {', '.join(SOURCES)}", fix))
    golden = open_golden(suite.golden, suite.golden_file, suite.golden_shown, reading=suite.reading)
    leaks = find_leaks(golden, suite.searched, suite.root, canary_of(suite.golden_file), examples_by_file(suite))
    flagged = {leak.case_id for leak in leaks.found if leak.case_id}
    named: tuple[tuple[SourceKind, Sequence[str]], ...] = (
        ("prompts", suite.golden.prompts),
        ("corpus", suite.golden.corpus),
    )
    base = suite.path.resolve().parent
    left_out = {source: n_left_out(patterns, base, suite.root) for source, patterns in named if patterns}
    return LeakReport(leaks=leaks, left_out=left_out, effect=None if run is None else case_rates(run, flagged))
