"""Names that a suite gives to metrics, and those of cohorts that it takes for granted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.aggregate.statuses import DERIVED_METRICS
from evalkit.errors import Problem
from evalkit.golden.read import GoldenSet
from evalkit.runner.grading import Grader
from evalkit.suite.model import Suite


def metric_name_problems(graders: Sequence[Grader]) -> Iterator[Problem]:
    """Metric names that two scorers give, that every run has, or that cannot be shown."""
    seen: set[str] = set()
    for grader in graders:
        for metric in grader.scorer.metrics:
            if metric.name in seen:
                what = f"another scorer gives the metric {metric.name!r} already"
                yield Problem(f"scorers[{grader.index}]", what, "give one of them another `name:`")
            seen.add(metric.name)
            if fault := _name_fault(metric.name):
                yield Problem(f"scorers[{grader.index}]", fault, "give the scorer another `name:`")


def _name_fault(name: str) -> str:
    if not name.strip() or not name.isprintable():
        return f"the metric name {name!r} is no plain text"
    if name in DERIVED_METRICS:
        return f"{name!r} is a metric of every run"
    return f"{name!r} would be read as the verdicts of another metric" if name.endswith(".passed") else ""


def foreign_cohorts(suite: Suite, golden: GoldenSet) -> Iterator[Problem]:
    """Cohorts under `when` that no case has; a set that an earlier run has checked is not looked at again."""
    known = golden.cohort_counts
    for entry in suite.scorers:
        for name in entry.when.cohorts if entry.when and known else ():
            if name not in known:
                place = f"scorers[{entry.index}].{entry.kind}.when.{name}"
                yield Problem(place, f"unknown cohort `{name}`", f"write one that cases have: {', '.join(known)}")
