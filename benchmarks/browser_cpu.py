"""Measure CPU milliseconds of a page's main thread, by kind of work, from Chromium's own trace.

CPU time of a thread excludes the time that other processes had the core, so it is nearly the same on a busy machine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from chromium import Tab

KINDS = {
    "script": ("FunctionCall", "EvaluateScript", "FireAnimationFrame", "EventDispatch", "TimerFire", "RunMicrotasks"),
    "collection": ("MinorGC", "MajorGC", "V8.GCScavenger", "V8.GCIncrementalMarking", "V8.GCFinalizeMC"),
    "style": ("UpdateLayoutTree", "RecalculateStyles", "ParseAuthorStyleSheet"),
    "layout": ("Layout",),
    "paint": ("PrePaint", "Paint", "Layerize", "Commit", "UpdateLayer", "UpdateLayerTree", "CompositeLayers"),
}  # fmt: skip
_KIND = {name: kind for kind, names in KINDS.items() for name in names}
CATEGORIES = "devtools.timeline,disabled-by-default-devtools.timeline,v8,toplevel,__metadata,blink.user_timing"


@asynccontextmanager
async def traced(tab: Tab) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield a list that holds the trace events of the block once it has ended."""
    events: list[dict[str, Any]] = []
    seen = len(tab.events)
    await tab.call(
        "Tracing.start", transferMode="ReportEvents", traceConfig={"includedCategories": CATEGORIES.split(",")}
    )
    yield events
    await tab.call("Tracing.end")
    while not any(event["method"] == "Tracing.tracingComplete" for event in tab.events[seen:]):
        await tab.value("0")
    for event in tab.events[seen:]:
        if event["method"] == "Tracing.dataCollected":
            events += event["params"]["value"]
    del tab.events[seen:]


def by_mark(events: Iterable[dict[str, Any]], mark: str) -> list[dict[str, float]]:
    """Return kind -> CPU milliseconds, from each `performance.mark(mark)` of the page to the next."""
    events = list(events)
    marks = [each for each in events if each["name"] == mark]
    thread = {(each["pid"], each["tid"]) for each in marks}
    times = sorted(each["ts"] for each in marks)
    frames: list[dict[str, float]] = [defaultdict(float) for _ in times]
    around: list[tuple[float, str]] = []
    own = [each for each in events if "tdur" in each and (each["pid"], each["tid"]) in thread]
    for each in sorted(own, key=lambda each: (each["ts"], -each["dur"])):
        while around and around[-1][0] <= each["ts"]:
            around.pop()
        kind = _KIND.get(each["name"], around[-1][1] if around else "other")
        if place := bisect_right(times, each["ts"]):
            frames[place - 1][kind] += each["tdur"] / 1000
            if around:  # what it took is no longer its surrounding's
                frames[place - 1][around[-1][1]] -= each["tdur"] / 1000
        around.append((each["ts"] + each["dur"], kind))
    return frames[:-1]


def described(frames: Sequence[dict[str, float]]) -> str:
    """Return the mean and 95th percentile of the total, and the mean of each kind."""
    totals = sorted(sum(each.values()) for each in frames)
    kinds = sorted({kind for each in frames for kind in each})
    means = ", ".join(f"{kind} {sum(each.get(kind, 0) for each in frames) / len(frames):.1f}" for kind in kinds)
    p95 = totals[int(0.95 * (len(totals) - 1))]
    return f"{sum(totals) / len(totals):.1f} ms CPU, p95 {p95:.1f} ({means})"
