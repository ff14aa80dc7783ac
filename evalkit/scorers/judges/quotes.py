"""Check that a judge's quote occurs in the text that it cites."""

from __future__ import annotations

import re
import unicodedata

LEAST_CHARS = 4
"""Minimum characters of a quote without a digit: a single letter occurs in every text."""


def stands_in(quote: str, text: str) -> bool:
    """Return whether a text contains a quote as whole words, and the quote is more than a letter or a syllable.

    Args:
        quote: normalised by `normalised`.
        text: normalised in the same way.
    """
    if len(quote) < LEAST_CHARS and not any(letter.isdigit() for letter in quote):
        return False
    at = text.find(quote) if quote else -1
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(quote) : at + len(quote) + 1]
        if not (before.isalnum() and quote[0].isalnum()) and not (after.isalnum() and quote[-1].isalnum()):
            return True
        at = text.find(quote, at + 1)
    return False


def normalised(text: str) -> str:
    """Normalise what copying may change: case, kinds of quotation marks and dashes, white space."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub("[\u2018\u2019\u201c\u201d\"'`]", "", text).translate(
        {0x2010: "-", 0x2011: "-", 0x2013: "-", 0x2014: "-"}
    )
    return " ".join(text.split())
