"""Score an answer by a regular expression that runs in linear time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

from evalkit.scorers.rules.rule import PassFail
from evalkit.text.patterns import compile_pattern, well_formed
from evalkit.types import Case, Output, Score


@dataclass(frozen=True, kw_only=True)
class Regex(PassFail):
    """Pass an answer in which a pattern is found.

    The value is 1 or 0. The pattern is RE2 syntax and runs in time linear in the answer, so neither the suite nor an
    answer can hang a run; look-around and back-references do not exist in it. It is found anywhere unless it has `^`
    and `$`; `(?s)` lets the dot match line ends. An empty answer passes only if the pattern matches the empty text.

    It cannot see meaning: a pattern for "a number with EUR" also matches the wrong number.
    """

    name: str = "regex"
    pattern: str
    """The pattern to look for."""
    ignore_case: bool = False
    """Ignore upper and lower case."""
    min_count: int = 1
    """Smallest number of matches that passes, without overlap."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "pattern"

    def __post_init__(self) -> None:
        if not self.pattern:
            raise ValueError("pattern: it is empty and would match everything; say what to look for")
        if self.min_count < 1:
            raise ValueError(f"min_count: expected 1 or more, got {self.min_count}; use `not_` to forbid a pattern")
        compile_pattern("pattern", self.pattern, self.ignore_case)

    def score(self, case: Case, output: Output) -> Score:
        """Look for the pattern until it is found often enough."""
        pattern = compile_pattern("pattern", self.pattern, self.ignore_case)
        found = [match[0] for match in itertools.islice(pattern.finditer(well_formed(output.text)), self.min_count)]
        passed = len(found) >= self.min_count
        often = "" if self.min_count == 1 else f" {len(found)} times, needs {self.min_count}"
        if not found:
            return self.grade(False, "no match")
        return self.grade(passed, f"matches '{found[0][:80]}'{often}", matches=[text[:200] for text in found[:20]])
