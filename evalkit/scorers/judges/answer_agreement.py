"""Compare the numbers of an answer, and the words beside them, with those of a reference."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, islice

from evalkit.scorers.judges.answer_forms import ORDINALS
from evalkit.scorers.judges.answer_numbers import CALENDAR, HEDGES, StatedNumber, degree
from evalkit.scorers.judges.answer_words import STOP_WORDS, Words

ORDER_WORDS = 40
"""Words around which the order of a reference's numbers matters."""
MANY = 20
"""Maximum number of places checked for one number."""
NEAR = 5
"""Maximum distance in words between a number and the word that it belongs to."""
CLAUSE = 8
"""Distance, in words, that the end of a clause adds."""
FILLERS = HEDGES | frozenset("within between until till through exactly only minus negative below zero total".split())
_ORDERED = re.compile(r"\s?[-:]\s?")


@dataclass(frozen=True)
class AnswerAgreement:
    """How the numbers of an answer agree with those of one reference."""

    found: Sequence[tuple[StatedNumber, int, float]]
    """Numbers of the reference found in the answer, each with its position there and its degree of agreement, above 0
    to 1."""
    lacking: bool
    """The answer lacks a number."""
    missing: bool
    """The answer lacks a number that counts."""
    swapped: bool
    """Two numbers are swapped: each is at the other's words, or their order differs where order matters."""

    @property
    def exact(self) -> bool:
        """Whether no number agrees only loosely."""
        return all(degree == 1 for _, _, degree in self.found)


@dataclass(frozen=True, slots=True)
class Counted:
    """A text and its numbers."""

    words: Words
    numbers: Sequence[StatedNumber]


def agreement(wanted: Counted, given: Counted, asked: Collection[str]) -> AnswerAgreement:
    """Look up each number of a reference in an answer."""
    sought, stated = wanted.numbers, given.numbers
    found: list[tuple[StatedNumber, int, float]] = []
    missing = False
    kinds = frozenset(one.kind for one in stated if one.written not in asked)
    for one in sought:
        best = max(((degree(one, other), -other.place) for other in stated), default=(0.0, 0))
        if best[0] > 0:
            found.append((one, -best[1], best[0]))
        elif one.kind == "name" and _stands_in_groups(one.written, given.words):
            found.append((one, 0, 1.0))
        elif one.value == 0 and not {"none", "nothing", "no"}.isdisjoint(given.words.folded):
            found.append((one, 0, 1.0))
        elif one.written not in asked:
            missing |= _counts(one, wanted.words, kinds)
    return AnswerAgreement(found, len(found) < len(sought), missing, _swapped(wanted, given))


def _counts(one: StatedNumber, wanted: Words, kinds: frozenset[str]) -> bool:
    """Return whether the parts of dates and names agree; they may be left out, but not replaced."""
    if _aside(wanted, one.place):
        return False
    if one.kind in CALENDAR:
        return one.kind in kinds
    named = one.place > 0 and wanted.capital[one.place - 1] and wanted.folded[one.place - 1] not in STOP_WORDS
    loose = named or one.kind == "name" or wanted.raw[one.place][0].isalpha()
    return bool(kinds & {"number", "name", "clock"}) if loose else True


def _aside(text: Words, place: int) -> bool:
    """Return whether a number is a bracketed remark, as in "Ann Lee (born 1984)", not "Article 17(2)"."""
    gap = next((gap for gap in reversed(text.gaps[1 : place + 1]) if "(" in gap or ")" in gap), "")
    return " (" in gap


def _stands_in_groups(digits: str, given: Words) -> bool:
    """Return whether the answer has the digits of a telephone number, however grouped."""
    for start in range(len(given.folded)):
        rest = digits
        for raw in given.raw[start:]:
            if not rest or not rest.startswith(raw):
                break
            rest = rest[len(raw) :]
        if not rest:
            return True
    return False


