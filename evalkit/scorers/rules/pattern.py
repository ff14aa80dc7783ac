"""Score an answer by a regular expression that runs in linear time."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

from evalkit.scorers.rules.normalise import well_formed
from evalkit.scorers.rules.rule import PassFail
from evalkit.types import Case, Output, Score

_MENDS = (
    ("(?=", "look-ahead is not supported; match the whole text, or use a second scorer"),
    ("(?!", "negative look-ahead is not supported; use a second scorer with `not_` before its name"),
    ("(?<", "look-behind is not supported; match the text before it too"),
    ("(?>", "atomic groups are not needed here; write (?:...)"),
    ("(?(", "conditional groups are not supported; write two patterns"),
    ("\\Z", r"write \z for the end of the text"),
)


@functools.lru_cache(maxsize=256)
def compile_pattern(field: str, pattern: str, ignore_case: bool = False) -> Any:
    """Compile a pattern with RE2, whose matching time is linear in the text.

    Args:
        field: the option that the pattern comes from, for the message.
        pattern: RE2 syntax, https://github.com/google/re2/wiki/Syntax.
        ignore_case: match upper and lower case alike.

    Raises:
        ValueError: it does not compile; the message has the position and the fix.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        return re2.compile(well_formed(pattern), options)
    except re2.error as error:
        text = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"{field}: {_explain(pattern, text)}") from None


def _explain(pattern: str, message: str) -> str:
    what, _, fragment = message.partition(": ")
    start = _position(pattern, fragment)
    rest = pattern[start:]
    if fragment[:1] == "\\" and fragment[1:2].isdigit():
        return f"back-reference {fragment} at character {start + 1} is not supported; compare the parts in another way"
    fix = next((fix for opening, fix in _MENDS if rest.startswith(opening)), None)
    if fix is None:
        return f"{what} '{fragment}' at character {start + 1}; fix the pattern, or escape a literal sign with \\"
    return f"'{rest[:3].rstrip()}' at character {start + 1}: {fix}"


def _position(pattern: str, fragment: str) -> int:
    """Return the index of the first unescaped `fragment`; 0 if the engine names the whole pattern."""
    index = 0
    while index < len(pattern):
        if pattern.startswith(fragment, index):
            return index
        index += 2 if pattern[index] == "\\" else 1
    return 0


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
    """Match upper and lower case alike."""
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
