"""Two figures that say how well an answer agrees with a reference, for the local judge, and what excludes agreement.

Each is taken over the part of the answer that fits the reference best, so that a word and a paragraph are on one scale,
and words of the question count for little, since an answer proves nothing by repeating them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from evalkit.scorers.embedding.batches import Vectors, unit_rows
from evalkit.scorers.embedding.embedders import WordLlama

STOP_WORDS = frozenset(
    "a an the of in on at to for from by with and or as is was are were be been being it its that this these those "
    "he she they his her their them i you we do does did has have had which who whom what when where why how than "
    "then there here into about around approximately over under after before during between also s t".split()
)
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_TENS = "thirty forty fifty sixty seventy eighty ninety".split()
_MONTHS = "january february march april may june july august september october november december".split()
SAME = (
    {word: str(value) for value, word in enumerate(_ONES)}
    | {word: str(value) for value, word in enumerate(_ORDINALS, 1)}
    | {word: str(value * 10) for value, word in enumerate(_TENS, 3)}
    | {month[:3]: month for month in _MONTHS}
    | {"sept": "september"}
)
"""Words that are written in two ways, and the way used here."""
DATED_MONTHS = frozenset(_MONTHS) - {"may", "march"}  # the two are verbs as well
YES = frozenset({"yes", "yeah", "true", "correct"})
_NEGATION = re.compile(
    r"\b(?:not|no|never|cannot|none|neither|nor|nobody|nothing|without)\b"
    r"(?! (?:later|earlier|more|less|fewer|longer|only)\b)|n't\b"
)
_REFUSAL = re.compile(
    r"\bi (do not|don'?t|cannot|can'?t|could not|couldn'?t) (know|answer|find|say|provide|determine)"
    r"|\bi('?m| am) (not sure|unable|unaware)|\bunknown\b|\bno (answer|information)\b"
    r"|\bnot (mentioned|specified|stated|provided|known|available)\b|\b(unable to|cannot be) (answer|determine)"
    r"|\bdoes(n'?t| not) (say|mention|contain|provide|specify|state)",
    re.IGNORECASE,
)
_ORDINAL_ENDING = re.compile(r"(?<=\d)(st|nd|rd|th)\b")
_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W\d_]+(?:'[^\W\d_]+)*")
_GROUPED = re.compile(r",(?=\d{3}(?!\d))")
_YEAR = re.compile(r"1\d{3}|20\d\d")
_CAPITALISED = re.compile(r"\b[A-Z][^\W\d_]*[a-z]\b")
_SHORT_FORM = re.compile(r"\b[A-Z](?:\.?[A-Z]){1,5}\b")
QUESTION_WEIGHT = 0.3
STOP_WEIGHT = 0.1
LOOSE_DATE_WEIGHT = 0.4
"""Day and month beside a year: "1965" answers "1 August 1965"."""
INITIAL_WEIGHT = 0.3
SPELLING = 0.7
"""Smallest similarity at which two spellings are taken for one word."""
STEM_LETTERS = 5
SENTENCE_WORDS = 4


@dataclass(frozen=True, slots=True)
class Features:
    """Agreement of one answer with one reference, each in 0 to 1."""

    meaning: float
    """Cosine of the reference with the closest stretch of the answer that is as long, static token embeddings."""
    wording: float
    """1 where the whole reference, or its abbreviation, stands in the answer, else its weighted word recall squared."""
    excluded: str = ""
    """Why the two cannot both be right, whatever else they share; both figures are 0 then."""


def features(question: str, reference: str, answer: str, embedding: WordLlama) -> Features:
    """Compare an answer with one reference, neither of them blank."""
    asked = frozenset(words(question))
    wanted, given = words(reference) or [reference.strip()], words(answer) or [answer.strip()]
    refused = _refuses(reference), _refuses(answer)
    agrees = _yes_or_no(wanted, given, _negated(answer))
    if agrees or all(refused):
        return Features(1.0, 1.0)
    if any(refused):
        return Features(0.0, 0.0, "one gives no answer")
    if agrees is False or _polarity_differs(reference, answer, wanted, given):
        return Features(0.0, 0.0, "one denies what the other says")
    if _numbers_exclude(wanted, given, asked):
        return Features(0.0, 0.0, "another number or date")
    weights = word_weights(wanted, asked), word_weights(given, asked)
    whole = stands_in(wanted, given) or _abbreviates(reference, answer)
    recall = float(np.dot(weights[0], [_found(word, set(given)) for word in wanted]) / weights[0].sum())
    return Features(closest_stretch(wanted, given, weights, embedding), 1.0 if whole else recall**2)


def words(text: str) -> list[str]:
    """Split into folded words: no accents, one form for numbers, ordinals and months."""
    plain = unicodedata.normalize("NFKD", text.replace("\u2019", "'"))
    plain = "".join(char for char in plain if not unicodedata.combining(char)).casefold()
    return [_same(word) for word in _WORD.findall(_ORDINAL_ENDING.sub("", plain))]


def _same(word: str) -> str:
    if word[0].isdigit():
        word = _GROUPED.sub("", word)
        return word.rstrip("0").rstrip(".") if re.fullmatch(r"\d+\.\d+", word) else word
    word = word.removesuffix("'s").replace("'", "")
    return SAME.get(word, word)


def word_weights(text: Sequence[str], asked: Collection[str]) -> npt.NDArray[np.float64]:
    """How much each word of a reference or an answer tells, 0 to 1."""
    dated = any(_YEAR.fullmatch(word) for word in text)
    return np.array([_weight(word, asked, dated) for word in text])


def _weight(word: str, asked: Collection[str], dated: bool) -> float:
    if word in STOP_WORDS:
        return STOP_WEIGHT
    if word in asked:
        return QUESTION_WEIGHT
    if len(word) == 1 and word.isalpha() and word.isascii():
        return INITIAL_WEIGHT
    return LOOSE_DATE_WEIGHT if dated and _kind(word) in ("month", "number") else 1.0


def _kind(word: str) -> str:
    if word in DATED_MONTHS:
        return "month"
    if not word[0].isdigit():
        return ""
    return "year" if _YEAR.fullmatch(word) else "number"


def _found(word: str, given: set[str]) -> float:
    """Degree to which the answer has a word of the reference: same, other spelling, same stem, initial."""
    if word in given:
        return 1.0
    if word[0].isdigit() or word in STOP_WORDS:
        return 0.0
    others = [other for other in given if not other[0].isdigit()]
    if len(word) == 1:
        return 0.6 if any(other[0] == word for other in others) else 0.0
    spelled = process.extractOne(word, others, scorer=Levenshtein.normalized_similarity, score_cutoff=SPELLING)
    if spelled:
        return float(spelled[1])
    if len(word) >= STEM_LETTERS and any(other.startswith(word[:STEM_LETTERS]) for other in others):
        return SPELLING
    return 0.6 if word[0] in given else 0.0


def stands_in(wanted: Sequence[str], given: Sequence[str]) -> bool:
    """Tell whether the reference stands in the answer word by word, stop words and gaps between words aside."""
    needle = "".join(_telling(wanted))
    kept = _telling(given)
    starts = np.cumsum([0, *map(len, kept)]).tolist()
    hay, edges = "".join(kept), frozenset(starts)
    return any(hay.startswith(needle, start) and start + len(needle) in edges for start in starts[:-1])


def _abbreviates(reference: str, answer: str) -> bool:
    """Tell whether one holds the initials of the other: "World Health Organization" and "WHO", either way round."""
    if _SHORT_FORM.fullmatch(reference.strip()):
        short = _undotted(reference.strip())
        return len(short) > 2 and short in _initials(answer)
    return _initials(reference) in map(_undotted, _SHORT_FORM.findall(answer))


def _initials(text: str) -> str:
    return "".join(word[0] for word in _CAPITALISED.findall(text))


def _undotted(short_form: str) -> str:
    return short_form.replace(".", "")


def _telling(text: Sequence[str]) -> list[str]:
    return [word for word in text if word not in STOP_WORDS] or list(text)


def closest_stretch(
    wanted: Sequence[str],
    given: Sequence[str],
    weights: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    embedding: WordLlama,
) -> float:
    """Best cosine of the reference with a stretch of the answer as long as it, at least 0."""
    # The digits of two numbers look alike to an embedding, and other numbers are no likeness at all.
    shared = np.array([word in wanted or not word[0].isdigit() for word in given])
    target = _token_rows(wanted, weights[0], embedding)
    rows = _token_rows(given, weights[1] * shared, embedding)
    size = min(len(target), len(rows))
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0, dtype=np.float64)])
    stretches = unit_rows(sums[size:] - sums[:-size])
    return max(0.0, min(1.0, float((stretches @ unit_rows(target.sum(axis=0, keepdims=True))[0]).max())))


def _token_rows(text: Sequence[str], weights: npt.NDArray[np.float64], embedding: WordLlama) -> Vectors:
    """Token vectors, each by the weight of its word."""
    tokens, rows = embedding.token_rows(" ".join(text))
    word = np.cumsum([token.startswith("\u2581") for token in tokens]) - 1  # the mark that opens a word
    if len(word) and word[-1] == len(text) - 1 and word[0] == 0:
        rows = rows * weights[word, np.newaxis].astype(np.float32)
    return rows


def _numbers_exclude(wanted: Sequence[str], given: Sequence[str], asked: Collection[str]) -> bool:
    """Years, months or other numbers on both sides, none of them in common."""
    said = set(given)
    for kind in ("year", "month", "number"):
        expected = {word for word in wanted if _kind(word) == kind}
        stated = {word for word in said if _kind(word) == kind and word not in asked}
        if expected and stated and not expected & said:
            return True
    return False


def _refuses(text: str) -> bool:
    return _REFUSAL.search(text) is not None


def _negated(text: str) -> bool:
    return _NEGATION.search(text.casefold().replace("\u2019", "'")) is not None


def _polarity_differs(reference: str, answer: str, wanted: Sequence[str], given: Sequence[str]) -> bool:
    """One of two sentences of similar length is negated, or a short reference is named after a `not`."""
    if _negated(reference) == _negated(answer):
        return False
    if len(wanted) < SENTENCE_WORDS:
        return not _negated(reference) and _denied(wanted, given)
    # A long answer negates something anyway.
    return SENTENCE_WORDS <= len(given) <= 2 * len(wanted)


def _denied(wanted: Sequence[str], given: Sequence[str]) -> bool:
    named = next((place for place, word in enumerate(given) if word == _telling(wanted)[0]), 0)
    return not {"not", "never", "isnt", "wasnt"}.isdisjoint(given[max(0, named - 2) : named])


def _yes_or_no(wanted: Sequence[str], given: Sequence[str], negated: bool) -> bool | None:
    """Whether a reference that is just yes or no agrees with the answer; `None` for any other reference."""
    if len(wanted) != 1 or wanted[0] not in YES | {"no", "false"}:
        return None
    negative = given[0] in {"no", "false"} or (given[0] not in YES and negated)
    return negative == (wanted[0] not in YES)
