"""Compute two features of agreement with a reference for the local judge, and detect contradictions.

Each feature is computed over the part of the answer that fits the reference best, so that a word and a paragraph are on
one scale. Words of the question count for little, since an answer proves nothing by repeating them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.scorers.embedding.batches import Vectors, unit_rows
from evalkit.scorers.embedding.embedders import WordLlama
from evalkit.scorers.judges.answer_agreement import AnswerAgreement, Counted, agreement, only_numbers
from evalkit.scorers.judges.answer_matches import Floats, best_stretch, replaced_share, word_matches
from evalkit.scorers.judges.answer_numbers import CALENDAR, StatedNumber, degree, numbers
from evalkit.scorers.judges.answer_words import QUESTION_WEIGHT, Words, split, word_weights

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
# Short gaps, since an answer may be a million marks.
_CONCLUSION = re.compile(
    r"[^\w#]{0,8}(?:(?:(?:the )?(?:final |correct )?answer(?: is)?|ans|a)[^\w:]{0,8}:"
    r"|#{4} {0,8}(?=[-$\u20ac\u00a3]?\d))",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\{([^{}]{1,200})\}")
_CAPITALISED = re.compile(r"\b[A-Z][^\W\d_]*[a-z]\b")
_SHORT_FORM = re.compile(r"\b[A-Z](?:\.?[A-Z]){1,5}\b")
SENTENCE_WORDS = 4
SHORT_WORDS = 12
"""Maximum words of a reference in which every number counts."""
_BREAK = re.compile(r"[.;:!?,\n](?!\d)|\b(?:but|although|though|however)\b", re.IGNORECASE)
NUMERALS = frozenset(
    "hundred thousand million billion trillion dozen half quarter third once twice thrice both pair couple noon "
    "midday midnight none no nothing zero several".split()
)


@dataclass(frozen=True, slots=True)
class Features:
    """Agreement of one answer with one reference, each from 0 to 1."""

    meaning: float
    """Cosine of the reference with the closest stretch of the answer of the same length (static token embeddings), or
    the weighted share of its words in such a stretch, whichever is higher."""
    wording: float
    """1 if the whole reference, or its abbreviation, occurs in the answer; else the share of its words that do,
    squared. If the answer replaces part of a name, both figures are lowered by the share that is replaced."""
    excluded: str = ""
    """Why the two cannot both be right, whatever else they share; both figures are then 0."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A reference or an answer in every form that is compared."""

    plain: str
    words: Words
    numbers: Sequence[StatedNumber]
    weights: Floats
    """The weight of each word."""
    rows: Vectors
    """Raw vectors of the tokens."""
    owner: Sequence[int]
    """The word of each token; empty if the tokens do not show it."""


def features(question: str, references: Sequence[str], answer: str, embedding: WordLlama) -> list[Features]:
    """Compare an answer with each of its references, none of them blank.

    If the answer ends in a line with its conclusion ("Answer: 42"), a reference that is no longer than the conclusion
    is compared with it alone, since the steps before it name intermediate results.
    """
    asked = frozenset(split(question).folded)
    last = conclusion(answer)
    whole, *wanted = (_text(text, asked, embedding) for text in (answer, *references))
    said = whole if last is None else _text(last, asked, embedding)
    sides = [said if len(text.words.folded) <= len(said.words.folded) else whole for text in wanted]
    other = {
        id(side): _numbers_exclude([text.numbers for text in wanted], side.numbers, asked) for side in (whole, said)
    }
    return [_compared(text, side, asked, other[id(side)]) for text, side in zip(wanted, sides, strict=True)]


def conclusion(answer: str) -> str | None:
    r"""Return the final answer in the last of several lines: after `Answer:`, `A:`, `####`, or in `\boxed{}`."""
    before, _, last = answer.strip().rpartition("\n")
    if not before:
        return None
    boxed, found = _BOXED.findall(last), _CONCLUSION.match(last)
    said = boxed[-1] if boxed else last[found.end() :] if found else ""
    return said if any(map(str.isalnum, said)) else None


