"""Change the contexts of a case: their order, or one more that does not answer the question."""

from __future__ import annotations

import bisect
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from evalkit.golden.variants.draws import Draws
from evalkit.types import Case

_WORD = re.compile(r"[^\W_]+")
_LEAST_LETTERS = 4
"""Shorter words, such as `the`, do not show that a passage has to do with an answer."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A context of a case, for use in another one."""

    text: str
    id: str
    """The case."""
    cluster: str
    """Its cluster, or its id."""


class PassagePool:
    """The contexts of a golden set, in an order that does not depend on that of its cases."""

    def __init__(self, cases: Iterable[Case]) -> None:
        """Collect the contexts of cases."""
        found = {Passage(text, case.id, case.cluster or case.id) for case in cases for text in case.contexts}
        keyed = ((hashlib.sha256(f"{each.id}\0{each.text}".encode()).digest(), each) for each in found)
        ring = sorted(keyed, key=lambda pair: pair[0])
        self._keys, self._passages = [key for key, _ in ring], [passage for _, passage in ring]

    def distractor(self, case: Case, draws: Draws) -> Passage | None:
        """Draw a passage of another cluster that holds no word of the expected answer; `None` if there is none."""
        avoided = expected_words(case)
        start = bisect.bisect(self._keys, hashlib.sha256(draws.hex.encode()).digest())
        for each in (*self._passages[start:], *self._passages[:start]):
            foreign = each.cluster != (case.cluster or case.id) and each.text not in case.contexts
            if foreign and avoided.isdisjoint(_words(each.text)):
                return each
        return None


def expected_words(case: Case) -> frozenset[str]:
    """Return the words of the reference and of `required`, in lower case."""
    required = case.fields.get("required")
    texts = [*case.reference, *([required] if isinstance(required, str) else required or ())]
    return frozenset(word for text in texts if isinstance(text, str) for word in _words(text))


def _words(text: str) -> set[str]:
    return {word for word in _WORD.findall(text.casefold()) if len(word) >= _LEAST_LETTERS}


@dataclass(frozen=True, kw_only=True)
class ContextOrder:
    """The contexts in another order."""

    def order(self, n: int, draws: Draws) -> list[int]:
        """Return the old places in their new order; two contexts change places."""
        found = draws.shuffled(range(n))
        return found if found != sorted(found) else [*found[1:], *found[:1]]


@dataclass(frozen=True, kw_only=True)
class Distractor:
    """One context of another case, which holds no word of the expected answer, at a drawn place."""
