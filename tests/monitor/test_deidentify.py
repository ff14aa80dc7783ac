"""Personal data become placeholders, the same for the same data, and ordinary numbers stay."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.monitor.deidentify import NO_NAMES, NameList, deidentify, kinds_left, read_names
from evalkit.scorers.rules.personal_data import iban, luhn

KEY = "sk" + "-proj-" + "a1B2" * 8
PEM = "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA " + "PRIVATE KEY-----"
NAMES = NameList.of(["Jane Doe", "Jane", "O'Brien", "Łukasz", "李雷"])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("mail jane.doe@bank.de now", "mail [EMAIL_1] now"),
        ("call +49 30 1234567 or +49 (30) 1234567", "call [PHONE_1] or [PHONE_1]"),
        ("to DE89 3704 0044 0532 0130 00", "to [IBAN_1]"),
        ("card 4111-1111-1111-1111", "card [CARD_1]"),
        ("from 192.168.10.7 to 8.8.4.42", "from [IP_1] to [IP_2]"),
        ("host 2001:db8::8a2e:370:7334.", "host [IP_1]."),
        ("PESEL 44051401359", "PESEL [ID_1]"),
        (f"use {KEY}!", "use [SECRET_1]!"),
        (f"key:\n{PEM}\nend", "key:\n[SECRET_1]\nend"),
        (PEM[:60], "[SECRET_1]"),
        ("My password is hunter2!", "My password is [SECRET_1]"),
        ("https://ana:geheim@host.example/x", "https[SECRET_1]host.example/x"),
        ("ｊａｎｅ＠bank.de", "[EMAIL_1]"),
        ("a\u200bna@bank.de", "[EMAIL_1]"),
        ("a@b.de, A@B.de and c@b.de", "[EMAIL_1], [EMAIL_1] and [EMAIL_2]"),
        ("[EMAIL_3] wrote to c@b.de", "[EMAIL_3] wrote to [EMAIL_4]"),
        ("“Curly” quotes by a@b.de", "“Curly” quotes by [EMAIL_1]"),
    ],
)
def test_data_become_placeholders(text: str, clean: str) -> None:
    """Each kind has a word and a number; the rest of the text stays."""
    assert deidentify(text).value == clean
    assert kinds_left(clean) == ()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("JANE DOE asked, jane said", "[NAME_1] asked, [NAME_2] said"),
        ("Jane’s account, O'Brien's too", "[NAME_1]’s account, [NAME_2]'s too"),
        ("Janet and Doe stay", "Janet and Doe stay"),
        ("ŁUKASZ", "[NAME_1]"),
        ("我是李雷", "我是李雷"),
        ("我是 李雷", "我是 [NAME_1]"),
    ],
)
def test_names_of_the_list_are_replaced(text: str, clean: str) -> None:
    """As whole words in any letter case, the longest first, also in the genitive; scripts without spaces need one."""
    assert deidentify(text, NAMES).value == clean


@pytest.mark.parametrize(
    "text",
    [
        "Article 17(1)(a) of Regulation (EU) 2016/679",
        "see section 12.10.1.2, version 10.4.12.1 and § 12.3.4.10",
        "1.2.3.4",
        "on 28.11.2026 at 10:30:00, or 2026-11-28T10:30:00Z",
        "EUR 1 234 567.89 or 1.234.567,89 EUR or $12,000,000",
        "order 4111111111111112, invoice 2026-000123, ISBN 978-3-16-148410-0",
        "std::vector and a::b, ::, 12:45",
        "the password is required, token: none, secret is safe",
        "[EMAIL_1] and [NAME_12]",
        "room 0815, 100 000 000 people, 555-1234",
    ],
)
def test_ordinary_numbers_and_words_stay(text: str) -> None:
    """Numbers of articles, dates, amounts, versions, and words about secrets."""
    assert deidentify(text).value == text
    assert kinds_left(text) == ()


@given(
    st.dates(datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)),
    st.integers(1, 999),
    st.integers(1, 20),
    st.decimals(0, 10**9, places=2),
)
@settings(max_examples=300)
def test_no_date_article_or_amount_is_personal(day: datetime.date, article: int, part: int, amount: object) -> None:
    """In the spellings of Europe and the USA."""
    text = (
        f"Art. {article}({part}), §{article}.{part}, ({day.year}/{article}), {day.isoformat()}, {day:%d.%m.%Y}, "
        f"{day:%m/%d/%Y}, EUR {amount:,}, {str(amount).replace('.', ',')} €, {article} {part:03} EUR"
    )
    assert deidentify(text).value == text


data = st.sampled_from(
    ["ana@bank.de", "bo@b.org", "+49 30 1234567", "192.168.1.20", KEY, "DE89370400440532013000", "Jane"]
)
word = st.one_of(data, st.text(st.characters(codec="utf-8"), max_size=6), st.sampled_from(["x", "[IP_1]", "10.5"]))


@given(st.lists(st.lists(word, max_size=6).map(" ".join), max_size=4))
@settings(max_examples=200, deadline=None)
def test_nothing_is_left_and_a_second_pass_changes_nothing(texts: list[str]) -> None:
    """For any text around the data; the shape stays."""
    first = deidentify({"texts": texts, "n": 3}, NAMES)
    assert kinds_left(first.value, NAMES) == ()
    assert first.value["n"] == 3
    assert len(first.value["texts"]) == len(texts)
    assert deidentify(first.value, NAMES).value == first.value


@given(st.lists(st.sampled_from(["ana@bank.de", "bo@b.org", "ce@c.net"]), min_size=1, max_size=8))
def test_the_same_data_get_the_same_placeholder_in_every_text(addresses: list[str]) -> None:
    """Numbered in the order of their first occurrence, so that the text can be put back."""
    found = deidentify([f"to {each}." for each in addresses])
    order = list(dict.fromkeys(addresses))
    back = [re.sub(r"\[EMAIL_(\d+)\]", lambda match: order[int(match[1]) - 1], text) for text in found.value]
    assert back == [f"to {each}." for each in addresses]
    assert found.counts == {"EMAIL": len(order)}


@given(st.text(st.sampled_from("0123456789"), min_size=15, max_size=15), st.integers(0, 10**18 - 1))
@settings(max_examples=200)
def test_check_digits_decide_about_cards_and_accounts(digits: str, account: int) -> None:
    """A number of the right form is replaced only if its check digits are right."""
    card = "4" + digits
    assert (deidentify(f"no. {card}!").value != f"no. {card}!") == luhn(card)
    number = f"DE12{account:018d}"
    assert ("[IBAN_1]" in deidentify(f"to {number}!").value) == iban(number)


def test_keys_are_looked_at_but_not_replaced() -> None:
    """A mapping by address keeps its shape, and is refused later."""
    value = {"ana@bank.de": "x"}
    assert deidentify(value).value == value
    assert kinds_left(value) == ("EMAIL",)


def test_a_list_of_names_is_read(tmp_path: Path) -> None:
    """One a line; a comment and a mark of byte order are no names."""
    file = tmp_path / "names.txt"
    file.write_text("\ufeff# staff\nJane Doe\n\n  Łukasz \n", encoding="utf-8")
    assert deidentify("Jane Doe and Łukasz", read_names(file)).value == "[NAME_1] and [NAME_2]"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 names"),
        (b"Jane\n---\n", r"names\.txt:2: a name of 0 words"),
        (b"a b c d e f g h i j k\n", "a name of 11 words"),
        (b"Jane\xff", "not UTF-8"),
        (b"x\n" * 100_001, "100,001 names"),
    ],
)
def test_an_unusable_list_of_names_is_reported(tmp_path: Path, content: bytes, message: str) -> None:
    """With the line."""
    file = tmp_path / "names.txt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_names(file)


@pytest.mark.slow
def test_a_long_text_takes_little_time() -> None:
    """200,000 characters of what nearly looks like data."""
    for part in ("a@", "1.2.3.", "4111 1111 ", "password: ", "::f", "-----BEGIN PRIVATE KEY-----", "Jane "):
        deidentify(part * (200_000 // len(part)), NAMES)
    assert kinds_left("x" * 1_000_000, NO_NAMES) == ()
