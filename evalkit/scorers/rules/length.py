"""Score whether an answer's length is within bounds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

from evalkit.scorers.rules.normalise import words
from evalkit.scorers.rules.rule import PassFail
from evalkit.types import Case, Output, Score

_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？｡]+[」』”’）]*|\n{2,}|[\u2028\u2029]")


@dataclass(frozen=True, kw_only=True)
class Length(PassFail):
    """Pass an answer whose length is within bounds, both included.

    The value is 1 or 0; `details` hold the length. A word is a run of letters, digits and marks, and each character of
    a script without spaces (Chinese, Japanese, Thai ...) is one. A sentence ends with a full stop, a question or
    exclamation mark before white space, or with a blank line. An empty answer has length 0.

    It cannot see that a sentence is padding, and counts `e.g. this` as two sentences.
    """

    name: str = "length"
    min: int | None = None
    """Shortest length that passes."""
    max: int | None = None
    """Longest length that passes."""
    unit: Literal["words", "characters", "sentences"] = "words"
    """Unit to count; a character is a Unicode code point, without white space at both ends."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "max"

    def __post_init__(self) -> None:
        if self.min is None and self.max is None:
            raise ValueError("max: no bound given; give `min`, `max` or both")
        for field in ("min", "max"):
            if (getattr(self, field) or 0) < 0:
                raise ValueError(f"{field}: expected 0 or more, got {getattr(self, field)}; leave it out for no bound")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min: {self.min} is above max {self.max}; swap them")

    def score(self, case: Case, output: Output) -> Score:
        """Count and compare."""
        n = count(output.text, self.unit)
        low = self.min is None or n >= self.min
        high = self.max is None or n <= self.max
        return self.grade(low and high, f"{n} {self.unit}, needs {self._need}", length=n)

    @cached_property
    def _need(self) -> str:
        bounds = (("at least", self.min), ("at most", self.max))
        return " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)


def count(text: str, unit: Literal["words", "characters", "sentences"]) -> int:
    """Count words, characters or sentences of a text."""
    if unit == "words":
        return len(words(text))
    if unit == "characters":
        return len(text.strip())
    return len(sentences(text))


def sentences(text: str) -> tuple[str, ...]:
    """Split a text into sentences without their end marks; parts without a word are left out."""
    return tuple(part.strip() for part in _SENTENCE_END.split(text) if words(part))
