"""Personal data and secrets are found by form and check digits."""

from __future__ import annotations

import itertools
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.personal_data import KINDS, find_personal_data, iban, luhn

# Keys are put together here, so that no scanner takes this file for a leak.
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "gh" + "p_" + "a1" * 18
OPENAI = "sk" + "-proj-" + "a1B2" * 8
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9" + "." + "eyJzdWIiOiIxMjM0In0" + "." + "abcdefghij"


@pytest.mark.parametrize(
    ("text", "label", "data"),
    [
        ("mail jane.doe@bank.de.", "email", "jane.doe@bank.de"),
        ("jäne@bänk.de", "email", "jäne@bänk.de"),
        ("\u200fjane@bank.de\u200f", "email", "jane@bank.de"),
        ("ja\u200bne@bank.de", "email", "jane@bank.de"),
        ("IBAN DE89 3704 0044 0532 0130 00 BIC", "iban", "DE89 3704 0044 0532 0130 00"),
        ("gb82west12345698765432", "iban", "gb82west12345698765432"),
        ("card 4111 1111 1111 1111 12/27", "card", "4111 1111 1111 1111"),
        ("3782-822463-10005", "card", "3782-822463-10005"),
        ("４１１１１１１１１１１１１１１１", "card", "4111111111111111"),
        ("٤١١١١١١١١١١١١١١١", "card", "4111111111111111"),
        ("DNI 12345678Z", "es_dni", "12345678Z"),
        ("NIE X-1234567-L", "es_nie", "X-1234567-L"),
        ("RSSMRA85T10A562S", "it_codice_fiscale", "RSSMRA85T10A562S"),
        ("PESEL 44051401359", "pl_pesel", "44051401359"),
        ("BSN: 111222333", "nl_bsn", "111222333"),
        ("NIR 1 84 12 76 451 089 46", "fr_nir", "1 84 12 76 451 089 46"),
        ("IdNr 86095742719", "de_steuer_id", "86095742719"),
        ("85.07.30-033.28", "be_nrn", "85.07.30-033.28"),
        ("SSN 123-45-6789", "us_ssn", "123-45-6789"),
        ("+49 30 1234567", "phone", "+49 30 1234567"),
        ("(212) 555-0123", "phone", "(212) 555-0123"),
        ("06 12 34 56 78", "phone", "06 12 34 56 78"),
        ("Tel: 030/1234567", "phone", "030/1234567"),
        ("at 8.8.8.8 now", "ipv4", "8.8.8.8"),
        (f"key={AWS}", "aws_access_key", AWS),
        (f"token {GITHUB}", "github_token", GITHUB),
        (f"'{OPENAI}'", "api_key", OPENAI),
        ("xo" + "xb-123456789012-abcdef", "slack_token", "xo" + "xb-123456789012-abcdef"),
        ("AI" + "za" + "B3" * 17 + "x", "google_key", "AI" + "za" + "B3" * 17 + "x"),
        ("s" + "k_live_" + "a1" * 10, "stripe_key", "s" + "k_live_" + "a1" * 10),
        ("-----BEGIN " + "RSA PRIVATE KEY-----", "private_key", "-----BEGIN " + "RSA PRIVATE KEY-----"),
        (f"Bearer {JWT}", "jwt", JWT),
        ("planted in a test: jane.doe@example.com.", "email", "jane.doe@example.com"),
    ],
)
def test_found(text: str, label: str, data: str) -> None:
    """Each form is found once, under its own name."""
    found = find_personal_data(text, KINDS)
    assert [(one.label, one.text) for one in found] == [(label, data)]
    assert all(one.end - one.start == len(one.text) for one in found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "me@localhost and @here",
        "DE88 3704 0044 0532 0130 00",
        "DE89 3704 0044 0532 0130",
        "4111111111111112",
        "1234567812345670",
        "12345678A X1234567A RSSMRA85T10A562T",
        "44051401358 and 44993001359",
        "111222333",
        "1 84 12 76 451 089 47",
        "86095742710 and 11111111111",
        "85.07.30-033.29",
        "000-12-3456, 666-12-3456, 900-12-3456",
        "+5 % and +12.5 EUR",
        "Art. 6 (1) GDPR, 2016/679, 27 April 2016",
        "order 20240520123 of 3 100 200 300",
        "call 10 000 000 customers",
        "10.0.0.1, 192.168.1.1, 127.0.0.1",
        "sk-this-is-a-long-but-plain-word-list",
        "version 1.2.3, 2024-05-20, 12:30",
    ],
)
def test_not_found(text: str) -> None:
    """Wrong check digits, reserved names and plain figures are no personal data."""
    assert find_personal_data(text, KINDS) == []


def test_two_in_a_row_are_both_found() -> None:
    """An IBAN does not swallow the next one."""
    found = find_personal_data("DE89370400440532013000 FR1420041010050500013M02606")
    assert [one.label for one in found] == ["iban", "iban"]


def test_kinds_limit_the_search() -> None:
    """Only the kinds asked for are found, and ipv4 only on request."""
    text = "jane@bank.de 8.8.8.8 123-45-6789"
    assert [one.kind for one in find_personal_data(text, ("email",))] == ["email"]
    assert [one.kind for one in find_personal_data(text)] == ["email", "national_id"]


def test_data_is_not_in_the_repr() -> None:
    """A finding can be logged without the data."""
    assert "jane" not in repr(find_personal_data("jane@bank.de"))


digits = st.text(alphabet=string.digits, min_size=11, max_size=18)


@given(digits)
def test_exactly_one_digit_completes_luhn(body: str) -> None:
    """Of the ten last digits exactly one is right, and any single change of a digit is noticed."""
    valid = [body + last for last in string.digits if luhn(body + last)]
    assert len(valid) == 1
    changed = str((int(body[0]) + 1) % 10) + valid[0][1:]
    assert not luhn(changed)


@given(st.text(alphabet=string.digits, min_size=15, max_size=15).map(lambda text: "4" + text[:14]))
def test_generated_cards_are_found(body: str) -> None:
    """Any Visa number with its right last digit is found, spaced or not."""
    number = next(body + last for last in string.digits if luhn(body + last))
    spaced = " ".join(number[place : place + 4] for place in range(0, 16, 4))
    assert [one.label for one in find_personal_data(f"{number}; {spaced}", ("card",))] == ["card", "card"]


ibans = st.tuples(
    st.sampled_from(
        [("DE", 18, string.digits), ("GB", 18, string.digits), ("MT", 27, string.digits + string.ascii_uppercase)]
    ),
    st.data(),
)


@given(ibans)
def test_generated_ibans_are_found(drawn: tuple[tuple[str, int, str], st.DataObject]) -> None:
    """Any account number with its right check digits is an IBAN, with other check digits it is none."""
    (country, size, alphabet), data = drawn
    account = data.draw(st.text(alphabet=alphabet, min_size=size, max_size=size))
    number = int("".join(str(int(char, 36)) for char in f"{account}{country}00"))
    check = 98 - number % 97
    right, wrong = f"{country}{check:02d}{account}", f"{country}{check % 97 + 2:02d}{account}"
    assert iban(right)
    assert [one.text for one in find_personal_data(f"({right})", ("iban",))] == [right]
    assert iban(wrong) is (wrong == right)


@given(st.text() | st.text(alphabet="0123456789 .-+()@aDEİıſK/"))
def test_never_raises(text: str) -> None:
    """Any text is searched, and finds do not overlap."""
    found = find_personal_data(text, KINDS)
    assert all(left.end <= right.start for left, right in itertools.pairwise(found))
