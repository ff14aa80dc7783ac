"""Find personal data and secrets in a text: by form, and by check digits if the form alone would be too weak."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

from evalkit.scorers.rules.normalise import ascii_digits, compatible

KINDS = ("email", "phone", "iban", "card", "national_id", "ipv4", "secret")
DEFAULT_KINDS = ("email", "phone", "iban", "card", "national_id", "secret")
"""Default kinds: all but `ipv4`, because a version number such as 1.2.3.4 looks the same."""

_IBAN_LENGTHS = {
    code[:2]: int(code[2:])
    for code in (
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
        "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 "
        "LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 "
        "QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
    ).split()
}
"""Length by country, from the SWIFT IBAN registry."""

_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|(?:6011|64[4-9]\d|65\d\d|62\d\d)\d{12,15}|3(?:0[0-5]|[689]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}"
    r"|(?:5018|5020|5038|6304|6759|676[1-3])\d{8,15}"
)
"""Issuer prefixes and lengths of Visa, Mastercard, American Express, Discover, UnionPay, Diners, JCB, Maestro."""


@dataclass(frozen=True, slots=True)
class Found:
    """One piece of personal data or one secret."""

    kind: str
    label: str
    """The exact kind, such as `es_dni`."""
    start: int
    end: int
    text: str = field(repr=False)
    """The data itself: never show it."""


def luhn(digits: str) -> bool:
    """Check the Luhn digit (ISO/IEC 7812-1)."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def iban(text: str) -> bool:
    """Check country length and check digits of an IBAN without spaces (ISO 13616, ISO 7064 mod 97-10)."""
    code = text.upper()
    if len(code) != _IBAN_LENGTHS.get(code[:2]):
        return False
    return int("".join(str(int(char, 36)) for char in code[4:] + code[:4])) % 97 == 1


def _card(text: str) -> bool:
    return bool(_CARD.fullmatch(text)) and luhn(text)


def _spanish(text: str) -> bool:
    number = int(text[:-1].upper().translate(str.maketrans("XYZ", "012")))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == text[-1].upper()


_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
"""Values of the odd places of a codice fiscale, for 0-9 and A-Z alike."""


def _italian(text: str) -> bool:
    places = [int(char) if char.isdigit() else ord(char) - ord("A") for char in text.upper()]
    return (sum(_ODD[place] for place in places[0:15:2]) + sum(places[1:15:2])) % 26 == places[15]


