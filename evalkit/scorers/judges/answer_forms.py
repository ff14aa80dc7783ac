"""Normalise numbers, dates, times and units that people write in several ways, for the local judge."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

MONTH_NAMES = "january february march april may june july august september october november december".split()
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
MAGNITUDES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}

_WRITTEN_OUT = {"k": "thousand", "m": "million", "mn": "million", "bn": "billion"}
_VALUES = {word: value for value, word in enumerate(ONES) if value} | {
    word: 10 * value for value, word in enumerate(TENS, 2)
}
_PARTS = {"half": 2, "quarter": 4} | {word: value for value, word in enumerate(ORDINALS[2:10], 3)}
_HYPHENS = dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212), "-") | {0x2044: "/", 0x2019: "'"}
_POWERS = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b", "0123456789-")
_WRONGLY_DECODED = "\u00c2\u00a0"
"""A no-break space of UTF-8 that was read as Latin-1."""
_VULGAR = re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e])")
_RAISED = re.compile(r"(?<=10)(\u207b?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,3})")

Replacement = str | Callable[[re.Match[str]], str]


def _date(day: str, month: str, year: str, whole: str) -> str:
    known = 1 <= int(month) <= len(MONTH_NAMES)
    return f"{int(day)} {MONTH_NAMES[int(month) - 1]} {year}" if known else whole


def _slashed(date: re.Match[str]) -> str:
    """Read 12/25/1991 and 25/12/1991; 05/01/2003 is ambiguous."""
    first, second = int(date[1]), int(date[2])
    if (first > len(MONTH_NAMES)) == (second > len(MONTH_NAMES)):
        return date[0]
    day, month = (date[1], date[2]) if first > second else (date[2], date[1])
    return _date(day, month, date[3], date[0])


def _joined(number: re.Match[str]) -> str:
    return re.sub(r"\D", "", number[0])


def _value(word: str) -> int:
    return int(word) if word.isdecimal() else _VALUES[word.casefold()]


def _part(match: re.Match[str]) -> str:
    """Read fractions: two thirds, one in four."""
    word = match[2].casefold()
    upper, lower = 1 if match[1].casefold() in ("a", "an") else _value(match[1]), _PARTS.get(word.removesuffix("s"), 0)
    lower = lower or _value(word)
    return f"{upper}/{lower}" if upper < lower else match[0]


def _spelled_out(match: re.Match[str]) -> str:
    """Replace a number of several words with digits; two numbers side by side stay two."""
    words = re.split(r"[ -]", match[0].casefold())
    if words[0] == "a":
        words[0] = "one"
    elif len(words) == 1 or (len(words) == 2 and words[1] in MAGNITUDES):
        return match[0]  # read word by word
    found = _parsed([word for word in words if word != "and"])
    return match[0] if found is None else str(found)


def _parsed(words: Sequence[str]) -> int | None:
    """Read one hundred twenty five thousand, nineteen eighty four; `None` if the words are several numbers."""
    total, group, largest = 0, 0, 10**15
    for place, word in enumerate(words):
        power = MAGNITUDES.get(word)
        value = _VALUES.get(word, 0)
        if power is None and place == 1 and 11 <= group <= 20 and value >= 10:
            group = 100 * group + value  # a year
        elif power is None:
            if group % (10 if value < 10 else 100) or (value < 10 and group % 100 == 10):
                return None
            group += value
        elif power == 2 and 0 < group < 100:
            group *= 100
        elif power > 2 and group and 10**power < largest:
            total, group, largest = total + group * 10**power, 0, 10**power
        else:
            return None
    return total + group


_NAME = "|".join(sorted({*_VALUES, *MAGNITUDES}, key=len, reverse=True))
_SMALL = "|".join((*ONES[1:11], r"\d{1,2}"))
_RULES: Sequence[tuple[re.Pattern[str], Replacement]] = (
    # 3 x 10^8, 10**-3
    (re.compile(r"\b(\d[\d.]{0,20}) ?[xX\u00d7*\u00b7] ?10 ?(?:\^|\*\*) ?\(?(-?\d{1,3})\b\)?"), r"\1e\2"),
    (re.compile(r"(?<![\w.])10(?:\^|\*\*)\(?(-?\d{1,3})\b\)?"), r"1e\1"),
    (re.compile(r"(?<![\w.,])\.(?=\d)"), "0."),
    # 1st
    (re.compile(r"(?<=\d)(?:st|nd|rd|th)\b", re.IGNORECASE), ""),
    # 2003-05-01 (ISO 8601) and 01.05.2003
    (re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b"), lambda date: _date(date[3], date[2], date[1], date[0])),
    (re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b"), lambda date: _date(date[1], date[2], date[3], date[0])),
    (re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})/(\d{4})(?![\d/])"), _slashed),
    # 3.30 p.m. as 3:30 pm, and 09:00 as 9:00
    (re.compile(r"(?<=\d)\.([0-5]\d)(?= ?[aApP]\.?[mM]\b)"), r":\1"),
    (re.compile(r"(?<=\d) ?([aApP])\.?[mM]\b\.?"), r" \1m"),
    (re.compile(r"(?<![\d:])0(?=\d:[0-5]\d)"), ""),
    (re.compile(r"\b(?:12 )?(?:noon|midday)\b", re.IGNORECASE), "12:00 pm"),
    (re.compile(r"\b(?:12 )?midnight\b", re.IGNORECASE), "12:00 am"),
    # 10 000 (ISO 80000-1), 10'000; 555 123 456 may be a telephone, and 747 400 an aeroplane
    (re.compile(r"(?<![\d.,:])(?:\d{1,2}(?:[ ']\d{3}){1,5}|\d{3}(?:[ ']\d{3}){0,4}[ ']000)(?![ ']?\d)"), _joined),
    # 10k, 1.5M, 3bn, and $5m: 5m alone may be metres
    (re.compile(r"(?<=\d)([kK]|M|[mMbB]n)\b"), lambda unit: f" {_WRITTEN_OUT[unit[1].casefold()]}"),
    (re.compile(r"((?:[$\u20ac\u00a3]|\b(?:EUR|USD|GBP)) ?\d[\d.,]{0,20})m\b"), r"\1 million"),
    # the unit, which is not an ordinal
    (re.compile(r"(?<=\bper )second\b|(?<=\d )second\b", re.IGNORECASE), "sec"),
    # 20 °C, 20 degrees Celsius
    (re.compile(r"(?:\u00b0 ?|\b[dD]egrees? )(?:C|[cC]elsius)\b"), " celsius"),
    (re.compile(r"(?:\u00b0 ?|\b[dD]egrees? )(?:F|[fF]ahrenheit)\b"), " fahrenheit"),
    # 100 km/h, 5 ft 10 in, 5 below zero, 3:1, a year and a half
    (re.compile(r"\bkm/h\b|\bkm?ph\b", re.IGNORECASE), "km per hour"),
    (re.compile(r"\bmph\b", re.IGNORECASE), "miles per hour"),
    (re.compile(r"\b(\d) ?(?:ft|feet|foot|') ?(\d\d?) ?(?:in\b|inch\b|inches\b|\"|'')"), r"\1 feet \2 inches"),
    (re.compile(rf"\b({_SMALL}|[\d.]{{1,9}})((?: degrees?)?(?: celsius| fahrenheit)?) below zero\b"), r"-\1\2"),
    (re.compile(r"(?<![\d.:])(\d{1,3}):(\d)(?![\d:])"), r"\1 : \2"),
    (re.compile(r"\b(?:a|one) (minute|hour|day|week|month|year|mile|million) and a half\b"), r"1.5 \1"),
    # two and a half, two thirds, a quarter, one in four, half a dozen
    (re.compile(rf"\b({_SMALL}) and a half\b", re.IGNORECASE), lambda m: f"{_value(m[1])}.5"),
    (re.compile(rf"\b({_SMALL})[ -]({'|'.join(_PARTS)})s?\b", re.IGNORECASE), _part),
    (re.compile(rf"\b(an?) ({'|'.join(_PARTS)})(?=\s?(?:of\b|[.,;)]|$))", re.IGNORECASE), _part),
    (
        re.compile(
            rf"\b({_SMALL}) (?:in|out of)(?: every)? ({_SMALL}|100)\b(?! ?(?:sec|min|hour|day|week|month|year|:|\d))",
            re.IGNORECASE,
        ),
        _part,
    ),
    (re.compile(r"\bhalf a dozen\b", re.IGNORECASE), "6"),
    (
        re.compile(rf"\b({_SMALL}|a) dozen\b", re.IGNORECASE),
        lambda m: str(12 * (1 if m[1].casefold() == "a" else _value(m[1]))),
    ),
    (
        re.compile(r"(?<![\d/.,-])(\d{1,3}) ([1-9])/([2-9])(?![\d/])"),
        lambda m: f"{int(m[1]) + int(m[2]) / int(m[3]):g}",
    ),
    # one hundred and twenty, nineteen eighty-four
    (
        re.compile(
            rf"\b(?:a (?=hundred|thousand|million))?(?:{_NAME})(?:(?:[ -]|(?<=hundred) and |(?<=thousand) and )"
            rf"(?:{_NAME}))*\b",
            re.IGNORECASE,
        ),
        _spelled_out,
    ),
    (
        re.compile(rf"\b({'|'.join(TENS)})-({'|'.join(ORDINALS[:9])})\b", re.IGNORECASE),
        lambda m: str(_value(m[1]) + ORDINALS.index(m[2].casefold()) + 1),
    ),
)


def one_form(text: str) -> str:
    """Normalise a text: no accents, one form for each number, date, time and unit."""
    raised = _RAISED.sub(
        lambda power: f"^{power[1].translate(_POWERS)}", _VULGAR.sub(" ", text.replace(_WRONGLY_DECODED, " "))
    )
    plain = unicodedata.normalize("NFKD", raised).translate(_HYPHENS)
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    for pattern, form in _RULES:
        plain = pattern.sub(form, plain)
    return plain
