"""Sum the questions of days, by cohort and by embedding, for the test of their drift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from evalkit.monitor.reference import InputReference
from evalkit.monitor.sampled_texts import sampled_rows, texts_file
from evalkit.monitor.sampling import SEPARATOR
from evalkit.report.monitor.status import InputLine
from evalkit.stats.input_drift import Bools, Floats, cohort_shift_p, mean_shift_p, psi
from evalkit.stats.multiplicity import holm

LEVEL = 0.01
"""Adjusted p value up to which inputs count as moved: some false warning in a hundred weeks."""
TEXTS = "texts"
_TEXT_CHARS = 4_000
_DECIMALS = 5


class TextVectors(Protocol):
    """Turns texts into vectors of length 1."""

    @property
    def name(self) -> str:
        """Name and version."""

    def vectors(self, texts: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Return shape (n, d)."""


@dataclass(frozen=True, eq=False)
class CohortCounts:
    """Calls by day and value of one cohort."""

    cohort: str
    values: tuple[str, ...]
    counts: Floats
    """Shape (days, values)."""


def embedded_days(folder: Path, days: Iterable[int], embedder: TextVectors) -> InputReference:
    """Sum the embeddings of the questions of the sampled calls whose texts are still kept, weighted by 1 / pi.

    Raises:
        StoreError: A file of texts cannot be read.
    """
    kept, sums, weights = [], [], []
    for day in days:
        if not texts_file(folder, day).is_file():
            continue
        rows = [row for row in sampled_rows(folder, [day]) if row.case.question.strip()]
        if not rows:
            continue
        own = np.array([1 / float(row.case.fields["pi"]) for row in rows])
        found = embedder.vectors([row.case.question[:_TEXT_CHARS] for row in rows])
        kept.append(day)
        sums.append(tuple(np.round(own @ found.astype(np.float64), _DECIMALS).tolist()))
        weights.append(float(own.sum()))
    return InputReference(days=tuple(kept), sums=tuple(sums), weights=tuple(weights), embedder=embedder.name)


def cohort_counts(strata: Mapping[tuple[int, str], int], days: Sequence[int]) -> list[CohortCounts]:
    """Return the calls of each cohort by day.

    Args:
        strata: (day, `language=de|topic=cards`) -> calls.
        days: The days, in the order of the rows.
    """
    row = {day: at for at, day in enumerate(days)}
    found: dict[str, dict[str, Floats]] = {}
    for (day, stratum), n in strata.items():
        for label in filter(None, stratum.split(SEPARATOR)):
            cohort, _, value = label.partition("=")
            if day in row:
                column = found.setdefault(cohort, {}).setdefault(value, np.zeros(len(days)))
                column[row[day]] += n
    return [
        CohortCounts(cohort, tuple(sorted(columns)), np.column_stack([columns[value] for value in sorted(columns)]))
        for cohort, columns in sorted(found.items())
    ]


def input_lines(
    counts: Sequence[CohortCounts],
    texts: tuple[InputReference, InputReference] | None,
    tested: Bools,
    weekend: Bools,
    *,
    rng: np.random.Generator,
) -> tuple[InputLine, ...]:
    """Compare the last week with the reference: shares of every cohort, and the mean embedding of the questions.

    Args:
        counts: Of the days of the reference and the last week; cohorts with a single value are left out.
        texts: Embeddings of the reference and of the last week; `None` if they are not known.
        tested: True for the days of the last week, shape (days,).
        weekend: True for a Saturday or Sunday, shape (days,).
        rng: Source of the draws.

    Returns:
        A line for each cohort and one for the texts, with p values adjusted together (Holm).
    """
    found: list[tuple[str, float, float | None, str]] = []
    for each in counts:
        if len(each.values) > 1:
            p = cohort_shift_p(each.counts, tested, weekend, rng=rng)
            now, was = each.counts[tested].sum(axis=0), each.counts[~tested].sum(axis=0)
            found.append((each.cohort, p, psi(now, was), _largest_move(each, now, was)))
    if texts is not None:
        was_days, now_days = texts
        days = np.array([*was_days.days, *now_days.days])
        sums = np.array([*was_days.sums, *now_days.sums])
        own = np.arange(len(days)) >= len(was_days.days)
        p = mean_shift_p(sums, np.array([*was_days.weights, *now_days.weights]), own, (days + 3) % 7 >= 5, rng=rng)
        found.append((TEXTS, p, None, ""))
    adjusted = holm([p for _, p, _, _ in found])
    return tuple(
        InputLine(name=name, p=float(p), moved=bool(p <= LEVEL), psi=index, what=what)
        for (name, _, index, what), p in zip(found, adjusted, strict=True)
    )


def _largest_move(counts: CohortCounts, now: Floats, was: Floats) -> str:
    shares = now / max(now.sum(), 1.0), was / max(was.sum(), 1.0)
    at = int(np.abs(shares[0] - shares[1]).argmax())
    return f"{counts.cohort}={counts.values[at]} {100 * shares[1][at]:.1f}% → {100 * shares[0][at]:.1f}%"
