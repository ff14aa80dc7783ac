"""The `length` scorer counts words, characters or sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.length import Length, count
from evalkit.types import Case, Output


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        pytest.param("One, two - three.", "words", 3, id="words"),
        pytest.param("我爱你 ok", "words", 4, id="han characters are words"),
        pytest.param("a\u2028b\u200f c", "words", 3, id="separators and marks"),
        pytest.param(" ab c\n", "characters", 4, id="characters, trimmed"),
        pytest.param("e\u0301", "characters", 2, id="combining mark is a code point"),
        pytest.param("One. Two! Three?", "sentences", 3, id="sentences"),
        pytest.param("It costs 3.5 EUR", "sentences", 1, id="decimal point, no full stop"),
        pytest.param('He said "no." Then left', "sentences", 2, id="closing quote"),
        pytest.param("是。不是！", "sentences", 2, id="chinese sentences"),
        pytest.param("Title\n\nBody", "sentences", 2, id="blank line"),
        pytest.param("...", "sentences", 0, id="dots alone"),
        pytest.param("", "words", 0, id="empty words"),
        pytest.param("", "characters", 0, id="empty characters"),
        pytest.param("", "sentences", 0, id="empty sentences"),
    ],
)
def test_count(text: str, unit: str, expected: int) -> None:
    """Each unit is counted as a reader would."""
    assert count(text, unit) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(2, None, True), (3, None, False), (None, 2, True), (None, 1, False), (2, 2, True)]
)
def test_bounds_are_included(low: int | None, high: int | None, expected: bool) -> None:
    """Both bounds pass."""
    score = Length(min=low, max=high).score(Case(id="c", input="q"), Output(text="two words"))
    assert (score.passed, score.value) == (expected, float(expected))


def test_reason_and_details_say_the_length() -> None:
    """The reason has the length and both bounds."""
    score = Length(min=3, max=5).score(Case(id="c", input="q"), Output(text=""))
    assert (score.reason, score.details["length"]) == ("0 words, needs at least 3 and at most 5", 0)


@pytest.mark.parametrize("options", [{}, {"min": 5, "max": 4}, {"max": -1}], ids=["no bound", "swapped", "negative"])
def test_bad_options_are_refused(options: dict[str, int]) -> None:
    """Bounds that make no sense are refused."""
    with pytest.raises(ValueError, match=r"^(min|max): .+; .+"):
        Length(**options)  # type: ignore[arg-type]


@given(st.text(), st.text())
def test_words_add_up(left: str, right: str) -> None:
    """Two texts apart have as many words as both."""
    assert count(f"{left} \n {right}", "words") == count(left, "words") + count(right, "words")


@given(st.text(), st.sampled_from(["words", "characters", "sentences"]))
def test_count_never_raises(text: str, unit: str) -> None:
    """Any text has a length, of no more units than characters after folding can give."""
    assert count(text, unit) >= 0  # type: ignore[arg-type]
