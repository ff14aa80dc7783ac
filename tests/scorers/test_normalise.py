"""Texts, words and numbers are made comparable."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.normalise import find_numbers, fold, has_words, join_thousands, words
from evalkit.text.patterns import well_formed


@pytest.mark.parametrize(
    ("left", "right"),
    [
        pytest.param("İSTANBUL", "istanbul", id="turkish dotted capital"),
        pytest.param("SINIR", "sınır", id="turkish dotless"),
        pytest.param("cafe\u0301", "CAFÉ", id="combining accent"),
        pytest.param("Straße", "STRASSE", id="sharp s"),
        pytest.param("ﬁne １２", "fine 12", id="ligature and full width"),
        pytest.param("a\u2028b\u0085c\u00a0d", "a b c d", id="line and no-break separators"),
        pytest.param("\u200f\u05e9\u05dc\u05d5\u05dd\u200f", "\u05e9\u05dc\u05d5\u05dd", id="right-to-left marks"),
        pytest.param("pass\u200bword so\u00adft", "password soft", id="zero width and soft hyphen"),
        pytest.param("“it’s” 3–4", '"it\'s" 3-4', id="quotes and dashes"),
        pytest.param("ΣΊΣΥΦΟΣ", "Σίσυφος", id="final sigma"),
    ],
)
def test_fold_makes_equal(left: str, right: str) -> None:
    """Texts that a reader takes for equal fold to one text."""
    assert fold(left) == fold(right)


@given(st.text())
def test_fold_is_idempotent(text: str) -> None:
    """Folding a folded text changes nothing."""
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Don't stop.", ["don", "t", "stop"], id="english"),
        pytest.param("我爱你 ok", ["我", "爱", "你", "ok"], id="han"),
        pytest.param("हिन्दी भाषा", ["हिन्दी", "भाषा"], id="devanagari keeps its marks"),
        pytest.param("a_b 3,5", ["a_b", "3", "5"], id="underscore and comma"),
        pytest.param("", [], id="empty"),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    """Words are split the way their script writes them."""
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        pytest.param("a part of it", "art", False, id="inside a word"),
        pytest.param("state of the art.", "art", True, id="before a full stop"),
        pytest.param("part art", "art", True, id="second occurrence"),
        pytest.param("costs 10.5 eur", "10", False, id="part of a decimal"),
        pytest.param("costs 10, or 11", "10", True, id="before a comma"),
        pytest.param("v 2.10", "10", False, id="end of a decimal"),
        pytest.param("不合规的", "合规", True, id="script without spaces"),
        pytest.param("cafe\u0301s", "cafe", False, id="before a combining mark"),
        pytest.param("c++ code", "c++", True, id="ends with a sign"),
    ],
)
def test_has_words(text: str, wanted: str, expected: bool) -> None:
    """A wanted text is found as whole words only."""
    assert has_words(text, wanted) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("10,000", ["10000"], id="comma thousands"),
        pytest.param("10 000 and 10\u202f000", ["10000", "10000"], id="space thousands"),
        pytest.param("1'234'567", ["1234567"], id="apostrophe thousands"),
        pytest.param("1.234.567", ["1234567"], id="dot thousands"),
        pytest.param("1.234,56", ["1234.56"], id="continental"),
        pytest.param("1,234.56", ["1234.56"], id="english"),
        pytest.param("12,34,567", ["1234567"], id="indian"),
        pytest.param("3,5", ["3.5"], id="decimal comma"),
        pytest.param("-5 and \u22127 and 3-4", ["-5", "-7", "3", "4"], id="signs and ranges"),
        pytest.param("-$5, $1,000.50, EUR100, 5€", ["-5", "1000.50", "100", "5"], id="currencies"),
        pytest.param("12.05.2024", ["12", "05", "2024"], id="date as parts"),
        pytest.param("1,2,3", ["1", "2", "3"], id="list as parts"),
        pytest.param("1e3 and 2.5E-2", ["1e3", "2.5e-2"], id="exponent"),
        pytest.param("٣٫٥ and １２", ["3.5", "12"], id="other scripts"),
        pytest.param("Art.5 and .5", ["5", "0.5"], id="leading point"),
        pytest.param("COVID-19 in 2019 300", ["19", "2019", "300"], id="no false sign or group"),
        pytest.param("5'10", ["5", "10"], id="feet are no thousands"),
        pytest.param("ten", [], id="words are not read"),
    ],
)
def test_find_numbers(text: str, expected: list[str]) -> None:
    """Numbers are read in the ways people write them."""
    assert [number.value for number in find_numbers(text)] == [Decimal(value) for value in expected]


def test_decimal_mark_settles_what_is_ambiguous() -> None:
    """`1.234` and `1,234` change places with the decimal mark."""
    english = [number.value for number in find_numbers("1.234 1,234")]
    german = [number.value for number in find_numbers("1.234 1,234", ",")]
    assert (english, german) == ([Decimal("1.234"), Decimal(1234)], [Decimal(1234), Decimal("1.234")])


def test_huge_numbers_are_read_or_left_out() -> None:
    """Five thousand digits neither crash nor count; nine hundred do."""
    assert [len(str(n.value)) for n in find_numbers("9" * 900 + " and " + "9" * 5_000)] == [900]


@given(st.text(alphabet="0123456789.,'-+eE %$ x\n") | st.text())
def test_find_numbers_never_raises(text: str) -> None:
    """Any text gives finite numbers."""
    assert all(number.value.is_finite() for number in find_numbers(text))


@given(st.integers(-(10**15), 10**15))
def test_thousands_do_not_change_a_number(number: int) -> None:
    """Grouped with commas, an integer reads as itself."""
    assert [found.value for found in find_numbers(f"{number:,}")] == [number]


def test_join_thousands() -> None:
    """Grouped integers lose their separators, decimals keep theirs."""
    assert join_thousands("10 000, 10,000; 10'000; 10.5; 2019 300") == "10000, 10000; 10000; 10.5; 2019 300"


def test_well_formed_replaces_lone_surrogates() -> None:
    """The result can be written as UTF-8 and keeps its length."""
    assert well_formed("a\ud800b").encode() == "a\ufffdb".encode()
