"""The `regex` scorer looks for a pattern in linear time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.pattern import Regex
from evalkit.types import Case, Output

CASE = Case(id="c", input="q")


@pytest.mark.parametrize(
    ("options", "answer", "expected"),
    [
        pytest.param({"pattern": r"Art(icle|\.)\s*\d+"}, "see Art. 5", True, id="found"),
        pytest.param({"pattern": r"Art(icle|\.)\s*\d+"}, "see art. 5", False, id="case counts"),
        pytest.param({"pattern": "ART", "ignore_case": True}, "see art. 5", True, id="case ignored"),
        pytest.param({"pattern": r"\d", "min_count": 2}, "1 and 2", True, id="often enough"),
        pytest.param({"pattern": r"\d", "min_count": 3}, "1 and 2", False, id="not often enough"),
        pytest.param({"pattern": "^$"}, "", True, id="empty answer, empty match"),
        pytest.param({"pattern": "."}, "", False, id="empty answer"),
        pytest.param({"pattern": "^a.b$"}, "a\u2028b", True, id="line separator is not a line end"),
        pytest.param({"pattern": r"\pM"}, "e\u0301", True, id="combining mark"),
        pytest.param({"pattern": r"^\p{Hebrew}+$"}, "\u05e9\u05dc\u05d5\u05dd", True, id="right to left"),
        pytest.param({"pattern": "x"}, "\ud800x", True, id="lone surrogate"),
    ],
)
def test_matching(options: dict[str, object], answer: str, expected: bool) -> None:
    """A pattern passes where it is found often enough."""
    score = Regex(**options).score(CASE, Output(text=answer))  # type: ignore[arg-type]
    assert (score.passed, score.value) == (expected, float(expected))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        pytest.param(r"a(?=b)", "'(?=' at character 2: look-ahead is not supported", id="look-ahead"),
        pytest.param(r"\((?!b)", "'(?!' at character 3: negative look-ahead", id="negative look-ahead"),
        pytest.param(r"x(?<=b)", "'(?<' at character 2: look-behind", id="look-behind"),
        pytest.param(r"x(?<!b)", "'(?<' at character 2: look-behind", id="negative look-behind"),
        pytest.param(r"(a)\1", r"back-reference \1 at character 4", id="back-reference"),
        pytest.param(r"\\1(a)\1", r"back-reference \1 at character 7", id="after an escaped backslash"),
        pytest.param(r"a\Z", r"write \z", id="end of text"),
        pytest.param(r"ab[c", "missing ] '[c' at character 3", id="open bracket"),
        pytest.param(r"a**", "bad repetition operator '**' at character 2", id="double star"),
        pytest.param(r"(a", "missing )", id="open group"),
        pytest.param(r"a{2000}", "invalid repetition size '{2000}' at character 2", id="huge repetition"),
    ],
)
def test_what_does_not_compile_says_where_and_how_to_mend_it(pattern: str, message: str) -> None:
    """A bad pattern is refused before the first call."""
    with pytest.raises(ValueError, match=f"^pattern: .*{re.escape(message)}"):
        Regex(pattern=pattern)


@pytest.mark.parametrize("options", [{"pattern": ""}, {"pattern": "a", "min_count": 0}], ids=["empty", "never"])
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    """Options that pass everything are refused."""
    with pytest.raises(ValueError, match=r"^(pattern|min_count): .+; .+"):
        Regex(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(.*a){20}$", "^(a|aa)+$"])
def test_patterns_that_explode_elsewhere_end(pattern: str) -> None:
    """A backtracking engine would need ages for these on 20,000 characters."""
    assert Regex(pattern=pattern).score(CASE, Output(text="a" * 20_000 + "!")).passed is False


@given(st.text(), st.sampled_from([r"\w+", "a|b", r"(?s).", r"\p{L}\d?"]))
def test_never_raises(answer: str, pattern: str) -> None:
    """Any text is graded 0 or 1."""
    assert Regex(pattern=pattern).score(CASE, Output(text=answer)).value in (0.0, 1.0)