def _text(plain: str, asked: Collection[str], embedding: WordLlama) -> _Text:
    words = split(plain)
    tokens, rows = embedding.token_rows(" ".join(words.folded))
    owner = (np.cumsum([token.startswith("\u2581") for token in tokens]) - 1).tolist()  # the mark that opens a word
    told = owner and owner[0] == 0 and owner[-1] == len(words.folded) - 1
    return _Text(plain, words, numbers(words, asked), word_weights(words, asked), rows, owner if told else [])


def _compared(wanted: _Text, given: _Text, asked: Collection[str], other_number: bool) -> Features:
    whole = stands_in(wanted.words, given.words) or _abbreviates(wanted.plain, given.plain)
    found = agreement(Counted(wanted.words, wanted.numbers), Counted(given.words, given.numbers), asked)
    agrees, excluded = _settled(wanted, given, whole, found)
    excluded = excluded or ("" if agrees else _numbers_differ(wanted, given, found, other_number, asked))
    agrees = agrees or (
        not found.lacking and only_numbers(Counted(wanted.words, wanted.numbers), asked) and found.exact
    )
    if agrees or excluded:
        return Features(float(not excluded), float(not excluded), excluded)
    meaning = closest_stretch(wanted, given)
    if whole:
        return Features(meaning, 1.0)
    matches = best_stretch(_with_numbers(word_matches(wanted.words, given.words), found), wanted.weights)
    recall = float(wanted.weights @ matches.max(axis=1) / wanted.weights.sum())
    kept = 1 - replaced_share(wanted.words, given.words, matches, (wanted.weights, given.weights))
    return Features(max(meaning, recall) * kept, recall**2 * kept)


def _with_numbers(matches: Floats, found: AnswerAgreement) -> Floats:
    """Return the matches of words with those of numbers, each with its unit."""
    for number, place, degree_ in found.found:
        matches[number.place : number.end, place] = np.maximum(matches[number.place : number.end, place], degree_)
    return matches


def _numbers_differ(
    wanted: _Text, given: _Text, found: AnswerAgreement, other_number: bool, asked: Collection[str]
) -> str:
    """Return why the numbers rule out agreement, if they do."""
    size = len(wanted.words.folded)
    if found.swapped:
        return "the numbers are swapped"
    if other_number and wanted.numbers:
        return "another number or date"
    if found.lacking and not given.numbers and only_numbers(Counted(wanted.words, wanted.numbers), asked):
        return "no number"
    if not (found.missing and size <= SHORT_WORDS):
        return ""
    if any(one.kind != "month" for one in given.numbers):
        return "another number or date"
    return "" if any(word in NUMERALS for word in given.words.folded) else "no number"


def _settled(wanted: _Text, given: _Text, whole: bool, found: AnswerAgreement) -> tuple[bool, str]:
    """Return whether the texts agree regardless of their words, and what rules agreement out."""
    refused = _refuses(wanted.plain), _refuses(given.plain)
    agrees = _yes_or_no(wanted.words.folded, given.words.folded, _negated(given.plain))
    if agrees or all(refused):
        return True, ""
    if any(refused) and not _answers_beside(wanted, given, whole, found):
        return False, "one gives no answer"
    denied = agrees is False or _polarity_differs(wanted, given, whole, [place for _, place, _ in found.found[:1]])
    return False, "one denies what the other says" if denied else ""


def _answers_beside(wanted: _Text, given: _Text, whole: bool, found: AnswerAgreement) -> bool:
    """Return whether the reference is outside the refusal: "I'm not sure, but it is Paris"."""
    if wanted.numbers and not found.lacking:
        beside = split(_without_refusals(given.plain))
        return not agreement(Counted(wanted.words, wanted.numbers), Counted(beside, numbers(beside)), ()).lacking
    return whole and wanted.weights.max() > QUESTION_WEIGHT


def _without_refusals(text: str) -> str:
    """Remove each refusal and the rest of its clause from a text."""
    kept, start = [], 0
    for refusal in _REFUSAL.finditer(text):
        kept.append(text[start : max(start, refusal.start())])
        stop = _BREAK.search(text, refusal.end())
        start = max(start, stop.end() if stop else len(text))
    return "".join((*kept, text[start:]))


