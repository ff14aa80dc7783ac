"""Find the drops that the gate of a suite can detect before any run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.aggregate.cohorts import cohort_value
from evalkit.aggregate.frozen import freeze
from evalkit.baselines.load import find_baseline_of
from evalkit.errors import InputError, Problem
from evalkit.gate.critical_cases import RUNS
from evalkit.gate.regression import ALPHA
from evalkit.golden.read import open_golden
from evalkit.operations.noise import Detectable, detectable, no_regression_of, seen_against
from evalkit.results import OVERALL
from evalkit.runner.draw import draw
from evalkit.store.stored_run import load_run
from evalkit.suite.parse import load_suite

if TYPE_CHECKING:
    from evalkit.suite.model import Suite


def power_of(suite_file: Path, flips: float | None = None) -> tuple[Detectable, ...]:
    """List the smallest drop that the gate can detect, overall and in each cohort.

    The baseline that the suite names shows how often cases flip; without one a share is assumed.

    Args:
        suite_file: the suite.
        flips: share of cases that flip between two runs, from 0 to 1, instead of the baseline's share.

    Raises:
        InputError: the suite, its golden set or its baseline cannot be read, or `flips` is not a number.
    """
    if flips is not None and not math.isfinite(flips):
        raise InputError(Problem("--flips", "is not a number", "write a share such as 0.05"))
    suite = load_suite(suite_file)
    policy = no_regression_of(suite.policy)
    counts = _cases_by_cohort(suite, suite.options.cohorts if policy.by is None else policy.by)
    folder = find_baseline_of(suite, None)
    if folder is not None:
        frame = freeze(load_run(folder).frame)
        if "pass_rate" in frame.cases:
            return seen_against(
                frame,
                suite.policy,
                repeats=suite.options.repeat,
                trusted=folder.trusted_judges(),
                counts=counts,
                flips=flips,
            )
    others = policy.metrics or [entry for entry in suite.scorers if not entry.advisory]
    return detectable(
        {"pass_rate": counts},
        {("pass_rate", label): flips for label in counts},
        critical=suite.policy.critical_in(counts),
        alpha=policy.alpha or ALPHA,
        metrics=max(1, len([each for each in others if each != "pass_rate"])),
    )


def small_drop_of(gates: Sequence[Detectable]) -> str:
    """Say how often a 5-point drop overall is found, also against four stored runs; empty if nothing is tested."""
    overall = next((each for each in gates if each.cohort == OVERALL and each.small_drop), None)
    if overall is None:
        return ""
    drop = f"a drop of 5 points overall is found in {overall.small_drop:.0%} of runs"
    better = overall.small_drop_with_repeats
    return drop if better is None else f"{drop}; in {better:.0%} against a baseline of {RUNS} runs of each case"


def _cases_by_cohort(suite: Suite, names: tuple[str, ...]) -> Mapping[str, int]:
    """Count the cases of a run, overall first, then by cohort in order of their names."""
    golden = open_golden(suite.golden, suite.golden_file, suite.golden_shown, reading=suite.reading)
    sample = suite.options.sample_of(None)
    chosen = draw(golden.outlines(), sample, suite.options.seed).digests if sample is not None else None
    n_cases, counts = 0, Counter[str]()
    for case in golden.outlines():
        if chosen is None or case.digest in chosen:
            n_cases += 1
            counts.update(f"{name}={value}" for name in names if (value := cohort_value(case, name)) is not None)
    return {OVERALL: n_cases, **dict(sorted(counts.items()))}
