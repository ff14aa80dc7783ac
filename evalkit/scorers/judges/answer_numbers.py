"""Parse the numbers of a text with sign, precision and unit, and compare those of answer and reference."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from evalkit.scorers.judges.answer_units import Reading, currency_before, readings
from evalkit.scorers.judges.answer_words import CENTURY, LOOSE, STOP_WORDS, Words, same_quantity

CAP = 0.05
"""Largest relative difference that counts as rounding to a whole number: 3.4 million is not a reference of 3
million."""
FRACTION_STEP = 0.01
"""Precision of a fraction: 0.67 and 67 % are two thirds, 0.7 is not."""
HALF_DAY_MINUTES = 720
TELEPHONE_DIGITS = 7
HEDGES = frozenset("about around approximately approx roughly circa ca nearly almost".split())
SHARE: Sequence[Reading] = (("share", 1.0, 0.0),)
SUMMED = frozenset({"time", "length", "mass"})
CALENDAR = ("year", "month", "day")
_RISING = frozenset("rise rises rose risen increase increased increases grew growth gain gained".split())
_FALLING = frozenset(
    "fall falls fell fallen drop dropped drops decrease decreased decreases decline declined loss lost".split()
)
_MINUS = re.compile(r"(?:^|[\s(=:,])(?:-[$\u20ac\u00a3\u00a5]?|[$\u20ac\u00a3\u00a5] ?-)$")
_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
_VERBS_OF_I = frozenset("think believe guess suppose would am have had was know m ve d ll".split())
_BEFORE_ONE = frozenset("the no any each every this that another which".split())
_AFTER_ONE = frozenset("that who which whose of another should must can cannot may is was has had".split())
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)")
_LABELS = frozenset("version v release article art section sec clause chapter rule paragraph para".split())


@dataclass(frozen=True, slots=True)
class StatedNumber:
    """One number of a text."""

    place: int
    """Index of the number's word in the text."""
    end: int
    """Index of the word after the number and its unit."""
    written: str
    """The folded word."""
    kind: str
    """`year`, `month`, `day`, `number`, `clock` or `name` (a version, a telephone number, the number in a name)."""
    value: float = math.nan
    step: float = 0.0
    """The last stated digit as a number: 0.1 for 39.0, a million for 3 million."""
    units: Sequence[Reading] = ()
    """Possible meanings of the unit; empty without a unit."""
    hedged: bool = False
    bare: float = math.nan
    """The number without its `million`."""
    turn: int = 0
    """-1 after a word such as `fell`, 1 after one such as `rose`."""
    date: int = -1
    """Start of the date that it is part of, if it is one"""


def numbers(text: Words, asked: Collection[str] = ()) -> tuple[StatedNumber, ...]:
    """Return the numbers of a text in order; `asked` are the words of the question."""
    found: list[StatedNumber] = []
    place = 0
    while place < len(text.folded):
        one = _number_at(text, place, asked)
        if one is not None:
            found.append(one)
        place = one.end if one else place + 1
    return tuple(_dated(_summed(text, found)))


def _number_at(text: Words, place: int, asked: Collection[str]) -> StatedNumber | None:
    word, kind = text.folded[place], text.kinds[place]
    if kind == "month":
        return StatedNumber(place, place + 1, word, kind)
    if word == "half":
        return _half(text, place)
    if word == "i" and _is_roman_one(text, place):
        return StatedNumber(place, place + 1, "1", "name")
    if not word[:1].isdigit() or _is_pronoun(text, place) or _power_of_a_unit(text, place):
        return None
    telephone = _telephone_end(text, place)
    if telephone:
        return StatedNumber(place, telephone, "".join(text.folded[place:telephone]), "name")
    if text.gaps[place + 1] == "/" and _is_fraction(text, place):
        value = int(word) / int(text.folded[place + 1])
        return _measured(text, StatedNumber(place, place + 2, word, "number", value, FRACTION_STEP, SHARE))
    if kind in ("year", "day") and CENTURY.fullmatch(word):
        return StatedNumber(place, place + 1, word, kind)
    clock = _clock(text, place)
    if clock:
        return clock
    if _is_name(text, place, asked):
        return StatedNumber(place, place + 1, text.raw[place], "name")
    if not _NUMBER.fullmatch(word):
        return StatedNumber(place, place + 1, word, "name")
    return _measured(text, _plain(text, place))


def _plain(text: Words, place: int) -> StatedNumber:
    """Read a number with its sign and its precision, without its unit."""
    word, raw = text.folded[place], text.raw[place] if text.raw[place][0].isdigit() else text.folded[place]
    mantissa, _, power = raw.partition("e")
    decimals = len(mantissa.partition(".")[2])
    bare, _, magnitude = word.partition("e")
    hedged = _hedged(text, place)
    step = _ten_to(int(magnitude or 0) - decimals)
    if hedged and word.isdecimal():
        step = _ten_to(len(word) - len(word.rstrip("0")))
    value = float(word) * (-1 if _negative(text, place) else 1)
    kind = "number" if "," in raw or hedged else text.kinds[place]
    left_out = float(bare) if magnitude and not power else math.nan
    return StatedNumber(place, place + 1, word, kind, value, step, (), hedged, left_out, _turn(text, place))