def stands_in(wanted: Words, given: Words) -> bool:
    """Return whether the reference occurs in the answer word by word, apart from stop words and gaps between words."""
    needle = "".join(wanted.folded[place] for place in wanted.telling)
    kept = [given.folded[place] for place in given.telling]
    starts = np.cumsum([0, *map(len, kept)]).tolist()
    hay, edges = "".join(kept), frozenset(starts)
    return any(hay.startswith(needle, start) and start + len(needle) in edges for start in starts[:-1])


def _abbreviates(reference: str, answer: str) -> bool:
    """Return whether one holds the initials of the other: "World Health Organization" and "WHO", either way round."""
    if _SHORT_FORM.fullmatch(reference.strip()):
        short = _undotted(reference.strip())
        return len(short) > 2 and short in _initials(answer)
    return _initials(reference) in map(_undotted, _SHORT_FORM.findall(answer))


def _initials(text: str) -> str:
    return "".join(word[0] for word in _CAPITALISED.findall(text))


def _undotted(short_form: str) -> str:
    return short_form.replace(".", "")


def closest_stretch(wanted: _Text, given: _Text) -> float:
    """Return the best cosine of the reference with a stretch of the answer of its length, at least 0."""
    # The digits of two numbers look alike to an embedding, and other numbers are not similar at all.
    shared = [word in wanted.words.folded or not word[:1].isdigit() for word in given.words.folded]
    target, rows = _weighted_rows(wanted, wanted.weights), _weighted_rows(given, given.weights * shared)
    size = min(len(target), len(rows))
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0, dtype=np.float64)])
    stretches = unit_rows(sums[size:] - sums[:-size])
    return max(0.0, min(1.0, float((stretches @ unit_rows(target.sum(axis=0, keepdims=True))[0]).max())))


def _weighted_rows(text: _Text, weights: Floats) -> Vectors:
    """Return the token vectors, each by the weight of its word."""
    return text.rows * weights[text.owner, np.newaxis].astype(np.float32) if text.owner else text.rows


def _numbers_exclude(
    references: Sequence[Sequence[StatedNumber]], given: Sequence[StatedNumber], asked: Collection[str]
) -> bool:
    """Return whether both sides have numbers of the same kind, and no reference shares one with the answer."""
    for kind in (*CALENDAR, "number"):
        expected = [one for numbers_ in references for one in numbers_ if _group(one) == kind]
        stated = any(_group(one) == kind and one.written not in asked for one in given)
        if expected and stated and not any(degree(one, other) for one in expected for other in given):
            return True
    return False


def _group(one: StatedNumber) -> str:
    return one.kind if one.kind in CALENDAR else "number"


def _refuses(text: str) -> bool:
    return _REFUSAL.search(text) is not None


def _negated(text: str) -> bool:
    return _NEGATION.search(text.casefold().replace("\u2019", "'")) is not None


def _polarity_differs(wanted: _Text, given: _Text, whole: bool, numbers_at: Sequence[int]) -> bool:
    """Return whether one of two similarly long sentences is negated, or a short or whole reference follows a `not`."""
    if _negated(wanted.plain) == _negated(given.plain):
        return False
    sizes = len(wanted.words.folded), len(given.words.folded)
    if whole or sizes[0] < SENTENCE_WORDS:
        return not _negated(wanted.plain) and _denied(wanted.words, given.words.folded, numbers_at)
    # A long answer negates something anyway.
    return SENTENCE_WORDS <= sizes[1] <= 2 * sizes[0]


def _denied(wanted: Words, given: Sequence[str], numbers_at: Sequence[int]) -> bool:
    opening = wanted.folded[wanted.telling[0]]
    named = next((place for place, word in enumerate(given) if word == opening), 0)
    before = {word for place in (named, *numbers_at) for word in given[max(0, place - 2) : place]}
    return not before.isdisjoint({"not", "never", "isnt", "wasnt"})


def _yes_or_no(wanted: Sequence[str], given: Sequence[str], negated: bool) -> bool | None:
    """Return whether a reference that is just yes or no agrees with the answer; `None` for any other reference."""
    if len(wanted) != 1 or wanted[0] not in YES | {"no", "false"}:
        return None
    negative = given[0] in {"no", "false"} or (given[0] not in YES and negated)
    return negative == (wanted[0] not in YES)