def _polish(text: str) -> bool:
    century = {0: 1900, 1: 2000, 2: 2100, 3: 2200, 4: 1800}[int(text[2:4]) // 20]
    weighed = sum(int(digit) * weight for digit, weight in zip(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True))
    return _is_date(century + int(text[:2]), int(text[2:4]) % 20, int(text[4:6])) and weighed % 10 == 0


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _dutch(text: str) -> bool:
    weighed = sum(int(digit) * weight for digit, weight in zip(text, (9, 8, 7, 6, 5, 4, 3, 2, -1), strict=True))
    return weighed % 11 == 0 and int(text) > 0


def _french(text: str) -> bool:
    digits = text.upper().replace("2A", "19").replace("2B", "18") if not text.isdigit() else text
    return int(digits[13:]) == 97 - int(digits[:13]) % 97


def _german(text: str) -> bool:
    counts = sorted(text[:10].count(digit) for digit in set(text[:10]))
    if counts[-1] not in (2, 3) or counts[:-1] != [1] * (len(counts) - 1):
        return False
    product = 10
    for digit in text[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(text[10])


def _belgian(text: str) -> bool:
    month, day, check = int(text[2:4]) % 20, int(text[4:6]), int(text[9:])
    plausible = month <= 12 and day <= 31 and int(text[6:9]) > 0
    return plausible and check in (97 - int(text[:9]) % 97, 97 - int("2" + text[:9]) % 97)


def _public_ip(text: str) -> bool:
    import ipaddress

    return ipaddress.ip_address(text).is_global


def _anything(text: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class _Detector:
    kind: str
    label: str
    pattern: re.Pattern[str]
    valid: Callable[[str], bool] = _anything
    """Checks the match without spaces, dots, hyphens and slashes, or as it is if `raw`."""
    raw: bool = False


def _detector(
    kind: str, label: str, pattern: str, valid: Callable[[str], bool] = _anything, raw: bool = False
) -> _Detector:
    bounded = re.compile(rf"(?<![\w.+@-])(?:{pattern})(?![\w@])", re.IGNORECASE | re.ASCII)
    return _Detector(kind, label, bounded, valid, raw)


_IBAN = "|".join(rf"{country}\d\d(?:[ -]?[A-Z0-9]){{{length - 4}}}" for country, length in _IBAN_LENGTHS.items())
_CALL = r"(?:t[eé]l|phone|fon|mobil|handy|movil|móvil|cell|whatsapp|call|anruf|numero|número)\w*\W{1,3}(?:\w{1,6} )?"
_DETECTORS = (
    _detector("secret", "private_key", r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY-----"),
    _detector("secret", "jwt", r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    _detector("secret", "aws_access_key", r"(?-i:(?:AKIA|ASIA)[A-Z2-7]{16})"),
    _detector("secret", "github_token", r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{60,90}"),
    _detector("secret", "slack_token", r"xox[abeoprs]-[A-Za-z0-9-]{10,255}"),
    _detector("secret", "google_key", r"(?-i:AIza)[\w-]{35}"),
    _detector("secret", "stripe_key", r"[sr]k_live_[A-Za-z0-9]{16,255}"),
    _detector("secret", "api_key", r"sk-(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{20,255}"),
    _detector("email", "email", r"(?u:[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24})", raw=True),
    _detector("iban", "iban", rf"(?P<data>{_IBAN})", iban),
    _detector("national_id", "fr_nir", r"[12] ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d", _french),
    _detector(
        "card", "card", r"\d{4}(?P<gap>[ -])\d{4}(?P=gap)\d{4}(?P=gap)\d{4}|\d{4}[ -]\d{6}[ -]\d{4,5}|\d{12,19}", _card
    ),
    _detector("national_id", "us_ssn", r"(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}"),
    _detector("national_id", "be_nrn", r"\d\d\.?\d\d\.?\d\d-?\d{3}\.?\d\d", _belgian),
    _detector("national_id", "de_steuer_id", r"[1-9]\d ?\d{3} ?\d{3} ?\d{3}", _german),
    _detector("national_id", "pl_pesel", r"\d{11}", _polish),
    _detector("national_id", "es_dni", r"\d{8}-?[A-Z]", _spanish),
    _detector("national_id", "es_nie", r"[XYZ]-?\d{7}-?[A-Z]", _spanish),
    _detector(
        "national_id",
        "it_codice_fiscale",
        r"[A-Z]{6}[\dL-NP-V]{2}[A-EHLMPRST][\dL-NP-V]{2}[A-Z][\dL-NP-V]{3}[A-Z]",
        _italian,
    ),
    _detector(
        "national_id", "nl_bsn", r"(?:bsn|burgerservicenummer|sofinummer)\W{1,3}(?:\w{1,6} )?(?P<data>\d{9})", _dutch
    ),
    _detector("phone", "phone", r"\+[1-9](?:[ ./()-]{0,2}\d){7,14}"),
    _detector(
        "phone", "phone", r"\(\d{3}\) ?\d{3}[-.]\d{4}|\d{3}[-.]\d{3}[-.]\d{4}|0[1-9](?:[ .]\d\d){4}|07\d{3} ?\d{6}"
    ),
    _detector("phone", "phone", rf"{_CALL}(?P<data>\(?0(?:[ ./()-]{{0,2}}\d){{7,13}}|[679](?:[ .-]?\d){{8}})"),
    _detector(
        "ipv4", "ipv4", r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)", _public_ip, raw=True
    ),
)


def find_personal_data(text: str, kinds: Iterable[str] = DEFAULT_KINDS) -> list[Found]:
    """Find personal data and secrets, in the order of the text; if two overlap, the stricter form counts.

    Args:
        text: any text; positions are those in its compatible form (NFKC, invisible characters dropped).
        kinds: some of `KINDS`.
    """
    plain = ascii_digits(compatible(text))
    taken = bytearray(len(plain))
    found: list[Found] = []
    for detector in _DETECTORS:
        if detector.kind in kinds:
            found += _matches(detector, plain, taken)
    return sorted(found, key=lambda one: one.start)


def _matches(detector: _Detector, text: str, taken: bytearray) -> Iterator[Found]:
    """Yield findings of a detector that do not overlap earlier ones, and mark them in `taken`."""
    group = "data" if "data" in detector.pattern.groupindex else 0
    for match in detector.pattern.finditer(text):
        start, end = match.span(group)
        value = match[group] if detector.raw else re.sub(r"[\s./-]", "", match[group])
        if not any(taken[start:end]) and detector.valid(value):
            taken[start:end] = b"\1" * (end - start)
            yield Found(detector.kind, detector.label, start, end, match[group])