def _ten_to(power: int) -> float:
    return float(f"1e{power}")  # infinite where `10.0**power` raises


def _measured(text: Words, one: StatedNumber) -> StatedNumber:
    """Add the unit: a sign before or after the number, or the next words."""
    end = one.end
    while one.units and text.folded[end : end + 1] in (("of",), ("a",), ("an",)):  # three quarters of an hour
        end += 1
    found, taken = readings(text.folded[end : end + 2], text.gaps[end : end + 3])
    before = currency_before(text.gaps[one.place], text.folded[one.place - 1] if one.place else "")
    units = found or before or one.units
    return replace(one, units=units, end=end + taken if found else one.end, kind="number") if units else one


def _half(text: Words, place: int) -> StatedNumber | None:
    if text.gaps[place + 1] == "-" or (place and text.folded[place - 1] in {"1", "2", "other"}):
        return None
    return _measured(text, StatedNumber(place, place + 1, "half", "number", 0.5, FRACTION_STEP, SHARE))


def _is_roman_one(text: Words, place: int) -> bool:
    """Return whether an I is a numeral, as in World War I, not in "Paris, I think"."""
    after = text.folded[place + 1 : place + 2]
    named = place > 0 and text.capital[place] and text.capital[place - 1] and text.folded[place - 1] not in STOP_WORDS
    return named and text.gaps[place] == " " and not set(after) & _VERBS_OF_I


def _is_pronoun(text: Words, place: int) -> bool:
    """Return whether "one" is a pronoun: the one that is meant, no one, one of them."""
    before, after = text.folded[max(0, place - 1) : place], text.folded[place + 1 : place + 2]
    return text.raw[place] == "one" and bool(_BEFORE_ONE & set(before) or _AFTER_ONE & set(after))


def _power_of_a_unit(text: Words, place: int) -> bool:
    """Return whether a digit is part of a symbol: the 2 of `km2` or `CO2`."""
    return place > 0 and text.gaps[place] == "" and len(text.folded[place]) == 1 and text.folded[place - 1].isalpha()


def _telephone_end(text: Words, place: int) -> int:
    """Return the index after a telephone or other grouped number; 0 if none starts here."""
    end = place + 1
    while end < len(text.folded) and text.gaps[end] in ("-", " ", ".", ") ") and _DIGITS.fullmatch(text.raw[end]):
        end += 1
    group = text.raw[place:end]
    if end - place < 2 or not all(map(_DIGITS.fullmatch, group)) or sum(map(len, group)) < TELEPHONE_DIGITS:
        return 0
    sure = "+" in text.gaps[place] or any(part[0] == "0" for part in group) or len(group) > 2
    hyphens = set(text.gaps[place + 1 : end]) == {"-"} and not all(kind == "year" for kind in text.kinds[place:end])
    return end if sure or hyphens else 0


def _is_fraction(text: Words, place: int) -> bool:
    if text.gaps[place].endswith("/") or text.gaps[place + 2].startswith("/"):
        return False
    upper, lower = text.folded[place], text.folded[place + 1]
    return (
        upper.isdecimal()
        and lower.isdecimal()
        and max(len(upper), len(lower)) <= 3
        and 0 < int(upper) < int(lower) <= 100
    )


def _clock(text: Words, place: int) -> StatedNumber | None:
    word, half = text.folded[place], "".join(text.folded[place + 1 : place + 2])
    found = _CLOCK.fullmatch(word)
    if half in ("am", "pm") and (found or (word.isdecimal() and 1 <= int(word) <= 12)):
        hour, minute = (int(found[1]), int(found[2])) if found else (int(word), 0)
        value = (hour % 12 + (12 if half == "pm" else 0)) * 60 + minute
        return StatedNumber(place, place + 2, word, "clock", value, bare=float(hour) if not minute else math.nan)
    if not found:
        return None
    hour, value = int(found[1]), int(found[1]) * 60 + int(found[2])
    return StatedNumber(place, place + 1, word, "clock", value % 1440, hedged=1 <= hour <= 12)  # may be am or pm


def _is_name(text: Words, place: int, asked: Collection[str]) -> bool:
    """Return whether a number is a version, article number or identifier, whose digits are never rounded."""
    before = text.folded[place - 1] if place else ""
    glued = place > 0 and text.gaps[place] in ("", "-") and before.isalpha() and before not in ("v", "usd", "eur")
    labelled = before in _LABELS or (place > 0 and text.capital[place - 1] and before not in STOP_WORDS)
    versioned = "version" in asked and "." in text.raw[place]
    if glued or versioned:
        return True
    measured = readings(text.folded[place + 1 : place + 3], text.gaps[place + 1 : place + 4])[0]
    return labelled and "." in text.raw[place] and not measured and not currency_before("", before)


def _negative(text: Words, place: int) -> bool:
    folded = text.folded
    number_before = place > 0 and folded[place - 1][0].isdigit()
    if _MINUS.search(text.gaps[place]) and not number_before:
        return True
    named = place > 0 and folded[place - 1] in ("minus", "negative")
    return named and (place < 2 or not folded[place - 2][0].isdigit())


