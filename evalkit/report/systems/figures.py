"""Prepare the map of cohorts and the effects of factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.aggregate.system_comparison import CohortDifference, FactorEffect, SystemComparison
from evalkit.report.systems.view import Moved, SystemLine, SystemsView, moved, written
from evalkit.text.numbers import Style, figure

INTERACTION_LEVEL = 0.05
"""Adjusted p value from which an interaction counts as found."""


@dataclass(frozen=True, kw_only=True)
class MapCell:
    """The difference of one system to the reference in one cohort."""

    cohort: str
    text: str
    """Empty if the interval holds 0."""
    interval: str
    n: int
    moved: Moved
    shade: int
    """Strength of the colour, 1 to 3; 0 without one."""


@dataclass(frozen=True, kw_only=True)
class EffectLine:
    """What one level of a factor adds."""

    level: str
    text: str
    interval: str
    moved: Moved
    effect: FactorEffect


@dataclass(frozen=True, kw_only=True)
class FactorTable:
    """The levels of one factor, in the order of the matrix."""

    factor: str
    lines: tuple[EffectLine, ...]


@dataclass(frozen=True, kw_only=True)
class FactorCells:
    """The figures of a matrix of two factors: a row for each level of the first, a column for each of the second."""

    row_factor: str
    column_factor: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def cohort_map(view: SystemsView) -> tuple[tuple[str, ...], tuple[tuple[SystemLine, tuple[MapCell | None, ...]], ...]]:
    """Return the cohorts, and for each system but the reference its cells in that order; `None` where none is known."""
    comparison = view.comparison
    cohorts = tuple(dict.fromkeys(each.cohort for each in comparison.cohorts))
    cells = {(each.system, each.cohort): each for each in comparison.cohorts}
    sizes = [abs(each.difference.value) for each in comparison.cohorts if each.difference.value is not None]
    largest = max(sizes, default=0.0)
    rows = tuple(
        (
            line,
            tuple(
                None if (found := cells.get((line.name, cohort))) is None else _cell(found, view, largest)
                for cohort in cohorts
            ),
        )
        for line in view.lines
        if not line.is_reference and any((line.name, cohort) in cells for cohort in cohorts)
    )
    return cohorts, rows


def _cell(found: CohortDifference, view: SystemsView, largest: float) -> MapCell:
    way = moved(found.difference, view.comparison.higher_is_better)
    value = found.difference.value
    text, interval = written(found.difference, view.style, view.comparison.higher_is_better)
    stands_out = way in ("better", "worse") and value is not None
    return MapCell(
        cohort=found.cohort,
        text=text if stands_out else "",
        interval=interval if stands_out else "",
        n=found.n_cases,
        moved=way,
        shade=1 + min(2, int(3 * abs(value or 0.0) / largest)) if stands_out and largest else 0,
    )


def factor_tables(comparison: SystemComparison, style: Style) -> tuple[FactorTable, ...]:
    """Return the effects by factor."""
    factors: dict[str, list[EffectLine]] = {}
    for each in comparison.effects:
        text, interval = written(each.effect, style, comparison.higher_is_better)
        way = moved(each.effect, comparison.higher_is_better)
        line = EffectLine(level=each.level, text=text, interval=interval, moved=way, effect=each)
        factors.setdefault(each.factor, []).append(line)
    return tuple(FactorTable(factor=name, lines=tuple(lines)) for name, lines in factors.items())


def interaction_found(comparison: SystemComparison) -> bool:
    """Tell whether the effect of one factor depends on another."""
    return comparison.interaction_p is not None and comparison.interaction_p < INTERACTION_LEVEL


def factor_cells(lines: Sequence[SystemLine], tables: Sequence[FactorTable], style: Style) -> FactorCells | None:
    """Return the figures of each pair of levels, `None` if there are not exactly two factors."""
    if len(tables) != 2:
        return None
    rows, columns = tables
    known = {
        (line.figures.factors.get(rows.factor), line.figures.factors.get(columns.factor)): line.figures.primary
        for line in lines
    }

    def shown(row: str, column: str) -> str:
        seen = known.get((row, column))
        return "–" if seen is None else figure(seen.value, style, seen.n)

    names = tuple(line.level for line in columns.lines)
    return FactorCells(
        row_factor=rows.factor,
        column_factor=columns.factor,
        columns=names,
        rows=tuple((line.level, tuple(shown(line.level, name) for name in names)) for line in rows.lines),
    )
