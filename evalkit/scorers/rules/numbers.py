"""Score whether the numbers in an answer occur in its sources."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from evalkit.scorers.rules.normalise import DecimalMark, Number, find_numbers
from evalkit.scorers.rules.rule import Share, check_share, no_contexts, no_reference, passages, shown
from evalkit.types import Case, Metric, Output, Score, Unscored

NO_CLAIM = re.compile(r"^[^\S\n]*\d{1,3}[.)]\s|\[\d{1,3}\]", re.MULTILINE)
"""Pattern of numbers in list items and citations, which are ignored."""


@dataclass(frozen=True, kw_only=True)
class Numbers(Share):
    """Measure the share of an answer's numbers that its contexts, or the reference, support.

    The value is 0 to 1: supported numbers / numbers in the answer. It is 1 if the answer has no numbers or is empty,
    because then none is invented. The answer passes if the value reaches `min`. Thousands separators, currency and per
    cent signs do not matter (`50 %` is 50 or 0.5); numbers of list items and citations such as [2] do not count.
    Against a reference there is a second metric, `<name>.recall`: the share of the reference's numbers that the answer
    names.

    It cannot see a right number attached to the wrong thing or number words, and counts a result that the system
    correctly computed from the contexts as unsupported.
    """

    name: str = "numbers"
    against: Literal["contexts", "reference"] = "contexts"
    """The source of the supported numbers; with several references, the best one counts."""
    allow_input: bool = True
    """Count numbers of the question as supported."""
    tolerance: float = 0.0
    """Relative difference that still counts as equal; 0.01 allows 1 %."""
    decimal: DecimalMark = "."
    """The decimal mark, for an ambiguous number (`1,234`)."""
    min: float = 1.0
    """Smallest share that passes."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "against"

    def __post_init__(self) -> None:
        check_share("min", self.min)
        check_share("tolerance", self.tolerance)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The share supported and, with a reference, the share of its numbers that are named."""
        recall = (Metric(f"{self.name}.recall"),) if self.against == "reference" else ()
        return (Metric(self.name, pass_at=self.min), *recall)

    @property
    def reads_passages(self) -> bool:
        """Whether numbers are looked up in contexts."""
        return self.against == "contexts"

    @property
    def needs(self) -> frozenset[str]:
        """The reference, if numbers are compared with it."""
        return frozenset({"reference"}) if self.against == "reference" else frozenset()

    def score(self, case: Case, output: Output) -> tuple[Score | Unscored, ...]:
        """Look up each number of the answer."""
        answer = self._find(NO_CLAIM.sub("; ", output.text))
        question = self._find(case.question) if self.allow_input else []
        if self.against == "contexts":
            contexts = passages(case, output)
            if contexts is None:
                return (no_contexts(self.name),)
            given = [number for text in contexts for number in self._find(text)]
            return (self._supported(answer, given + question),)
        if not case.reference:
            return tuple(no_reference(metric.name) for metric in self.metrics)
        references = [self._find(text) for text in case.reference]
        both = [(self._supported(answer, numbers + question), self._recall(answer, numbers)) for numbers in references]
        return max(both, key=lambda pair: (pair[0].value + pair[1].value, pair[0].value))

    def _find(self, text: str) -> list[Number]:
        return list(find_numbers(text, self.decimal))

    def _supported(self, answer: Sequence[Number], given: Sequence[Number]) -> Score:
        invented = absent_numbers(answer, given, self.tolerance)
        share = 1 - len(invented) / len(answer) if answer else 1.0
        texts = [number.text for number in invented]
        reason = (
            f"{len(answer) - len(invented)} of {len(answer)} numbers supported" if answer else "no number in the answer"
        )
        return Score(
            self.name,
            share,
            share >= self.min,
            f"{reason}; not {shown(texts)}" if texts else reason,
            {"unsupported": texts},
        )

    def _recall(self, answer: Sequence[Number], wanted: Sequence[Number]) -> Score:
        missing = [number.text for number in absent_numbers(wanted, answer, self.tolerance)]
        share = 1 - len(missing) / len(wanted) if wanted else 1.0
        reason = f"{len(wanted) - len(missing)} of {len(wanted)} numbers of the reference named"
        return Score(f"{self.name}.recall", share, None, f"{reason}; not {shown(missing)}" if missing else reason)


def absent_numbers(numbers: Sequence[Number], among: Iterable[Number], tolerance: float = 0.0) -> list[Number]:
    """Return the numbers that have no equal among others, within a relative tolerance."""
    values = sorted({value for number in among for value in number.readings})
    share = Decimal(str(tolerance))
    return [
        number for number in numbers if not any(_within(value, abs(value) * share, values) for value in number.readings)
    ]


def _within(value: Decimal, allowed: Decimal, values: Sequence[Decimal]) -> bool:
    # Arithmetic rounds to 28 digits, so without tolerance the bound must be the number itself.
    low, high = (value - allowed, value + allowed) if allowed else (value, value)
    at = bisect.bisect_left(values, low)
    return at < len(values) and values[at] <= high
