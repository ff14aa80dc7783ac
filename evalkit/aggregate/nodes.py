"""Compute the calls, errors, tokens, cost and own time of each node of a trajectory.

A call is a step of kind `node` or `agent`; the other steps belong to the nearest one above them. A step with no such
step above it, such as a tool in a plain loop, is a call of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evalkit.aggregate.measured import tokens_of
from evalkit.types import Step, Usage

_NODES = ("node", "agent")
_Amount = Callable[[Usage], float | None]


@dataclass(frozen=True, slots=True)
class NodeCall:
    """One call of a node."""

    node: str
    errored: bool
    """True if the call, or a step of its own, ended in an error."""
    tokens: float
    """Input and output tokens; NaN if unknown."""
    cost_usd: float
    own_s: float
    """Seconds of the call without the calls inside it; NaN if unknown."""


def node_calls(steps: Sequence[Step]) -> list[NodeCall]:
    """Return the calls of nodes in the order of their steps.

    Tokens and money are counted once: those of a step count unless a step below it reports its own. An amount is
    unknown if no step of the call reports it. It is also unknown if a model step reports none, unless the call itself
    reports a total.

    Args:
        steps: steps of one answer. A parent is ignored if it is not among them, or if it makes a cycle.
    """
    parents = _parents(steps)
    call_of = _calls(steps, parents)
    calls = sorted(set(call_of))
    failed = {call_of[at] for at, step in enumerate(steps) if step.error is not None}
    tokens = _amounts(steps, parents, call_of, tokens_of)
    costs = _amounts(steps, parents, call_of, lambda usage: usage.cost_usd)
    own = _own_times(steps, parents, call_of)
    return [
        NodeCall(
            steps[at].name or steps[at].kind, at in failed, tokens.get(at, math.nan), costs.get(at, math.nan), own[at]
        )
        for at in calls
    ]


def _parents(steps: Sequence[Step]) -> list[int | None]:
    """Return the position of each step's parent, without cycles."""
    places: dict[str, int] = {}
    for place, step in enumerate(steps):
        if step.id:
            places.setdefault(step.id, place)
    parents = [places.get(step.parent) if step.parent else None for step in steps]
    checked = [False] * len(steps)
    for start in range(len(steps)):
        at: int | None = start
        path: set[int] = set()
        while at is not None and not checked[at]:
            path.add(at)
            if parents[at] in path:
                parents[at] = None
            checked[at] = True
            at = parents[at]
    return parents


def _calls(steps: Sequence[Step], parents: Sequence[int | None]) -> list[int]:
    """Return the position of the call that each step belongs to."""
    nearest: dict[int, int | None] = {}
    for start in range(len(steps)):
        path, at, found = [], start, None
        while True:
            if at in nearest:
                found = nearest[at]
                break
            path.append(at)
            above = parents[at]
            if steps[at].kind in _NODES:
                found = at
                break
            if above is None:
                break
            at = above
        nearest |= dict.fromkeys(path, found)
    return [at if (call := nearest[at]) is None else call for at in range(len(steps))]


def _amounts(
    steps: Sequence[Step], parents: Sequence[int | None], call_of: Sequence[int], amount: _Amount
) -> dict[int, float]:
    """Return the known amounts, by the position of the call."""
    given = [None if step.usage is None else amount(step.usage) for step in steps]
    reported = _above(parents, [at for at, value in enumerate(given) if value is not None])
    models = _above(parents, [at for at, step in enumerate(steps) if step.kind == "llm"])
    sums: dict[int, float] = {}
    unknown, whole = set(), set()
    for at, step in enumerate(steps):
        call, value = call_of[at], given[at]
        if value is not None and not reported[at]:
            sums[call] = sums.get(call, 0.0) + value
            whole |= {call} if at == call else set()
        elif value is None and (
            (step.kind == "llm" and not models[at]) or (step.usage is not None and not reported[at])
        ):
            unknown.add(call)
    return {call: value for call, value in sums.items() if call in whole or call not in unknown}


def _above(parents: Sequence[int | None], starts: Sequence[int]) -> list[bool]:
    """Return whether each step is above one of `starts`."""
    found = [False] * len(parents)
    for start in starts:
        at = parents[start]
        while at is not None and not found[at]:
            found[at] = True
            at = parents[at]
    return found


def _own_times(steps: Sequence[Step], parents: Sequence[int | None], call_of: Sequence[int]) -> dict[int, float]:
    """Return each call's own seconds: its duration without the calls inside it, which may overlap."""
    inside: dict[int, list[tuple[float, float]]] = {at: [] for at in call_of}
    for at in inside:
        above = parents[at]
        if above is not None:
            inside[call_of[above]].append(_times(steps[at]))
    return {at: _without(_times(steps[at]), spans) for at, spans in inside.items()}


def _times(step: Step) -> tuple[float, float]:
    if step.started_s is None or step.ended_s is None or step.ended_s < step.started_s:
        return math.nan, math.nan
    return step.started_s, step.ended_s


def _without(whole: tuple[float, float], spans: Sequence[tuple[float, float]]) -> float:
    start, end = whole
    if math.isnan(start) or any(math.isnan(first) for first, _ in spans):
        return math.nan
    taken, reached = 0.0, start
    for first, last in sorted(spans):
        first, last = max(first, reached), min(last, end)
        if last > first:
            taken += last - first
            reached = last
    return max(0.0, end - start - taken)
