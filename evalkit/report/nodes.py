"""Write the table of an agent's nodes."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.results import NodeFigures, Summary
from evalkit.text.numbers import UNKNOWN, Style, figure
from evalkit.text.printable import one_line

NODE_COLUMNS = ("Calls", "Errors", "Tokens", "Cost", "Own time p50", "Own time p95", "Share of time")

_NAME_CHARS = 80


@dataclass(frozen=True, slots=True)
class NodeLine:
    """One node as text, in the order of `NODE_COLUMNS`."""

    node: str
    values: tuple[str, ...]


def node_lines(summary: Summary) -> tuple[NodeLine, ...]:
    """Return the nodes, those with the most calls first."""
    return tuple(NodeLine(one_line(each.node, _NAME_CHARS), _values(each)) for each in summary.nodes)


def _values(each: NodeFigures) -> tuple[str, ...]:
    seconds = Style("seconds")
    return (
        f"{each.calls:,}",
        f"{each.errors:,}",
        _known(each.tokens, Style("amount", 0), each.unknown_tokens, each.calls),
        _known(each.cost_usd, Style("usd"), each.unknown_cost, each.calls),
        _known(each.own_p50_s, seconds, each.unknown_times, each.calls),
        _known(each.own_p95_s, seconds, each.unknown_times, each.calls),
        _known(each.share_of_time, Style("rate"), 0, each.calls),
    )


def _known(value: float | None, style: Style, unknown: int, calls: int) -> str:
    """Format a value, or the number of calls for which it is unknown."""
    if value is None and 0 < unknown < calls:
        return f"{UNKNOWN} ({unknown:,} of {calls:,} calls)"
    return figure(value, style)
