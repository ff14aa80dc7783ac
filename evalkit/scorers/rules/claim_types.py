"""Tell what a claim is about, and score an answer by its claims."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

from evalkit.scorers.rules.normalise import ascii_digits, words

ClaimType = Literal["citation", "numerical", "faithfulness", "factual"]
"""What a claim of an answer is about: a source, a figure or date, the contexts, or the world."""
CLAIM_TYPES: tuple[ClaimType, ...] = get_args(ClaimType)
_CITATION = re.compile(
    r"\[[^\[\]\n]{0,40}\d[^\[\]\n]{0,40}\]|https?://|\bwww\.|§|\bdoi\b|\barxiv\b"
    r"|\b(?:art(?:icle|\.)|sec(?:tion|\.)|para(?:graph|\.)|clause|recital|directive|regulation|rule|annex)s?\s*\(?\d"
    r"|\b(?:artikel|absatz|abs\.|ziffer|artículo)\s*\(?\d"
    r"|\b[a-z]{1,3}[-‑ ]\d{1,5}/\d{2,4}\b|\b\d{1,2} [a-z]{2,3} \d{1,5}/\d{2,4}\b|\bno\. \d{1,6}/\d{2,4}\b",
    re.IGNORECASE,
)
"""A marker such as [2], a URL, a paragraph of a law, or the number of a case such as C-311/18."""
_NUMBER_WORDS = frozenset(
    "two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty seventy eighty ninety"
    " hundred thousand million billion dozen half third quarter twice double percent".split()
)


def claim_type(claim: str, *, has_contexts: bool) -> ClaimType:
    """Return the type of a claim: the first that fits.

    `citation` names a source, `numerical` has a digit or a number word, `faithfulness` is about the contexts, and
    `factual` about the world, where an answer has no contexts.

    Args:
        claim: one sentence.
        has_contexts: whether the answer has contexts.
    """
    text = ascii_digits(claim)
    if _CITATION.search(text):
        return "citation"
    if any(map(str.isdigit, text)) or "%" in text or not _NUMBER_WORDS.isdisjoint(words(text)):
        return "numerical"
    return "faithfulness" if has_contexts else "factual"


def claims_score(verdicts: Sequence[str]) -> float | None:
    """Return 1 - (unsupported + 2 contradicted) / claims, at least 0; `None` without a claim.

    Args:
        verdicts: `supported`, `unsupported` or `contradicted` for each claim.
    """
    if not verdicts:
        return None
    wrong = verdicts.count("unsupported") + 2 * verdicts.count("contradicted")
    return max(0.0, 1 - wrong / len(verdicts))
