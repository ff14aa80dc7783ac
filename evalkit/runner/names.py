"""Check the names of metrics and cohorts in a suite."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from evalkit.aggregate.cohorts import DERIVED_VALUES
from evalkit.aggregate.statuses import is_derived
from evalkit.errors import Problem
from evalkit.gate.policy import NoRegression, Threshold, is_critical, within
from evalkit.golden.read import GoldenSet
from evalkit.results import OVERALL
from evalkit.runner.case_checks import METRIC
from evalkit.runner.grading import Grader
from evalkit.suite.model import Suite
from evalkit.types import Metric


def metric_name_problems(graders: Sequence[Grader]) -> Iterator[Problem]:
    """Yield problems of metric names: used twice, reserved, or not printable."""
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
        return f"the metric name {name!r} is not plain text"
    if name == METRIC:
        return f"{name!r} is the metric of the checks that cases carry"
    if is_derived(name):
        return f"{name!r} is a metric of every run"
    return f"{name!r} would be read as the verdicts of another metric" if name.endswith(".passed") else ""


def foreign_cohorts(suite: Suite, golden: GoldenSet) -> Iterator[Problem]:
    """Yield problems of cohorts under `when` that no case has; skipped if an earlier run checked the set."""
    known = golden.cohort_counts
    for entry in suite.scorers:
        for name in entry.when.cohorts if entry.when and known else ():
            if name not in known:
                place = f"scorers[{entry.index}].{entry.written}.when.{name}"
                yield Problem(place, f"unknown cohort `{name}`", f"write an existing one: {', '.join(known)}")


def foreign_values(suite: Suite, golden: GoldenSet) -> Iterator[Problem]:
    """Yield problems of cohort values under `production` and `critical` that no case has."""
    if not golden.cohort_counts and set(suite.options.cohorts) - DERIVED_VALUES.keys():
        return  # a set that an earlier run has checked, or whose lack of cohorts is told
    counted = [*_labels(suite, golden)]
    for label, share in suite.options.production.items():
        if share > 0 and label not in counted:
            name = label.partition("=")[0]
            yield _foreign(f"production.{label}", label, [each for each in counted if each.startswith(f"{name}=")])
    for index, check in enumerate(suite.policy.checks):
        if isinstance(check, Threshold | NoRegression):
            key = check.metric if isinstance(check, Threshold) else "no_regression"
            labels = within([OVERALL, *counted], check.by)
            for value in check.critical:
                if not any(is_critical(label, [value]) for label in labels):
                    yield _foreign(f"gate[{index}].{key}.critical", value, labels)


def _labels(suite: Suite, golden: GoldenSet) -> Iterator[str]:
    for name in suite.options.cohorts:
        values = {**dict.fromkeys(DERIVED_VALUES.get(name, ())), **golden.cohort_counts.get(name, {})}
        yield from (f"{name}={value}" for value in values)


def _foreign(place: str, value: str, labels: Iterable[str]) -> Problem:
    known = [each for label in labels for each in (label, label.partition("=")[2]) if each]
    near = get_close_matches(value, known, n=1)
    fix = f"did you mean `{near[0]}`?" if near else f"write an existing one: {', '.join(labels)}"
    return Problem(place, f"no case belongs to `{value}`", fix)


def metrics_of_unbound(suite: Suite, problems: Sequence[Problem]) -> list[Metric]:
    """Return the gated metrics of scorers that could not be bound, so that a gate on them is not a problem of its own.

    Args:
        suite: the suite.
        problems: problems so far; those of a scorer begin with `scorers[INDEX]`.
    """
    failed = {int(found[1]) for problem in problems if (found := re.match(r"scorers\[(\d+)\]", problem.place))}
    scorers = {getattr(entry.options, "name", entry.written) for entry in suite.scorers if entry.index in failed}
    gated = [check.metric for check in suite.policy.checks if isinstance(check, Threshold)]
    gated += [name for check in suite.policy.checks if isinstance(check, NoRegression) for name in check.metrics or ()]
    return [Metric(name, low=-math.inf, high=math.inf) for name in gated if name.partition(".")[0] in scorers]
