"""Place several systems on the frontier of quality, cost and latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.aggregate.system_columns import SystemTable, known_amount
from evalkit.aggregate.system_comparison import FrontierLabel
from evalkit.stats.frontier import frontier

ON_FROM, DOMINATED_TO = 0.9, 0.1
"""Share of the draws from which a system is `on` the frontier, and up to which it is `dominated`."""


@dataclass(frozen=True)
class FrontierPlace:
    """The place of one system."""

    label: FrontierLabel = "unknown"
    on: float | None = None
    dominated_by: str = ""


def places_of(
    table: SystemTable, ranked: Sequence[bool], rng: np.random.Generator, *, interleaved: bool
) -> list[FrontierPlace]:
    """Return the place of each system.

    Cost and latency count if they are known for any system with a rank; a system that lacks one of them is `unknown`,
    and dominates none.

    Args:
        table: the systems.
        ranked: whether each system has enough values for a rank.
        rng: source of the draws.
        interleaved: whether latencies can be compared.
    """
    systems = table.systems
    costs = [known_amount(each, each.cost_usd) is not None for each in systems]
    times = [interleaved and known_amount(each, each.latency_s) is not None for each in systems]
    used = [known for known in (costs, times) if any(np.logical_and(known, ranked))]
    inside = [at for at, has_rank in enumerate(ranked) if has_rank and all(known[at] for known in used)]
    if not used or not inside:
        return [FrontierPlace()] * len(systems)
    means = [table.sign * table.values[:, inside]]
    means += [-table.column("cost_usd")[:, inside]] if costs in used else []
    medians = [-table.column("latency_s")[:, inside]] if times in used else []
    shape = (len(table.cases), len(inside))
    found = frontier(np.stack(means), np.array(medians).reshape(-1, *shape), table.clusters, rng=rng)
    places = [FrontierPlace()] * len(systems)
    names = [systems[at].name for at in inside]
    for number, at in enumerate(inside):
        places[at] = _place(float(found.on[number]), dict(zip(names, found.by[number].tolist(), strict=True)))
    return places


def _place(on: float, shares: dict[str, float]) -> FrontierPlace:
    if on >= ON_FROM:
        return FrontierPlace("on", on)
    if on > DOMINATED_TO:
        return FrontierPlace("open", on)
    return FrontierPlace("dominated", on, max(sorted(shares), key=lambda name: shares[name]))
