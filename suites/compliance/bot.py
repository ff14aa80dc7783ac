"""Answer questions on EU financial regulation with sentences of the corpus and their source.

The bot writes nothing of its own: it finds the passage, picks the sentences nearest to the question and cites them.
It declines by simple means: patterns (`guards`) and a minimum relevance of the best passage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from suites.compliance.corpus import language_of, uploaded
from suites.compliance.guards import reason_to_decline, refusal
from suites.compliance.retrieval import Hit, Index, search

MIN_RELEVANCE = 0.45
"""Minimum relevance; below it, no passage is about the question."""

SENTENCES = 2
"""Number of sentences in an answer: one misses conditions, three bury the point."""


def answer(input: str, *, corpus_until: str | None = None) -> dict[str, Any]:
    """Answer one question.

    Args:
        input: The question, in English, German or French.
        corpus_until: Leave out acts that entered into force after this ISO date, as a stale index would.

    Returns:
        `text`, the answer or a refusal, and `contexts`, the passages that it rests on (none for a refusal).
    """
    if reason_to_decline(input):
        return {"text": refusal(language_of(input)), "contexts": []}
    best = search(input, corpus_until)
    if best.relevance < MIN_RELEVANCE:
        return {"text": refusal(language_of(input)), "contexts": []}
    return {"text": f"{_extract(best)} {best.passage.citation}", "contexts": [best.passage.context]}


def answer_from(input: str, contexts: Sequence[str]) -> dict[str, Any]:
    """Answer one question from passages that come with it, such as an upload of the user.

    Args:
        input: The question, in English.
        contexts: The passages: id, title, source and text, parted by ` | `.
    """
    if reason_to_decline(input):
        return {"text": refusal("en"), "contexts": []}
    best = Index([uploaded(context) for context in contexts]).best(input)
    return {"text": f"{_extract(best)} {best.passage.citation}", "contexts": [best.passage.context]}


def _extract(hit: Hit) -> str:
    """Return the best sentences in the order of the passage."""
    chosen = hit.best_sentences[:SENTENCES]
    return " ".join(sorted(chosen, key=hit.passage.text.index))
