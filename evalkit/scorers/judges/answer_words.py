"""Split texts into folded words for the local judge, with the kind and weight of each."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evalkit.scorers.judges.answer_forms import MAGNITUDES, MONTH_NAMES, ONES, ORDINALS, TENS, one_form

STOP_WORDS = frozenset(
    "a an the of in on at to for from by with and or as is was are were be been being it its that this these those "
    "he she they his her their them i you we do does did has have had which who whom what when where why how than "
    "then there here into about around approximately over under after before during between also s t".split()
)
TITLES = frozenset(
    "king queen prince princess president general captain emperor pope saint st sir lord lady dr doctor professor mr "
    "mrs ms miss madame jr sr".split()
)
_ROMAN = "ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx".split()
_UNITS = {
    "km": ("kilometre", "kilometer"),
    "cm": ("centimetre", "centimeter"),
    "mm": ("millimetre", "millimeter"),
    "kg": ("kilogram", "kilogramme"),
}
SAME = (
    {word: str(value) for value, word in enumerate(ONES)}
    | {word: str(value) for value, word in enumerate(ORDINALS, 1)}
    | {word: str(value * 10) for value, word in enumerate(TENS, 2)}
    | {word: str(value) for value, word in enumerate(_ROMAN, 2) if len(word) > 1}
    | {month[:3]: month for month in MONTH_NAMES}
    | {"sept": "september", "mt": "mount", "bce": "bc", "twice": "2", "thrice": "3"}
    | {name + end: unit for unit, names in _UNITS.items() for name in names for end in ("", "s")}
)
"""Words with two spellings, and the spelling used here."""
MONTHS = frozenset(MONTH_NAMES)
_VERBS_TOO = frozenset({"may", "march"})
_WORD = re.compile(
    r"\d+(?:[.,:]\d+)*(?:[eE][+-]?\d{1,3}\b)?|[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W\d_]+(?:'[^\W\d_]+)*"
)
_GROUPED = re.compile(r",(?=\d{3}(?!\d))")
_YEAR = re.compile(r"1\d{3}|20\d\d|\d{1,2}xx|\d{3}x")
"""A year, or `15xx` for a century and `196x` for a decade."""
CENTURY = re.compile(r"\d{1,2}xx|\d{3}x")
_CONJUNCTIONS = frozenset({"and", "or"})
_PLAIN_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_TWO_DIGITS = re.compile(r"\d{1,2}")
_PARTING = re.compile(r"[,;()/]")
QUESTION_WEIGHT = 0.3
STOP_WEIGHT = 0.1
LOOSE_DATE_WEIGHT = 0.4
"""Day and month beside a year: "1965" answers "1 August 1965"."""
SMALL_WEIGHT = 0.3
"""Initials and titles."""
LAST_DAY = 31
LAST_CENTURY = 21
LOOSE = 0.6
"""Degree to which a year agrees with its century, or a number with one that also says `million`."""


@dataclass(frozen=True)
class Words:
    """A text as folded words, with their original spelling."""

    folded: tuple[str, ...]
    """At least one."""
    capital: tuple[bool, ...]
    parted: tuple[bool, ...]
    """Whether a comma, a bracket, `and` or `or` precedes it."""
    raw: tuple[str, ...]
    """Each word as it is written, in lower case: "39.0" for the folded "39", "3" for "3 million"."""
    gaps: tuple[str, ...]
    """The text before each word, and after the last."""

    @cached_property
    def telling(self) -> list[int]:
        """Places of the words that are not stop words; all of them if none is."""
        every = range(len(self.folded))
        return [place for place in every if self.folded[place] not in STOP_WORDS] or list(every)

    @cached_property
    def clauses(self) -> list[int]:
        """For each word, the number of commas, brackets, `and` and `or` before it."""
        return list(accumulate(map(int, self.parted)))

    @cached_property
    def names(self) -> frozenset[str]:
        """Words with a capital letter, other than the first word of the text."""
        telling = self.telling
        capitals = [place for place in telling if self.capital[place]]
        opened = capitals if len(capitals) == len(telling) else [place for place in capitals if place != telling[0]]
        return frozenset(self.folded[place] for place in opened)

    @cached_property
    def kinds(self) -> list[str]:
        """For each word: year, month, day, number, or nothing."""
        return [_kind(self.folded, place) for place in range(len(self.folded))]


class _Word(NamedTuple):
    folded: str
    capital: bool
    parted: bool
    raw: str
    gap: str


def split(text: str) -> Words:
    """Split into folded words: no accents, one form for numbers, ordinals, months, decades and centuries."""
    plain = one_form(text)
    found: list[_Word] = []
    end = 0
    for match in _WORD.finditer(plain):
        raw, gap = match[0].casefold(), plain[end : match.start()]
        word, before = _same(raw), found[-1].folded if found else ""
        joined = _joined(before, word, raw)
        if joined:
            found[-1] = found[-1]._replace(folded=joined)
        else:
            new_part = before in _CONJUNCTIONS or _PARTING.search(gap) is not None
            found.append(_Word(word, match[0][0].isupper(), new_part, raw, gap))
        end = match.end()
    found = found or [_Word(text.strip(), False, False, text.strip(), "")]
    folded, capital, parted, raws, gaps = zip(*found, strict=True)
    return Words(folded, capital, parted, raws, (*gaps, plain[end:]))


def words(text: str) -> list[str]:
    """Return the folded words alone."""
    return list(split(text).folded)


def _same(word: str) -> str:
    if word[0].isdigit():
        word = _GROUPED.sub("", word)
        return word.rstrip("0").rstrip(".") if re.fullmatch(r"\d+\.\d+", word) else word
    word = word.removesuffix("'s").replace("'", "")
    return SAME.get(word, word)


def _joined(before: str, word: str, raw: str) -> str:
    """Join two words into one: `twenty` `five`, `1960` `s`, `16` `century`, `3` `million`."""
    if word in MAGNITUDES and _PLAIN_NUMBER.fullmatch(before):
        return f"{before}e{MAGNITUDES[word]}"
    if raw in ONES[1:10] and before in {str(ten) for ten in range(20, 100, 10)}:
        return str(int(before) + int(word))
    if word == "s" and re.fullmatch(r"\d{3}0", before):
        return f"{before[:2]}xx" if before.endswith("00") else f"{before[:3]}x"
    if word in ("century", "centuries") and _up_to(LAST_CENTURY, before):
        return f"{int(before) - 1}xx"
    return ""


def _kind(text: Sequence[str], place: int) -> str:
    word, beside = text[place], [*text[max(0, place - 1) : place], *text[place + 1 : place + 2]]
    if word in MONTHS:
        return "month" if word not in _VERBS_TOO or any(other[0].isdigit() for other in beside) else ""
    if not word[:1].isdigit():
        return ""
    if _YEAR.fullmatch(word):
        return "year"
    return "day" if _up_to(LAST_DAY, word) and not MONTHS.isdisjoint(beside) else "number"


def _up_to(largest: int, word: str) -> bool:
    return _TWO_DIGITS.fullmatch(word) is not None and 0 < int(word) <= largest


def same_quantity(wanted: str, given: str) -> float:
    """Compare two folded numbers or years as written, 0 to 1; a year lies in its century."""
    if wanted == given:
        return 1.0
    if len(wanted) == len(given) and (CENTURY.fullmatch(wanted) or CENTURY.fullmatch(given)):
        within = all(a == b or "x" in (a, b) for a, b in zip(wanted, given, strict=True))
        return (LOOSE if given.count("x") > wanted.count("x") else 1.0) if within else 0.0
    return 0.0


def word_weights(text: Words, asked: Collection[str]) -> npt.NDArray[np.float64]:
    """Return the weight of each word of a reference or an answer, 0 to 1."""
    kinds = text.kinds
    dated = "year" in kinds
    return np.array([_weight(word, kind, asked, dated) for word, kind in zip(text.folded, kinds, strict=True)])


def _weight(word: str, kind: str, asked: Collection[str], dated: bool) -> float:
    if word in STOP_WORDS:
        return STOP_WEIGHT
    if word in asked:
        return QUESTION_WEIGHT
    if word in TITLES or (len(word) == 1 and word.isalpha() and word.isascii()):
        return SMALL_WEIGHT
    return LOOSE_DATE_WEIGHT if dated and kind in ("month", "day", "number") else 1.0
