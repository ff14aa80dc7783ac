"""Score how many contexts an answer has, and how long they are."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import ClassVar

from evalkit.scorers.rules.normalise import compatible, split_spaceless
from evalkit.scorers.rules.rule import no_contexts
from evalkit.text.numbers import plural
from evalkit.types import Case, Metric, Output, Score, Unscored

_TOKEN = re.compile(r"[^\W_]+|[^\w\s]|_")


@dataclass(frozen=True, kw_only=True)
class ContextSize:
    """Count the contexts of an answer and their tokens, so that `no_regression` can watch both.

    Two metrics without a pass mark, of which less is better: `<name>_count`, the number of contexts that the system
    returned, and `<name>_tokens`, the tokens of all their texts. A token is a word, a number, a punctuation mark, or a
    character of a script without spaces, so the count needs no model and is the same on every machine. The tokenizer of
    a model counts more tokens, about a third more for English text. If the text of a context is not known,
    `<name>_tokens` is unscored. An empty list counts 0.

    It cannot see whether the contexts are the right ones; `retrieval` can.
    """

    name: str = "context"
    more_is_better: bool = False
    """Watch for a drop instead of a rise."""

    version: ClassVar[str] = "1"
    reads_passages: ClassVar[bool] = True
    without_text: ClassVar[bool] = True
    shorthand: ClassVar[str] = "more_is_better"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The number of contexts, and the number of their tokens."""
        return tuple(
            Metric(f"{self.name}_{part}", high=math.inf, higher_is_better=self.more_is_better, unit=unit)
            for part, unit in (("count", "contexts"), ("tokens", "tokens"))
        )

    @property
    def needs(self) -> frozenset[str]:
        """No case fields are needed, because the contexts come from the system."""
        return frozenset()

    def score(self, case: Case, output: Output) -> tuple[Score | Unscored, ...]:
        """Count the contexts that the system returned, else those of the case."""
        count, tokens = (metric.name for metric in self.metrics)
        found = output.contexts if output.contexts is not None else case.contexts or None
        if found is None:
            return no_contexts(count), no_contexts(tokens)
        n = Score(count, float(len(found)), None, plural(len(found), "context"))
        without = sum(not text for text in found)
        if without:
            return n, Unscored(tokens, "missing_text", f"{plural(without, 'context')} without a text")
        total = sum(map(count_tokens, found))
        return n, Score(tokens, float(total), None, f"{plural(total, 'token')} in {plural(len(found), 'context')}")


def count_tokens(text: str) -> int:
    """Count words, numbers, punctuation marks, and characters of scripts without spaces."""
    return len(_TOKEN.findall(split_spaceless(compatible(text))))
