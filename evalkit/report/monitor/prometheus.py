"""Write the status of a monitor in the text format of Prometheus, for the text file collector.

Samples have no time, as the collector asks for. Format: prometheus.io/docs/instrumenting/exposition_formats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from evalkit.report.monitor.status import Status
from evalkit.report.monitor.words import ALL_CALLS

_HELP = {
    "evalkit_rate": "Rate of the period, weighted back to all calls.",
    "evalkit_rate_low": "Lower end of its 95 % interval.",
    "evalkit_rate_high": "Upper end of its 95 % interval.",
    "evalkit_mean": "Mean of the period, of scores that are not rates.",
    "evalkit_mean_low": "Lower end of its 95 % interval.",
    "evalkit_mean_high": "Upper end of its 95 % interval.",
    "evalkit_alarm": "1 while an alarm of the stream lasts, else 0.",
    "evalkit_warning": "1 while a warning of the stream lasts, else 0.",
    "evalkit_cannot_say": "Number of reasons why quiet does not mean that all is well.",
    "evalkit_calls": "Calls of the period.",
}


def status_prometheus(status: Status) -> str:
    """Return gauges by monitor, metric and cohort; a figure that is not known has no sample."""
    samples: dict[str, list[str]] = {name: [] for name in _HELP}
    for name, labels, value in _samples(status):
        if value is not None and math.isfinite(value):
            samples[name].append(f"{name}{labels} {value!r}")
    lines = []
    for name, found in samples.items():
        if found:
            lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge", *found]
    return "\n".join(lines) + "\n"


def _samples(status: Status) -> Iterator[tuple[str, str, float | None]]:
    for line in status.streams:
        labels = _labels(
            monitor=status.monitor, metric=line.metric, cohort=line.cohort or ALL_CALLS, key=line.score_key
        )
        name = "evalkit_rate" if line.is_rate else "evalkit_mean"
        yield name, labels, line.now.value
        yield f"{name}_low", labels, line.now.low
        yield f"{name}_high", labels, line.now.high
        if line.state != "not watched":
            yield "evalkit_alarm", labels, int(line.state == "alarm")
            yield "evalkit_warning", labels, int(line.state == "warning")
    for alarm in status.lasting:
        if alarm.per_year is None:
            labels = _labels(monitor=status.monitor, metric=alarm.metric, cohort=ALL_CALLS, key="")
            yield "evalkit_alarm", labels, 1
    own = _labels(monitor=status.monitor)
    yield "evalkit_cannot_say", own, len(status.cannot_say)
    yield "evalkit_calls", own, status.calls


def _labels(**given: str) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in given.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
