"""Split the differences of the systems of a matrix into the effects of its factors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.aggregate.columns import Ints
from evalkit.aggregate.system_columns import SystemTable
from evalkit.aggregate.system_comparison import FactorEffect
from evalkit.stats.factors import interaction_p, main_effects


@dataclass(frozen=True, eq=False)
class FactorGrid:
    """The systems of a matrix that have a rank."""

    columns: Ints
    """Column of each system in the table."""
    levels: Mapping[str, tuple[str, ...]]
    """Each factor that varies -> its values, in the order of the suite."""
    codes: Ints
    """Per system and factor, the position of its value."""

    @property
    def n_combinations(self) -> int:
        """Number of all combinations of values."""
        return int(np.prod([len(values) for values in self.levels.values()]))

    def common(self, factor: int) -> Ints:
        """Return the systems whose other values occur with every value of a factor."""
        rest = np.delete(self.codes, factor, axis=1)
        _, group, sizes = np.unique(rest, axis=0, return_inverse=True, return_counts=True)
        n_levels = len(list(self.levels.values())[factor])
        return np.flatnonzero(sizes[group.ravel()] == n_levels)


def matrix_of(table: SystemTable, ranked: Sequence[bool]) -> FactorGrid | None:
    """Return the matrix of the systems; `None` if no factor varies, or two systems are of one combination."""
    given = {at: each.factors for at, each in enumerate(table.systems) if each.factors}
    names = list(dict.fromkeys(name for factors in given.values() for name in factors))
    if any(name not in factors for name in names for factors in given.values()):
        return None
    levels = {name: tuple(dict.fromkeys(factors[name] for factors in given.values())) for name in names}
    levels = {name: values for name, values in levels.items() if len(values) > 1}
    inside = {at: factors for at, factors in given.items() if ranked[at]}
    codes = [[values.index(factors[name]) for name, values in levels.items()] for factors in inside.values()]
    if not levels or len({tuple(each) for each in codes}) < len(codes) or not codes:
        return None
    return FactorGrid(np.array(list(inside), np.int64), levels, np.array(codes, np.int64))


def effects_of(
    table: SystemTable, matrix: FactorGrid, rng: Callable[[str], np.random.Generator]
) -> tuple[tuple[FactorEffect, ...], float | None]:
    """Return the effects of all factors, and the p value of their interaction.

    If combinations are missing, the effects of a factor rest on those values of the others that occur with all of its
    own, and there is no p value.

    Args:
        table: the systems.
        matrix: `matrix_of` it.
        rng: returns the source of draws of a part, `effects` or `interaction`.
    """
    effects: list[FactorEffect] = []
    for place, (factor, values) in enumerate(matrix.levels.items()):
        inside = matrix.common(place)
        if not len(inside):
            continue
        found = main_effects(
            table.values[:, matrix.columns[inside]],
            matrix.codes[inside, place],
            table.clusters,
            span=table.span,
            rng=rng("effects"),
        )
        effects += [
            FactorEffect(factor=factor, level=level, effect=effect) for level, effect in zip(values, found, strict=True)
        ]
    if len(matrix.levels) < 2 or len(matrix.columns) < matrix.n_combinations:
        return tuple(effects), None
    values_of_all = table.values[:, matrix.columns]
    return tuple(effects), interaction_p(values_of_all, matrix.codes, table.clusters, rng=rng("interaction"))


def matrix_note(matrix: FactorGrid) -> str:
    """Say that combinations are missing; empty if none is."""
    missing = matrix.n_combinations - len(matrix.columns)
    if not missing:
        return ""
    of = f"{missing} of {matrix.n_combinations} combinations of the matrix {'is' if missing == 1 else 'are'}"
    rest = "effects rest on values that occur with all others, and interactions were not looked for"
    return f"{of} missing or without a rank: {rest}"
