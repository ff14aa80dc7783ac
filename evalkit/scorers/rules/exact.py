"""Score an answer by equality with a reference: as text, or as a number."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from evalkit.scorers.rules.normalise import DecimalMark, Number, collapse, compatible, find_numbers, without_punctuation
from evalkit.scorers.rules.rule import PassFail, no_reference, shown
from evalkit.types import Case, Output, Score, Unscored


@dataclass(frozen=True, kw_only=True)
class Exact(PassFail):
    """Pass an answer that equals one of the references.

    The value is 1 or 0. As text, the whole answer is compared; an empty answer equals only an empty reference. As
    numbers, one number is taken from the answer and compared with the number in each reference; an answer without a
    number fails. `50%` equals `50` and `0.5`.

    It cannot see a paraphrase, a unit (`5 km` equals `5 miles`), a word such as `five` or `million`, or a fraction.
    """

    name: str = "exact"
    mode: Literal["text", "numeric"] = "text"
    ignore_case: bool = False
    """Text: ignore upper and lower case."""
    ignore_whitespace: bool = True
    """Text: trim, and replace each run of white space with one space."""
    ignore_punctuation: bool = False
    """Text: ignore punctuation."""
    nfkc: bool = True
    """Text: treat compatible characters as equal (full-width forms, ligatures, kinds of dashes and quotes)."""
    extract: Literal["last", "first", "only"] = "last"
    """Numeric: which number of the answer counts; `only` fails if it has several different ones."""
    after: str | None = None
    """Numeric: read only what follows the last occurrence of this marker, such as `A:`."""
    decimal: DecimalMark = "."
    """Numeric: the decimal mark, for an ambiguous number (`1,234`)."""
    tolerance: float = 0.0
    """Numeric: absolute difference that still counts as equal."""
    relative_tolerance: float = 0.0
    """Numeric: difference that still counts as equal, as a share of the reference; 0.01 allows 1 %."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "mode"

    def __post_init__(self) -> None:
        for field in ("tolerance", "relative_tolerance"):
            if not 0 <= getattr(self, field) < float("inf"):
                raise ValueError(f"{field}: expected 0 or more, got {getattr(self, field)}; leave it out for equality")
        if self.after is not None and not self.after.strip():
            raise ValueError("after: the marker is blank; name the text before the number, such as 'A:'")

    @property
    def needs(self) -> frozenset[str]:
        """The reference."""
        return frozenset({"reference"})

    def check_case(self, case: Case) -> None:
        """Reject a reference without a number if numbers are compared."""
        if self.mode == "numeric" and case.reference and not self._wanted(case):
            raise ValueError(f"no number in the reference {shown(case.reference)}; write one, or compare as text")

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Compare the answer with every reference; one match is enough."""
        if not case.reference:
            return no_reference(self.name)
        return self._text(case, output) if self.mode == "text" else self._numeric(case, output)

    def _text(self, case: Case, output: Output) -> Score:
        answer = self._normal(output.text)
        if any(self._normal(reference) == answer for reference in case.reference):
            return self.grade(True, "equals the reference")
        return self.grade(False, f"expected {shown(case.reference)}")

    def _normal(self, text: str) -> str:
        text = compatible(text) if self.nfkc else text
        text = compatible(text.casefold()) if self.ignore_case else text
        text = without_punctuation(text) if self.ignore_punctuation else text
        return collapse(text) if self.ignore_whitespace else text

    def _numeric(self, case: Case, output: Output) -> Score | Unscored:
        wanted = self._wanted(case)
        if not wanted:
            return Unscored(self.name, "bad_reference", f"no number in the reference {shown(case.reference)}")
        found = self._extract(output.text)
        if not isinstance(found, Number):
            return self.grade(False, found)
        passed = any(self._equal(found, number) for number in wanted)
        return self.grade(passed, f"{found.text}, expected {' or '.join(number.text for number in wanted)}")

    def _wanted(self, case: Case) -> list[Number]:
        return [number for text in case.reference for number in list(find_numbers(text, self.decimal))[-1:]]

    def _extract(self, text: str) -> Number | str:
        """Return the number that counts, or why there is none."""
        if self.after is not None:
            _, marker, text = text.rpartition(self.after)
            if not marker:
                return f"no '{self.after}' in the answer"
        numbers = list(find_numbers(text, self.decimal))
        if not numbers:
            return "no number in the answer"
        if self.extract == "only" and len({number.value for number in numbers}) > 1:
            return f"several numbers in the answer: {shown([number.text for number in numbers])}"
        return numbers[0] if self.extract == "first" else numbers[-1]

    def _equal(self, found: Number, wanted: Number) -> bool:
        if found.percent and wanted.percent:
            return self._close(found.value, wanted.value)
        return any(self._close(ours, theirs) for ours in found.readings for theirs in wanted.readings)

    def _close(self, found: Decimal, wanted: Decimal) -> bool:
        if found == wanted:
            return True
        allowed = max(Decimal(str(self.tolerance)), Decimal(str(self.relative_tolerance)) * abs(wanted))
        return abs(found - wanted) <= allowed
