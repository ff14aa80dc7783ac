"""Shorten frequent words before compression."""

from __future__ import annotations

from collections import Counter

FIRST = 0xE000
ROOM = 6_400
"""Characters of the private use area; ASCII JSON never contains them."""
_LEARNS_ALWAYS, _LEARNS_EVERY, _MIN_COUNT = 8, 8, 3


class Shortener:
    """Writes ASCII text with a character for each learned word; words are learned from the texts."""

    def __init__(self) -> None:
        self._codes: dict[str, str] = {}
        self._n_texts = 0

    def shorten(self, text: str) -> str:
        """Return `text` with a code for each word and the space after it; a space follows the last word."""
        words = text.split(" ")
        if self._n_texts < _LEARNS_ALWAYS or self._n_texts % _LEARNS_EVERY == 0:
            self._learn(words)
        self._n_texts += 1
        code_of = self._codes.get
        return "".join([code_of(word) or word + " " for word in words])

    @property
    def words(self) -> list[str]:
        """Words in the order of their characters, the first one for U+E000."""
        return list(self._codes)

    def _learn(self, words: list[str]) -> None:
        codes = self._codes
        for word, count in Counter(words).most_common(ROOM):
            if count < _MIN_COUNT or len(codes) == ROOM:
                break
            if len(word) > 1 and word not in codes:
                codes[word] = chr(FIRST + len(codes))
