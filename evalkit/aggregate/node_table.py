"""Total the calls of each node over a run, and give the amounts of a node per row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.aggregate.amounts import amount_metric
from evalkit.aggregate.columns import Column, Floats, Ints
from evalkit.aggregate.statuses import ABSENT, ERRORED, SCORED, UNSCORED, node_amount
from evalkit.results import NodeFigures

MOST_NODES = 100
"""Maximum number of nodes in a summary; those with the most calls are kept."""


@dataclass(frozen=True, eq=False)
class NodeCalls:
    """All calls of nodes in a run, as arrays with one item for each call."""

    names: tuple[str, ...]
    codes: Ints
    """Index in `names` of each call's node."""
    rows: Ints
    """Row of each call."""
    errored: NDArray[np.bool_]
    amounts: Floats
    """Shape (calls, 3): tokens, US dollars, own seconds; NaN where unknown."""
    traced: NDArray[np.bool_]
    """Per row of the run, whether its output has a trajectory."""

    def figures(self, counts: NDArray[np.bool_]) -> tuple[NodeFigures, ...]:
        """Return the nodes, those with the most calls first.

        Args:
            counts: per row, whether it was planned.
        """
        planned = counts[self.rows]
        numbers = np.bincount(self.codes[planned], minlength=len(self.names))
        found = sorted(
            (code for code in range(len(self.names)) if numbers[code]), key=lambda c: (-numbers[c], self.names[c])
        )
        amounts = {code: self.amounts[planned & (self.codes == code)] for code in found[:MOST_NODES]}
        whole = math.fsum(self.amounts[planned, 2].tolist())
        return tuple(
            NodeFigures(
                node=self.names[code],
                calls=int(numbers[code]),
                errors=int(self.errored[planned & (self.codes == code)].sum()),
                tokens=None if (tokens := _total(table[:, 0])) is None else round(tokens),
                cost_usd=_total(table[:, 1]),
                unknown_tokens=int(np.isnan(table[:, 0]).sum()),
                unknown_cost=int(np.isnan(table[:, 1]).sum()),
                unknown_times=int(np.isnan(table[:, 2]).sum()),
                own_p50_s=_quantile(table[:, 2], 0.50),
                own_p95_s=_quantile(table[:, 2], 0.95),
                share_of_time=_total(table[:, 2] / whole) if whole > 0 else None,
            )
            for code, table in amounts.items()
        )

    def column(self, name: str, states: Ints) -> Column | None:
        """Return an amount of a node per row; `None` if the run never called the node.

        A row whose trajectory lacks the node has the amount 0. A row is unscored if it has no trajectory, or a call
        with an unknown amount.

        Args:
            name: name of the metric, such as `tokens:planner`.
            states: per row `SCORED` if the system answered, else `ERRORED` or `ABSENT`.
        """
        amount, node = node_amount(name) or ("", "")
        if node not in self.names:
            return None
        chosen = self.codes == self.names.index(node)
        values = np.bincount(
            self.rows[chosen], self.amounts[chosen, 0 if amount == "tokens" else 1], minlength=len(states)
        )
        known = self.traced & ~np.isnan(values)
        status = np.where(np.isin(states, (ABSENT, ERRORED)), states, np.where(known, SCORED, UNSCORED))
        metric = amount_metric(name, amount, "case")
        return Column(metric, np.where(status == SCORED, values, np.nan), status)


def _total(values: Floats) -> float | None:
    """Return the sum, `None` if any is unknown."""
    total = math.fsum(values.tolist())
    return None if math.isnan(total) else total


def _quantile(values: Floats, q: float) -> float | None:
    """Return the smallest value with at least a share of `q` at or below it, `None` if any is unknown."""
    if np.isnan(values).any():
        return None
    return float(np.quantile(values, q, method="inverted_cdf"))


def too_many(n_nodes: int) -> Sequence[str]:
    """Return a note if the run has more nodes than are listed."""
    if n_nodes <= MOST_NODES:
        return ()
    return (f"{n_nodes:,} nodes: the {MOST_NODES} with the most calls are listed",)
