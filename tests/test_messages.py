"""Tests for the parts of messages that many places share: what and fix, bytes that are not UTF-8, long numbers."""

from __future__ import annotations

import pytest

from evalkit.errors import what_and_fix
from evalkit.formats.fields import parse_json
from evalkit.text.values import not_utf8, shown


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ("too long; cut it", ("too long", "cut it")),
        ("too long; cut it; or split it", ("too long", "cut it; or split it")),
        (ValueError("too long; cut it"), ("too long", "cut it")),
        ("too long", ("too long", "fix it")),
        ("", ("", "fix it")),
    ],
)
def test_an_error_is_cut_once_into_what_and_fix(said: object, parts: tuple[str, str]) -> None:
    """The first `; ` divides; an error without a fix gets the given one."""
    assert what_and_fix(said, "fix it") == parts


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xe9", "not UTF-8 (byte 0xe9 at 1)"),
        (b"caf\xe9 au lait", "not UTF-8 (byte 0xe9 at 4)"),
        ("né".encode() + b"\xff", "not UTF-8 (byte 0xff at 4)"),
        (b"ab\xc3", "not UTF-8 (byte 0xc3 at 3)"),
        (b"one\ntwo \xfc\n", "not UTF-8 (byte 0xfc at 5 of line 2)"),
    ],
)
def test_the_first_byte_that_is_not_utf_8_is_named(data: bytes, said: str) -> None:
    """The byte and its position, counted from 1, in one wording; JSON from a reply or a file says the same."""
    with pytest.raises(UnicodeDecodeError) as raised:
        data.decode()
    assert not_utf8(raised.value) == said
    with pytest.raises(ValueError, match="^" + said.replace("(", r"\(").replace(")", r"\)")):
        parse_json(data)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (7, "int 7"),
        (-(10**19), "int -10000000000000000000"),
        (10**400, "int of about 401 digits"),
        (-(10**400), "int of about 401 digits"),
        pytest.param(10**6000, "int of about 6,001 digits", id="longer than Python writes"),
        (1e308, "float 1e+308"),
        (True, "bool True"),
    ],
)
def test_a_long_number_is_shown_by_its_length(value: object, said: str) -> None:
    """A number that fills a line would push out of sight what is wrong with it."""
    assert shown(value) == said
