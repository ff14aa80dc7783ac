"""Say from the name of a column of grades whether more is better."""

from __future__ import annotations

LOWER_WORDS = frozenset(
    "latency duration time cost price token tokens error errors loss wer cer perplexity violation violations"
    " distance".split()
)
"""Words in a column's name that mean that less is better."""
UNCLEAR_WORDS = frozenset(
    "hallucination hallucinations hallucinated bias biased toxicity toxic refusal refusals refused uncertainty length"
    " risk harm harmful harmfulness severity unsafe".split()
)
"""Words that name something bad: whether its score counts the bad or its absence, only the user knows."""
CLEAR_ENDS = ("pass", "passed", "acc", "accuracy", "correct", "f1", "precision", "recall", "match")
"""Last words of names of which more is better, whatever the words before say: `token_f1`."""
TURNING_WORDS = frozenset("score scores rating grade no non not without free".split())
"""Words beside one of `LOWER_WORDS` after which the name says neither: `latency_score`, `error_free`."""


def more_is_better(name: str) -> bool | None:
    """Return whether more is better in a column, by its folded name; `None` if the name does not say it."""
    words = name.split("_")
    if words[-1] in CLEAR_ENDS:
        return True
    lower = not LOWER_WORDS.isdisjoint(words)
    unclear = not UNCLEAR_WORDS.isdisjoint(words) or (lower and not TURNING_WORDS.isdisjoint(words))
    return None if unclear else not lower
