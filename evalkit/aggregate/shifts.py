"""Measure changes other than those of metrics: contexts, tokens, length of answers, latency."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from evalkit.types import Output, Row


@dataclass(frozen=True, slots=True)
class Shift:
    """One measure over the pairs with a value in both runs."""

    name: str
    unit: str
    """`s`, `tokens`, `characters` or `contexts`."""
    before: float
    """Mean over the pairs."""
    now: float
    n: int
    n_changed: int
    """Number of pairs whose contexts or answers differ; for other measures, whose figures differ."""


_Measure = Callable[[Output], float | None]


def _tokens(output: Output) -> float | None:
    return output.usage.output_tokens if output.usage else None


def _seconds(output: Output) -> float | None:
    return None if output.replayed else output.latency_s


def _contexts(output: Output) -> float | None:
    return None if output.contexts is None else len(output.contexts)


MEASURES: Mapping[str, tuple[str, _Measure]] = {
    "contexts": ("contexts", _contexts),
    "answer length": ("characters", lambda output: len(output.text) if output.text_known else None),
    "output tokens": ("tokens", _tokens),
    "latency": ("s", _seconds),
}
_TEXTS: Mapping[str, Callable[[Output], object]] = {
    "contexts": lambda output: (output.contexts, tuple(origin.id for origin in output.origins)),
    "answer length": lambda output: output.text,
}
"""Measures of texts, which may differ even if their lengths are equal."""


class ShiftMeter:
    """Takes the candidate's rows one by one and reads the baseline's in parallel; holds four numbers per measure."""

    def __init__(self, baseline_rows: Iterable[Row]) -> None:
        """Take the baseline's rows, sorted by case id and repeat."""
        self._baseline = iter(baseline_rows)
        self._next = next(self._baseline, None)
        self._sums = {name: [0.0, 0.0, 0, 0] for name in MEASURES}

    def add(self, row: Row) -> None:
        """Compare a row with the baseline's of the same case, content and repeat; rows come in the same order."""
        while self._next is not None and _place(self._next) < _place(row):
            self._next = next(self._baseline, None)
        before = self._next
        if before is None or _place(before) != _place(row) or before.case.digest != row.case.digest:
            return
        if before.output is not None and row.output is not None:
            self._measure(before.output, row.output)

    def shifts(self) -> tuple[Shift, ...]:
        """Return every measure with a value in some pair."""
        return tuple(
            Shift(name, MEASURES[name][0], before / n, now / n, int(n), int(changed))
            for name, (before, now, n, changed) in self._sums.items()
            if n
        )

    def _measure(self, before: Output, now: Output) -> None:
        for name, (_, measure) in MEASURES.items():
            was, has = measure(before), measure(now)
            if was is None or has is None:
                continue
            text, total = _TEXTS.get(name), self._sums[name]
            total[0] += was
            total[1] += has
            total[2] += 1
            total[3] += was != has if text is None else text(before) != text(now)


def _place(row: Row) -> tuple[str, int]:
    return row.case.id, row.repeat
