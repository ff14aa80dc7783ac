"""Describe how people's labels correct a judge's figures."""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.results import OVERALL, Cell, Comparison, Estimate, Summary
from evalkit.text.corrected_drop import corrected_drop_sentence
from evalkit.text.numbers import Style, bounds, difference, estimated, figure, finer, plural, rounded


def correction_lines(summary: Summary, styles: Mapping[str, Style]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return sentences, for the whole run and by cohort: one for each corrected figure, one for the unchanged ones.

    `correctness: judge 81 %, corrected 85 % [77, 92], 50 labels, bias -4 pts`
    """
    lines: list[str] = []
    apart: list[str] = []
    plain: dict[str, list[str]] = {}
    for cell in summary.cells:
        style, said, corrected = styles[cell.metric], cell.estimate.value, cell.corrected
        if corrected is None or said is None:
            continue
        if corrected.value is not None:
            (lines if cell.cohort == OVERALL else apart).append(
                f"{_where(cell)}: {_corrected(said, cell.estimate.n, corrected, corrected.value, style)}"
            )
        elif cell.cohort == OVERALL:
            plain.setdefault(corrected.reason, []).append(_as_it_is(cell, style))
    whole = (*lines, *(f"{', '.join(figures)} as graded by the judge, {reason}" for reason, figures in plain.items()))
    return whole, tuple(apart)


def drop_lines(comparison: Comparison | None, styles: Mapping[str, Style]) -> tuple[str, ...]:
    """Return a sentence for each drop that people's labels correct."""
    drops = comparison.corrected if comparison else ()
    return tuple(corrected_drop_sentence(each, styles[each.metric]) for each in drops)


def _where(cell: Cell) -> str:
    return cell.metric if cell.cohort == OVERALL else f"{cell.metric} in {cell.cohort}"


def _corrected(said: float, n: int, corrected: Estimate, now: float, style: Style) -> str:
    """Format both figures and their difference, with more digits if the rounded ones do not add up."""
    fewer = corrected.n
    if rounded(said, style, fewer) - rounded(now, style, fewer) != rounded(said - now, style, fewer):
        style, fewer = finer(style, fewer)
    bias = float(rounded(said, style, fewer) - rounded(now, style, fewer))
    both = f"judge {figure(said, style, max(n, fewer))}, corrected {figure(now, style, fewer)}"
    interval = f"{both} {bounds(corrected, style)}".rstrip()
    return f"{interval}, {plural(corrected.n, 'label')}, bias {difference(bias, style, fewer)}"


def _as_it_is(cell: Cell, style: Style) -> str:
    then = cell.if_as_then
    known = then is not None and then.value is not None
    aside = f" ({estimated(then, style)} if the judge errs as it did then)" if then is not None and known else ""
    return f"{cell.metric} {figure(cell.estimate.value, style, cell.estimate.n)}{aside}"
