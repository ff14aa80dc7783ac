"""Explain a result: kinds of failures, and changes other than those of the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.aggregate.failure_kinds import FailureKind
from evalkit.aggregate.shifts import Shift
from evalkit.text.numbers import Style, change, plural
from evalkit.text.printable import one_line

_STATES = {"system_error": "system error", "unscored": "unscored"}
_STYLES = {
    "s": Style("seconds"),
    "tokens": Style("count", 0),
    "characters": Style("count", 0),
    "contexts": Style("number", 2),
}
_NAME_CHARS, _WORD_CHARS = 60, 24


@dataclass(frozen=True, slots=True)
class KindLine:
    """Text about the failing cases of one kind."""

    name: str
    """The scorer, or the error."""
    words: str
    """`“help request answer”`; `others` if other kinds have words, else empty."""
    count: str
    """`17 cases, 6 new`."""
    kind: FailureKind

    def __str__(self) -> str:
        return " ".join(filter(None, (self.name, self.words))) + f": {self.count}"


@dataclass(frozen=True, slots=True)
class ShiftLine:
    """One measure that is not a metric, before and now."""

    name: str
    values: str
    """`0.19 s → 0.31 s`; empty if the mean is the same."""
    changed: str
    """`different in 26 of 315`, for texts that differ."""

    def __str__(self) -> str:
        changed = f"({self.changed})" if self.values and self.changed else self.changed
        return " ".join(filter(None, (self.name, self.values, changed)))


def kind_lines(kinds: Sequence[FailureKind]) -> tuple[KindLine, ...]:
    """Describe the kinds in their order, with the number of new cases if there are any."""
    split = {(kind.state, kind.name) for kind in kinds if kind.words}
    news = any(kind.n_new for kind in kinds)
    return tuple(_kind_line(kind, (kind.state, kind.name) in split, news) for kind in kinds)


def _kind_line(kind: FailureKind, is_split: bool, news: bool) -> KindLine:
    state, name = _STATES.get(kind.state, ""), one_line(kind.name, _NAME_CHARS)
    words = " ".join(one_line(word, _WORD_CHARS) for word in kind.words)
    count = plural(kind.n, "case")
    if news and kind.state == "failed":
        count += ", all new" if kind.n_new == kind.n else f", {kind.n_new:,} new" if kind.n_new else ", none new"
    return KindLine(f"{state} {name}".strip(), f"“{words}”" if words else "others" if is_split else "", count, kind)


def shift_lines(shifts: Iterable[Shift]) -> tuple[ShiftLine, ...]:
    """Describe the measures that moved; others are left out."""
    return tuple(line for line in map(_shift_line, shifts) if line.values or line.changed)


def _shift_line(shift: Shift) -> ShiftLine:
    moved = shift.before != shift.now
    values = "" if not moved else change(shift.before, shift.now, _STYLES[shift.unit])
    texts = {"contexts": "contexts", "answer length": "answers"}.get(shift.name)
    changed = f"different in {shift.n_changed:,} of {shift.n:,}" if texts and shift.n_changed else ""
    name = "contexts a case" if shift.name == "contexts" and moved else shift.name
    unit = f" {shift.unit}" if moved and shift.unit == "characters" else ""
    return ShiftLine(texts if texts and not moved else name, values + unit, changed)
