"""Text from data made safe to print."""

from __future__ import annotations

import re
import unicodedata

import pytest
import report_samples
from hypothesis import given
from hypothesis import strategies as st

from evalkit.text.escaping import visible
from evalkit.text.printable import clipped, code, one_line, plain

ANY_TEXT = st.text(st.characters(codec=None), max_size=300)
MARKED_TEXT = st.text(st.sampled_from("`|@#[](){}<>!*_~\\:/w.hte \n\t\u2028\x00\u202e"), max_size=80)


@given(ANY_TEXT | MARKED_TEXT)
def test_one_line_is_one_line_within_its_limit(text: str) -> None:
    """Whatever a model says becomes a single visible line that fits."""
    line = one_line(text, 140)
    assert len(line) <= 140
    assert line.splitlines() in ([], [line])
    assert not {unicodedata.category(character) for character in line} & {"Cc", "Cs", "Zl", "Zp"}


@given(ANY_TEXT | MARKED_TEXT)
def test_a_code_span_cannot_be_left(text: str) -> None:
    """The fence is longer than any run of backticks in the text, so the span ends where it should."""
    span = code(text, in_table=True)
    if span == "(empty)":
        return
    fence = re.match("`+", span)
    assert fence is not None
    inside = span[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in inside
    assert not inside.startswith("`")
    assert not inside.endswith("`")
    assert "|" not in inside


@given(MARKED_TEXT)
def test_prose_has_no_live_markup(text: str) -> None:
    """Prose has no tag, mention, issue link, address, image or table cell left."""
    line = plain(text)
    assert "<" not in line
    escaped = re.sub(r"\\[\\`*_|~!\[\]>]", "-", line)
    for live in (r"[`|*_~!]", r"[@#]\w", r"://", r"\]\("):
        assert not re.search(live, escaped), (live, line)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("safe\u202egnp.exe", "safe<U+202E>gnp.exe", id="direction"),
        pytest.param("a\x1b[31mb", "a<U+001B>[31mb", id="terminal"),
        pytest.param("a\ud800b", "a<U+D800>b", id="half a character"),
        pytest.param("a\U000e0041b", "a<U+E0041>b", id="tag"),
        pytest.param("a\u00ad\u034fb", "a<U+00AD><U+034F>b", id="soft hyphen and joiner"),
        pytest.param("a\u180e\u3164b", "a<U+180E><U+3164>b", id="separator and filler"),
        pytest.param("a\ufff9b\U000e0100", "a<U+FFF9>b<U+E0100>", id="annotation and selector"),
        pytest.param("two\nlines", "two\nlines", id="newline stays"),
        pytest.param("\u2764\ufe0f", "\u2764\ufe0f", id="emoji stays"),
        pytest.param("pass\u200dword\u200c!", "pass<U+200D>word<U+200C>!", id="joiners in latin"),
        pytest.param("\u200d\u06cc\u200c", "<U+200D>\u06cc<U+200C>", id="joiners at the ends"),
        pytest.param("\u06cc\u200c\u200c\u0645", "\u06cc<U+200C><U+200C>\u0645", id="two joiners"),
        pytest.param("\u06cc\u202e\u200c\u0645", "\u06cc<U+202E><U+200C>\u0645", id="joiner behind a direction"),
        pytest.param("\U0001f468\u200cx", "\U0001f468<U+200C>x", id="a picture has no non-joiner"),
        pytest.param("a\u200d\U0001f468", "a<U+200D>\U0001f468", id="a letter joins no picture"),
    ],
)
def test_what_hides_is_shown(text: str, shown: str) -> None:
    """Control, direction and half characters are written as their number."""
    assert visible(text) == shown


JOINED = [
    pytest.param("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", id="persian"),
    pytest.param("\u0915\u094d\u200d\u0937 \u0915\u094d\u200c", id="hindi"),
    pytest.param("\u0dc1\u0dca\u200d\u0dbb\u0dd3", id="sinhala"),
    pytest.param("\U0001f468\u200d\U0001f469\u200d\U0001f467", id="family"),
    pytest.param("\u2764\ufe0f\u200d\U0001f525", id="heart on fire"),
    pytest.param("\U0001f469\U0001f3fd\u200d\u2695\ufe0f", id="health worker"),
    pytest.param("\U0001f3f3\ufe0f\u200d\U0001f308", id="flag"),
]


@pytest.mark.parametrize("text", JOINED)
def test_joiners_of_words_and_pictures_stay(text: str) -> None:
    """A reader of Persian or Hindi sees the word, and a family is one picture."""
    assert visible(text) == text
    assert one_line(text) == text


def test_long_text_says_how_much_is_hidden() -> None:
    """A cut text names what is missing."""
    assert clipped("x" * 15, 10) == "x" * 10 + " … (5 more characters)"
    assert code(report_samples.HOSTILE).startswith("``")


@pytest.mark.parametrize(
    "text",
    ["[69, 93]", "0.81 [0.69, 0.93]", "$0.0031 [0.0030, 0.0033]", "−3 pts [−10, 4]"],
)
def test_an_interval_stays_readable(text: str) -> None:
    """Our own intervals need no escape, since nothing follows that would make them a link."""
    assert plain(text) == text
    assert plain(f"{text}(x)") != f"{text}(x)"


@pytest.mark.parametrize("text", ["$x$", "$$x$$", "$1x$", "a $\\color{red}{b}$ c", "$7*7$"])
def test_dollars_make_no_formula(text: str) -> None:
    """A code host draws what stands between two dollars: the second one is never followed by a figure."""
    assert not re.search(r"\$[^$\s].*\$(?!\d)", plain(text).replace("<span>$</span>", ""))


@pytest.mark.parametrize("text", [":warning:", "a:white_check_mark:b", "::error::", ":+1:", ":-1:", ":100:"])
def test_colons_make_no_picture(text: str) -> None:
    """A code host draws a name between colons; a time of day is none."""
    assert not re.search(r":[\w+-]+:", plain(text))
    assert plain("12:30:45 a: b") == "12:30:45 a: b"
