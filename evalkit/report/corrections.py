"""What people's labels say of a judge's own figures, in one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evalkit.report.numbers import Style, bounds, difference, estimated, figure
from evalkit.results import OVERALL, Cell, Summary


def correction_lines(summary: Summary, styles: Mapping[str, Style]) -> tuple[str, ...]:
    """One sentence for each judge's figure: overall in any case, in a cohort where it is corrected.

    `correctness: judge 81 %, corrected 85 % [77, 92], 50 labels, bias -4 pts`
    """
    return tuple(
        _sentence(cell, styles[cell.metric])
        for cell in _chosen(summary)
        if cell.corrected is not None and cell.estimate.value is not None
    )


def _chosen(summary: Summary) -> Iterator[Cell]:
    for cell in summary.cells:
        if cell.corrected is not None and (cell.cohort == OVERALL or cell.corrected.value is not None):
            yield cell


def _sentence(cell: Cell, style: Style) -> str:
    corrected, said = cell.corrected, cell.estimate
    where = cell.metric if cell.cohort == OVERALL else f"{cell.metric} in {cell.cohort}"
    start = f"{where}: judge {figure(said.value, style, said.n)}"
    if corrected is None or corrected.value is None or said.value is None:
        why = corrected.reason if corrected else ""
        then = cell.if_as_then
        known = then is not None and then.value is not None
        return f"{start}, {why}" + (f"; {estimated(then, style)} if the judge errs as it did then" if known else "")
    now = f"{figure(corrected.value, style, corrected.n)} {bounds(corrected, style)}".rstrip()
    bias = difference(said.value - corrected.value, style, corrected.n)
    return f"{start}, corrected {now}, {corrected.n} labels, bias {bias}"
