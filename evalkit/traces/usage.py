"""Add up tokens and cost of a trace, each once."""

from __future__ import annotations

from collections.abc import Callable

from evalkit.traces.meaning import SpanMeaning
from evalkit.traces.parents import from_below
from evalkit.traces.tree import TraceTree
from evalkit.types import Usage

_Amount = Callable[[SpanMeaning], float | None]
_NO_MODEL_TOTAL = ("embedding", "retrieval")
"""Kinds whose tokens are not those of the models that answer."""


def usage_of(traces: list[TraceTree]) -> Usage | None:
    """Return the sum over model calls that have no model call below them.

    What an agent or a node reports counts only where no model call below it reports anything. One model call without
    an amount makes the total unknown.
    """
    tokens = [_total(traces, lambda own: own.input_tokens), _total(traces, lambda own: own.output_tokens)]
    cost = _total(traces, lambda own: own.cost_usd)
    if tokens == [None, None] and cost is None:
        return None
    models = {own.name for trace in traces for at, own in enumerate(trace.meanings) if own.kind == "llm" and own.name}
    first, second = (None if each is None else int(each) for each in tokens)
    return Usage(
        input_tokens=first, output_tokens=second, cost_usd=cost, model=models.pop() if len(models) == 1 else None
    )


def own_usage(meaning: SpanMeaning) -> Usage | None:
    """Return what one span reports."""
    if (meaning.input_tokens, meaning.output_tokens, meaning.cost_usd) == (None, None, None):
        return None
    return Usage(
        input_tokens=meaning.input_tokens,
        output_tokens=meaning.output_tokens,
        cost_usd=meaning.cost_usd,
        model=meaning.name if meaning.kind in ("llm", "embedding") else None,
    )


def is_outer_model(trace: TraceTree) -> list[bool]:
    """Return whether each span has a model call below it."""
    found = [False] * len(trace.spans)
    for start, own in enumerate(trace.meanings):
        at = trace.parents[start] if own.kind == "llm" else None
        while at is not None and not found[at]:
            found[at] = True
            at = trace.parents[at]
    return found


def _total(traces: list[TraceTree], amount: _Amount) -> float | None:
    sums = [each for trace in traces for each in _of_roots(trace, amount)]
    known = [value for value in sums if value is not None]
    return sum(known) if known and len(known) == len(sums) else None


def _of_roots(trace: TraceTree, amount: _Amount) -> list[float | None]:
    """Return the amount below each root that has a model call or an amount; `None` where it is unknown."""
    outer = is_outer_model(trace)
    sums: list[float] = [0.0] * len(trace.spans)
    known, unknown = [False] * len(sums), [False] * len(sums)
    for at in from_below(trace.parents):
        own, value = trace.meanings[at], amount(trace.meanings[at])
        if value is not None and not known[at] and own.kind not in _NO_MODEL_TOTAL:
            sums[at], known[at], unknown[at] = value, True, False
        elif own.kind == "llm" and not outer[at] and value is None:
            unknown[at] = True
        above = trace.parents[at]
        if above is not None:
            sums[above] += sums[at]
            known[above] = known[above] or known[at]
            unknown[above] = unknown[above] or unknown[at]
    roots = [at for at, above in enumerate(trace.parents) if above is None and (known[at] or unknown[at])]
    return [None if unknown[at] else sums[at] for at in roots]
