"""Convert the values of a run to JSON and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from evalkit.results import Decision, Summary
from evalkit.types import Metric

TIME_UNITS = frozenset({"s", "tokens/s", "cases/s"})
PAID = frozenset({"judge_cost_usd_per_case", "user_cost_usd_per_case"})
"""Metrics of cost in this run alone, which depend on replies that earlier runs cached."""

_LATER_KEYS = ("corrected", "quarantined", "quarantined_failing", "advice")
"""Keys of a comparison that older versions of evalkit did not write."""
_CELLS = ("cells", "outcomes")
_NODE_TIMES = ("unknown_times", "own_p50_s", "own_p95_s", "share_of_time")


def metric_record(metric: Metric) -> dict[str, Any]:
    """Convert a metric to JSON; a missing end of its range is `null`."""
    record = asdict(metric)
    return {key: None if value in (math.inf, -math.inf) else value for key, value in record.items()}


def metric_of(record: Mapping[str, Any]) -> Metric:
    """Convert a record to a metric."""
    low, high = record["low"], record["high"]
    return Metric(
        **{
            **{each.name: record[each.name] for each in fields(Metric) if each.name in record},
            "low": -math.inf if low is None else low,
            "high": math.inf if high is None else high,
        }
    )


def summary_of(record: Mapping[str, Any], timings: Mapping[str, Any]) -> Summary:
    """Convert the two records of `summary_records` to a summary.

    Raises:
        ValueError: a record does not have the shape of a summary.
    """
    import msgspec

    times = {each["node"]: each for each in timings.get("nodes", ())}
    try:
        nodes = [{**each, **times.get(each["node"], {})} for each in record.get("nodes", ())]
        metrics = tuple(metric_of(each) for part in (record, timings) for each in part["metrics"])
        cells = [*record["cells"], *timings["cells"]]
        outcomes = [*record.get("outcomes", ()), *timings.get("outcomes", ())]
        return replace(
            msgspec.convert({**record, "metrics": (), "cells": cells, "outcomes": outcomes, "nodes": nodes}, Summary),
            metrics=metrics,
        )
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from None


def decision_record(decision: Decision) -> dict[str, Any]:
    """Convert a decision to JSON; where a later key is empty, it has the bytes of versions without the key."""
    record = asdict(decision)
    for key in _LATER_KEYS if decision.comparison is not None else ():
        if not record["comparison"][key]:
            del record["comparison"][key]
    if decision.stopped_early is None:
        del record["stopped_early"]
    return record


def decision_of(record: Mapping[str, Any]) -> Decision:
    """Convert a record to a decision, without `run_id`, `head` and `exit_code`, which the file adds.

    Raises:
        ValueError: the record does not have the shape of a decision.
    """
    import msgspec

    try:
        return msgspec.convert(record, Decision)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def summary_records(summary: Summary) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert a summary to two records: one equal for equal answers, one that depends on a clock or the cache."""
    timed = PAID | {metric.name for metric in summary.metrics if metric.unit in TIME_UNITS}
    metrics = [metric_record(metric) for metric in summary.metrics]
    record = {**asdict(summary), "metrics": metrics}
    parts = [
        {
            "metrics": [each for each in metrics if (each["name"] in timed) is of_clock],
            **{name: [each for each in record[name] if (each["metric"] in timed) is of_clock] for name in _CELLS},
        }
        for of_clock in (False, True)
    ]
    nodes = [
        [
            {key: value for key, value in each.items() if key == "node" or (key in _NODE_TIMES) is of_clock}
            for each in record["nodes"]
        ]
        for of_clock in (False, True)
    ]
    if summary.variants is None:
        del record["variants"]
    if summary.reference is None:
        del record["reference"]
    return {**record, **parts[0], "nodes": nodes[0]}, {**parts[1], "nodes": nodes[1]}
