"""Match words of an answer with words of a reference, and find words that replace a missing one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import JaroWinkler, Levenshtein
from rapidfuzz.process import cdist

from evalkit.scorers.judges.answer_words import QUESTION_WEIGHT, STOP_WORDS, Words, same_quantity

SPELLING = 0.82
"""Smallest similarity at which two spellings are taken for one word."""
NAME_SPELLING = (0.5, 0.84)
"""The same limits (Levenshtein and Jaro-Winkler) next to another word of the name that is equal: Dave for David."""
STEM_LETTERS = 5
SHORT_LETTERS = 3
"""Minimum letters of a shortened name."""
FAIR = 0.7
"""Degree of a common stem, or of a name in another form."""
PARTLY = 0.6
"""Degree of an initial, and the smallest degree at which a word counts as found."""
SPARE_WORDS = 4
"""The reference is looked for in stretches of the answer twice as long, or longer by this many words."""

NOWHERE = -1

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def word_matches(wanted: Words, given: Words) -> Floats:
    """Return how far each word of the answer matches each of the reference: shape (reference, answer), 0 to 1."""
    rows, columns = ({word: place for place, word in enumerate(dict.fromkeys(text.folded))} for text in (wanted, given))
    table = _Pairs(list(rows), list(columns), wanted.names).degrees()
    return table[np.ix_([rows[word] for word in wanted.folded], [columns[word] for word in given.folded])]


class _Pairs:
    """All pairs of a word of the reference and a word of the answer; `names` are words of the reference."""

    def __init__(self, wanted: Sequence[str], given: Sequence[str], names: Collection[str]) -> None:
        self._wanted, self._given = wanted, given
        self._names = np.array([[word in names] for word in wanted])
        self._alike = cdist(wanted, given, scorer=Levenshtein.normalized_similarity, dtype=np.float64)

    def degrees(self) -> Floats:
        """See `word_matches`."""
        same = self._each(operator.eq)
        spelled = self._each(lambda a, b: _spelled(a) and _spelled(b) and min(len(a), len(b)) > 1)
        stem = self._each(lambda a, b: len(a) >= STEM_LETTERS and b.startswith(a[:STEM_LETTERS])) & ~self._names
        found = np.where(self._alike >= SPELLING, self._alike, np.where(stem, FAIR, 0.0)) * spelled
        if (same & spelled).any():  # a part is sure, so the other words may be looser
            found = np.maximum(found, np.where(self._other_form() & spelled, FAIR, 0.0))
            found = np.maximum(found, np.where(self._each(_initial), PARTLY, 0.0))
        return np.where(same, 1.0, self._with_quantities(found))

    def _each(self, holds: Callable[[str, str], bool]) -> Bools:
        return np.array([[holds(wanted, given) for given in self._given] for wanted in self._wanted])

    def _other_form(self) -> Bools:
        """Return whether two words are forms of a name: Dave and David, Man and Manchester."""
        jaro = cdist(self._wanted, self._given, scorer=JaroWinkler.normalized_similarity, dtype=np.float64)
        alike = (self._alike >= NAME_SPELLING[0]) & (jaro >= NAME_SPELLING[1]) & self._each(lambda a, b: a[0] == b[0])
        return np.asarray((alike | self._each(_cut_short)) & self._names)

    def _with_quantities(self, found: Floats) -> Floats:
        for row, wanted in enumerate(self._wanted):
            for column, given in enumerate(self._given):
                if wanted[:1].isdecimal() and given[:1].isdecimal():
                    found[row, column] = same_quantity(wanted, given)
        return found


def _spelled(word: str) -> bool:
    return not word[:1].isdigit() and word not in STOP_WORDS


def _initial(one: str, other: str) -> bool:
    """Return whether one word is the first letter of the other."""
    return (len(one) == 1) != (len(other) == 1) and one[0] == other[0] and _spelled(one) and _spelled(other)


def _cut_short(one: str, other: str) -> bool:
    return min(len(one), len(other)) >= SHORT_LETTERS and (one.startswith(other) or other.startswith(one))


def best_stretch(matches: Floats, weights: Floats) -> Floats:
    """Return the matches within the passage of the answer that holds most of the reference, 0 elsewhere."""
    size = max(2 * len(matches), len(matches) + SPARE_WORDS)
    if matches.shape[1] <= size:
        return matches
    held = np.lib.stride_tricks.sliding_window_view(matches, size, axis=1).max(axis=2)
    start = int((weights @ held).argmax())
    kept = np.zeros_like(matches)
    kept[:, start : start + size] = matches[:, start : start + size]
    return kept


def replaced_share(wanted: Words, given: Words, matches: Floats, weights: tuple[Floats, Floats]) -> float:
    """Return the share of the missing words of names that other words replace, 0 to 1: Emmitt Smith for Timmy Smith."""
    found = matches.max(axis=1)
    hits = {place: int(matches[place].argmax()) for place in wanted.telling if found[place] >= PARTLY}
    replaced = 0.0
    for place, word in enumerate(wanted.folded):
        if word in wanted.names and place not in hits:
            rivals = [weights[1][one] for one in _in_its_place(wanted, given, place, hits)]
            replaced += weights[0][place] * max((weight for weight in rivals if weight > QUESTION_WEIGHT), default=0.0)
    missing = float(weights[0] @ (1 - found))
    return min(1.0, replaced / missing) if missing > 0 else 0.0


def _in_its_place(wanted: Words, given: Words, place: int, hits: Mapping[int, int]) -> Iterator[int]:
    """Yield words of the answer that have the missing word's position relative to a found neighbour."""
    for step in (-1, 1):
        beside = _next_telling(wanted, place, step)
        if beside not in hits:
            continue
        other = _next_telling(given, hits[beside], -step)
        if other in {NOWHERE, *hits.values()} or _lower_case_beside_a_name(given, other, hits[beside]):
            continue
        if not _parted(given, hits[beside], other) or _parted(wanted, place, beside):
            yield other


def _lower_case_beside_a_name(given: Words, place: int, name: int) -> bool:
    return given.capital[name] and given.folded[place].isalpha() and not given.capital[place]


def _next_telling(text: Words, place: int, step: int) -> int:
    places = range(place + 1, len(text.folded)) if step > 0 else range(place - 1, -1, -1)
    return next((one for one in places if text.folded[one] not in STOP_WORDS), NOWHERE)


def _parted(text: Words, one: int, other: int) -> bool:
    return any(text.parted[min(one, other) + 1 : max(one, other) + 1])