def _swapped(wanted: Counted, given: Counted) -> bool:
    if len(wanted.words.folded) > ORDER_WORDS:
        return False
    places = {
        one.place: [other.place for other in given.numbers if degree(one, other) > 0][:MANY] for one in wanted.numbers
    }
    known = [one for one in wanted.numbers if places[one.place] and wanted.words.raw[one.place] not in ORDINALS]
    return any(
        _pair_swapped(wanted, given, pair, (places[pair[0].place], places[pair[1].place]))
        for pair in combinations(known, 2)
        if not degree(*pair) and (pair[0].date < 0 or pair[0].date != pair[1].date)
    )


def _pair_swapped(
    wanted: Counted,
    given: Counted,
    pair: tuple[StatedNumber, StatedNumber],
    places: tuple[Sequence[int], Sequence[int]],
) -> bool:
    """Return whether two numbers are swapped: each is nearer to the other's words, or their order differs."""
    a, b = pair
    beside_a, beside_b = _beside(wanted, a, b), _beside(wanted, b, a)
    words = _found_words(beside_a - beside_b, given.words), _found_words(beside_b - beside_a, given.words)
    if not all(words):
        return _ordered(wanted.words, a, b) and min(places[0]) > max(places[1])
    if not _other_order(wanted.words, (beside_a - beside_b, beside_b - beside_a), pair, (words, places)):
        return False
    straight, crossed = (sum(map(partial(_distance, given.words), words, one)) for one in (places, places[::-1]))
    return straight >= crossed  # equal: the first and the second, in 1957 and 1951


def _other_order(
    wanted: Words,
    beside: tuple[Collection[str], Collection[str]],
    pair: tuple[StatedNumber, StatedNumber],
    there: tuple[tuple[Sequence[int], ...], tuple[Sequence[int], ...]],
) -> bool:
    """Return whether the numbers, or the words beside them, are swapped between reference and answer, but not both."""
    here = [min(place for place, word in enumerate(wanted.folded) if word in words) for words in beside]
    words, places = ([min(one) for one in side] for side in there)
    words_turn = (here[0] < here[1]) != (words[0] < words[1])
    numbers_turn = (pair[0].place < pair[1].place) != (places[0] < places[1])
    return words_turn != numbers_turn


def _ordered(text: Words, one: StatedNumber, other: StatedNumber) -> bool:
    """Return whether `to`, a hyphen or a colon joins two numbers."""
    if text.folded[one.end : other.place] == ("to",):
        return True
    return one.end == other.place and _ORDERED.fullmatch(text.gaps[other.place]) is not None


def _distance(text: Words, words: Sequence[int], places: Sequence[int]) -> int:
    return min(_apart(text, word, place) for word in words for place in places)


def _beside(text: Counted, one: StatedNumber, other: StatedNumber) -> frozenset[str]:
    """Return the words that belong to a number: those of its date, and near ones of its clause."""
    dates = {place: number.date for number in text.numbers for place in range(number.place, number.end)}
    words, found = text.words, set()
    for place in text.words.telling:
        if one.place <= place < one.end or other.place <= place < other.end:
            continue
        date, apart = dates.get(place, -1), _apart(words, place, one.place)
        if date == one.date if date >= 0 else apart <= NEAR and apart < _apart(words, place, other.place):
            found.add(words.folded[place])
    return frozenset(found)


def _apart(text: Words, one: int, other: int) -> int:
    low, high = sorted((one, other))
    return high - low + CLAUSE * (text.clauses[high] - text.clauses[low])


def _found_words(sought: Collection[str], given: Words) -> list[int]:
    stems = tuple(word[:4] for word in sought if word[0].isalpha() and len(word) > 3)
    found = (place for place, word in enumerate(given.folded) if word in sought or word.startswith(stems))
    return list(islice(found, MANY))


def only_numbers(wanted: Counted, asked: Collection[str]) -> bool:
    """Return whether a reference holds only numbers, their units, and words of the question."""
    covered = {place for one in wanted.numbers for place in range(one.place, one.end) if one.kind != "month"}
    rest = {wanted.words.folded[place] for place in wanted.words.telling if place not in covered}
    return bool(covered) and rest <= FILLERS | frozenset(asked)
