"""Check a policy against the metrics, cohorts and nodes of a suite."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches

from evalkit.aggregate.measured import CASE_AMOUNTS
from evalkit.aggregate.outcomes import OUTCOMES
from evalkit.aggregate.statuses import DERIVED_METRICS, chosen_runs, node_amount
from evalkit.gate.policy import PASS_METRICS, NoRegression, Policy, Problem, Threshold
from evalkit.types import Metric


def policy_problems(
    policy: Policy, metrics: Sequence[Metric], cohorts: Collection[str], nodes: Collection[str] = ()
) -> list[Problem]:
    """Check a policy against the metrics, cohorts and nodes of the suite.

    Args:
        policy: policy to check.
        metrics: metrics of the suite's scorers; the metrics of every run are known.
        cohorts: names that the suite reports by.
        nodes: names that the suite lists under `nodes:`.

    Returns:
        For each problem: position of the check, fault and fix.
    """
    problems: list[Problem] = []
    for index, check in enumerate(policy.checks):
        if isinstance(check, Threshold):
            problems += [(index, *found) for found in _threshold_problems(check, metrics, cohorts, nodes)]
        elif isinstance(check, NoRegression):
            problems += [(index, *found) for found in _regression_problems(check, metrics, cohorts, nodes)]
    return problems


def _node_problems(metric: str, nodes: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield a problem for a metric of a node that the suite does not list."""
    _, node = node_amount(metric) or ("", "")
    if node and node not in nodes:
        near = get_close_matches(node, list(nodes), n=1)
        fix = f"did you mean `{near[0]}`?" if near else f"add `nodes: [{', '.join([*nodes, node])}]` to the suite"
        yield f"{metric}: the suite lists no node `{node}`", fix


def _threshold_problems(
    check: Threshold, metrics: Sequence[Metric], cohorts: Collection[str], nodes: Collection[str]
) -> list[tuple[str, str]]:
    quality = _quality(metrics)
    if check.metric == "throughput_per_s":
        return [("throughput_per_s has no interval, so it cannot be gated", "gate latency_p95_s instead")]
    if check.metric not in {*quality, *DERIVED_METRICS} and not node_amount(check.metric):
        return [_unknown("metric", check.metric, [*quality, *DERIVED_METRICS])]
    found = [*_node_problems(check.metric, nodes), *_cohort_problems(check.by, cohorts)]
    metric = quality.get(check.metric) or Metric(name=check.metric, high=math.inf, higher_is_better=False)
    for name, value in (("min", check.min), ("max", check.max)):
        if value is not None and not metric.low <= value <= metric.high:
            scale = f"{metric.low:g} .. {metric.high:g}"
            found.append((f"{name} {value:g} is outside the range {scale} of {metric.name}", "write it on that scale"))
    if check.max is None and not metric.higher_is_better and check.metric != "tokens_per_s":
        found.append((f"a lower {metric.name} is better, so `min` would block improvements", "write `max`"))
    return found


def _regression_problems(
    check: NoRegression, metrics: Sequence[Metric], cohorts: Collection[str], nodes: Collection[str]
) -> list[tuple[str, str]]:
    amounts = (*CASE_AMOUNTS, *(name for name in check.metrics or () if node_amount(name)))
    quality = {**_quality(metrics), **{name: Metric(name=name, high=math.inf) for name in amounts}}
    unknown = [name for name in check.metrics or () if name not in quality or name in PASS_METRICS[1:]]
    found = [_unknown("quality metric", name, list(quality)) for name in unknown]
    compared = [
        quality[name] for name in check.metrics or ("pass_rate", *(each.name for each in metrics)) if name in quality
    ]
    widest = max((metric.high - metric.low for metric in compared), default=math.inf)
    for name, value in (("margin", check.margin), ("beats_by", check.beats_by)):
        if value is not None and value >= widest:
            what = f"{name} {value:g} is as wide as the whole range of every metric that is compared ({widest:g})"
            found.append((what, "write it in units of the metrics, such as 0.02"))
    found += [problem for name in check.metrics or () for problem in _node_problems(name, nodes)]
    if check.corrected and not any(metric.judge for metric in metrics):
        what = "corrected: no judge grades this suite, so there is nothing that labels would correct"
        found.append((what, "remove it, or add a judge"))
    return found + _cohort_problems(check.by or (), cohorts)


def _quality(metrics: Sequence[Metric]) -> dict[str, Metric]:
    names = {metric.name: metric for metric in metrics}
    passed = {f"{name}.passed": Metric(name=f"{name}.passed") for name, metric in names.items() if not metric.binary}
    return {**{name: Metric(name=name) for name in PASS_METRICS}, **names, **passed}


def _cohort_problems(by: Iterable[str], cohorts: Collection[str]) -> list[tuple[str, str]]:
    unknown = [name for name in by if name not in cohorts]
    return [
        (f"`{name}` is read from the answers, which the change itself moves, so it is shown and not gated", "remove it")
        if name in OUTCOMES
        else _unknown("cohort", name, list(cohorts))
        for name in unknown
    ]


def _unknown(what: str, name: str, known: Sequence[str]) -> tuple[str, str]:
    words = sorted(name.split("_"))
    near = [each for each in known if sorted(each.split("_")) == words] or get_close_matches(name, known, n=1)
    fix = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(set(known)))}"
    if what == "metric" and (chosen := chosen_runs(name)):
        fix = f"write `{chosen[0]}: {{k: {chosen[1]}, ...}}`"
    return f"unknown {what} `{name}`", fix
