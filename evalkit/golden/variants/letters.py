"""Change letters: typing errors, upper and lower case, and letters that look alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evalkit.golden.variants.draws import Draws
from evalkit.golden.variants.edits import Edit, EditableText

LOOKALIKES: Mapping[str, str] = {
    "a": "\u0430",
    "c": "\u0441",
    "e": "\u0435",
    "i": "\u0456",
    "o": "\u043e",
    "p": "\u0440",
    "x": "\u0445",
    "y": "\u0443",
}
"""Latin letter -> Cyrillic letter that looks like it."""
ZERO_WIDTH_SPACE = "\u200b"
MOST_TYPOS = 8
Layout = Literal["qwerty", "qwertz"]
_ROWS: Mapping[str, tuple[str, ...]] = {
    "qwerty": ("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "qwertz": ("qwertzuiop", "asdfghjkl", "yxcvbnm"),
}
_LETTERS = re.compile(r"[^\W\d_]+")
_LONG_WORD = 4
_KINDS = ("swap",) * 4 + ("adjacent",) * 3 + ("drop",) * 2 + ("double",)
"""Kinds of typing errors, as often as they are drawn."""


def neighbours(layout: Layout) -> Mapping[str, str]:
    """Return the letters beside each letter of a keyboard, in its row and in the rows above and below."""
    rows = _ROWS[layout]
    found = {}
    for number, row in enumerate(rows):
        for at, letter in enumerate(row):
            beside = [row[near] for near in (at - 1, at + 1) if 0 <= near < len(row)]
            beside += [rows[number - 1][near] for near in (at, at + 1) if number and near < len(rows[number - 1])]
            if number + 1 < len(rows):
                beside += [rows[number + 1][near] for near in (at - 1, at) if 0 <= near < len(rows[number + 1])]
            found[letter] = "".join(beside)
    return found


@dataclass(frozen=True, kw_only=True)
class Typos:
    """Typing errors: letters swapped, doubled, left out, or those of the key beside."""

    rate: float = 0.05
    """Share of the letters in words of 4 letters and more."""
    max: int = MOST_TYPOS
    """Greatest edit distance (Levenshtein) to the original; two swapped letters count 2."""
    layout: Layout = "qwerty"
    """The keyboard, for the keys beside each other."""

    def __post_init__(self) -> None:
        """Reject a rate that is not one."""
        _check_rate(self.rate)
        if not 1 <= self.max <= MOST_TYPOS:
            raise ValueError(f"max: {self.max} errors; write a number from 1 to {MOST_TYPOS}")

    def edits(self, draft: EditableText, draws: Draws) -> list[Edit]:
        """Return the errors: at least one if a word can have one; the first letter of a word stays."""
        words = [match.span() for match in draft.free_matches(_LETTERS) if len(match[0]) >= _LONG_WORD]
        n_letters = sum(end - start for start, end in words)
        places = [(at, end) for start, end in words for at in range(start + 1, end) if not _is_composed(draft.text, at)]
        left, wanted = self.max, max(1, round(self.rate * n_letters))
        taken, edits = set[int](), list[Edit]()
        beside = neighbours(self.layout)
        for at, end in draws.shuffled(places):
            if len(edits) == wanted or not left:
                break
            if taken & {at - 1, at, at + 1}:
                continue
            edit = _typo(draft.text, at, end, draws.one_of(_KINDS), beside, draws)
            cost = 2 if edit.end - edit.start == 2 else 1
            if cost <= left:
                left -= cost
                taken.update((at, edit.end - 1))
                edits.append(edit)
        return edits


def _typo(text: str, at: int, end: int, kind: str, beside: Mapping[str, str], draws: Draws) -> Edit:
    """Return an error at a letter; where two equal letters would be swapped, another kind of error."""
    letter = text[at]
    if kind == "swap" and at + 1 < end and text[at + 1] != letter and not _is_composed(text, at + 1):
        return Edit(at, at + 2, text[at + 1] + letter)
    if kind in ("swap", "adjacent") and letter.lower() in beside:
        key = draws.one_of(beside[letter.lower()])
        return Edit(at, at + 1, key.upper() if letter.isupper() else key)
    return Edit(at, at + 1, letter * 2 if kind == "double" else "")


def _is_composed(text: str, at: int) -> bool:
    """Return whether a letter has a combining mark after it, which would move to another letter."""
    return at + 1 < len(text) and unicodedata.combining(text[at + 1]) > 0


@dataclass(frozen=True, kw_only=True)
class Lower:
    """Everything in lower case."""

    def edits(self, draft: EditableText, draws: Draws) -> list[Edit]:
        """Return the words with their new letters."""
        return [Edit(*found.span(), found[0].lower()) for found in _words(draft) if found[0].lower() != found[0]]


@dataclass(frozen=True, kw_only=True)
class Upper:
    """Everything in upper case."""

    def edits(self, draft: EditableText, draws: Draws) -> list[Edit]:
        """Return the words with their new letters."""
        return [Edit(*found.span(), found[0].upper()) for found in _words(draft) if found[0].upper() != found[0]]


def _words(draft: EditableText) -> list[re.Match[str]]:
    return list(draft.free_matches(_LETTERS))


@dataclass(frozen=True, kw_only=True)
class Confusables:
    """Cyrillic letters in place of Latin ones that look alike, and one space without width."""

    rate: float = 0.1
    """Share of the letters that have such a twin."""

    def __post_init__(self) -> None:
        """Reject a rate that is not one."""
        _check_rate(self.rate)

    def edits(self, draft: EditableText, draws: Draws) -> list[Edit]:
        """Return the replaced letters, at least one, and the inserted space; nothing if there is no such letter."""
        text = draft.text
        places = [at for at, letter in enumerate(text) if letter in LOOKALIKES and draft.is_free(at, at + 1)]
        places = [at for at in places if not _is_composed(text, at)]
        if not places:
            return []
        chosen = draws.shuffled(places)[: max(1, round(self.rate * len(places)))]
        edits = [Edit(at, at + 1, LOOKALIKES[text[at]]) for at in chosen]
        inside = [at for match in _words(draft) for at in range(match.start() + 1, match.end())]
        return [*edits, Edit(at := draws.one_of(inside), at, ZERO_WIDTH_SPACE)] if inside else edits


def without_confusables(text: str) -> str:
    """Return a text with Latin letters for Cyrillic ones that look alike, and no spaces without width."""
    latin = {twin: letter for letter, twin in LOOKALIKES.items()}
    return text.translate(str.maketrans("".join(latin), "".join(latin.values()))).replace(ZERO_WIDTH_SPACE, "")


def _check_rate(rate: float) -> None:
    if not 0 < rate <= 1:
        raise ValueError(f"rate: {rate:g} is not a share of letters; write one such as 0.05")
