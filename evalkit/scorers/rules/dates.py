"""Find the calendar dates in a text, and compare them: `2024-03-12`, `12.03.2024`, `12 March 2024`, `März 2024`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from evalkit.scorers.rules.normalise import ascii_digits, fold

_LANGUAGES = (
    "january february march april may june july august september october november december",
    "jan feb mar apr may jun jul aug sep oct nov dec",
    "januar februar märz april mai juni juli august september oktober november dezember",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
)
_MONTHS = {name: at for names in _LANGUAGES for at, name in enumerate(names.split(), 1)} | {"sept": 9}
_WORDS = frozenset({"may", "march", "mars", "mar", "mai"})
"""Months that are also other words; they count as months with a capital letter only."""
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\b\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|\.|er|º)?"
_YEAR = r"(?P<year>\d{4})"
_EDGE = r"(?<![\d.,/-])"
_END = r"(?![\d/-]|[.,]\d)"
_WRITTEN = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_EDGE}{_DAY}[ ](?:of[ ]|de[ ])?{_MONTH}(?:,?[ ](?:de[ ])?{_YEAR}{_END})?",
        rf"\b{_MONTH}[ ]{_DAY}(?:,?[ ]{_YEAR}{_END}|(?![\d%]|[.,:]\d))",
        rf"\b{_MONTH},?[ ]{_YEAR}{_END}",
    )
)
_YEAR_FIRST = re.compile(
    rf"{_EDGE}(?P<year>\d{{4}})(?P<mark>[-/.])(?P<month>\d{{1,2}})(?P=mark)(?P<day>\d{{1,2}}){_END}"
)
_YEAR_LAST = re.compile(
    rf"{_EDGE}(?P<a>\d{{1,2}})(?P<mark>[-/.])(?P<b>\d{{1,2}})(?P=mark)(?P<year>\d{{4}}|\d{{2}}){_END}"
)
_LAST_MONTH, _LAST_DAY = 12, 31
Reading = tuple[int | None, int, int | None]
"""Year, month and day; `None` if the text leaves it out."""


@dataclass(frozen=True, slots=True)
class DateMention:
    """A date as written in a text."""

    text: str
    readings: frozenset[Reading]
    """What it may mean: `05.12.2024` is 5 December or 12 May, and `24` is 1924 or 2024."""

    def is_among(self, stated: Set[Reading]) -> bool:
        """Return whether `stated_readings` has one of its readings."""
        return not self.readings.isdisjoint(stated)


def stated_readings(dates: Iterable[DateMention]) -> frozenset[Reading]:
    """Return what dates say, and what follows: `12 March 2024` also says `March 2024`, `12 March` and `March`."""
    return frozenset(
        (some_year, month, some_day)
        for date in dates
        for year, month, day in date.readings
        for some_year in (year, None)
        for some_day in (day, None)
    )


def find_dates(text: str) -> tuple[tuple[DateMention, ...], str]:
    """Return the dates of a text, and the text without them.

    A year alone is a number, not a date. Weekdays, `yesterday` and dates of other calendars are not read.
    """
    rest = ascii_digits(text)
    found: list[DateMention] = []

    def taken(match: re.Match[str]) -> str:
        readings = frozenset(_readings(match.groupdict()))
        if not readings:
            return match[0]
        found.append(DateMention(match[0].strip(), readings))
        return " ; "

    for pattern in (_YEAR_FIRST, _YEAR_LAST, *_WRITTEN):
        rest = pattern.sub(taken, rest)
    return tuple(found), rest


def _readings(part: dict[str, str | None]) -> Iterator[Reading]:
    year, day = part.get("year"), part.get("day")
    if part.get("a") is not None:
        a, b = int(part["a"] or 0), int(part["b"] or 0)
        years = [int(year or 0)] if len(year or "") > 2 else [1900 + int(year or 0), 2000 + int(year or 0)]
        yield from ((y, m, d) for y in years for d, m in {(a, b), (b, a)} if _is_day(m, d))
        return
    written = part["month"] or ""
    month = int(written) if written.isdigit() else _month(written)
    if month and _is_day(month, int(day) if day else 1):
        yield (int(year) if year else None, month, int(day) if day else None)


def _month(written: str) -> int:
    return 0 if written in _WORDS else _MONTHS.get(fold(written), _MONTHS.get(written.casefold(), 0))


def _is_day(month: int, day: int) -> bool:
    return 1 <= month <= _LAST_MONTH and 1 <= day <= _LAST_DAY