def _turn(text: Words, place: int) -> int:
    before = [text.folded[one] for one in range(max(0, place - 3), place) if text.clauses[one] == text.clauses[place]]
    return (not _RISING.isdisjoint(before)) - (not _FALLING.isdisjoint(before))


def _hedged(text: Words, place: int) -> bool:
    before = text.folded[max(0, place - 2) : place]
    return not HEDGES.isdisjoint(before[-1:]) or text.gaps[place].rstrip(" $\u20ac\u00a3").endswith(("~", "\u2248"))


def _summed(text: Words, found: Sequence[StatedNumber]) -> list[StatedNumber]:
    """Combine `5 feet 10 inches` into one length."""
    kept: list[StatedNumber] = []
    for one in found:
        last = kept[-1] if kept else None
        if last and last.units and one.units and set(text.gaps[last.end : one.place + 1]) <= {" ", ", "}:
            (dimension, factor, _), (other, smaller, _) = last.units[0], one.units[0]
            between = text.folded[last.end : one.place] in ((), ("and",))
            if between and dimension == other in SUMMED and one.value * smaller < factor:
                kept[-1] = replace(one, place=last.place, value=last.value * factor / smaller + one.value)
                continue
        kept.append(one)
    return kept


def _dated(found: Sequence[StatedNumber]) -> list[StatedNumber]:
    """Store the start of a date with its parts."""
    kept: list[StatedNumber] = []
    for one in found:
        last = kept[-1] if kept else None
        if one.kind in CALENDAR:
            joined = last is not None and last.kind in CALENDAR and last.kind != one.kind and last.end == one.place
            kept.append(replace(one, date=last.date if last and joined else one.place))
        else:
            kept.append(one)
    return kept


def degree(wanted: StatedNumber, given: StatedNumber) -> float:
    """Score how well a number agrees with one of the reference, 0 to 1, at the precision of the reference."""
    if "name" in (wanted.kind, given.kind) or math.isnan(wanted.value) or math.isnan(given.value):
        return same_quantity(wanted.written, given.written)
    if "clock" in (wanted.kind, given.kind):
        return _clocks(wanted, given)
    if wanted.turn * given.turn < 0:
        return 0.0
    if wanted.turn + given.turn < 0:  # a fall of 3 % is -3 %
        wanted, given = (replace(one, value=abs(one.value)) for one in (wanted, given))
    if wanted.units and given.units:
        return max((_converted(wanted, given, a, b) for a in wanted.units for b in given.units), default=0.0)
    if wanted.units or given.units:
        shares = [_converted(wanted, given, a, b) for a in _as_share(wanted) for b in _as_share(given)]
        return max(_rounded(wanted, given), max(shares, default=0.0))
    return _rounded(wanted, given)


def _as_share(one: StatedNumber) -> Sequence[Reading]:
    """Allow a number such as `0.25` without a unit to be a share."""
    return one.units or (SHARE if 0 < one.value < 1 else ())


def _converted(wanted: StatedNumber, given: StatedNumber, of_wanted: Reading, of_given: Reading) -> float:
    if of_wanted[0] != of_given[0]:
        return 0.0
    if of_wanted == of_given or not (math.isfinite(wanted.value) and math.isfinite(given.value)):
        return _rounded(wanted, given)
    a, b = (one.value * factor + zero for one, (_, factor, zero) in ((wanted, of_wanted), (given, of_given)))
    allowed = min(wanted.step * of_wanted[1], given.step * of_given[1]) / 2
    return float(abs(a - b) <= allowed * (1 + 1e-9) or math.isclose(a, b, rel_tol=1e-9))


def _rounded(wanted: StatedNumber, given: StatedNumber) -> float:
    a, b = wanted.value, given.value
    if not (math.isfinite(a) and math.isfinite(b)):
        return float(wanted.written == given.written)
    if math.isclose(a, b, rel_tol=1e-12):
        return 1.0
    step = max(wanted.step, given.step) if wanted.hedged else wanted.step
    cap = math.inf if "." in wanted.written else CAP * abs(a)
    apart, half = abs(b) - abs(a), step / 2
    rounds_up = apart < half * (1 - 1e-9) or (wanted.hedged and apart < half * (1 + 1e-9))  # 32.5 is 33, not 32
    if wanted.kind != "year" and a * b > 0 and rounds_up and -apart <= half * (1 + 1e-9) and abs(apart) <= cap:
        return 1.0
    return LOOSE if math.isnan(wanted.bare) and a == given.bare else 0.0  # "137" leaves out what "137 million" says


def _clocks(wanted: StatedNumber, given: StatedNumber) -> float:
    if wanted.kind != given.kind:
        a, b = (one.bare if one.kind == "clock" else one.value for one in (wanted, given))
        return float(a == b)
    apart = abs(wanted.value - given.value)
    return float(apart == 0 or (apart == HALF_DAY_MINUTES and (wanted.hedged or given.hedged)))
