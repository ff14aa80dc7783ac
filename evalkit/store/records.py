"""Values of a run as plain JSON, and metrics back again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from evalkit.results import Summary
from evalkit.types import Metric


def metric_record(metric: Metric) -> dict[str, Any]:
    """A metric as JSON; a range without an end is `null`."""
    record = asdict(metric)
    return {key: None if value in (math.inf, -math.inf) else value for key, value in record.items()}


def metric_of(record: Mapping[str, Any]) -> Metric:
    """The metric of a record."""
    low, high = record["low"], record["high"]
    return Metric(**{**record, "low": -math.inf if low is None else low, "high": math.inf if high is None else high})


def summary_record(summary: Summary) -> dict[str, Any]:
    """A summary as JSON."""
    return {**asdict(summary), "metrics": [metric_record(metric) for metric in summary.metrics]}
