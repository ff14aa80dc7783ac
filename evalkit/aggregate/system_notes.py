"""Say what a reader of a comparison of systems must know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from evalkit.aggregate.system_columns import MOST_COHORTS, SystemColumns, SystemTable, known_amount, scored_share
from evalkit.aggregate.system_factors import FactorGrid, matrix_note
from evalkit.text.numbers import Style, figure, plural

_RATE = Style("rate")


def notes_of(
    table: SystemTable, ranked: Sequence[bool], matrix: FactorGrid | None, *, interleaved: bool
) -> Iterator[str]:
    """Yield a sentence for each system without a rank, with missing cases or with unknown costs."""
    for system, has_rank in zip(table.systems, ranked, strict=True):
        if not has_rank:
            yield f"{system.name} has no rank: {_why(system)}"
        if len(system.cases) < len(table.cases):
            yield f"{system.name} ran {len(system.cases):,} of {plural(len(table.cases), 'case')}"
    yield from _unknown_costs(table)
    n_cohorts = len({label for system in table.systems for label in system.cohorts})
    if n_cohorts > MOST_COHORTS:
        yield f"cohorts: the {MOST_COHORTS} largest of {n_cohorts:,} are compared"
    if matrix is not None and (note := matrix_note(matrix)):
        yield note
    if not interleaved:
        yield "the systems were not called in turn, so their latencies cannot be compared"
    if any(each.primary is not None for each in table.systems):
        yield "a sample: the systems' own figures are weighted, differences and ranks are those of the sample"


def _unknown_costs(table: SystemTable) -> Iterator[str]:
    unknown = [each.name for each in table.systems if known_amount(each, each.cost_usd) is None]
    if unknown and len(unknown) < len(table.systems):
        yield f"cost unknown: {', '.join(unknown)}"


def _why(system: SystemColumns) -> str:
    errors = int(system.errored.sum()) if system.errored is not None else 0
    if system.cases and errors == len(system.cases):
        return "none of its cases was answered"
    applies = int(system.applies.sum()) if system.applies is not None else len(system.cases)
    if not applies:
        return f"{system.metric.name} applies to none of its cases"
    if 2 * errors < applies * (1 - scored_share(system)):
        return f"{figure(1 - scored_share(system), _RATE, applies)} of its cases have no value"
    why = f"{figure(errors / applies, _RATE, applies)} errors"
    known = system.values[~np.isnan(system.values)]
    if not len(known) or not system.metric.binary or not system.metric.higher_is_better:
        return why
    with_errors = float(known.sum()) / (len(known) + errors)
    return f"{why}; {system.metric.name} is {figure(with_errors, _RATE, applies)} with errors counted as failures"
