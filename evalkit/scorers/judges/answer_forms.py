"""One written form for numbers, dates, times and units that people write in several ways, for the local judge."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

MONTH_NAMES = "january february march april may june july august september october november december".split()

_WRITTEN_OUT = {"k": "thousand", "m": "million", "mn": "million", "bn": "billion"}

Replacement = str | Callable[[re.Match[str]], str]


def _date(day: str, month: str, year: str, whole: str) -> str:
    known = 1 <= int(month) <= len(MONTH_NAMES)
    return f"{int(day)} {MONTH_NAMES[int(month) - 1]} {year}" if known else whole


def _joined(number: re.Match[str]) -> str:
    return re.sub(r"\D", "", number[0])


_RULES: Sequence[tuple[re.Pattern[str], Replacement]] = (
    # 1st
    (re.compile(r"(?<=\d)(?:st|nd|rd|th)\b", re.IGNORECASE), ""),
    # 2003-05-01 (ISO 8601) and 01.05.2003; 05/01/2003 is one day here and another there
    (re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b"), lambda date: _date(date[3], date[2], date[1], date[0])),
    (re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b"), lambda date: _date(date[1], date[2], date[3], date[0])),
    # 3.30 p.m. as 3:30 pm, and 09:00 as 9:00
    (re.compile(r"(?<=\d)\.([0-5]\d)(?= ?[aApP]\.?[mM]\b)"), r":\1"),
    (re.compile(r"(?<=\d) ?([aApP])\.?[mM]\b\.?"), r" \1m"),
    (re.compile(r"(?<![\d:])0(?=\d:[0-5]\d)"), ""),
    # 10 000 (ISO 80000-1), 10'000; 555 123 456 may be a telephone, and 747 400 an aeroplane
    (re.compile(r"(?<![\d.,:])(?:\d{1,2}(?:[ ']\d{3}){1,5}|\d{3}(?:[ ']\d{3}){0,4}[ ']000)(?![ ']?\d)"), _joined),
    # 10k, 1.5M, 3bn, and $5m: 5m alone may be metres
    (re.compile(r"(?<=\d)([kK]|M|[mMbB]n)\b"), lambda unit: f" {_WRITTEN_OUT[unit[1].casefold()]}"),
    (re.compile(r"((?:[$\u20ac\u00a3]|\b(?:EUR|USD|GBP)) ?\d[\d.,]{0,20})m\b"), r"\1 million"),
    # the unit, which is no ordinal
    (re.compile(r"(?<=\bper )second\b|(?<=\d )second\b", re.IGNORECASE), "sec"),
    # 20 °C, 20 degrees Celsius
    (re.compile(r"(?:\u00b0 ?|\b[dD]egrees? )(?:C|[cC]elsius)\b"), " celsius"),
    (re.compile(r"(?:\u00b0 ?|\b[dD]egrees? )(?:F|[fF]ahrenheit)\b"), " fahrenheit"),
)


def one_form(text: str) -> str:
    """The text without accents, each number, date, time and unit in the form that is used for all."""
    plain = unicodedata.normalize("NFKD", text.replace("\u2019", "'"))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    for pattern, form in _RULES:
        plain = pattern.sub(form, plain)
    return plain
